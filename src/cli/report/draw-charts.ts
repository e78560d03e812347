import type uPlot from 'uplot';
import type { Chart, ChartLine } from './charts.js';

/**
 * Draws the charts into the elements of class "plot", one each. It runs in the page, where its source text is all there
 * is of it: it must not use anything else of this module.
 */
export function drawCharts(Plot: typeof uPlot, charts: Chart[]): void {
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
  const drawBars = (plot: uPlot, lines: ChartLine[], xs: number[]) => {
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
        const x = plot.valToPos(xs[i]!, 'x', true);
        ctx.moveTo(x, plot.valToPos(value - deviation, 'y', true));
        ctx.lineTo(x, plot.valToPos(value + deviation, 'y', true));
      });
      ctx.stroke();
    });
    ctx.restore();
  };

  /** The least and the most y with the bars of the lines that are shown; a logarithmic scale has no room at 0 or below. */
  const reachOfBars = (plot: uPlot, lines: ChartLine[], log: boolean, least: number, most: number) => {
    const ends = lines.flatMap(({ values, bars }, line) =>
      bars && plot.series[line + 1]!.show
        ? values.flatMap((value, i) => (value === null ? [] : [value - (bars[i] ?? 0), value + (bars[i] ?? 0)]))
        : [],
    );
    const visible = ends.filter((end) => !log || end > 0);
    return [Math.min(least, ...visible), Math.max(most, ...visible)] as const;
  };

  const places = document.querySelectorAll<HTMLElement>('.plot');
  charts.forEach(({ xLabel, xTicks, yLabel, log, withZero, dots, xs, lines }, i) => {
    const place = places[i]!;
    const axisStyle = {
      stroke: () => ink('--soft'),
      grid: { stroke: () => ink('--grid'), width: 1 },
      ticks: { stroke: () => ink('--grid'), width: 1 },
      labelSize: 22,
      labelFont: '13px system-ui, sans-serif',
    };
    const rangeWithZero = (_: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax =>
      least || most ? Plot.rangeNum(Math.min(0, least ?? 0), Math.max(0, most ?? 0), 0.1, true) : [-1, 1];
    const rangeWithBars = (plot: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax => {
      if (least === null || most === null) return [least, most];
      const [low, high] = reachOfBars(plot, lines, log, least, most);
      return log ? Plot.rangeLog(low, high, 10, false) : Plot.rangeNum(low, high, 0.1, true);
    };
    const hasBars = lines.some(({ bars }) => bars);
    const plot = new Plot(
      {
        width: place.clientWidth,
        height: height(place.clientWidth),
        scales: {
          x: {
            time: false,
            ...(xTicks && {
              distr: 3,
              range: (_: uPlot, least: number, most: number) => [least / 1.2, most * 1.2] as uPlot.Range.MinMax,
            }),
          },
          y: {
            distr: log ? 3 : 1,
            ...(withZero && { range: rangeWithZero }),
            ...(hasBars && { range: rangeWithBars }),
          },
        },
        axes: [
          {
            ...axisStyle,
            label: xLabel,
            size: 32,
            // By itself a logarithmic axis labels only powers of ten.
            ...(xTicks && { splits: () => xTicks, filter: (_: uPlot, splits: number[]) => splits }),
            values: (_, splits) => splits.map((step) => (xTicks ? `${short.format(step)}x` : whole.format(step))),
          },
          {
            ...axisStyle,
            label: yLabel,
            size: 58,
            values: (_, splits) => splits.map((value) => (value === null ? '' : compact.format(value))),
          },
        ],
        series: [
          { label: xTicks ? xLabel : 'step', value: (_, step) => (step === null ? '–' : short.format(step)) },
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
          ...(!xTicks && { sync: { key: 'step', setSeries: false } }),
          drag: { x: true, y: false },
        },
        hooks: { draw: [(drawn) => drawBars(drawn, lines, xs)] },
      },
      [xs, ...lines.map(({ values }) => values)],
      place,
    );
    const fit = () => plot.setSize({ width: place.clientWidth, height: height(place.clientWidth) });
    // A frame later: a new size set while sizes are being observed is reported as an error.
    new ResizeObserver(() => place.clientWidth !== plot.width && requestAnimationFrame(fit)).observe(place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot.redraw());
  });
}
