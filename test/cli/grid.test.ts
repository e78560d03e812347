import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { independentParts, parseGrid, runsOf, type Settings } from '../../src/cli/experiment/grid.js';
import type { RunRecord } from '../../src/cli/experiment/record.js';
import { record } from './records.js';

const settings = { data: 'sotu', hidden: 100, epochs: 2 };
const grid = (cells: unknown[], more: object = {}) => parseGrid({ settings, cells, ...more });
const labels = (cells: unknown[]) => grid(cells).cells.map(({ label }) => label);
const known = (records: RunRecord[]) => new Map(records.map((one) => [one.name, one]));

test('lists make a cell of each value, in the order of the file', () => {
  assert.equal(labels([{ method: 'dense' }, { method: ['pruned', 'lmf'], compression: [10, 25] }]), [
    'dense',
    'pruned 10x',
    'pruned 25x',
    'lmf 10x',
    'lmf 25x',
  ]);
  assert.equal(labels([{ method: 'doped-kron', compression: 25, block: [1, 4], cmr: 0.1 }]), [
    'doped-kron 25x block 1 cmr 0.1',
    'doped-kron 25x block 4 cmr 0.1',
  ]);
  assert.equal(labels([{ name: 'a', method: 'lmf', compression: 5 }]), ['a']);
  assert.equal(labels([{ name: 'a', method: ['lmf', 'hmd'], compression: [5, 6] }]), [
    'a lmf 5x',
    'a lmf 6x',
    'a hmd 5x',
    'a hmd 6x',
  ]);
});

test("a cell's own settings come before those of the grid, and are not tuned", () => {
  const tune = { lr: [0.1, 0.2], dropout: [0, 0.5] };
  const { cells } = grid([{ method: 'dense' }, { method: 'pruned', with: { lr: 1, epochs: 9 }, seeds: [7] }], { tune });
  assert.equal(cells[0].candidates, [
    { lr: 0.1, dropout: 0 },
    { lr: 0.1, dropout: 0.5 },
    { lr: 0.2, dropout: 0 },
    { lr: 0.2, dropout: 0.5 },
  ]);
  assert.equal(cells[1].candidates, [{ dropout: 0 }, { dropout: 0.5 }]);
  assert.equal(cells[1].settings, { ...settings, lr: 1, epochs: 9, method: 'pruned', compression: 25 });
  assert.equal(cells[1].seeds, [7]);
});

test('a grid that says nothing trains the doped language model of train lm, with its seed', () => {
  const { task, cells } = parseGrid({ cells: [{}] });
  assert.is(task, 'lm');
  const [{ label, method, compression, shrunk, settings, candidates, seeds }] = cells;
  assert.equal([label, method, compression, shrunk], ['doped-kron', 'doped-kron', 25, 1]);
  assert.equal(settings, { method: 'doped-kron', compression: 25 });
  assert.equal(candidates, [{}]);
  assert.equal(seeds, [1]);
});

test('small-dense has as many units as the budget allows, and no more', () => {
  fc.assert(
    fc.property(fc.integer({ min: 8, max: 2000 }), fc.integer({ min: 1, max: 60 }), (hidden, compression) => {
      const { cells } = grid([{ method: 'small-dense', compression, with: { hidden } }]);
      const [{ settings, shrunk }] = cells;
      const units = Number(settings.hidden);
      assert.is(settings.method, 'dense');
      assert.not.ok('compression' in settings);
      const budget = (hidden * hidden) / compression;
      assert.ok(units === 1 || units * units <= budget * (1 + Number.EPSILON));
      assert.ok((units + 1) ** 2 > budget * (1 - Number.EPSILON));
      assert.ok(Math.abs(shrunk * units * units - hidden * hidden) <= 1e-9 * hidden * hidden);
    }),
  );
});

