// One HTML page that tells what training runs did: a table, charts and samples. It asks for nothing from the network.

import type uPlot from 'uplot';
import uplotScript from 'uplot/dist/uPlot.iife.min.js';
import uplotStyle from 'uplot/dist/uPlot.min.css';
import type { MatrixAdaptation, TrainRecord } from '../train/records.js';
import type { MatrixPattern } from './pattern.js';

export interface Table {
  columns: string[];
  rows: (string | number)[][];
}

/** What is shown together because it can be compared. */
export interface Section {
  /** Left out where there is only one. */
  name?: string;
  notes?: string[];
  table: Table;
  /** More tables, folded away, by their titles. */
  details?: { title: string; table: Table }[];
  comparison?: Comparison;
  runs: ReportRun[];
  samples: { name: string; text: string }[];
}

export interface ReportRun {
  name: string;
  records: TrainRecord[];
  /** Runs of a family have one colour, and dashes of their own. */
  family?: string;
  /** Not drawn until its name is clicked. */
  hidden?: boolean;
}

/** Quality over compression: a line for each method, with its spread. */
export interface Comparison {
  axis: string;
  lines: { name: string; points: { x: number; mean: number; deviation: number }[] }[];
  /** Of x, which methods meet only nearly. */
  ticks: number[];
  /** Drawn all along. */
  reference?: { name: string; value: number };
}

export interface Report extends Section {
  title: string;
  subtitle: string;
}

export interface Page {
  title: string;
  subtitle: string;
  sections: Section[];
  patterns?: MatrixPattern[];
}

/** The page of one section. */
export function renderReport({ title, subtitle, ...section }: Report): string {
  return renderPage({ title, subtitle, sections: [section] });
}

/** The whole page. Every text given is shown as text, whatever it holds; what is without data is left out. */
export function renderPage({ title, subtitle, sections, patterns = [] }: Page): string {
  const charts: Chart[] = [];
  const body = sections.map((section) => renderSection(section, charts)).join('') + renderPatterns(patterns);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${uplotStyle}${pageStyle}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(subtitle)}</p>
</header>
<main>
${body}</main>
${renderScripts(charts, patterns)}</body>
</html>
`;
}

/** Adds its charts to those of the page. */
function renderSection({ name, notes = [], table, details = [], comparison, runs, samples }: Section, all: Chart[]) {
  const heading = (what: string) => escapeHtml(name ? `${name}: ${what.toLowerCase()}` : what);
  const charts = [...(comparison ? comparisonChart(comparison, familiesOf(runs)) : []), ...runCharts(runs)];
  for (const chart of charts) all.push(chart);
  const told = notes.map((note) => `<p>${escapeHtml(note)}</p>\n`).join('');
  const folded = details
    .map(({ title, table }) => `<details><summary>${escapeHtml(title)}</summary>\n${renderTable(table)}</details>\n`)
    .join('');
  const results = table.rows.length
    ? `<section>\n<h2>${heading('Results')}</h2>\n${told}${renderTable(table)}${folded}</section>\n`
    : '';
  return results + renderCharts(heading('Training'), charts, runs) + renderSamples(heading('Samples'), samples);
}

function renderTable({ columns, rows }: Table): string {
  const classOf = columns.map((_, i) => (rows.every((row) => isNumeric(row[i])) ? ' class="number"' : ''));
  const heads = columns.map((column, i) => `<th scope="col"${classOf[i]}>${escapeHtml(column)}</th>`).join('');
  const cells = (row: (string | number)[]) =>
    row
      .map((cell, i) => {
        const text = escapeHtml(typeof cell === 'number' ? formatNumber(cell) : cell);
        return i === 0 ? `<th scope="row">${text}</th>` : `<td${classOf[i] ?? ''}>${text}</td>`;
      })
      .join('');
  const body = rows.map((row) => `<tr>${cells(row)}</tr>`).join('\n');
  return `<div class="scroll"><table>
