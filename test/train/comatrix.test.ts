// Co-matrix dropout and adaptation of sums of any number of terms: the last of several is the dopants, the others are the
// structure.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dense, kron, lmf } from '../../src/operators/factories.js';
import { type Operator, parametersOf } from '../../src/operators/operator.js';
import type { Parameter } from '../../src/operators/parameter.js';
import { Sparse } from '../../src/operators/sparse.js';
import { Sum } from '../../src/operators/sum.js';
import { Stream } from '../../src/random.js';
import { measureAdaptation, setCoMatrixDropout, withOnly } from '../../src/train/comatrix.js';
import { Trainer } from '../../src/train/trainer.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { tinyOptions } from '../nn/oracle.js';
import { values } from '../support.js';

const [M, N, R] = [8, 6, 5];

/** Sums of one to four terms, with noise in them. */
function make() {
  const runtime = new Runtime();
  const terms = [
    () => kron(runtime, [2, 3, 4, 2]),
    () => lmf(runtime, M, N, 2),
    () => dense(runtime, M, N),
    () => new Sparse(runtime, M, N),
  ];
  const sums = [1, 2, 3, 4].map(
    (n) =>
      [
        `sum of ${n}`,
        new Sum(
          runtime,
          [...terms.slice(0, n - 1), n > 1 ? terms[3] : terms[0]].map((t) => t()),
        ),
      ] as const,
  );
  for (const [, sum] of sums) for (const { data } of parametersOf(sum)) data.set(values(data.length));
  const x = runtime.alloc(4 * R * N);
  runtime.floats(x, R * N).set(values(R * N));
  const product = (operator: Operator) => {
    const y = runtime.alloc(4 * R * M);
    operator.matmul(x, y, R);
    return runtime.floats(y, R * M).slice();
  };
  return { runtime, sums, x, product };
}

const add = (parts: readonly Float32Array[]) =>
  new Float64Array(R * M).map((_, i) => parts.reduce((sum, part) => sum + part[i], 0));

const near = (got: ArrayLike<number>, wanted: ArrayLike<number>, what: string) => {
  for (let i = 0; i < wanted.length; i++) {
    assert.ok(Math.abs(got[i] - wanted[i]) < 1e-5, `${what}: ${got[i]} at ${i}, ${wanted[i]} wanted`);
  }
};

test('every term has a mask of its own, of the rate of its part', () => {
  const { sums, product } = make();
  setCoMatrixDropout(
    sums,
    { structure: 0.25, dopants: 0.5, hold: true, until: 1 },
    { seed: 3, step: 4, batch: 2, progress: 0 },
  );
  const rates = sums.map(([, { dropout }]) => dropout!.rates);
  assert.equal(rates, [[0.25], [0.25, 0.5], [0.25, 0.25, 0.5], [0.25, 0.25, 0.25, 0.5]]);
  const streams = sums.flatMap(([, { dropout, terms }]) => terms.map((_, i) => dropout!.stream + i));
  assert.equal(
    streams,
    streams.map((_, i) => Stream.coMatrixDropout + i),
  );
  for (const [name, sum] of sums) assert.ok(product(sum).every(Number.isFinite), name);
});

test('structure and dopants alone are those of the terms', () => {
  const { sums, product } = make();
  for (const [name, sum] of sums) {
    const parts = sum.terms.map(product);
    const structure = sum.terms.length === 1 ? parts : parts.slice(0, -1);
    near(product(sum), add(parts), name);
    near(
      withOnly([[name, sum]], 0, () => product(sum)),
      add(structure),
      `${name}, structure`,
    );
    near(
      withOnly([[name, sum]], 1, () => product(sum)),
      add(parts.slice(structure.length)),
      `${name}, dopants`,
    );
  }
});

test('the measured adaptation is that of the products of structure and dopants', () => {
  const { runtime, sums, product } = make();
  const measured = measureAdaptation(runtime, sums, () => {
    for (const [, sum] of sums) for (let call = 0; call < 2; call++) product(sum);
  });
  for (const [s, [name, { terms }]] of sums.entries()) {
    const parts = terms.map(product);
    const structure = add(terms.length === 1 ? parts : parts.slice(0, -1));
    const dopants = add(terms.length === 1 ? [] : parts.slice(-1));
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const { structureNorm, dopantsNorm, cosine } = measured[s];
    const [ss, mm] = [dot(structure, structure), dot(dopants, dopants)];
    near(
      [structureNorm, dopantsNorm, cosine],
      [Math.sqrt(ss / R), Math.sqrt(mm / R), mm ? dot(structure, dopants) / Math.sqrt(ss * mm) : 0],
      name,
    );
  }
});

test('every number of terms can be trained, with masks and by turns', () => {
  const { runtime, sums, x } = make();
  const parameters = sums.flatMap(([name, sum]) =>
    parametersOf(sum).map((parameter, i): [string, Parameter] => [`${name}.${i}`, parameter]),
  );
  const model = {
    runtime,
    parameters: () => parameters,
    matrices: () => sums.map(([...entry]): [string, Operator] => entry),
  };
  const options = tinyOptions({
    coMatrixDropout: { structure: 0.25, dopants: 0.5, hold: false, until: 1 },
    alternate: 1,
    optimizer: 'sgd',
    learningRate: 1e-4,
    annealing: { start: 0.2, end: 0.5, every: 1, threshold: 'global' },
  });
  const trainer = new Trainer(model, options, 10, [undefined, 24, 24, 24]);
  const loss = () => {
    let squares = 0;
    for (const [, sum] of sums) {
      const y = runtime.alloc(4 * R * M);
      sum.matmul(x, y, R);
      squares += runtime.kernels.f32_sum_squares(y, R * M) / 2;
      sum.gradParams(y, x, R);
    }
    return squares;
  };
  for (let step = 0; step < 10; step++) {
    const before = new Map(parameters.map(([, p]) => [p, p.data.slice()]));
    trainer.step(0, R, loss, () => runtime.scoped(loss));
    const turn = step % 2 === 0 ? 'structure' : 'dopants';
    for (const [name, sum] of sums) {
      for (const [i, term] of sum.terms.entries()) {
        if (term instanceof Sparse) continue; // pruned as well
        const isMoved = parametersOf(term).some((p) => p.data.some((value, k) => value !== before.get(p)![k]));
        assert.is(isMoved, turn === 'structure', `${name}, term ${i}, step ${step}`);
      }
    }
  }
  for (const [name, { data }] of parameters) assert.ok(data.every(Number.isFinite), name);
  assert.ok(JSON.stringify(trainer.records).includes('cma') && !JSON.stringify(trainer.records).includes('null'));
});

test.run();