test('what is no grid is refused, with the field, what was given and what would do', () => {
  const dense = { method: 'dense' };
  const cases: [unknown, RegExp][] = [
    [null, /^the file: got null; expected an object/],
    [[], /^the file: got \[\]; /],
    [{}, /^cells: got nothing; expected a list/],
    [{ cells: [] }, /^cells: got \[\]; /],
    [{ cells: [dense], task: 3 }, /^task: got 3; /],
    [{ cells: [dense], sedes: [1] }, /^the file: got "sedes"; expected only the fields task, settings/],
    [{ cells: [dense], seeds: 3 }, /^seeds: got 3; expected a list of different whole numbers/],
    [{ cells: [dense], seeds: [] }, /^seeds: got \[\]; /],
    [{ cells: [dense], seeds: [1, 1] }, /^seeds: got \[1, 1\]; /],
    [{ cells: [dense], seeds: [-1] }, /^seeds: got \[-1\]; /],
    [{ cells: [dense], seeds: Array.from({ length: 2000 }, (_, i) => i) }, /^seeds: .*at most 1000/],
    [{ cells: [dense], settings: { lr: [1] } }, /^settings: lr: got \[1\]; /],
    [{ cells: [dense], settings: { seed: 1 } }, /seed: got 1; expected a list "seeds"/],
    [{ cells: [dense], settings: { data: '@dense' } }, /^settings: data: got "@dense"; .* only for from and teacher/],
    [{ cells: [dense], tune: [1] }, /^tune: got \[1\]; expected an object of lists/],
    [{ cells: [dense], tune: { lr: [] } }, /^tune\.lr: got \[\]; /],
    [{ cells: [dense], tune: { lr: [1, '1'] } }, /^tune\.lr: got \[1, "1"\]; .* different/],
    [{ cells: [dense], tune: { method: ['lmf', 'hmd'] } }, /^tune: got "method"; /],
    [{ cells: [{ ...dense, lr: 1 }] }, /^cells\[0\]: got "lr"; expected only the fields method, /],
    [{ cells: [{ ...dense, name: '' }] }, /^cells\[0\]\.name: got ""; /],
    [{ cells: [{ ...dense, compression: 7 }] }, /^cells\[0\]: compression: got \[7\]; expected none/],
    [{ cells: [{ ...dense, with: { method: 'lmf' } }] }, /^cells\[0\]\.with: got "method"; /],
    [{ cells: [{ ...dense, with: { lr: 1 }, tune: { lr: [1, 2] } }] }, /^cells\[0\]\.tune: got "lr"; /],
    [{ cells: [dense, dense] }, /^cells: got "dense"; expected different names/],
    [{ cells: [{ method: [] }] }, /^cells\[0\]\.method: got \[\]; /],
    [
      { cells: [{ method: 'small-dense', compression: 4 }] },
      /^cells\[0\]: small-dense: got \[nothing, 4\]; .*"hidden"/,
    ],
    [{ cells: [{ ...dense, with: { from: '@teacher' } }] }, /got "@teacher"; expected a cell before it; there is none/],
    [{ cells: [dense, { ...dense, name: 'a', with: { from: '@a' } }] }, /got "@a"; expected a cell before it: @dense$/],
    [{ cells: [dense], tune: Object.fromEntries([...'abcdefgh'].map((key) => [key, [1, 2, 3]])) }, /at most 1000 comb/],
    [{ cells: Array.from({ length: 1001 }, (_, i) => ({ ...dense, name: `${i}` })) }, /^cells: got 1001; /],
  ];
  for (const [value, message] of cases) {
    assert.throws(
      () => parseGrid(value),
      (error: Error) => error.name === 'InputError' && message.test(error.message),
      `${JSON.stringify(value)}`,
    );
  }
});

test('a name tells the settings, whatever their order, and nothing else', () => {
  const nameOf = (own: Settings, seeds = [1], cell: object = {}) => {
    const made = grid([{ method: 'pruned', compression: 10, with: own, ...cell }], { seeds });
    return runsOf(made, made.cells[0], new Map()).final[0].name;
  };
  const name = nameOf({ lr: 0.5, dropout: 0.1 });
  assert.match(name, /^lm-pruned-10x-lr0\.5-s1-[0-9a-f]{8}$/);
  assert.is(nameOf({ dropout: 0.1, lr: 0.5 }), name);
  assert.is(nameOf({ lr: 0.5, dropout: 0.1 }, [1], { name: 'another name' }), name);
  const others = [nameOf({ lr: 0.5 }), nameOf({ lr: 0.5, dropout: 0.2 }), nameOf({ lr: 0.5, dropout: 0.1 }, [2])];
  assert.is(new Set([name, ...others]).size, 4);
  assert.match(nameOf({ level: 'char/../..' }), /^[\w.+-]+$/);
});