<thead><tr>${heads}</tr></thead>
<tbody>
${body}
</tbody>
</table></div>
`;
}

function renderCharts(heading: string, charts: Chart[], runs: ReportRun[]): string {
  if (charts.length === 0) return '';
  const families = [...familiesOf(runs)];
  const colours = families
    .map(([name, { colour }]) => `<li><span style="background:${colourOf(colour)}"></span>${escapeHtml(name)}</li>`)
    .join('\n');
  const sections = charts.map(
    ({ title, hint }) =>
      `<section class="chart"><h3>${escapeHtml(title)}</h3><p>${escapeHtml(hint)}</p><div class="plot"></div></section>`,
  );
  const hidden = runs.some((run) => run.hidden) ? '; those in grey are hidden at first' : '';
  return `<section>
<h2>${heading}</h2>
<noscript><p>The charts are drawn by a script in this page, which was not allowed to run.</p></noscript>
<p>Point at a chart to read its values, drag to zoom in, double-click to zoom out, click a name to hide its line or show it${hidden}.</p>
<ul class="runs">
${colours}
</ul>
<div class="charts">
${sections.join('\n')}
</div>
</section>
`;
}

function renderScripts(charts: Chart[], patterns: MatrixPattern[]): string {
  // With "<" out of the way nothing in the data can end the script element.
  const data = (id: string, value: unknown) =>
    `<script type="application/json" id="${id}">${JSON.stringify(value).replaceAll('<', '\\u003c')}</script>\n`;
  const parse = (id: string) => `JSON.parse(document.getElementById('${id}').textContent)`;
  const drawn = charts.length
    ? `${data('charts', charts)}<script>${uplotScript}</script>\n<script>(${drawCharts})(uPlot, ${parse('charts')})</script>\n`
    : '';
  const painted = patterns.length
    ? `${data('patterns', patterns)}<script>(${paintPatterns})(${parse('patterns')})</script>\n`
    : '';
  return drawn + painted;
}

function renderSamples(heading: string, samples: Section['samples']): string {
  if (samples.length === 0) return '';
  const figures = samples.map(
    ({ name, text }) => `<figure><figcaption>${escapeHtml(name)}</figcaption><pre>${escapeHtml(text)}</pre></figure>`,
  );
  return `<section>
<h2>${heading}</h2>
<div class="samples">
${figures.join('\n')}
</div>
</section>
`;
}

function renderPatterns(patterns: MatrixPattern[]): string {
  if (patterns.length === 0) return '';
  const figures = patterns.map(
    ({ title, note }) =>
      `<figure><figcaption>${escapeHtml(title)}</figcaption><p>${escapeHtml(note)}</p><div class="scroll"><canvas class="pattern"></canvas></div></figure>`,
  );
  return `<section>
