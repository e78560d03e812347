import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError, InputError, malformed } from '../../errors.js';
import { explained, writeFileAtomically } from '../../io/files.js';
import type { Quality } from '../../tasks/training.js';
import type { TrainRecord } from '../../train/records.js';
import type { UnknownShares } from '../unknown.js';
import { checkRecord } from './check-record.js';
import type { Settings } from './grid.js';
import { readJson } from './json-file.js';

export interface RunResult {
  valid: Quality;
  /** Only for final runs, and where there is a test split: it decides nothing. */
  test?: Quality;
  /** Shares of the splits, from 0 to 1, that the model cannot know; records of earlier versions have none. */
  unknown?: UnknownShares['unknown'];
  unknownLabels?: UnknownShares['unknownLabels'];
  parameters: { lstm: number; total: number };
  /** Of the LSTM matrices, relative to those of the dense model of the grid. */
  compression: { parameters?: number; bytes: number; file?: number };
  /** Size of the model file, and that of it compressed; records of earlier versions have only the first. */
  fileBytes: number;
  gzipBytes?: number;
}

/** Sorts the better one first. Shares on small splits are often equal; then perplexity decides. */
export const byQuality = (a: Quality, b: Quality) =>
  (a.mse ?? 0) - (b.mse ?? 0) ||
  (b.f1 ?? 0) - (a.f1 ?? 0) ||
  (b.accuracy ?? 0) - (a.accuracy ?? 0) ||
  (a.perplexity ?? 0) - (b.perplexity ?? 0);

/** The record of a finished run. The same settings give the same record, except for `timing` and `dopant`. */
export interface RunRecord {
  name: string;
  /** The label of the cell that it was run for. */
  cell: string;
  task: string;
  method: string;
  compression: number;
  settings: Settings;
  /** Names of the tuned settings. */
  tuned: string[];
  /** The run has the chosen settings, or its cell was not tuned. */
  final?: true;
  result?: RunResult;
  /** Why there is no result. */
  failed?: string;
  /** Thinned out by thinOut(). */
  curves: TrainRecord[];
  timing?: Timing;
  dopant: { version: string; commit?: string };
}

export interface Timing {
  seconds: number;
  tokensPerSecond: number;
  /** Microseconds in dopant/infer: one step of the LSTM layers, and one token including embedding and head. */
  step?: { lstm: number; token: number };
  /** The same for a sentence of ten words, if the task takes sentences. */
  sentence?: number;
  /** `seconds` counts from the last resumption. */
  resumed?: true;
  node: string;
  cpu: string;
}

/** Whether a file in a folder of records is a record. */
export const isRecordFile = (name: string) => /^[\w+-][\w.+-]*\.json$/.test(name);

/** The records in a folder by name; none if the folder does not exist. Throws FileFormatError for a damaged one. */
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

/** Writes a record with one line per field, so that a diff shows what changed. */
export async function writeRecord(folder: string, record: RunRecord): Promise<void> {
  const { curves, timing, dopant, ...facts } = record;
  const rest = { ...facts, timing, dopant };
  const lines = Object.entries(rest).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const points = curves.map((curve) => `    ${JSON.stringify(curve)}`);
  lines.push(points.length ? `  "curves": [\n${points.join(',\n')}\n  ]` : '  "curves": []');
  await writeFileAtomically(join(folder, `${record.name}.json`), `{\n${lines.join(',\n')}\n}\n`);
}

/** The number of points of each kind that are kept: enough to draw the curves. */
const KEPT = { step: 40, valid: 40, prune: 24, cma: 8 };

/** Thins the curves out evenly, keeping the first and last point of each kind, with five digits. */
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
