import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { Sparse } from '../../src/operators/sparse.js';
import { type AnnealingOptions, defaultAnnealing, SparsityAnnealing } from '../../src/train/annealing.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { maskOf, values } from '../support.js';

const M = 12;
const N = 10;
const ALL = M * N;

const runtime = new Runtime();

function matrices(count: number, scale: (i: number) => number = () => 1): Sparse[] {
  return Array.from({ length: count }, (_, i) => {
    const sparse = new Sparse(runtime, M, N);
    sparse.weight.data.set(values(ALL, scale(i)));
    return sparse;
  });
}

/** Runs `act` with memory that is taken back afterwards. */
function scoped(act: () => void): void {
  const mark = runtime.mark();
  act();
  runtime.release(mark);
}

/**
 * What to keep of n weights: s_t = s_f + (s_0 - s_f) (1 - (t - t0) / (t1 - t0))^3 with s_0 = 0 (Zhu and Gupta, 2017,
 * equation 1).
 */
function keptByFormula(n: number, final: number, t: number, t0: number, t1: number): number {
  const sparsity = 1 - final / n;
  const s = t >= t1 ? sparsity : sparsity + (0 - sparsity) * (1 - (t - t0) / (t1 - t0)) ** 3;
  return n * (1 - s);
}

function magnitudes(sparse: Sparse, alive: 0 | 1, before: Float32Array): number[] {
  const mask = maskOf(sparse);
  return Array.from(before, Math.abs).filter((_, i) => mask[i] === alive);
}

const schedules = fc
  .record({
    total: fc.integer({ min: 1, max: 60 }),
    a: fc.integer({ min: 0, max: 999 }),
    b: fc.integer({ min: 0, max: 999 }),
    every: fc.integer({ min: 1, max: 12 }),
    threshold: fc.constantFrom('global' as const, 'matrix' as const),
    final: fc.integer({ min: 0, max: ALL }),
  })
  .map(({ a, b, ...rest }) => ({ ...rest, start: Math.min(a, b) / 1000, end: Math.max(a, b) / 1000 }));

test('weights are pruned along the cubic schedule, each time those of least magnitude', () => {
  fc.assert(
    fc.property(schedules, ({ total, final, ...options }) => {
      scoped(() => {
        const sparse = matrices(2);
        const annealing = new SparsityAnnealing(
          sparse.map((matrix) => ({ sparse: matrix, nonzeros: final })),
          options,
          total,
        );
        const [t0, t1] = [Math.floor(options.start * total), Math.floor(options.end * total)];
        for (let t = 0; t < total; t++) {
          if (!annealing.due(t)) continue;
          const before = sparse.map((matrix) => matrix.toDense());
          annealing.prune(t);
          const wanted = keptByFormula(ALL, final, t, t0, t1);
          const kept = sparse.map(({ nonzeros }) => nonzeros);
          // Each matrix's share is rounded to a whole number of weights.
          const off =
            options.threshold === 'global'
              ? Math.abs(kept[0] + kept[1] - 2 * wanted) / 2
              : Math.max(...kept.map((k) => Math.abs(k - wanted)));
          assert.ok(off <= 0.5 + 1e-9, `step ${t}: ${kept} are alive, not ${wanted} each`);
          const groups = options.threshold === 'global' ? [[0, 1]] : [[0], [1]];
          for (const group of groups) {
            const alive = group.flatMap((i) => magnitudes(sparse[i], 1, before[i]));
            const pruned = group.flatMap((i) => magnitudes(sparse[i], 0, before[i]));
            assert.ok(Math.min(...alive, 1) >= Math.max(...pruned, 0), `step ${t}: a larger weight was pruned`);
          }
        }
        assert.is(sparse[0].nonzeros + sparse[1].nonzeros, 2 * final, 'the schedule must end where it is to');
      });
    }),
    { seed: 1 },
  );
});

test('pruning is due from the start on, at every interval, and at the end of the schedule in any case', () => {
  fc.assert(
    fc.property(schedules, ({ total, final: _, ...options }) => {
      const annealing = new SparsityAnnealing([], options, total);
      const due = Array.from({ length: total }, (_, t) => t).filter((t) => annealing.due(t));
      const [first, last] = [Math.floor(options.start * total), Math.floor(options.end * total)];
      assert.is(due[0], first);
      assert.is(due.at(-1), last);
      due.slice(1, -1).forEach((t, i) => {
        assert.is(t - due[i], options.every);
      });
      const [a, b] = due.slice(-2);
      assert.ok(due.length < 2 || (b - a >= 1 && b - a <= options.every), `the last interval is ${b - a}`);
    }),
    { seed: 1 },
  );
});

