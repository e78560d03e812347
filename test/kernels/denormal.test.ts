// Denormal numbers, below 2^-126, make arithmetic up to 150 times as slow: nothing that a matrix is multiplied by, or that
// is carried from step to step, may become one.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runKernel, runtime, updated, values, Written, written } from '../support.js';

const SMALLEST = 2 ** -126;

function assertNormal(numbers: ArrayLike<number>, what: string): void {
  const bad = Array.from(numbers).filter((x) => x !== 0 && Math.abs(x) < SMALLEST);
  assert.is(bad.length, 0, `${what}: ${bad.length} of ${numbers.length} numbers are denormal, such as ${bad[0]}`);
}

/** Numbers of all sizes up to `largest`, denormal ones and zeros among them. */
function ofAllSizes(n: number, largest: number): Float32Array {
  const signs = values(n);
  return values(n).map((v, i) => (i % 17 === 0 ? 0 : Math.sign(signs[i]) * largest * 2 ** (75 * (v - 1))));
}

const positive = (numbers: Float32Array) => numbers.map(Math.abs);
const N = 4099;

test('what kernels of training leave to matrices and to later steps is normal or 0, whatever they are given', () => {
  for (let round = 0; round < 20; round++) {
    const cell = [new Written(values(4 * N, 100)), ofAllSizes(N, 10), written(N), written(N), written(N), 1, N];
    const [, c, tanhC, h] = runKernel('f32_lstm_cell', cell).outputs;
    assertNormal(c, 'c');
    assertNormal(tanhC, 'tanh c');
    assertNormal(h, 'h');

    const [gates, cPrev, tanh, dh] = [4 * N, N, N, N].map((n) => ofAllSizes(n, 1));
    const back = [positive(gates), cPrev, tanh, dh, new Written(ofAllSizes(N, 1)), written(4 * N), 1, N];
    const [dc, dgates] = runKernel('f32_lstm_cell_grad', back).outputs;
    assertNormal(dc, 'dc');
    assertNormal(dgates, 'dgates');

    const gru = [new Written(values(3 * N, 100)), values(3 * N, 10), ofAllSizes(N, 1), written(N), 1, N];
    assertNormal(runKernel('f32_gru_cell', gru).outputs[1], 'h of a GRU');
    const [a, u, to] = [3 * N, 3 * N, N].map((n) => new Written(ofAllSizes(n, 1)));
    for (const [i, gate] of a.start.entries()) a.start[i] = Math.abs(gate);
    const gradients = runKernel('f32_gru_cell_grad', [a, u, ofAllSizes(N, 1), ofAllSizes(N, 1), to, 1, N]).outputs;
    for (const [i, name] of ['da', 'du', 'dh'].entries()) assertNormal(gradients[i], `${name} of a GRU`);

    const outputs = positive(ofAllSizes(N, 1));
    for (const kernel of ['f32_tanh_grad', 'f32_sigmoid_grad'] as const) {
      const dx = new Written(new Float32Array(N));
      assertNormal(runKernel(kernel, [outputs, ofAllSizes(N, 1), dx, N]).outputs[0], kernel);
    }

    const logits = values(N, 100);
    const scale = 1 / 1000;
    const target = Int32Array.of(round);
    const [dx] = runKernel('f32_cross_entropy_grad', [
      logits,
      target,
      Float32Array.of(90),
      written(N),
      1,
      N,
      scale,
    ]).outputs;
    assertNormal(dx, 'gradient of the logits');
    const softTargets = [logits, new Written(values(N, 100)), target, updated(1), 1, N, 0.5, 2, scale];
    assertNormal(runKernel('f32_distill', softTargets).outputs[0], 'gradient of the distance from the teacher');

    const moments: Written[] = [new Written(ofAllSizes(N, 1)), new Written(positive(ofAllSizes(N, 1)))];
    const adam = [updated(N), ofAllSizes(N, 1), ...moments, null, N, 0.01, 0.9, 0.999, 1, 1e-8, 0.1];
    const [, m, v] = runKernel('f32_adam', adam).outputs;
    assertNormal(m, 'first moments');
    assertNormal(v, 'second moments');
  }
});

/** Floats in the runtime's memory. */
function room(n: number, value = 0): { at: number; floats: () => Float32Array } {
  const at = runtime.alloc(4 * n);
  runtime.floats(at, n).fill(value);
  return { at, floats: () => runtime.floats(at, n) };
}

const zeros = (n: number) => new Array(n).fill(0);

test("Adam's moments are 0 after 100,000 steps without a gradient", () => {
  const n = 7;
  const [w, g, m, v] = [1, 0.3, 0, 0].map((value) => room(n, value));
  const step = () => runtime.kernels.f32_adam(w.at, g.at, m.at, v.at, 0, n, 0.01, 0.9, 0.999, 1, 1e-8, 1);
  step();
  g.floats().fill(0);
  for (let t = 0; t < 100_000; t++) step();
  assert.equal(Array.from(m.floats()), zeros(n));
  assert.equal(Array.from(v.floats()), zeros(n));
});

test('a gradient whose square is denormal counts as 0', () => {
  for (const g of [2 ** -64, 2 ** -70, -(2 ** -74), 2 ** -140]) {
    const [start, gradient] = [Float32Array.of(0.5), Float32Array.of(g)];
    const adam = [new Written(start), gradient, updated(1), new Written(new Float32Array(1)), null, 1];
    assert.equal(Array.from(runKernel('f32_adam', [...adam, 0.01, 0.9, 0.999, 1, 1e-8, 1]).outputs[2]), [0]);
    assert.equal(Array.from(runKernel('f32_sgd', [new Written(start), gradient, null, 1, 1, 1]).outputs[0]), [0.5]);
  }
});

const H = 7;
/** i = o = 1/2, f = 0.9991, g = 0: a state that only decays. */
const DECAY = Float32Array.from({ length: 4 * H }, (_, i) => (Math.floor(i / H) === 1 ? 7 : 0));

test('the state of an LSTM that gets no input decays to 0', () => {
  const [gates, c, tanhC, h] = [4 * H, H, H, H].map((n) => room(n, 0.5));
  for (let t = 0; t < 60_000; t++) {
    gates.floats().set(DECAY);
    runtime.kernels.f32_lstm_cell(gates.at, c.at, c.at, tanhC.at, h.at, 1, H);
  }
  for (const { floats } of [c, tanhC, h]) assert.equal(Array.from(floats()), zeros(H));
});

test('a gradient decays to 0 on its way back through time', () => {
  const [cPrev, tanhC, dh, dc] = [0.5, 0.5, 0, 1].map((value) => room(H, value));
  const [gates, dgates] = [room(4 * H), room(4 * H)];
  gates.floats().set(DECAY.map((a) => 1 / (1 + Math.exp(-a))));
  for (let t = 0; t < 60_000; t++) {
    runtime.kernels.f32_lstm_cell_grad(gates.at, cPrev.at, tanhC.at, dh.at, dc.at, dgates.at, 1, H);
  }
  assert.equal(Array.from(dc.floats()), zeros(H));
  assert.ok(dgates.floats().every((x) => x === 0));
});

test.run();
