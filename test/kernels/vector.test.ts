// How near e^x, the sigmoid and tanh come, and what they make of what is no number.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type KernelName, runKernel, written } from '../support.js';

type Activation = Extract<KernelName, 'f32_exp' | 'f32_sigmoid' | 'f32_tanh'>;

function apply(name: Activation, x: ArrayLike<number>): number[] {
  return Array.from(runKernel(name, [Float32Array.from(x), written(x.length), x.length]).outputs[0]);
}

/** Numbers of every sign and exponent, denormal ones too, those of evenly spaced sizes up to 100, and 0. */
const grid = Float32Array.from([
  ...new Float32Array(Uint32Array.from({ length: 2 ** 16 }, (_, i) => i * 65521).buffer).filter(Number.isFinite),
  ...Array.from({ length: 2 ** 17 }, (_, i) => (100 * (i - 2 ** 16)) / 2 ** 16),
]);

/** Fails where the relative error is larger than the bound, and by more than half of the least number that there is. */
function assertRelative(name: Activation, x: Float32Array, exact: (x: number) => number, bound: number): void {
  for (const [i, y] of apply(name, x).entries()) {
    const wanted = exact(x[i]);
    const allowed = bound * Math.abs(wanted) + 2 ** -150;
    assert.ok(Math.abs(y - wanted) <= allowed, `${name}(${x[i]}): ${y}, not ${wanted}, by ${y / wanted - 1}`);
  }
}

test('e^x has a relative error below 2e-7 from -87 to 88', () => {
  const x = grid.filter((x) => x >= -87 && x <= 88);
  assertRelative('f32_exp', x, Math.exp, 2e-7);
});

test('the sigmoid has a relative error below 4e-7 from -87 on, and is below 2e-38 under that', () => {
  const x = grid.filter((x) => x >= -87);
  assertRelative('f32_sigmoid', x, (x) => 1 / (1 + Math.exp(-x)), 4e-7);
  assert.ok(
    apply(
      'f32_sigmoid',
      grid.filter((x) => x < -87),
    ).every((y) => y >= 0 && y < 2e-38),
  );
});

test('tanh has a relative error below 4e-7, wherever', () => {
  assertRelative('f32_tanh', grid, Math.tanh, 4e-7);
});

test('probabilities stay probabilities: sigmoid in [0, 1], tanh in [-1, 1]', () => {
  const x = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 20);
  assert.ok(apply('f32_sigmoid', x).every((y) => y >= 0 && y <= 1));
  assert.ok(apply('f32_tanh', x).every((y) => y >= -1 && y <= 1));
});

const largest = new Float32Array(Uint32Array.of(0x7f7fffff).buffer)[0];

test('e^x is clamped to finite positive numbers', () => {
  const [infinite, huge, edge, hugeNegative, negativeInfinite, smallest] = apply('f32_exp', [
    Number.POSITIVE_INFINITY,
    largest,
    88,
    -largest,
    Number.NEGATIVE_INFINITY,
    -87,
  ]);
  assert.equal([infinite, huge], [edge, edge]);
  assert.equal([hugeNegative, negativeInfinite], [smallest, smallest]);
  assert.ok(edge < largest && smallest >= 2 ** -126);
});

test('sigmoid and tanh of infinity are their limits', () => {
  const ends = [Number.NEGATIVE_INFINITY, -largest, largest, Number.POSITIVE_INFINITY];
  const sigmoids = apply('f32_sigmoid', ends);
  assert.ok(sigmoids[0] >= 0 && sigmoids[0] < 2 ** -120 && sigmoids[1] === sigmoids[0]);
  assert.equal(sigmoids.slice(2), [1, 1]);
  assert.equal(apply('f32_tanh', ends), [-1, -1, 1, 1]);
});

test('no NaN becomes a number, whatever its bits', () => {
  const bits = Uint32Array.of(
    0x7fc00000,
    0xffc00000,
    0x7fc00001,
    0xffc001ff,
    0x7fffffff,
    0xffffffff,
    0x7f800001,
    0xff80ffff,
  );
  for (const name of ['f32_exp', 'f32_sigmoid', 'f32_tanh'] as const) {
    // As a typed array, so that the bits arrive as they are.
    const x = new Float32Array(bits.buffer);
    const { outputs } = runKernel(name, [x, written(x.length), x.length]);
    assert.ok(Array.from(outputs[0]).every(Number.isNaN), name);
  }
});

test.run();
