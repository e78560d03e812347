import type { Quality } from '../tasks/training.js';
import { measureOf, unitOf } from './experiment/summary.js';
import type { TrainResult } from './training.js';

export interface Table {
  columns: string[];
  rows: (string | number)[][];
}

/** Results of one task side by side, for the page and for the terminal. */
export function resultTable(results: readonly TrainResult[]): Table {
  const measure = unitOf(measureOf(results[0].valid));
  const show = ({ perplexity, accuracy, f1, mse }: Quality) => {
    const share = f1 ?? accuracy;
    return share === undefined ? (mse?.toPrecision(5) ?? perplexity!.toFixed(2)) : (100 * share).toFixed(2);
  };
  const hasTokens = results.some(({ unknown }) => Object.keys(unknown).length > 0);
  return {
    columns: [
      'method',
      `test ${measure}`,
      `valid ${measure}`,
      ...(hasTokens ? ['unknown tokens, %'] : []),
      'recurrent parameters',
      'all parameters',
      'compression (parameters)',
      'compression (bytes)',
      'compression (file)',
    ],
    rows: results.map(({ method, test, valid, unknown, parameters, compression }) => [
      method,
      test ? show(test) : 'not measured',
      show(valid),
      ...(hasTokens ? [(100 * (unknown.test ?? unknown.valid ?? 0)).toFixed(1)] : []),
      parameters.lstm,
      parameters.total,
      compression.parameters?.toFixed(2) ?? '-',
      compression.bytes.toFixed(2),
      compression.file?.toFixed(2) ?? '-',
    ]),
  };
}

/** Columns for rows: for few results with many figures, which would not fit the width of a terminal side by side. */
export function transpose({ columns, rows }: Table): Table {
  return {
    columns: [columns[0], ...rows.map(([name]) => String(name))],
    rows: columns.slice(1).map((column, i) => [column, ...rows.map((row) => row[i + 1])]),
  };
}

/** A table in Markdown, which reads well on a terminal too: columns aligned, numbers to the right. */
export function formatTable({ columns, rows }: Table): string {
  const text = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en-US') : cell)));
  const widths = columns.map((column, i) => text.reduce((most, row) => Math.max(most, row[i].length), column.length));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(columns), line(rule), ...text.map(line)].join('\n');
}
