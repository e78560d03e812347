import { invalid } from '../errors.js';
import { writeFileAtomically } from '../io/files.js';
import { claim, holderOf } from './experiment/claim.js';
import { likeModels } from './like-models.js';
import { naming } from './outputs.js';
import { flagOf } from './parsers.js';
import { describeStep, formatDuration, type Progress, startProgress } from './progress.js';
import { renderReport } from './report/page.js';
import { StopSignals } from './stopping.js';
import { resultTable } from './table.js';
import type { AnyTask } from './task.js';
import type { TrainArguments } from './train-options.js';
import { type Outcome, type RunPlaces, resumeTraining, runTraining, type StepReport } from './training.js';

type GivenOn = { getOptionValueSource(name: string): string | undefined };

/** Options that --resume accepts; all others are those of the checkpoint. */
const FREE_WHEN_RESUMING = [
  'resume',
  'data',
  'teacher',
  'checkpoint',
  'threads',
  'out',
  'json',
  'checkpointEvery',
  'records',
  'report',
];

/** Trains a model, or resumes its training, shows the progress, and prints the result. */
export async function train(task: AnyTask, given: TrainArguments, command: GivenOn): Promise<void> {
  const { resume, checkpoint, checkpointEvery = 60, threads = 1 } = given;
  const watcher = new TerminalWatcher();
  let release = async () => {};
  try {
    let outcome: Outcome;
    if (resume !== undefined) {
      const other = Object.keys(given).find(
        (name) => !FREE_WHEN_RESUMING.includes(name) && command.getOptionValueSource(name) === 'cli',
      );
      if (other) {
        throw invalid(
          flagOf(other),
          given[other as keyof TrainArguments],
          'only without --resume, which continues a run with its settings',
        );
      }
      const folder = checkpoint ?? resume;
      release = await claimFolder('--checkpoint', folder);
      const places = (run: Pick<RunPlaces, 'out' | 'records' | 'report'>) => ({
        checkpoint: folder,
        checkpointEvery,
        threads,
        out: given.out ?? run.out,
        records: given.records ?? run.records,
        report: given.report ?? run.report,
      });
      const { data, teacher } = given;
      outcome = await resumeTraining(task, resume, { data, teacher }, places, watcher);
    } else {
      if (given.checkpointEvery !== undefined && checkpoint === undefined) {
        throw invalid('--checkpoint-every', given.checkpointEvery, 'only with --checkpoint or --resume');
      }
      const { source, options } = task.start(await likeModels(given));
      const { out = 'model.safetensors', records, report } = given;
      const places = { checkpoint, checkpointEvery, threads, out, records, report };
      if (checkpoint !== undefined) release = await claimFolder('--checkpoint', checkpoint);
      outcome = await runTraining(task, source, options, places, watcher);
    }
    watcher.stop();
    const { result, records, places, problems } = outcome;
    const table = resultTable([result]);
    const write = async (path: string | undefined, content: () => string) => {
      try {
        if (path !== undefined) await writeFileAtomically(path, content());
      } catch (error) {
        problems.push(error as Error);
      }
    };
    await write(places.records, () => `${JSON.stringify(records)}\n`);
    await write(places.report, () => {
      const runs = [{ name: result.method, records }];
      const subtitle = `seed ${result.seed}, ${formatDuration(Math.round(result.seconds))}`;
      return renderReport({ title: result.out, subtitle, table, samples: [], runs });
    });
    process.stdout.write(
      given.json
        ? `${JSON.stringify(result)}\n`
        : `${table.columns.map((column, i) => `${column}: ${table.rows[0][i]}`).join('\n')}\nwritten to ${result.out}\n`,
    );
    if (problems.length) throw new AggregateError(problems);
  } finally {
    watcher.stop();
    await release();
    watcher.signals.close();
  }
}

/** Claims a folder, which `option` names, for this run. Returns a function that releases it. */
export async function claimFolder(option: string, folder: string): Promise<() => Promise<void>> {
  const held = await naming(option, claim(folder));
  if (held) return held.release;
  throw invalid(option, folder, `a folder that no run works in; ${await holderOf(folder)} does`);
}

/** Shows progress on the terminal and listens for signals. */
class TerminalWatcher {
  readonly signals = new StopSignals();
  readonly interrupted = this.signals.interrupted;
  private progress: Progress | undefined;

  announce(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  step(now: StepReport): void {
    this.show(now.done, now.total, describeStep(now));
  }

  evaluating(share: number, done: number, total: number): void {
    this.show(done, total, `evaluating, ${Math.floor(100 * share)}%`);
  }

  private show(done: number, total: number, text: string): void {
    this.progress ??= startProgress('training', total);
    this.progress.update(done, text);
  }

  stop(): void {
    this.progress?.stop();
  }
}
