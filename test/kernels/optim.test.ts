// Adam and gradient descent as PyTorch takes their steps (test/fixtures/make_fixtures.py).

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import fixtures from '../fixtures/training.json';
import { close, runKernel, U, Written } from '../support.js';

const row = (data: number[], step: number, n: number) => Float32Array.from(data.slice(step * n, (step + 1) * n));

function equal(step: number, got: ArrayLike<number>, wanted: ArrayLike<number>, allowed: (i: number) => number): void {
  for (let i = 0; i < wanted.length; i++) {
    assert.ok(
      close(got[i], wanted[i], allowed(i)),
      `step ${step} [${i}]: ${got[i]}, not ${wanted[i]} +- ${allowed(i)}`,
    );
  }
}

test('five steps of Adam are those of PyTorch', () => {
  const { options, start, gradients, result } = fixtures.adam;
  const n = start.data.length;
  const [b1, b2] = options.betas;
  let state = [Float32Array.from(start.data), new Float32Array(n), new Float32Array(n)];
  const [steps] = gradients.shape;
  assert.ok(steps > 1);
  for (let t = 1; t <= steps; t++) {
    const rate1 = options.lr / (1 - b1 ** t);
    const root2 = 1 / Math.sqrt(1 - b2 ** t);
    const g = row(gradients.data, t - 1, n);
    const [w, m, v] = state;
    const { outputs } = runKernel('f32_adam', [
      new Written(w),
      g,
      new Written(m),
      new Written(v),
      null,
      n,
      rate1,
      b1,
      b2,
      root2,
      options.eps,
      1,
    ]);
    state = outputs.map((array) => Float32Array.from(array));
    // A step is about lr long at most. b1 and b2 are rounded too, which 1 - b1 and 1 - b2 feel the more the smaller
    // they are.
    const relative = U * (16 + 1 / (1 - b1) + 1 / (1 - b2));
    equal(t, state[0], row(result.data, t - 1, n), (i) => t * (U * Math.abs(w[i]) + relative * options.lr));
  }
});

test('five steps of gradient descent are those of PyTorch', () => {
  const { options, start, gradients, result } = fixtures.sgd;
  const n = start.data.length;
  let w = Float32Array.from(start.data);
  let size = Array.from(w, Math.abs);
  const [steps] = gradients.shape;
  for (let t = 1; t <= steps; t++) {
    const g = row(gradients.data, t - 1, n);
    const { outputs } = runKernel('f32_sgd', [new Written(w), g, null, n, options.lr, 1]);
    w = Float32Array.from(outputs[0]);
    size = size.map((s, i) => s + options.lr * Math.abs(g[i]));
    equal(t, w, row(result.data, t - 1, n), (i) => 4 * t * U * size[i]);
  }
});

for (const kernel of ['f32_sgd', 'f32_adam'] as const) {
  test(`${kernel} keeps a pruned weight at zero, and lets the others go on as without a mask`, () => {
    const n = 11;
    const mask = Uint8Array.from({ length: n }, (_, i) => (i % 3 === 1 ? 0 : 255));
    const g = Float32Array.from({ length: n }, (_, i) => i - 4);
    const rest = kernel === 'f32_sgd' ? [0.5, 1] : [0.5, 0.9, 0.999, 1, 1e-8, 1];
    const states = () => {
      const [w, m, v] = [0.5, 0.25, 0.125].map((value) => new Written(new Float32Array(n).fill(value)));
      return kernel === 'f32_sgd' ? [w, g] : [w, g, m, v];
    };
    const masked = runKernel(kernel, [...states(), mask, n, ...rest]).outputs;
    const free = runKernel(kernel, [...states(), null, n, ...rest]).outputs;
    masked.forEach((array, k) => {
      const wanted = Array.from(free[k], (value, i) => (mask[i] ? value : 0));
      assert.equal(Array.from(array), wanted);
    });
  });
}

test.run();
