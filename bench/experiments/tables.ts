// Makes summary.json, TABLES.md and the chart of the README from the records: `npm run experiments:tables`.

import { writeFile } from 'node:fs/promises';
import { runsOf } from '../../src/cli/experiment/grid.js';
import { readGrid } from '../../src/cli/experiment/grid-file.js';
import { readRecords } from '../../src/cli/experiment/record.js';
import { type CellSummary, type Group, measureOf, summarise } from '../../src/cli/experiment/summary.js';
import { commonSettings, resultsTable, tuningTable } from '../../src/cli/experiment/tables.js';
import { formatTable } from '../../src/cli/table.js';
import { drawChart } from './chart.js';
import { FIGURES } from './figures.js';

const FOLDER = 'bench/experiments';

/** In the order of the tables. */
const GRIDS: Record<string, string> = {
  word: 'Word level: the model is larger than its data',
  char: 'Character level: capacity binds; the optimiser that it gains by',
  anneal: "Character level, 25x to 100x, with Adam's usual settings: when to prune",
  long: "Character level, four times as many characters, with Adam's usual settings",
  blocks: 'Dopants in blocks',
  cma: 'Co-matrix adaptation: dropout, its rates, block coordinate descent, Adam and SGD',
  recipe: 'Recipes: from a trained dense model, distilled, wider',
  intent: 'Intents: ATIS and Snips',
  tag: 'Slots: ATIS and Snips',
  series: 'Series: Japanese vowels, LSTM and GRU',
  'small-word': 'Small files: words, tied, in few bits',
  'small-char': 'Small files: characters, in few bits',
  equal: 'Characters at equal bytes: 1/10, 1/20 and 1/40 of the dense f32 file',
  adaptive: 'Adaptive softmax: WikiText-2',
  'translate-rates': 'Translation: rates, chosen by short runs',
  'translate-short': 'Translation: Multi30k, German to English, five epochs',
  translate: 'Translation: Multi30k, German to English, nine epochs',
  'medium-rates': 'The medium setting: rates, chosen by short runs on 100,000 words',
  medium: "The paper's medium setting: 929,000 words of WikiText-2, 2 x 650",
  'optimiser-word': 'What carries over of a better optimiser: words',
  'optimiser-intent': 'What carries over of a better optimiser: intents of Snips',
  char128: 'Character level, twice as many units: bound by the training, not by the capacity',
};

const records = await readRecords(`${FOLDER}/records`);
const found = new Map<string, CellSummary[]>();
for (const name of Object.keys(GRIDS)) {
  const grid = await readGrid(`${FOLDER}/${name}.json`);
  const cells = grid.cells.flatMap((cell) => {
    const { tuning, final } = runsOf(grid, cell, records);
    const names = new Set([...tuning, ...final].map((run) => run.name));
    const summary = summarise([...names].flatMap((run) => records.get(run) ?? []));
    // Grids share runs; here each has its own name for them.
    return summary ? [{ ...summary, label: cell.label }] : [];
  });
  found.set(name, cells);
}

const find = (grid: string, label: string) => found.get(grid)?.find((cell) => cell.label === label);
const figures = Object.entries(FIGURES).flatMap(([id, figure]) => {
  const spread = figure.of(find);
  return spread ? [{ id, ...figure, ...spread }] : [];
});
const round = (value: number) => Number(value.toPrecision(4));
const summary = Object.fromEntries(
  figures.map(({ id, mean, deviation, count }) => [id, { value: round(mean), spread: round(deviation), seeds: count }]),
);
await writeFile(`${FOLDER}/summary.json`, `${JSON.stringify({ figures: summary }, null, 2)}\n`);

await writeFile('docs/compression.svg', drawChart(find));

const hours = [...records.values()].reduce((sum, { timing }) => sum + (timing?.seconds ?? 0), 0) / 3600;
const shown = figures.map(({ id, what, paper = '', mean, deviation, count }) => [
  id,
  what,
  paper,
  `${mean.toFixed(3)} ± ${deviation.toFixed(3)}`,
  count,
]);
const parts = [
  '# Experiments',
  'Made from the records by `npm run experiments:tables`; `npm run experiments` makes the records, from nothing or from where it stopped. The grids are the .json files beside this one, the figures are defined in figures.ts.',
  `All ${records.size} runs took ${hours.toFixed(1)} hours of one core.`,
  "± is one standard deviation over the seeds, propagated to ratios. Every method was tuned over a small grid with the first seed, by the validation split alone: structures over four or five learning rates, what has dopants or dense matrices over two or four of them times two rates of these (three at 100x of words; with when to prune in the grids that say so); variants of a method ran at the rates chosen for it; for translation, which has one seed, only dense (in two epochs) and low rank at 25x were tuned; pruned, doped Kronecker and small dense ran near the rate of dense, all others at half of it; the test split was read once, by the final runs. Compression in parameters is the papers' count; in bytes it is what the file stores, indices included. Microseconds are those of dopant/infer while another run was training on the other core.",
];
if (shown.length) {
  parts.push('## Figures', formatTable({ columns: ['figure', 'what', 'the paper', 'here', 'seeds'], rows: shown }));
}
for (const [name, cells] of found) {
  if (cells.length === 0) continue;
  parts.push(`## ${GRIDS[name]}`);
  for (const group of byData(cells)) {
    const tuning = tuningTable(group);
    parts.push(`Grid ${name}.json. All runs: ${commonSettings(group)}.`, formatTable(resultsTable(group)));
    if (tuning) parts.push('Tuning, on the validation split:', formatTable(tuning));
  }
}
await writeFile(`${FOLDER}/TABLES.md`, `${parts.join('\n\n')}\n`);
console.log(`${figures.length} of ${Object.keys(FIGURES).length} figures, from ${records.size} records`);

/** What is measured on other data stands in a table of its own. */
function byData(cells: CellSummary[]): Group[] {
  const groups = new Map<string, CellSummary[]>();
  for (const cell of cells) {
    const data = String(cell.runs[0].settings.data);
    groups.set(data, [...(groups.get(data) ?? []), cell]);
  }
  return [...groups].map(([title, cells]) => ({ title, cells, measure: measureOf(cells[0].runs[0].result!.valid) }));
}
