// Cross-entropy as PyTorch computes it (test/fixtures/make_fixtures.py), and what else a loss must survive.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import fixtures from '../fixtures/training.json';
import { close, runKernel, U, written } from '../support.js';

const { logits, targets, losses, log_softmax, gradient } = fixtures.cross_entropy;
const [R, V] = logits.shape;
const x = Float32Array.from(logits.data);
const ids = Int32Array.from(targets.data);

// Roundings of a sum of V terms e^(x - max), of its logarithm, and of what is subtracted from it; the fixtures have
// nine digits.
const bound = (row: number) => U * (3 * V + 8 + 2 * Math.max(...x.slice(row * V, (row + 1) * V).map(Math.abs)));

function equal(got: ArrayLike<number>, wanted: number[], allowed: (i: number) => number): void {
  assert.is(got.length, wanted.length);
  wanted.forEach((value, i) => {
    assert.ok(close(got[i], value, allowed(i)), `[${i}] is ${got[i]}, not ${value} +- ${allowed(i)}`);
  });
}

const crossEntropy = (logits: Float32Array, targets: Int32Array) => {
  const rows = targets.length;
  const sizes = [rows, logits.length / rows];
  const { outputs } = runKernel('f32_cross_entropy', [logits, targets, written(rows), written(rows), ...sizes]);
  return { lse: Float32Array.from(outputs[0]), losses: outputs[1] };
};

test('losses are those of PyTorch', () => {
  equal(crossEntropy(x, ids).losses, losses.data, bound);
});

test('log-softmax is that of PyTorch', () => {
  const [y] = runKernel('f32_log_softmax', [x, written(R * V), R, V]).outputs;
  equal(y, log_softmax.data, (i) => bound(Math.floor(i / V)));
});

test('the gradient is that of PyTorch', () => {
  const { lse } = crossEntropy(x, ids);
  const [dx] = runKernel('f32_cross_entropy_grad', [x, ids, lse, written(R * V), R, V, 1 / R]).outputs;
  equal(dx, gradient.data, (i) => bound(Math.floor(i / V)) / R);
});

test('the probabilities of a row add up to one', () => {
  const [y] = runKernel('f32_log_softmax', [x, written(R * V), R, V]).outputs;
  for (let r = 0; r < R; r++) {
    let sum = 0;
    for (let j = 0; j < V; j++) sum += Math.exp(y[r * V + j]);
    assert.ok(close(sum, 1, bound(r)), `row ${r}: ${sum}`);
  }
});

test('no logit is too large: the loss of equal ones is log(V)', () => {
  for (const value of [0, 100, -1000, 2 ** 100, -(2 ** 100)]) {
    const { losses } = crossEntropy(new Float32Array(V).fill(value), Int32Array.of(3));
    // The sum log-sum-exp rounds the logarithm to the logits' grid.
    assert.ok(close(losses[0], Math.log(V), U * (4 * V + 2 * Math.abs(value))), `${value}: ${losses[0]}`);
  }
});

test('a logit far above the others is certain, wherever it stands', () => {
  for (let n = 1; n <= 9; n++) {
    for (let at = 0; at < n; at++) {
      const row = new Float32Array(n);
      row[at] = 1000;
      const { lse, losses } = crossEntropy(row, Int32Array.of(at));
      assert.equal([lse[0], losses[0]], [1000, 0], `${at} of ${n}`);
    }
  }
});

test('a NaN among the logits is a NaN in the loss, wherever it stands', () => {
  for (let at = 0; at < V; at++) {
    const spoilt = x.slice(0, V);
    spoilt[at] = Number.NaN;
    assert.ok(Number.isNaN(crossEntropy(spoilt, Int32Array.of(at === 0 ? 1 : 0)).losses[0]), `at ${at}`);
  }
});

test.run();
