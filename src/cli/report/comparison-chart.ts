import { type Chart, type Line, makeChart } from './charts.js';
import type { Families } from './runs.js';

/** Quality over compression: a line for each method, with its spread. */
export interface Comparison {
  yLabel: string;
  lines: { name: string; points: { x: number; mean: number; deviation: number }[] }[];
  /** Of x, which methods meet only nearly. */
  xTicks: number[];
  /** A level line across the chart. */
  reference?: { name: string; value: number };
}

/** The chart of a comparison, in the colours of the families that its lines are named after; none without points. */
export function comparisonChart({ yLabel, lines, xTicks, reference }: Comparison, families: Families): Chart[] {
  const drawn = lines.map(
    ({ name, points }, i): Line => ({
      label: name,
      colour: families.get(name)?.colour ?? i,
      dash: 0,
      hidden: false,
      points: points.map(({ x, mean }) => [x, mean]),
      bars: points.map(({ x, deviation }) => [x, deviation]),
    }),
  );
  const xs = lines.flatMap(({ points }) => points.map(({ x }) => x)).sort((a, b) => a - b);
  if (xs.length === 0) return [];
  if (reference) {
    const { name, value } = reference;
    const ends = [...new Set([xs[0], xs[xs.length - 1]])];
    const colour = families.get(name)?.colour ?? drawn.length;
    drawn.push({ label: name, colour, dash: 1, hidden: false, points: ends.map((x) => [x, value]) });
  }
  return [
    makeChart({
      title: 'Quality over compression',
      hint: 'Means over the seeds; bars are one standard deviation up and down. Compression is that of the parameters.',
      xLabel: 'compression',
      xTicks,
      yLabel,
      lines: drawn,
      scale: 'auto',
      dots: 'joined',
    }),
  ];
}
