import type { Report } from './report.js';
import type { TrainResult } from './training.js';

/** Results side by side, for the page and for the terminal. */
export function resultTable(results: readonly TrainResult[]): Report['table'] {
  return {
    columns: [
      'method',
      'test perplexity',
      'valid perplexity',
      'LSTM parameters',
      'all parameters',
      'compression (parameters)',
      'compression (bytes)',
    ],
    rows: results.map(({ method, test, valid, parameters, compression }) => [
      method,
      test.perplexity.toFixed(2),
      valid.perplexity.toFixed(2),
      parameters.lstm,
      parameters.total,
      compression.parameters.toFixed(2),
      compression.bytes.toFixed(2),
    ]),
  };
}

/** A table in Markdown, which reads well on a terminal too: columns aligned, numbers to the right. */
export function formatTable({ columns, rows }: Report['table']): string {
  const text = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en-US') : cell)));
  const widths = columns.map((column, i) => Math.max(column.length, ...text.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(columns), line(rule), ...text.map(line)].join('\n');
}
