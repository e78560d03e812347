import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { groupRecords, summarise } from '../../src/cli/experiment/summary.js';
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

test.run();
