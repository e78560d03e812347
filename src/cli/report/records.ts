import { invalid } from '../../errors.js';
import { writeFileAtomically } from '../../io/files.js';
import { isRecordFile, type RunRecord, readRecords } from '../experiment/record.js';
import { type Group, groupRecords } from '../experiment/summary.js';
import { loadModel } from '../model.js';
import { checkOutputs } from '../outputs.js';
import { renderPage } from './page.js';
import { dopedPatterns } from './patterns.js';
import { sectionsOf } from './sections.js';

interface ReportArguments {
  out: string;
  model?: string;
  json?: boolean;
}

/** Writes one page about the records in the folders; parts of a grid in several folders are taken together. */
export async function reportRecords(folders: string[], { out, model, json }: ReportArguments): Promise<void> {
  const models = model === undefined ? [] : [{ option: '--model', path: model }];
  await checkOutputs(
    [{ option: '--out', path: out }],
    [...folders.map((path) => ({ option: '<folders...>', path, reads: isRecordFile })), ...models],
  );
  const records = new Map<string, RunRecord>();
  for (const folder of folders) {
    const found = await readRecords(folder);
    if (found.size === 0) throw invalid('<folders...>', folder, 'a folder with records of dopant experiment');
    for (const [name, record] of found) if (!records.get(name)?.final) records.set(name, record);
  }
  const groups = groupRecords(records.values());
  const patterns = model === undefined ? [] : dopedPatterns(await loadModel(model));
  if (model !== undefined && patterns.length === 0) throw invalid('--model', model, 'a model with a doped matrix');
  const runs = [...records.values()];
  const failed = runs.filter(({ failed }) => failed !== undefined).length;
  const final = runs.filter((record) => record.final && record.result).length;
  const subtitle = `${runs.length} runs, ${final} of them final, ${failed} failed; dopant ${versionsOf(runs)}.`;
  const sections = groups.flatMap(sectionsOf);
  const notes = sections.length
    ? []
    : [{ notes: ['No cell has a final run yet.'], table: { columns: [], rows: [] }, runs: [], samples: [] }];
  const page = { title: 'Compressed networks side by side', subtitle, sections: [...sections, ...notes], patterns };
  await writeFileAtomically(out, renderPage(page));
  process.stdout.write(
    json
      ? `${JSON.stringify({ out, ...summaryOf(groups) })}\n`
      : `${sections.length} tables of ${runs.length} runs, in ${out}\n`,
  );
}

function summaryOf(groups: readonly Group[]) {
  return {
    groups: groups.map(({ title, measure, cells }) => ({
      title,
      measure,
      cells: cells.map(({ label, method, chosen, valid, test, runs }) => {
        const { parameters, compression } = runs[0].result!;
        return {
          label,
          method,
          chosen,
          valid,
          test,
          parameters,
          compression,
          seeds: runs.map(({ settings }) => settings.seed),
        };
      }),
    })),
  };
}

/** The versions of the library that made the runs, each with its commits. */
function versionsOf(runs: readonly RunRecord[]): string {
  const commits = new Map<string, Set<string>>();
  for (const { dopant } of runs) {
    const known = commits.get(dopant.version) ?? new Set();
    if (dopant.commit) known.add(dopant.commit);
    commits.set(dopant.version, known);
  }
  return [...commits].map(([version, at]) => (at.size ? `${version} at ${[...at].join(', ')}` : version)).join('; ');
}
