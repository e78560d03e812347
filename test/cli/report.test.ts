import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Report, renderReport } from '../../src/cli/report/page.js';
import type { TrainRecord } from '../../src/train/records.js';

interface Chart {
  title: string;
  yLabel: string;
  log: boolean;
  xs: number[];
  lines: { label: string; colour: string; dash: number[]; values: (number | null)[] }[];
}

/** The part of uPlot's options that is looked at here. */
interface Options {
  scales: {
    y: {
      distr: number;
      range?: (plot: { series: { show: boolean }[] } | null, least: number, most: number) => [number, number];
    };
  };
  axes: { label: string; values: (plot: null, splits: (number | null)[]) => string[] }[];
  series: { label: string; value: (plot: null, value: number | null) => string }[];
  legend: { markers: { fill: (plot: null, line: number) => string } };
}

const empty: Report = { title: '', subtitle: '', table: { columns: [], rows: [] }, samples: [], runs: [] };

const step = (step: number, loss: number, sparsity = 0): TrainRecord => ({
  kind: 'step',
  step,
  epoch: 0,
  loss,
  learningRate: 1,
  sparsity,
});
const valid = (step: number, perplexity: number): TrainRecord => ({ kind: 'valid', step, epoch: 0, perplexity });
const prune = (step: number, before: number, after: number): TrainRecord => ({
  kind: 'prune',
  step,
  sparsity: 0.5,
  before,
  after,
});
const cma = (step: number, name = 'w'): TrainRecord => ({
  kind: 'cma',
  step,
  sparsity: 0.5,
  both: 100,
  structureOnly: 200,
  dopantsOnly: 800,
  matrices: [{ name, structureNorm: 4, dopantsNorm: 1, cosine: -0.25 }],
});

/** A report with this text wherever a text can stand. */
const reportOf = (text: string): Report => ({
  title: text,
  subtitle: text,
  table: {
    columns: [text, text],
    rows: [
      [text, 1],
      [text, text],
    ],
  },
  samples: [{ name: text, text }],
  runs: [
    { name: text, records: [step(1, 2, 0.5), valid(1, 9), prune(1, 9, 10), cma(1, text)] },
    { name: text, records: [step(1, 3)] },
  ],
});

/** What the page's script is given to draw. */
const chartsOf = (page: string): Chart[] => {
  const data = /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(page);
  return data ? JSON.parse(data[1]!) : [];
};

const withoutData = (page: string) => page.replace(/(id="charts">).*?(?=<\/script>)/s, '$1');

const chartOf = (runs: Report['runs'], title: RegExp): Chart => {
  const found = chartsOf(renderReport({ ...empty, runs })).find((chart) => title.test(chart.title));
  assert.ok(found, `a chart called ${title}`);
  return found!;
};

const scriptsOf = (page: string) => [...page.matchAll(/<script>(.*?)<\/script>/gs)].map(([, source]) => source!);

const count = (text: string, part: string) => text.split(part).length - 1;

test('text is shown as text, wherever it stands', () => {
  const hostile = `</script><script>alert(1)</script><!--<img src=x onerror='alert(2)'>"&amp;`;
  const page = renderReport(reportOf(hostile));
  assert.not.ok(page.includes('<script>alert'));
  assert.not.ok(page.includes('<img'));
  assert.not.ok(page.includes('<!--'));
  assert.ok(page.includes('&lt;script&gt;alert(1)'));
  assert.ok(page.includes('&amp;amp;'));
  assert.is(chartsOf(page)[0]!.lines[0]!.label, hostile);
});

test('no text changes the markup or reaches the charts changed', () => {
  const plain = withoutData(renderReport(reportOf('x')));
  const bits = fc.constantFrom(
    '<',
    '>',
    '</script>',
    '<script>',
    '<!--',
    ']]>',
    '"',
    "'",
    '&',
    '\\',
    '$&',
    '${',
    '\u2028',
  );
  const text = fc.array(fc.oneof(bits, fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 6 });
  fc.assert(
    fc.property(
      // Begun with a letter: a column of numbers is marked up as one.
      text.map((parts) => `x${parts.join('')}`),
      (given) => {
        const page = renderReport(reportOf(given));
        for (const mark of ['<', '>', '"', "'"]) assert.is(count(withoutData(page), mark), count(plain, mark));
        assert.is(chartsOf(page)[0]!.lines[0]!.label, given);
      },
    ),
  );
});

