import { type CellSummary, denseOf, type Group, qualityOf, unitOf } from '../experiment/summary.js';
import { commonSettings, isShare, resultsTable, tuningTable } from '../experiment/tables.js';
import type { Comparison } from './comparison-chart.js';
import type { Section } from './page.js';
import type { ReportRun } from './runs.js';

/** A section on the plain methods, then one on their variants beside the methods that they vary. */
export function sectionsOf(group: Group): Section[] {
  // The label names the method and its compression, and nothing more.
  const named = ({ label, method, runs }: CellSummary) =>
    label.endsWith(method) || label.endsWith(`${method} ${runs[0].compression}x`);
  const isPlain = (cell: CellSummary) =>
    named(cell) &&
    group.cells.every(
      (other) =>
        other.method !== cell.method ||
        other.runs[0].compression !== cell.runs[0].compression ||
        other.label.length >= cell.label.length,
    );
  const plain = group.cells.filter(isPlain);
  const varied = group.cells.filter((cell) => !isPlain(cell));
  if (plain.length === 0) return [sectionOf(group, group.title, false)];
  const sections = [sectionOf({ ...group, cells: plain }, group.title, true)];
  if (varied.length === 0) return sections;
  const from = plain.filter(
    ({ method, runs }) =>
      method === 'dense' ||
      varied.some((cell) => cell.method === method && cell.runs[0].compression === runs[0].compression),
  );
  return [...sections, sectionOf({ ...group, cells: [...from, ...varied] }, `${group.title}, variants`, false)];
}

/** The compression with the most runs: its curves are shown first. */
function commonCompression(cells: readonly CellSummary[]): number {
  const counts = new Map<number, number>();
  for (const { runs, method } of cells) {
    if (method !== 'dense') counts.set(runs[0].compression, (counts.get(runs[0].compression) ?? 0) + 1);
  }
  const [[most] = [1]] = [...counts].sort(([a, n], [b, m]) => m - n || b - a);
  return most;
}

/** For plain methods the section shows quality over compression, and the curves at one compression. */
function sectionOf(group: Group, name: string, plain: boolean): Section {
  const { cells } = group;
  const common = commonCompression(cells);
  const isShown = ({ runs, method }: CellSummary) => !plain || method === 'dense' || runs[0].compression === common;
  const ordered = [...cells.filter(isShown), ...cells.filter((cell) => !isShown(cell))];
  const runs = ordered.map(
    (cell): ReportRun => ({
      name: cell.label,
      records: cell.runs[0].curves,
      ...(plain && { family: cell.method }),
      ...(!isShown(cell) && { hidden: true }),
    }),
  );
  const tuning = tuningTable(group);
  return {
    name,
    notes: [
      `Settings of all runs: ${commonSettings(group)}.`,
      `± is one standard deviation over the seeds. Learning rates were chosen on the validation split with the first seed; the test split was read once, by the final runs. The curves are those of the first seed.`,
    ],
    table: resultsTable(group),
    details: tuning ? [{ title: 'Tuning: the validation split, first seed', table: tuning }] : [],
    ...(plain && { comparison: comparisonOf(group) }),
    runs,
    samples: [],
  };
}

function comparisonOf(group: Group): Comparison {
  const dense = denseOf(group);
  const others = group.cells.filter((cell) => cell !== dense);
  const scale = isShare(group.measure) ? 100 : 1;
  const methods = [...new Set(others.map(({ method }) => method))];
  return {
    yLabel: `${others.some(({ test }) => test) ? 'test' : 'valid'} ${unitOf(group.measure)}`,
    lines: methods.map((name) => ({
      name,
      points: others
        .filter(({ method }) => method === name)
        .flatMap((cell) => {
          const { mean, deviation } = qualityOf(cell);
          const { parameters: x } = cell.runs[0].result!.compression;
          return x ? [{ x, mean: scale * mean, deviation: scale * deviation }] : [];
        }),
    })),
    xTicks: [...new Set(others.map(({ runs }) => runs[0].compression))].sort((a, b) => a - b),
    ...(dense && { reference: { name: dense.method, value: scale * qualityOf(dense).mean } }),
  };
}