test('the best on the validation split is chosen, once all are there', () => {
  const made = grid([{ method: 'dense' }], { tune: { lr: [1, 2, 3] }, seeds: [4, 5] });
  const [cell] = made.cells;
  const { tuning, final } = runsOf(made, cell, new Map());
  assert.equal(
    tuning.map(({ settings }) => [settings.lr, settings.seed]),
    [
      [1, 4],
      [2, 4],
      [3, 4],
    ],
  );
  assert.equal(final, []);
  const chosen = (qualities: (object | undefined)[]) => {
    const records = qualities.flatMap((valid, i) => (valid ? [record({ name: tuning[i].name, valid })] : []));
    return runsOf(made, cell, known(records)).final.map(({ settings }) => [settings.lr, settings.seed]);
  };
  assert.equal(chosen([{ perplexity: 9 }, { perplexity: 8 }, undefined]), []);
  assert.equal(chosen([{ perplexity: 9 }, { perplexity: 8 }, { perplexity: 10 }]), [
    [2, 4],
    [2, 5],
  ]);
  // Among the same accuracies perplexity decides.
  const tied = [
    { accuracy: 0.9, perplexity: 3 },
    { accuracy: 0.9, perplexity: 2 },
    { accuracy: 0.8, perplexity: 1 },
  ];
  assert.is(chosen(tied)[0][0], 2);
  const failed = tuning.map(({ name }) => record({ name, failed: 'diverged' }));
  assert.equal(runsOf(made, cell, known(failed)).final, []);
});

test('a model of another cell is that of the same seed, at the rate that was chosen there', () => {
  const made = grid([{ method: 'dense' }, { method: 'pruned', with: { from: '@dense' } }], {
    tune: { lr: [1, 2] },
    seeds: [1, 2],
  });
  const [dense, pruned] = made.cells;
  assert.equal(runsOf(made, pruned, new Map()), { tuning: [], final: [] });
  const { tuning } = runsOf(made, dense, new Map());
  const records = known(tuning.map(({ name }, i) => record({ name, valid: { perplexity: 5 - i } })));
  const [, second] = runsOf(made, dense, records).final;
  const runs = runsOf(made, pruned, records);
  assert.is(runs.tuning.length, 2);
  for (const run of runs.tuning) {
    records.set(run.name, record({ name: run.name, valid: { perplexity: 5 } }));
  }
  const last = runsOf(made, pruned, records).final[1];
  assert.is(last.bases.get('from')!.name, second.name);
  assert.is(last.settings.from, `@${second.name}`);
});

test('cells that start from one another take no more time than others', () => {
  // Without a memory of what is known of a cell, each would look at all before it as often as there are ways to it.
  const cells = Array.from({ length: 100 }, (_, i) => ({
    name: `c${i}`,
    method: 'dense',
    with: { ...(i > 0 && { from: `@c${i - 1}` }), ...(i > 1 && { teacher: `@c${i - 2}` }) },
  }));
  const made = grid(cells);
  const [run] = runsOf(made, made.cells[99], new Map()).final;
  assert.equal([...run.bases.keys()], ['from', 'teacher']);
});

test('parts are all of the grid, none twice, and want nothing of one another', () => {
  const made = grid(
    [
      { method: 'dense' },
      { method: ['lmf', 'hmd'] },
      { name: 'a', method: 'pruned', with: { from: '@dense' } },
      { name: 'b', method: 'pruned', with: { from: '@a' } },
      { name: 'c', method: 'kron', tune: { lr: [1, 2] } },
    ],
    { seeds: [1, 2] },
  );
  const parts = independentParts(made).map((part) => part.map(({ label, seeds }) => `${label} ${seeds}`));
  assert.equal(parts.map((part) => part.join('; ')).sort(), [
    'c 1,2',
    'dense 1,2; a 1,2; b 1,2',
    'hmd 1',
    'hmd 2',
    'lmf 1',
    'lmf 2',
  ]);
});

test.run();
