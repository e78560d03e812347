// The chart of the README: what compression costs, by method, at word and at character level.

import type { CellSummary } from '../../src/cli/experiment/summary.js';

type Find = (grid: string, label: string) => CellSummary | undefined;

interface Panel {
  title: string;
  note: string;
  grid: string;
  /** Percent at the top. */
  most: number;
  ticks: number[];
}

const PANELS: Panel[] = [
  {
    title: 'Words: the data limit the model',
    note: 'test perplexity lost, 2 x 128 units, 60,000 words',
    grid: 'word',
    most: 24,
    ticks: [0, 5, 10, 15, 20],
  },
  {
    title: 'Characters: the size limits the model',
    note: 'test perplexity lost, 2 x 64 units, 1,000,000 characters',
    grid: 'char',
    most: 96,
    ticks: [0, 20, 40, 60, 80],
  },
];

const COMPRESSIONS = [10, 25, 50, 100];
/** In the order of the legend; colours that people with colour blindness can tell apart (Okabe and Ito, 2008). */
const METHODS: [string, string][] = [
  ['doped-kron', '#D55E00'],
  ['pruned', '#0072B2'],
  ['kron', '#009E73'],
  ['small-dense', '#999999'],
  ['lmf', '#CC79A7'],
  ['hmd', '#B8860B'],
];

const WIDTH = 860;
const HEIGHT = 380;
const TOP = 64;
const BOTTOM = HEIGHT - 76;
const PANEL = { width: 330, lefts: [62, 492] };

/** Percent of perplexity lost to dense, and where on the axis of compressions. */
interface Point {
  compression: number;
  loss: number;
}

function pointsOf(find: Find, grid: string, method: string): Point[] {
  const dense = find(grid, 'dense')?.test?.mean;
  if (dense === undefined) return [];
  return COMPRESSIONS.flatMap((compression) => {
    const cell = find(grid, `${method} ${compression}x`);
    return cell?.test ? [{ compression, loss: 100 * (cell.test.mean / dense - 1) }] : [];
  });
}

/** An SVG image. */
export function drawChart(find: Find): string {
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Perplexity lost to the dense model against compression, for six methods, at word and character level">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
  ];
  for (const [i, panel] of PANELS.entries()) parts.push(...drawPanel(find, panel, PANEL.lefts[i]));
  METHODS.forEach(([method, colour], i) => {
    const x = 110 + i * 118;
    parts.push(
      `<line x1="${x}" x2="${x + 22}" y1="${HEIGHT - 18}" y2="${HEIGHT - 18}" stroke="${colour}" stroke-width="3"/>`,
    );
    parts.push(`<text x="${x + 28}" y="${HEIGHT - 14}" fill="#222">${method}</text>`);
  });
  return `${[...parts, '</svg>'].join('\n')}\n`;
}

function drawPanel(find: Find, { title, note, grid, most, ticks }: Panel, left: number): string[] {
  const x = (compression: number) => left + 24 + (Math.log10(compression / 10) * (PANEL.width - 48)) / Math.log10(10);
  const y = (loss: number) => BOTTOM - ((loss + most / 24) * (BOTTOM - TOP)) / (most * (25 / 24));
  const round = (value: number) => Number(value.toFixed(1));
  const parts = [
    `<text x="${left}" y="26" font-size="15" font-weight="600" fill="#222">${title}</text>`,
    `<text x="${left}" y="45" fill="#555">${note}</text>`,
    ...ticks.map((tick) => {
      const at = round(y(tick));
      const line = `<line x1="${left}" x2="${left + PANEL.width}" y1="${at}" y2="${at}" stroke="${tick ? '#e4e4e4' : '#888'}"/>`;
      return `${line}<text x="${left - 8}" y="${at + 4}" text-anchor="end" fill="#555">${tick ? `+${tick} %` : 'dense'}</text>`;
    }),
    ...COMPRESSIONS.map(
      (c) => `<text x="${round(x(c))}" y="${BOTTOM + 20}" text-anchor="middle" fill="#555">${c}x</text>`,
    ),
    `<text x="${left + PANEL.width / 2}" y="${BOTTOM + 38}" text-anchor="middle" fill="#555">compression of the LSTM's parameters</text>`,
  ];
  // The first method of the legend on top.
  for (const [method, colour] of [...METHODS].reverse()) {
    const points = pointsOf(find, grid, method).map(({ compression, loss }) => [round(x(compression)), round(y(loss))]);
    const width = method === 'doped-kron' ? 3.5 : 2;
    if (points.length > 1) {
      parts.push(
        `<polyline points="${points.map((p) => p.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="${width}"/>`,
      );
    }
    for (const [cx, cy] of points) parts.push(`<circle cx="${cx}" cy="${cy}" r="${width + 1}" fill="${colour}"/>`);
  }
  return parts;
}
