import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { groupRecords, summarise } from '../../src/cli/experiment/summary.js';
import { resultsTable } from '../../src/cli/experiment/tables.js';
import type { Quality } from '../../src/tasks/training.js';
import { record } from '../cli/records.js';

const run = (lr: number, seed: number, perplexity: number, tuned = ['lr']) =>
  record({
    cell: 'pruned 10x',
    method: 'pruned',
    final: true,
    tuned,
    settings: { data: 'x', lr, seed },
    valid: { perplexity },
    test: { perplexity: perplexity + 1 },
  });

test('final runs of what a grid had chosen before it was tuned further do not count', () => {
  const cell = summarise([run(1, 1, 90), run(1, 2, 10), run(2, 2, 84), run(2, 1, 80), run(2, 3, 82)])!;
  assert.is(cell.chosen, 'lr 2');
  assert.equal(
    cell.runs.map(({ settings }) => settings.seed),
    [1, 2, 3],
  );
  assert.is(cell.test?.mean, 83);
});

test('a cell that was tuned over more is another one', () => {
  const [group] = groupRecords([run(1, 1, 90), run(2, 1, 80, ['lr', 'anneal'])]);
  assert.equal(
    group.cells.map(({ valid }) => valid.mean),
    [80, 90],
  );
});

test('a gain too small to show is no loss of -0.0', () => {
  const cell = (name: string, perplexity: number) =>
    record({ name, cell: name, method: name === 'dense' ? 'dense' : 'lmf', final: true, valid: { perplexity } });
  const [group] = groupRecords([cell('dense', 100), cell('lmf', 99.999)]);
  const { columns, rows } = resultsTable(group);
  assert.match(String(rows[1][columns.indexOf('loss to dense')]), /^0\.0 /);
});

test('each measure has its loss: a share of what should be low, points of what should be high', () => {
  for (const [dense, lmf, loss] of [
    [{ perplexity: 100 }, { perplexity: 110 }, '10.0 ± 0.0 %'],
    [{ mse: 2 }, { mse: 2.5 }, '25.0 ± 0.0 %'],
    [{ accuracy: 0.9 }, { accuracy: 0.85 }, '5.0 ± 0.0 points'],
    [{ f1: 0.9, accuracy: 0.99 }, { f1: 0.8, accuracy: 0.98 }, '10.0 ± 0.0 points'],
  ] as const) {
    const cell = (name: string, valid: Quality) =>
      record({ name, cell: name, method: name, final: true, valid, timing: undefined });
    const [group] = groupRecords([cell('dense', dense), cell('lmf', lmf)]);
    const { columns, rows } = resultsTable(group);
    assert.is(rows[1][columns.indexOf('loss to dense')], loss);
    assert.not.ok(
      columns.some((column) => column.endsWith(', us')),
      'nothing was timed',
    );
  }
});

test.run();