test('the page asks for nothing from elsewhere', () => {
  const page = renderReport(reportOf('x')).replace(scriptsOf(renderReport(reportOf('x')))[0]!, '');
  assert.not.match(page, /\b(src|href)\s*=\s*(?!"data:)/);
  assert.not.match(page, /url\(|@import|https?:/);
  assert.match(page, /default-src 'none'/);
});

test('a report of nothing is still a page', () => {
  const page = renderReport({ ...empty, title: 'Nothing yet', runs: [{ name: 'a', records: [] }] });
  assert.match(page, /^<!doctype html>/);
  assert.match(page, /<h1>Nothing yet<\/h1>/);
  assert.match(page, /<\/html>\n$/);
  for (const absent of ['<script', '<table', '<pre', '<h2']) assert.not.ok(page.includes(absent), absent);
});

test('the table and the samples carry what was given', () => {
  const page = renderReport({
    ...empty,
    table: {
      columns: ['run', 'parameters', 'note'],
      rows: [
        ['dense', 6760000, 'slow'],
        ['doped', 0.123456789, ''],
      ],
    },
    samples: [{ name: 'dense', text: 'two\n  lines' }],
  });
  assert.match(page, /<th scope="col">run<\/th><th scope="col" class="number">parameters<\/th><th scope="col">note</);
  assert.match(page, /<th scope="row">dense<\/th><td class="number">6,760,000<\/td><td>slow<\/td>/);
  assert.match(page, /<td class="number">0.12346<\/td>/);
  assert.match(page, /<figcaption>dense<\/figcaption><pre>two\n {2}lines<\/pre>/);
});

test('runs are joined over all their steps, each with its own colour', () => {
  const runs = [
    { name: 'a', records: [step(10, 3), step(30, 1)] },
    { name: 'b', records: [step(20, 2), step(30, 4)] },
  ];
  const { xs, lines } = chartOf(runs, /loss/);
  assert.equal(xs, [10, 20, 30]);
  assert.equal(
    lines.map(({ label, values }) => [label, ...values]),
    [
      ['a', 3, null, 1],
      ['b', null, 2, 4],
    ],
  );
  assert.is.not(lines[0]!.colour, lines[1]!.colour);
});

test('a run keeps its colour from chart to chart, and many runs have many', () => {
  const runs = Array.from({ length: 20 }, (_, i) => ({
    name: `${i}`,
    records: [step(1, i), ...(i > 5 ? [valid(1, 9)] : [])],
  }));
  const colours = new Map(chartOf(runs, /loss/).lines.map(({ label, colour }) => [label, colour]));
  assert.is(new Set(colours.values()).size, 20);
  const { lines } = chartOf(runs, /Validation/);
  assert.is(lines.length, 14);
  for (const { label, colour } of lines) assert.is(colour, colours.get(label));
});

test('charts without data are left out, and so are runs without dopants where dopants are shown', () => {
  const titles = (records: TrainRecord[]) =>
    chartsOf(renderReport({ ...empty, runs: [{ name: 'a', records }] })).map(({ title }) => title.split(/[ :]/)[0]);
  assert.equal(titles([]), []);
  assert.equal(titles([step(1, 2)]), ['Training']);
  assert.equal(titles([step(1, 2, 0.5)]), ['Training', 'Sparsity']);
  assert.equal(titles([valid(1, 2)]), ['Validation']);
  assert.equal(titles([cma(1)]), ['Share', 'Agreement', 'Perplexity']);
  assert.equal(titles([prune(1, 2, 3)]), ['Jumps']);
  assert.equal(titles([step(1, Number.NaN), valid(1, Number.POSITIVE_INFINITY)]), []);

  const runs = [
    { name: 'dense', records: [step(1, 2)] },
    { name: 'doped', records: [step(1, 2, 0), step(2, 2, 0.5)] },
  ];
  assert.equal(
    chartOf(runs, /Sparsity/).lines.map(({ label, values }) => [label, ...values]),
    [['doped', 0, 50]],
  );
});

test('what is not a number is left out of its line', () => {
  const { xs, lines } = chartOf([{ name: 'a', records: [step(1, 3), step(2, Number.NaN), step(3, 1)] }], /loss/);
  assert.equal(
    [xs, lines[0]!.values],
    [
      [1, 3],
      [3, 1],
    ],
  );
});

test('co-matrix adaptation: ratio and cosine for each matrix, perplexities and jumps for each run', () => {
  const records = [prune(5, 100, 125), cma(5)];
  const runs = [
    { name: 'a', records },
    { name: 'b', records },
  ];
  const shown = (title: RegExp) => chartOf(runs, title).lines.map(({ label, values }) => [label, ...values]);
  assert.equal(shown(/Share/), [
    ['a: w', 0.25],
    ['b: w', 0.25],
  ]);
  assert.equal(shown(/Agreement/), [
    ['a: w', -0.25],
    ['b: w', -0.25],
  ]);
  assert.equal(shown(/parts/), [
    ['a: both', 100],
    ['a: S alone', 200],
    ['a: M_sp alone', 800],
    ['b: both', 100],
    ['b: S alone', 200],
    ['b: M_sp alone', 800],
  ]);
  assert.equal(shown(/Jumps/), [
    ['a', 25],
    ['b', 25],
  ]);
  assert.is(new Set(chartOf(runs, /parts/).lines.map(({ dash }) => `${dash}`)).size, 3);
  // In a run alone colours are free to tell its lines apart.
  const alone = chartOf([runs[0]!], /parts/).lines;
  assert.equal(
    alone.map(({ label }) => label),
    ['both', 'S alone', 'M_sp alone'],
  );
  assert.is(new Set(alone.map(({ colour }) => colour)).size, 3);
});

test('perplexities far apart are drawn on a logarithmic scale, losses never', () => {
  const isLog = (records: TrainRecord[], title: RegExp) => chartOf([{ name: 'a', records }], title).log;
  assert.is(isLog([valid(1, 1000), valid(2, 80)], /Validation/), true);
  assert.is(isLog([valid(1, 90), valid(2, 80)], /Validation/), false);
  assert.is(isLog([step(1, 9), step(2, 0.1)], /loss/), false);
  assert.is(isLog([cma(1)], /parts/), true);
});

/** Runs the page's scripts: uPlot itself, and the options, data and place of every chart that is drawn with it. */
function draw(page: string) {
  const [library, drawing] = scriptsOf(page) as [string, string];
  const uPlot = new Function(`${library}; return uPlot;`)();
  assert.type(uPlot, 'function');

  const drawn: { options: Options; data: unknown[]; place: unknown }[] = [];
  class Plot {
    static rangeNum = uPlot.rangeNum;
    width = 0;
    constructor(options: Options, data: unknown[], place: unknown) {
      drawn.push({ options, data, place });
    }
    setSize() {}
    redraw() {}
  }
  const places = Array.from({ length: count(page, 'class="plot"') }, () => ({ clientWidth: 600 }));
  const globals = {
    uPlot: Plot,
    document: {
      getElementById: () => ({ textContent: JSON.stringify(chartsOf(page)) }),
      querySelectorAll: () => places,
    },
    getComputedStyle: () => ({ getPropertyValue: (name: string) => name }),
    ResizeObserver: class {
      observe() {}
    },
    matchMedia: () => ({ addEventListener() {} }),
  };
  new Function(...Object.keys(globals), drawing)(...Object.values(globals));

  return { uPlot, drawn, places };
}

test("the page's script draws every chart, with nothing but what is in the page", () => {
  const page = renderReport(reportOf('x'));
  const { drawn, places } = draw(page);
  const charts = chartsOf(page);
  assert.is(drawn.length, charts.length);
  assert.is(drawn.length, 7);
  for (const [i, { options, data, place }] of drawn.entries()) {
    const { xs, lines, log, yLabel } = charts[i]!;
    assert.is(place, places[i]);
    assert.equal(data, [xs, ...lines.map(({ values }) => values)]);
    assert.is(options.scales.y.distr, log ? 3 : 1);
    assert.is(options.axes[1]!.label, yLabel);
    assert.equal(options.axes[1]!.values(null, [null, 0.5, 20_000]), ['', '0.5', '20K']);
    assert.equal(options.axes[0]!.values(null, [20_000]), ['20,000']);
    assert.equal(
      options.series.slice(1).map(({ label }) => label),
      lines.map(({ label }) => label),
    );
    assert.is(options.series[1]!.value(null, null), '');
    assert.is(options.series[1]!.value(null, 1234.56), '1,235');
    for (const [line, { colour }] of lines.entries()) {
      assert.ok(options.legend.markers.fill(null, line + 1).includes(colour));
    }
    const range = options.scales.y.range?.(null, 2, 3);
    if (range) assert.ok(range[0] <= 0 && range[1] >= 3);
  }
});

test('the scale of a comparison has room for the bars of the lines that are shown', () => {
  const points = [
    { x: 10, mean: 5, deviation: 1 },
    { x: 25, mean: 6, deviation: 0 },
  ];
  const comparison = { yLabel: 'perplexity', lines: [{ name: 'doped', points }], xTicks: [10, 25] };
  const { drawn } = draw(renderReport({ ...empty, comparison }));
  const rangeOf = (show: boolean) => drawn[0]!.options.scales.y.range!({ series: [{ show: true }, { show }] }, 5, 6);
  assert.ok(rangeOf(true)[0] <= 4);
  assert.ok(rangeOf(true)[1] >= 6);
  assert.ok(rangeOf(false)[0] > 4);
});

test.run();
