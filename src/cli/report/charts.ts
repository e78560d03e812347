import { html, raw } from 'hono/html';
import uplotScript from 'uplot/dist/uPlot.iife.min.js';
import { colourOf, dashOf } from './colours.js';
import { drawCharts } from './draw-charts.js';
import { familiesOf, type ReportRun } from './runs.js';
import { callScript, dataScript, readData } from './scripts.js';

/** What the page gets for each chart: one column of x and, for each line, one value or null per x. */
export interface Chart {
  title: string;
  hint: string;
  xLabel: string;
  /** The only labelled values of x, which is then on a logarithmic scale. */
  xTicks?: number[];
  yLabel: string;
  /** Whether y is on a logarithmic scale. */
  log: boolean;
  /** Whether y = 0 is always in sight. */
  withZero: boolean;
  /** Separate events are not joined by a line. */
  dots: 'none' | 'only' | 'joined';
  xs: number[];
  lines: ChartLine[];
}

export interface ChartLine {
  label: string;
  colour: string;
  dash: number[];
  hidden: boolean;
  values: (number | null)[];
  /** Half the height of a bar at each value. */
  bars?: (number | null)[];
}

/** A line before all lines of its chart get the same column of x. */
export interface Line {
  label: string;
  /** Indices for colourOf and dashOf. */
  colour: number;
  dash: number;
  hidden: boolean;
  points: [x: number, value: number][];
  bars?: [x: number, deviation: number][];
}

interface ChartOptions {
  title: string;
  hint: string;
  yLabel: string;
  lines: Line[];
  /** 'auto' is logarithmic if a linear scale would flatten the lower values. */
  scale?: 'linear' | 'log' | 'auto';
  withZero?: boolean;
  dots?: Chart['dots'];
  xLabel?: string;
  xTicks?: number[];
}

/** Gives all lines one column of x. Values that are not finite are left out, and so are lines without values. */
export function makeChart({ lines, scale = 'linear', ...options }: ChartOptions): Chart {
  const drawable = lines
    .map((line) => ({ ...line, points: line.points.filter(([, value]) => Number.isFinite(value)) }))
    .filter(({ points }) => points.length > 0);
  const points = drawable.flatMap((line) => line.points);
  const least = points.reduce((least, [, value]) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const most = points.reduce((most, [, value]) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const column = (points: [number, number][]) => {
    const byX = new Map(points);
    return xs.map((x) => byX.get(x) ?? null);
  };
  return {
    xLabel: 'training step',
    withZero: false,
    dots: 'none',
    ...options,
    log: least > 0 && (scale === 'log' || (scale === 'auto' && most / least > 4)),
    xs,
    lines: drawable.map(({ label, colour, dash, hidden, points, bars }) => ({
      label,
      colour: colourOf(colour),
      dash: dashOf(dash),
      hidden,
      values: column(points),
      ...(bars && { bars: column(bars) }),
    })),
  };
}

/** The part of the page that shows a section's charts: empty until the page's script draws them. */
export function renderCharts(heading: string, charts: Chart[], runs: ReportRun[]) {
  if (charts.length === 0) return '';
  const hidden = runs.some((run) => run.hidden) ? '; those in grey are hidden at first' : '';
  return html`<section>
<h2>${heading}</h2>
<noscript><p>The charts are drawn by a script in this page, which was not allowed to run.</p></noscript>
<p>Point at a chart to read its values, drag to zoom in, double-click to zoom out, click a name to hide its line or show it${hidden}.</p>
<ul class="runs">
${[...familiesOf(runs)].map(renderFamily)}</ul>
<div class="charts">
${charts.map(renderChart)}</div>
</section>
`;
}

const renderFamily = ([name, { colour }]: [string, { colour: number }]) =>
  html`<li><span style="background:${colourOf(colour)}"></span>${name}</li>\n`;

const renderChart = ({ title, hint }: Chart) =>
  html`<section class="chart"><h3>${title}</h3><p>${hint}</p><div class="plot"></div></section>\n`;

/** The script that draws all charts of the page, in the order in which renderCharts made room for them. */
export function chartScripts(charts: Chart[]) {
  if (charts.length === 0) return '';
  return html`${dataScript('charts', charts)}<script>${raw(uplotScript)}</script>
${callScript(drawCharts, 'uPlot', readData('charts'))}`;
}
