import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError, InputError, malformed } from '../../errors.js';
import { explained, writeFileAtomically } from '../../io/files.js';
import type { TrainRecord } from '../../train/records.js';
import type { UnknownShares } from '../unknown.js';
import { checkRecord } from './check-record.js';
import type { Settings } from './grid.js';
import { readJson } from './json-file.js';

/** Perplexity of a language model, less is better; accuracy of a classifier, 0 to 1. */
export interface Quality {
  perplexity?: number;
  accuracy?: number;
  /** Of answers, the share that names all that is right, nothing else. */
  exact?: number;
}

export interface RunResult {
  valid: Quality;
  /** Only of final runs, where there is such a split: it decides nothing. */
  test?: Quality;
  /** Shares of the splits, from 0 to 1, that the model cannot know; records of earlier versions have none. */
  unknown?: UnknownShares['unknown'];
  unknownLabels?: UnknownShares['unknownLabels'];
  parameters: { lstm: number; total: number };
  /** Of the LSTM's matrices, against those of the dense model of the grid. */
  compression: { parameters?: number; bytes: number };
  /** The whole model file. */
  fileBytes: number;
}

/** The better one first. Accuracies of small splits are often the same. */
export const byQuality = (a: Quality, b: Quality) =>
  (b.accuracy ?? 0) - (a.accuracy ?? 0) || (a.perplexity ?? 0) - (b.perplexity ?? 0);

/** What a finished run leaves. The same settings give the same record, but for `timing` and `dopant`. */
export interface RunRecord {
  name: string;
  /** The cell that it was run for. */
  cell: string;
  task: string;
  method: string;
  compression: number;
  settings: Settings;
  /** Names of the settings that were tuned. */
  tuned: string[];
  /** Run with what was chosen, or where there was nothing to choose. */
  final?: true;
  result?: RunResult;
  /** Why there is no result. */
  failed?: string;
  /** Thinned out. */
  curves: TrainRecord[];
  timing?: Timing;
  dopant: { version: string; commit?: string };
}

export interface Timing {
  seconds: number;
  tokensPerSecond: number;
  /** Microseconds: one step of the LSTM layers, and one token with embedding and head, by dopant/infer. */
  step?: { lstm: number; token: number };
  /** The same for a sentence of ten words, where sentences are the input. */
  sentence?: number;
  /** The seconds are those since it was taken up again. */
  resumed?: true;
  node: string;
  cpu: string;
}

/** Whether a file of a folder of records is one. */
export const isRecordFile = (name: string) => /^[\w+-][\w.+-]*\.json$/.test(name);

/** The records of a folder by name; none where there is no such folder. */
export async function readRecords(folder: string): Promise<Map<string, RunRecord>> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw explained('read', folder, error);
  });
  const records = new Map<string, RunRecord>();
  for (const entry of entries.sort()) {
    if (!isRecordFile(entry)) continue;
    const record = await readRecord(folder, entry.slice(0, -'.json'.length));
    records.set(record.name, record);
  }
  return records;
}

export async function readRecord(folder: string, name: string): Promise<RunRecord> {
  const path = join(folder, `${name}.json`);
  try {
    const record = await readJson(path);
    checkRecord(record);
    if (record.name !== name) throw malformed('name', record.name, `${name}, as the file`);
    return record;
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const { message } = cause as Error;
    const what = cause instanceof SyntaxError ? `it is not JSON (${message})` : message;
    throw new FileFormatError(`${path}: ${what}; delete the file to repeat the run`, { cause });
  }
}

/** One line a field, so that what changed in a record shows. */
export async function writeRecord(folder: string, record: RunRecord): Promise<void> {
  const { curves, timing, dopant, ...facts } = record;
  const rest = { ...facts, timing, dopant };
  const lines = Object.entries(rest).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const points = curves.map((curve) => `    ${JSON.stringify(curve)}`);
  lines.push(points.length ? `  "curves": [\n${points.join(',\n')}\n  ]` : '  "curves": []');
  await writeFileAtomically(join(folder, `${record.name}.json`), `{\n${lines.join(',\n')}\n}\n`);
}

/** Records of each kind that are kept: enough to draw. */
const KEPT = { step: 40, valid: 40, prune: 24, cma: 8 };

/** Evenly thinned out, the first and the last of a kind kept, in five digits. */
export function thinOut(records: readonly TrainRecord[]): TrainRecord[] {
  const kept = new Set<TrainRecord>();
  for (const [kind, most] of Object.entries(KEPT)) {
    // The perplexity of a diverged model may be infinite.
    const all = records.filter((record) => record.kind === kind && allFinite(record));
    const count = Math.min(all.length, most);
    for (let i = 0; i < count; i++) kept.add(all[count === 1 ? 0 : Math.round((i * (all.length - 1)) / (count - 1))]);
  }
  const short = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value);
  return records.filter((record) => kept.has(record)).map((record) => JSON.parse(JSON.stringify(record, short)));
}

/** Whether all numbers in a value are finite: JSON has no others. */
function allFinite(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(allFinite);
}
