import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FIGURES } from '../../bench/experiments/figures.js';
import { readGrid } from '../../src/cli/experiment/grid-file.js';
import { type CellSummary, spreadOf, summarise } from '../../src/cli/experiment/summary.js';
import { record } from '../cli/records.js';

const GRIDS = [
  'word',
  'char',
  'anneal',
  'long',
  'blocks',
  'cma',
  'recipe',
  'intent',
  'tag',
  'series',
  'small-word',
  'small-char',
  'equal',
  'adaptive',
  'translate',
  'translate-short',
  'medium',
  'optimiser-word',
  'optimiser-intent',
];

/** A cell whose seeds came to these on the test split; validation is a tenth better. */
function cell(label: string, values: number[], measure: 'perplexity' | 'accuracy' = 'perplexity', compression = 1) {
  const runs = values.map((value, i) =>
    record({
      cell: label,
      compression,
      final: true,
      settings: { data: 'x', seed: i + 1 },
      valid: { [measure]: 0.9 * value },
      test: { [measure]: value },
    }),
  );
  return summarise(runs)!;
}

const finder = (cells: Record<string, CellSummary>) => (grid: string, label: string) => cells[`${grid}/${label}`];
const value = (id: string, cells: Record<string, CellSummary>) => FIGURES[id].of(finder(cells))?.mean;
const near = (actual: number | undefined, expected: number) =>
  assert.ok(actual !== undefined && Math.abs(actual - expected) <= 1e-12, `${actual}, not ${expected}`);

test('every cell that a figure asks for is in its grid', async () => {
  const labels = new Map<string, Set<string>>();
  for (const name of GRIDS) {
    const { cells } = await readGrid(`bench/experiments/${name}.json`);
    labels.set(name, new Set(cells.map(({ label }) => label)));
  }
  for (const [id, figure] of Object.entries(FIGURES)) {
    const asked: string[] = [];
    figure.of((grid, label) => {
      asked.push(`${grid}: ${label}`);
      assert.ok(labels.get(grid)?.has(label), `${id} asks for '${label}' of ${grid}.json`);
      return cell(label, [100]);
    });
    assert.ok(asked.length >= 1, id);
  }
});

test('a figure without its cells is absent', () => {
  for (const [id, figure] of Object.entries(FIGURES))
    assert.is(
      figure.of(() => undefined),
      undefined,
      id,
    );
});

test('losses and leads have the signs that their names say', () => {
  const cells = {
    'word/dense': cell('dense', [100]),
    'word/doped-kron 25x': cell('doped-kron 25x', [103]),
    'word/lmf 25x': cell('lmf 25x', [125]),
    'word/doped-lmf 25x': cell('doped-lmf 25x', [100]),
  };
  near(value('word.loss25', cells), 0.03);
  near(value('dlmf.gain25', cells), 0.2);
  const intents = {
    'intent/atis dense': cell('atis dense', [0.98], 'accuracy'),
    'intent/atis doped-kron 10x': cell('atis doped-kron 10x', [0.97], 'accuracy'),
  };
  near(value('atis.accuracy_gap10', intents), 0.01);
});

test('co-matrix dropout is chosen on the validation split', () => {
  const names = ['cmr 0.1', 'cmr 0.3', 'cmr 0.1 on M', 'cmr 0.1 until 0.6'].map((name) => `doped-kron 25x ${name}`);
  const cells: Record<string, CellSummary> = { 'cma/doped-kron 25x': cell('doped-kron 25x', [100]) };
  names.forEach((name, i) => {
    cells[`cma/${name}`] = cell(name, [110 - i]);
  });
  near(value('cmr.gain25.adam', cells), -0.07);
  // Best there, whatever it comes to on the test split.
  cells[`cma/${names[0]}`] = { ...cells[`cma/${names[0]}`], valid: spreadOf([50]) };
  near(value('cmr.gain25.adam', cells), -0.1);
});

test('the factor at equal quality is read off the lines of the others', () => {
  const cells: Record<string, CellSummary> = {
    'char/dense': cell('dense', [3]),
    'char/doped-kron 25x': cell('doped-kron 25x', [3.5], 'perplexity', 25),
  };
  for (const other of ['pruned', 'kron', 'lmf', 'hmd', 'small-dense']) {
    cells[`char/${other} 10x`] = cell(`${other} 10x`, [3.4], 'perplexity', 10);
    cells[`char/${other} 25x`] = cell(`${other} 25x`, [3.6], 'perplexity', 25);
  }
  // Half way from 10 to 25.
  near(value('char.factor_at_equal_quality', cells), 25 / Math.sqrt(10 * 25));
  // One that is as good at 25 leaves nothing to win.
  cells['char/hmd 25x'] = cell('hmd 25x', [3.5], 'perplexity', 25);
  near(value('char.factor_at_equal_quality', cells), 1);
});

test('the deviation of a ratio is that of many draws', () => {
  const spread = (mean: number, deviation: number) => [mean - deviation, mean, mean + deviation];
  const cells = { 'word/dense': cell('dense', spread(100, 1)), 'word/doped-kron 25x': cell('dk', spread(110, 2)) };
  const { deviation, count } = FIGURES['word.loss25'].of(finder(cells))!;
  assert.is(count, 3);
  assert.ok(Math.abs(deviation - 1.1 * Math.hypot(1 / 100, 2 / 110)) <= 1e-12);
});

test('the committed summary holds known figures only, whole', () => {
  const { figures } = JSON.parse(readFileSync('bench/experiments/summary.json', 'utf8'));
  for (const [id, { value, spread, seeds }] of Object.entries<{ value: number; spread: number; seeds: number }>(
    figures,
  )) {
    assert.ok(id in FIGURES, id);
    assert.ok([value, spread, seeds].every(Number.isFinite), id);
  }
});

test.run();