test('pruning is due at steps told in advance', () => {
  const dueOf = (options: Partial<AnnealingOptions>, total: number) => {
    const annealing = new SparsityAnnealing([], { ...defaultAnnealing, ...options }, total);
    return Array.from({ length: total }, (_, t) => t).filter((t) => annealing.due(t));
  };
  assert.equal(dueOf({ start: 0.1, end: 0.6, every: 20 }, 100), [10, 30, 50, 60]);
  assert.equal(dueOf({ start: 0, end: 0.5, every: 25 }, 100), [0, 25, 50]);
  assert.equal(dueOf({ start: 0.5, end: 0.5, every: 1 }, 100), [50]);
  assert.equal(dueOf({ start: 0.2, end: 0.25, every: 50 }, 100), [20, 25]);
});

test('a training of a few steps is pruned to the end', () => {
  for (let total = 1; total <= 10; total++) {
    for (const every of [1, 2, 20]) {
      scoped(() => {
        const [sparse] = matrices(1);
        const annealing = new SparsityAnnealing([{ sparse, nonzeros: 7 }], { ...defaultAnnealing, every }, total);
        for (let t = 0; t < total; t++) if (annealing.due(t)) annealing.prune(t);
        assert.is(sparse.nonzeros, 7, `${total} steps, every ${every}`);
      });
    }
  }
});

test('a global threshold takes the small matrix first, one of each leaves them as many', () => {
  const kept = (threshold: AnnealingOptions['threshold']) => {
    // Not one weight of the second is as large as a tenth of the first's.
    const sparse = matrices(2, (i) => (i === 0 ? 1 : 2 ** -20));
    const targets = sparse.map((matrix) => ({ sparse: matrix, nonzeros: 30 }));
    new SparsityAnnealing(targets, { ...defaultAnnealing, threshold }, 10).prune(9);
    return sparse.map(({ nonzeros }) => nonzeros);
  };
  scoped(() => {
    assert.equal(kept('matrix'), [30, 30]);
    assert.equal(kept('global'), [60, 0]);
  });
});

test('a final sparsity takes the place of what the compression asks for', () => {
  for (const finalSparsity of [0, 0.5, 0.97, 1]) {
    scoped(() => {
      const [sparse] = matrices(1);
      const options = { ...defaultAnnealing, finalSparsity };
      const annealing = new SparsityAnnealing([{ sparse, nonzeros: 7 }], options, 10);
      annealing.prune(9);
      const wanted = ALL * (1 - finalSparsity);
      assert.ok(Math.abs(sparse.nonzeros - wanted) <= 0.5 + 1e-9, `${sparse.nonzeros} alive, not ${wanted}`);
    });
  }
});

test('what has been pruned stays pruned, and nothing is pruned twice', () => {
  scoped(() => {
    const [sparse] = matrices(1);
    const annealing = new SparsityAnnealing([{ sparse, nonzeros: 20 }], defaultAnnealing, 100);
    annealing.prune(30);
    const { nonzeros } = sparse;
    assert.ok(nonzeros > 20 && nonzeros < ALL);
    const mask = maskOf(sparse);
    const before = sparse.toDense();
    annealing.prune(30);
    assert.equal(maskOf(sparse), mask);
    assert.equal(sparse.toDense(), before);
    annealing.prune(60);
    assert.is(sparse.nonzeros, 20);
    assert.ok(maskOf(sparse).every((alive, i) => !alive || mask[i]));
  });
});

test('bad options are refused by name', () => {
  const bad: [Partial<AnnealingOptions>, RegExp][] = [
    [{ start: -0.1 }, /^annealing: got start -0\.1 /],
    [{ start: 0.7 }, /^annealing: got start 0\.7 and end 0\.6;/],
    [{ end: 1 }, /^annealing: .* end 1;/],
    [{ start: Number.NaN }, /^annealing: got start NaN/],
    [{ end: Number.NaN }, /^annealing: .* end NaN;/],
    [{ every: 0 }, /^annealing every: got 0;/],
    [{ every: 1.5 }, /^annealing every: got 1\.5;/],
    [{ every: Number.NaN }, /^annealing every: got NaN;/],
    [{ threshold: 'local' as 'global' }, /^annealing threshold: got "local";/],
    [{ finalSparsity: -0.1 }, /^final sparsity: got -0\.1;/],
    [{ finalSparsity: 1.1 }, /^final sparsity: got 1\.1;/],
    [{ finalSparsity: Number.NaN }, /^final sparsity: got NaN;/],
  ];
  for (const [options, message] of bad) {
    assert.throws(
      () => new SparsityAnnealing([], { ...defaultAnnealing, ...options }, 100),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  }
});

test.run();
