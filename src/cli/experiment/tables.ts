import { type Table, transpose } from '../table.js';
import type { Timing } from './record.js';
import { type CellSummary, denseOf, type Group, lossTo, type Spread, spreadOf, unitOf } from './summary.js';

/** Whether a measure is a share, from 0 to 1, which is shown in percent. */
export const isShare = (measure: Group['measure']) => measure === 'accuracy' || measure === 'f1';

/** Formats a value with digits that suit it, or the value that it stands beside. */
const digits = (measure: Group['measure'], value: number, beside = value) =>
  isShare(measure) ? (100 * value).toFixed(2) : value.toFixed(beside < 20 ? 3 : 2);

const show = (measure: Group['measure'], { mean, deviation, count }: Spread) =>
  `${digits(measure, mean)}${count > 1 ? ` ± ${digits(measure, deviation, mean)}` : ''}`;

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** A table with one row per cell; `±` is one standard deviation over the seeds. */
export function resultsTable(group: Group): Table {
  const { measure, cells } = group;
  const dense = denseOf(group);
  const loss = (cell: CellSummary) => {
    if (!dense || cell === dense) return '-';
    const { mean, deviation } = lossTo(measure, cell, dense);
    // A small gain is not shown as -0.0.
    const percent = (share: number) => (100 * share).toFixed(1).replace(/^-(0\.0)$/, '$1');
    return `${percent(mean)} ± ${percent(deviation)} ${isShare(measure) ? 'points' : '%'}`;
  };
  const scoresOf = (cell: CellSummary) => cell.runs.flatMap(({ result }) => result!.test?.bleu ?? []);
  const hasBleu = cells.some((cell) => scoresOf(cell).length > 0);
  const bleu = (cell: CellSummary) => {
    const scores = scoresOf(cell);
    return scores.length ? show('perplexity', spreadOf(scores)) : '-';
  };
  const time = (cell: CellSummary, of: (timing: Timing) => number | undefined) => {
    const times = cell.runs.flatMap(({ timing }) => (timing && of(timing)) ?? []);
    return times.length ? median(times).toFixed(1) : '-';
  };
  // Microseconds.
  const all: [string, (timing: Timing) => number | undefined][] = [
    ['sentence, us', ({ sentence }) => sentence],
    ['recurrent step, us', ({ step }) => step?.lstm],
    ['whole token, us', ({ step }) => step?.token],
  ];
  const times = all.filter(([, of]) => cells.some((cell) => time(cell, of) !== '-'));
  return {
    columns: [
      'cell',
      `test ${unitOf(measure)}`,
      ...(hasBleu ? ['test BLEU'] : []),
      `valid ${unitOf(measure)}`,
      'loss to dense',
      'recurrent parameters',
      'compression (parameters)',
      'compression (bytes)',
      'compression (file)',
      'bytes in file',
      ...times.map(([column]) => column),
      'chosen',
      'seeds',
    ],
    rows: cells.map((cell) => {
      const { parameters, compression, fileBytes } = cell.runs[0].result!;
      return [
        cell.label,
        cell.test ? show(measure, cell.test) : '-',
        ...(hasBleu ? [bleu(cell)] : []),
        show(measure, cell.valid),
        loss(cell),
        parameters.lstm,
        compression.parameters?.toFixed(1) ?? '-',
        compression.bytes.toFixed(1),
        compression.file?.toFixed(1) ?? '-',
        fileBytes,
        ...times.map(([, of]) => time(cell, of)),
        cell.chosen || '-',
        cell.runs.map(({ settings }) => settings.seed).join(' '),
      ];
    }),
  };
}

/** The quality of each candidate on the validation split with the first seed; undefined if nothing was tuned. */
export function tuningTable({ measure, cells }: Group): Table | undefined {
  const tuned = cells.filter(({ candidates }) => candidates.length > 1);
  if (tuned.length === 0) return undefined;
  const settings = [...new Set(tuned.flatMap(({ candidates }) => candidates.map((candidate) => candidate.settings)))];
  const number = (text: string) => Number(/-?[\d.]+(e-?\d+)?/.exec(text)?.[0] ?? 0);
  settings.sort((a, b) => number(a) - number(b));
  const table: Table = {
    columns: ['', ...settings],
    rows: tuned.map(({ label, candidates }) => [
      label,
      ...settings.map((text) => {
        const found = candidates.find((candidate) => candidate.settings === text);
        if (!found) return '-';
        return found.valid === undefined ? 'failed' : digits(measure, found.valid);
      }),
    ]),
  };
  // The longer side becomes the rows.
  return settings.length > tuned.length ? transpose(table) : table;
}

/** The settings that all runs of the cells share, in words. */
export function commonSettings({ cells }: Group): string {
  const [first, ...rest] = cells.flatMap(({ runs }) => runs.map(({ settings }) => settings));
  const common = Object.entries(first).filter(
    ([name, value]) => name !== 'seed' && rest.every((settings) => settings[name] === value),
  );
  return common.map(([name, value]) => `${name} ${value}`).join(', ');
}
