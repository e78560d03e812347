import type { Quality } from '../../tasks/training.js';
import { byQuality, type RunRecord } from './record.js';

// Summaries of the runs of a cell. Cells are compared within a group: the same task on the same data.

export interface Spread {
  mean: number;
  /** Standard deviation over the seeds; 0 for a single seed. */
  deviation: number;
  count: number;
}

export interface CellSummary {
  label: string;
  method: string;
  /** The final runs, ordered by seed. */
  runs: RunRecord[];
  /** The tuned settings with the chosen values, such as 'lr 0.006'. */
  chosen: string;
  /** Each candidate with its quality on the validation split; undefined if it failed. */
  candidates: { settings: string; valid: number | undefined }[];
  valid: Spread;
  /** Undefined if there is no test split. */
  test: Spread | undefined;
  failed: number;
}

export interface Group {
  title: string;
  /** What the numbers measure. */
  measure: 'perplexity' | 'accuracy' | 'f1' | 'mse';
  cells: CellSummary[];
}

export function spreadOf(values: readonly number[]): Spread {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) * (value - mean), 0);
  return { mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : 0, count };
}

/** The measure by which models are compared. */
export const measureOf = (quality: Quality): Group['measure'] =>
  quality.f1 !== undefined
    ? 'f1'
    : quality.accuracy !== undefined
      ? 'accuracy'
      : quality.mse !== undefined
        ? 'mse'
        : 'perplexity';

/** A measure and its unit, in words. */
export const unitOf = (measure: Group['measure']) =>
  ({ f1: 'F1, %', accuracy: 'accuracy, %', perplexity: 'perplexity', mse: 'mean squared error' })[measure];

/** Summarises a cell; undefined if it has no final run with a result. */
export function summarise(records: readonly RunRecord[]): CellSummary | undefined {
  const finals = records
    .filter(({ final, result }) => final && result)
    .sort((a, b) => Number(a.settings.seed) - Number(b.settings.seed) || byQuality(a.result!.valid, b.result!.valid));
  if (finals.length === 0) return undefined;
  const [{ cell, method, tuned, result, settings }] = finals;
  const describe = ({ settings }: RunRecord) => tuned.map((name) => `${name} ${settings[name]}`).join(', ');
  const chosen = describe(finals[0]);
  // If a grid was tuned further, there are final runs with the settings chosen earlier.
  const runs = finals.filter((run) => describe(run) === chosen);
  const measure = measureOf(result!.valid);
  const values = (split: 'valid' | 'test') => runs.flatMap((run) => run.result![split]?.[measure] ?? []);
  const tests = values('test');
  const first = Number(settings.seed);
  return {
    label: cell,
    method,
    runs,
    chosen,
    candidates: records
      .filter(({ settings }) => settings.seed === first)
      .map((run) => ({ settings: describe(run), valid: run.result?.valid[measure] })),
    valid: spreadOf(values('valid')),
    test: tests.length ? spreadOf(tests) : undefined,
    failed: records.filter(({ failed }) => failed !== undefined).length,
  };
}

/** Groups the cells of a folder of records by what can be compared. */
export function groupRecords(records: Iterable<RunRecord>): Group[] {
  const groups = new Map<string, Map<string, RunRecord[]>>();
  for (const record of records) {
    const { task, settings } = record;
    const { data, level, vocab, 'max-tokens': tokens } = settings;
    const name = String(data).split(/[\\/]/).filter(Boolean).at(-1)!;
    const parts = [name, level && `${level} level`, vocab && `vocabulary ${vocab}`, tokens && `${tokens} tokens`];
    const title = [task, ...parts].filter(Boolean).join(', ');
    const cells = groups.get(title) ?? new Map<string, RunRecord[]>();
    groups.set(title, cells);
    const key = cellKey(record);
    const runs = cells.get(key) ?? [];
    cells.set(key, runs);
    runs.push(record);
  }
  return [...groups].flatMap(([title, cells]): Group[] => {
    const summaries = [...cells.values()].flatMap((list) => summarise(list) ?? []);
    if (summaries.length === 0) return [];
    const order = (cell: CellSummary) => [cell.label === 'dense' ? 0 : 1, cell.runs[0].compression] as const;
    summaries.sort((a, b) => {
      const [[a0, a1], [b0, b1]] = [order(a), order(b)];
      return a0 - b0 || a1 - b1 || qualityOf(a).mean - qualityOf(b).mean;
    });
    const measure = measureOf(summaries[0].runs[0].result!.valid);
    return [{ title, measure, cells: summaries }];
  });
}

/** Everything that the runs of a cell share: not the seed, the tuned values, or the model that each seed starts from. */
function cellKey({ cell, task, settings, tuned }: RunRecord): string {
  const common = Object.entries(settings).filter(
    ([name, value]) => name !== 'seed' && !tuned.includes(name) && !String(value).startsWith('@'),
  );
  return JSON.stringify([task, cell, tuned, common.sort()]);
}

/** The quality on the test split, or on the validation split if there is no test split. */
export const qualityOf = ({ test, valid }: CellSummary): Spread => test ?? valid;

const hypotenuse = (a: number, b: number) => Math.sqrt(a * a + b * b);

/** a / b - 1; its deviation follows from the relative errors of both. */
export function ratioLess1(a: Spread, b: Spread): Spread {
  const ratio = a.mean / b.mean;
  const deviation = ratio * hypotenuse(a.deviation / a.mean, b.deviation / b.mean);
  return { mean: ratio - 1, deviation, count: Math.min(a.count, b.count) };
}

/** What a cell loses to another: a share of the perplexity or the squared error, or a difference of accuracies. */
export function lossTo(measure: Group['measure'], cell: CellSummary, other: CellSummary): Spread {
  const [a, b] = [qualityOf(cell), qualityOf(other)];
  if (measure === 'perplexity' || measure === 'mse') return ratioLess1(a, b);
  return {
    mean: b.mean - a.mean,
    deviation: hypotenuse(a.deviation, b.deviation),
    count: Math.min(a.count, b.count),
  };
}

/** The dense model of full size. */
export const denseOf = ({ cells }: Group): CellSummary | undefined =>
  cells.find(({ method, runs }) => method === 'dense' && runs[0].settings.from === undefined);