<h2>Weights</h2>
<p>Each pixel is a weight, or the largest of a few: orange above zero, blue below, the stronger the larger; nothing where it is zero.</p>
<div class="patterns">
${figures.join('\n')}
</div>
</section>
`;
}

/** What the page gets for each chart: one column of x and, for each line, one value or null an x. */
interface Chart {
  title: string;
  hint: string;
  across: string; // what x is
  ticks?: number[]; // on a logarithmic x
  axis: string; // what y is
  log: boolean; // y on a logarithmic scale
  zero: boolean; // y = 0 always in sight
  dots: 'none' | 'only' | 'joined'; // separate events are not joined by a line
  steps: number[];
  lines: ChartLine[];
}

interface ChartLine {
  label: string;
  colour: string;
  dash: number[];
  hidden: boolean;
  values: (number | null)[];
  /** Half the height of a bar at each value. */
  bars?: (number | null)[];
}

interface Line {
  label: string;
  colour: number; // which of the colours
  dash: number; // which of the dashes
  hidden: boolean;
  points: [x: number, value: number][];
  bars?: [x: number, deviation: number][];
}

/** The colour of each family of runs, and its members in order: a run without a family is one by itself. */
function familiesOf(runs: readonly ReportRun[]): Map<string, { colour: number; members: ReportRun[] }> {
  const families = new Map<string, { colour: number; members: ReportRun[] }>();
  for (const run of runs) {
    // Two runs of one name are not one family.
    const key = run.family ?? (families.has(run.name) ? `${run.name} (${families.size + 1})` : run.name);
    const family = families.get(key) ?? { colour: families.size, members: [] };
    family.members.push(run);
    families.set(key, family);
  }
  return families;
}

function comparisonChart(
  { axis, lines, ticks, reference }: Comparison,
  families: ReturnType<typeof familiesOf>,
): Chart[] {
  const made = lines.map(
    ({ name, points }, i): Line => ({
      label: name,
      colour: families.get(name)?.colour ?? i,
      dash: 0,
      hidden: false,
      points: points.map(({ x, mean }) => [x, mean]),
      bars: points.map(({ x, deviation }) => [x, deviation]),
    }),
  );
  const xs = lines.flatMap(({ points }) => points.map(({ x }) => x));
  if (xs.length === 0) return [];
  if (reference) {
    const { name, value } = reference;
    const sorted = [...xs].sort((a, b) => a - b);
    const ends = [...new Set([sorted[0], sorted[sorted.length - 1]])];
    const colour = families.get(name)?.colour ?? made.length;
    made.push({ label: name, colour, dash: 1, hidden: false, points: ends.map((x) => [x, value]) });
  }
  const title = 'Quality over compression';
  const hint =
    'Means over the seeds; bars are one standard deviation up and down. Compression is that of the parameters.';
  const drawn = chart(title, hint, axis, made, { scale: 'auto', dots: 'joined' });
  return [{ ...drawn, across: 'compression', ticks }];
}

/** More runs with co-matrix records than this are drawn with fewer lines each: means over their matrices. */
const MOST_IN_FULL = 2;

function runCharts(runs: ReportRun[]): Chart[] {
  const styles = new Map(
    [...familiesOf(runs).values()].flatMap(({ colour, members }) =>
      members.map((run, dash): [ReportRun, Pick<Line, 'colour' | 'dash' | 'hidden'>] => [
        run,
        { colour, dash, hidden: run.hidden ?? false },
      ]),
    ),
  );

  /** A line for each run, made of its records of one kind. */
  const runLines = <K extends TrainRecord['kind']>(kind: K, value: (record: RecordOf<K>) => number): Line[] =>
    runs.map((run) => {
      const points = recordsOf(run.records, kind).map((record): [number, number] => [record.step, value(record)]);
      return { label: run.name, ...styles.get(run)!, points };
    });

  /** One of several lines of a run: of the run's colour and dashes of its own, or of its own colour in a run alone. */
  const part = (line: Line, what: string, style: number): Line =>
    runs.length === 1
      ? { ...line, label: what, colour: style }
      : { ...line, label: `${line.label}: ${what}`, dash: style };

  const adapted = runs.filter(({ records }) => recordsOf(records, 'cma').length > 0);

  /** A line for each matrix of each run, or for the means of many runs. */
  const matrixLines = (value: (matrix: MatrixAdaptation) => number): Line[] => {
    if (adapted.length > MOST_IN_FULL) {
      return runLines('cma', ({ matrices }) => matrices.reduce((sum, m) => sum + value(m), 0) / matrices.length);
    }
    return adapted.flatMap((run) => {
      const lines = new Map<string, Line>();
      for (const { step, matrices } of recordsOf(run.records, 'cma')) {
        for (const matrix of matrices) {
          const line =
            lines.get(matrix.name) ??
            part({ label: run.name, ...styles.get(run)!, dash: 0, points: [] }, matrix.name, lines.size);
          line.points.push([step, value(matrix)]);
          lines.set(matrix.name, line);
        }
      }
      return [...lines.values()];
    });
  };

  // A run without dopants has no sparsity to speak of.
  const sparsity = runLines('step', (record) => 100 * record.sparsity).filter(({ points }) =>
    points.some(([, value]) => value > 0),
  );
  const together = runLines('cma', (record) => record.both);
  const structure = runLines('cma', (record) => record.structureOnly);
  const dopants = runLines('cma', (record) => record.dopantsOnly);
  const parts = runs.flatMap((_, run) =>
    structure[run]!.points.length === 0
      ? []
      : [
          // Among many, what they do together is told by the validation perplexity.
          ...(adapted.length > MOST_IN_FULL ? [] : [part(together[run]!, 'both', 0)]),
          part(structure[run]!, 'S alone', 1),
          part(dopants[run]!, 'M_sp alone', 2),
        ],
  );

  return [
    chart(
      'Training loss',
      'Should fall fast, then slowly; a sudden rise means that the learning rate is too high or that pruning cut too deep.',
      'loss (nats)',
      runLines('step', (record) => record.loss),
    ),
    chart(
      'Validation perplexity',
      'Lower is better; a curve that turns upwards while the training loss still falls has begun to overfit.',
      'perplexity',
      runLines('valid', (record) => record.perplexity),
      { scale: 'auto' },
    ),
    chart(
      'Validation accuracy',
      'Higher is better; it moves in steps where the split is small.',
      'right answers (%)',
      runLines('valid', ({ accuracy }) => (accuracy === undefined ? Number.NaN : 100 * accuracy)),
    ),
    chart(
      'Sparsity of M_sp',
      'Should climb steeply, level out at its target and stay there; compare steps where it climbs with the charts below.',
      'zeros (%)',
      sparsity,
      { zero: true },
    ),
    chart(
      'Share of the work: |M_sp x| / |S x|',
      'Should sink as M_sp is pruned; a matrix that stays above 1 still leaves most of its work to the dopants.',
      'ratio of norms',
      matrixLines((matrix) => matrix.dopantsNorm / matrix.structureNorm),
      { scale: 'auto' },
    ),
    chart(
      'Agreement of M_sp x and S x',
      'Near 0 the two do separate work; far below 0 they cancel one another, which is co-matrix adaptation.',
      'cosine',
      matrixLines((matrix) => matrix.cosine),
      { zero: true },
    ),
    chart(
      'Perplexity of the parts',
      'S alone should come close to both together; far apart, S is of little use without its dopants.',
      'perplexity',
      parts,
      { scale: 'log' },
    ),
    chart(
      'Jumps at pruning steps',
      'Change of the perplexity from just before to just after each pruning; large jumps are the mark of co-matrix adaptation.',
      'change (%)',
      runLines('prune', ({ before, after }) => 100 * (after / before - 1)),
      { zero: true, dots: 'only' },
    ),
  ].filter((made) => made.lines.length > 0);
}

type RecordOf<K extends TrainRecord['kind']> = Extract<TrainRecord, { kind: K }>;

function recordsOf<K extends TrainRecord['kind']>(records: TrainRecord[], kind: K): RecordOf<K>[] {
  return records.filter((record): record is RecordOf<K> => record.kind === kind);
}

/**
 * Joins the lines over all their steps. A scale called 'auto' is logarithmic if a linear one would flatten the lower
 * values.
 */
function chart(
  title: string,
  hint: string,
  axis: string,
  lines: Line[],
  {
    scale = 'linear',
    zero = false,
    dots = 'none',
  }: { scale?: 'linear' | 'log' | 'auto'; zero?: boolean; dots?: Chart['dots'] } = {},
): Chart {
  const drawable = lines
    .map((line) => ({ ...line, points: line.points.filter(([, value]) => Number.isFinite(value)) }))
    .filter(({ points }) => points.length > 0);
  const pairs = drawable.flatMap(({ points }) => points);
  const least = pairs.reduce((least, [, value]) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const most = pairs.reduce((most, [, value]) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const steps = [...new Set(pairs.map(([step]) => step))].sort((a, b) => a - b);
  const column = (points: [number, number][]) => {
    const at = new Map(points);
    return steps.map((step) => at.get(step) ?? null);
  };
  return {
    title,
    hint,
    across: 'training step',
    axis,
    log: least > 0 && (scale === 'log' || (scale === 'auto' && most / least > 4)),
    zero,
    dots,
    steps,
    lines: drawable.map(({ label, colour, dash, hidden, points, bars }) => ({
      label,
      colour: colourOf(colour),
      dash: dashes[dash % dashes.length]!,
      hidden,
      values: column(points),
      ...(bars && { bars: column(bars) }),
    })),
  };
}

/**
 * Draws the charts into the elements of class "plot", one each. It runs in the page, where its source text is all there
 * is of it: it must not use anything else of this file.
 */
function drawCharts(Plot: typeof uPlot, charts: Chart[]): void {
  const ink = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });
  const format = (value: number | null) => (value === null ? '' : short.format(value));
  const compact = new Intl.NumberFormat('en', { maximumSignificantDigits: 4, notation: 'compact' });
  const whole = new Intl.NumberFormat('en');
  const height = (width: number) => Math.max(240, Math.min(360, 0.6 * width));

  /** A piece of the line, for the legend. */
  const sample = ({ colour, dash }: Chart['lines'][number]) => {
    let end = 0;
    const stops = (dash.length > 0 ? dash : [1]).map((length, i) => {
      const begin = end;
      end += length;
      return `${i % 2 === 0 ? colour : 'transparent'} ${begin}px ${end}px`;
    });
    return `repeating-linear-gradient(90deg, ${stops.join(', ')})`;
  };

  /** Bars of one deviation up and down. */
  const drawBars = (plot: uPlot, lines: ChartLine[], steps: number[]) => {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    lines.forEach(({ colour, values, bars }, line) => {
      if (!bars || !plot.series[line + 1]!.show) return;
      ctx.strokeStyle = colour;
      ctx.beginPath();
      values.forEach((value, i) => {
        const deviation = bars[i];
        if (value === null || !deviation) return;
        const x = plot.valToPos(steps[i]!, 'x', true);
        ctx.moveTo(x, plot.valToPos(value - deviation, 'y', true));
        ctx.lineTo(x, plot.valToPos(value + deviation, 'y', true));
      });
      ctx.stroke();
    });
    ctx.restore();
  };

  const places = document.querySelectorAll<HTMLElement>('.plot');
  charts.forEach(({ across, ticks, axis, log, zero, dots, steps, lines }, i) => {
    const place = places[i]!;
    const axisStyle = {
      stroke: () => ink('--soft'),
      grid: { stroke: () => ink('--grid'), width: 1 },
      ticks: { stroke: () => ink('--grid'), width: 1 },
      labelSize: 22,
      labelFont: '13px system-ui, sans-serif',
    };
    const withZero = (_: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax =>
      least || most ? Plot.rangeNum(Math.min(0, least ?? 0), Math.max(0, most ?? 0), 0.1, true) : [-1, 1];
    const plot = new Plot(
      {
        width: place.clientWidth,
        height: height(place.clientWidth),
        scales: {
          x: {
            time: false,
            ...(ticks && {
              distr: 3,
              range: (_: uPlot, least: number, most: number) => [least / 1.2, most * 1.2] as uPlot.Range.MinMax,
            }),
          },
          y: { distr: log ? 3 : 1, ...(zero && { range: withZero }) },
        },
        axes: [
          {
            ...axisStyle,
            label: across,
            size: 32,
            // By itself a logarithmic axis labels only powers of ten.
            ...(ticks && { splits: () => ticks, filter: (_: uPlot, splits: number[]) => splits }),
            values: (_, splits) => splits.map((step) => (ticks ? `${short.format(step)}x` : whole.format(step))),
          },
          {
            ...axisStyle,
            label: axis,
            size: 48,
            values: (_, splits) => splits.map((value) => (value === null ? '' : compact.format(value))),
          },
        ],
        series: [
          { label: ticks ? across : 'step', value: (_, step) => (step === null ? '–' : short.format(step)) },
          ...lines.map(
            ({ label, colour, dash, hidden }): uPlot.Series => ({
              label,
              show: !hidden,
              stroke: colour,
              width: 1.75,
              dash,
              spanGaps: true,
              value: (_, value) => format(value),
              points: { size: 6, fill: colour, ...(dots !== 'none' && { show: true }) },
              ...(dots === 'only' && { paths: () => null }),
            }),
          ),
        ],
        legend: { markers: { width: 0, fill: (_, line) => sample(lines[line - 1]!) } },
        // The nearest line stands out, and all charts point at the same step.
        focus: { alpha: 0.25 },
        cursor: {
          focus: { prox: 24 },
          hover: { skip: [null, undefined] },
          ...(!ticks && { sync: { key: 'step', setSeries: false } }),
          drag: { x: true, y: false },
        },
        hooks: { draw: [(drawn) => drawBars(drawn, lines, steps)] },
      },
      [steps, ...lines.map(({ values }) => values)],
      place,
    );
    const fit = () => plot.setSize({ width: place.clientWidth, height: height(place.clientWidth) });
    // A frame later: a new size set while sizes are being observed is reported as an error.
    new ResizeObserver(() => place.clientWidth !== plot.width && requestAnimationFrame(fit)).observe(place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot.redraw());
  });
}

/** Paints the matrices into the elements of class "pattern". It runs in the page, as drawCharts does. */
function paintPatterns(patterns: MatrixPattern[]): void {
  const places = document.querySelectorAll<HTMLCanvasElement>('canvas.pattern');
  patterns.forEach(({ rows, cols, base64 }, i) => {
    const canvas = places[i]!;
    canvas.width = cols;
    canvas.height = rows;
    canvas.style.width = `${cols * Math.max(1, Math.min(Math.floor(384 / cols), Math.floor(1024 / rows)))}px`;
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const context = canvas.getContext('2d')!;
    const image = context.createImageData(cols, rows);
    bytes.forEach((byte, at) => {
      const value = byte > 127 ? byte - 256 : byte;
      // Even the smallest is to be seen.
      const alpha = value === 0 ? 0 : 70 + Math.round((185 * Math.abs(value)) / 127);
      image.data.set(value > 0 ? [213, 94, 0, alpha] : [15, 127, 196, alpha], 4 * at);
    });
    context.putImageData(image, 0, 0);
  });
}

/** Told apart by most eyes, and against both backgrounds. */
const palette = [
  '#0f7fc4',
  '#d55e00',
  '#009e73',
  '#c0569b',
  '#9a7500',
  '#7a6fd0',
  '#c8383c',
  '#5a8a9a',
  '#7da33a',
  '#808080',
  '#b98a6a',
  '#19b5c8',
];

/** Past the palette, hues a golden angle apart: none comes twice. */
const colourOf = (index: number) => palette[index] ?? `hsl(${Math.round(index * 137.5) % 360}, 55%, 50%)`;

const dashes = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [16, 4]];

const formatNumber = (value: number) =>
  value.toLocaleString('en', Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 });

/** Numbers, and texts that begin like one or stand for none: their column is set flush right. */
const isNumeric = (cell: string | number | undefined) => typeof cell !== 'string' || /^([-−]?\d|[-–—]?$)/.test(cell);

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const pageStyle = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2228; --soft: #5b646e; --grid: #e3e7eb; --card: #f6f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e4e8ec; --soft: #9da7b1; --grid: #2b3138; --card: #1c2026; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { font-size: 1.8rem; margin: 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 1rem; }
h3 { font-size: 1.05rem; margin: 0 0 .25rem; }
p { margin: 0; max-width: 42rem; color: var(--soft); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; font-size: .86rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll th, .scroll td { padding: .4rem .7rem .4rem 0; white-space: nowrap; border-bottom: 1px solid var(--grid); text-align: left; }
.scroll td:not(.number), .scroll th[scope=row] { white-space: normal; min-width: 9rem; }
.scroll thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; white-space: normal; }
.scroll tbody th { font-weight: 600; }
.scroll .number { text-align: right; }
.runs { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 1rem; padding: 0; list-style: none; }
.runs li { overflow-wrap: anywhere; }
.runs span { display: inline-block; width: .8em; height: .8em; margin-right: .45em; border-radius: 2px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.25rem; }
.chart { min-width: 0; padding: 1rem; border-radius: 8px; background: var(--card); }
.chart p { margin-bottom: .75rem; font-size: .9rem; }
.uplot .u-legend { margin: .5rem 0 0; font-size: .8rem; text-align: left; }
.uplot .u-legend tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
.uplot .u-legend tr:first-child { grid-column: 1 / -1; }
.uplot .u-legend tr, .uplot .u-legend th { display: flex; align-items: center; min-width: 0; }
.uplot .u-legend tr { margin-right: .75rem; }
.uplot .u-legend th { font-weight: 400; }
.uplot .u-legend .u-label { overflow-wrap: anywhere; min-width: 0; }
.uplot .u-legend th::after { content: none; }
.uplot .u-legend .u-marker { flex: none; width: 28px; height: 3px; margin-right: 6px; }
.uplot .u-legend .u-value { flex: none; min-width: 5em; font-weight: 600; font-variant-numeric: tabular-nums; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--soft); }
.samples { display: grid; gap: 1.25rem; }
.patterns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1.25rem; margin-top: 1rem; }
.patterns p { margin-bottom: .5rem; font-size: .9rem; }
canvas.pattern { display: block; background: var(--card); image-rendering: pixelated; }
figure { margin: 0; }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
pre { margin: .4rem 0 0; padding: 1rem; border-radius: 8px; background: var(--card); white-space: pre-wrap;
  overflow-wrap: anywhere; font: .9rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
`;
