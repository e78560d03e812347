// How near e^x, the sigmoid and tanh come, and what they make of what is no number.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type KernelName, runKernel, written } from '../support.js';

type Activation = Extract<KernelName, 'f32_exp' | 'f32_sigmoid' | 'f32_tanh'>;

function apply(name: Activation, x: ArrayLike<number>): number[] {
  return Array.from(runKernel(name, [Float32Array.from(x), written(x.length), x.length]).outputs[0]);
}

/** The largest error over evenly spaced x, and over x whose size goes down to 2^-30. */
function worst(name: Activation, from: number, to: number, error: (y: number, x: number) => number): number {
  const steps = 2 ** 18;
  const even = Float32Array.from({ length: steps + 1 }, (_, i) => from + ((to - from) * i) / steps);
  const small = Float32Array.from({ length: 2 ** 12 }, (_, i) => (i % 2 ? -1 : 1) * 2 ** ((-30 * i) / 2 ** 12));
  let largest = 0;
  for (const x of [even, small]) {
    // Math.max hands a NaN on.
    for (const [i, y] of apply(name, x).entries()) largest = Math.max(largest, error(y, x[i]));
  }
  return largest;
}

const below = (error: number, bound: number) => assert.ok(error < bound, `error ${error}, bound ${bound}`);

test('e^x is within 2e-7 of itself from -87 to 88', () => {
  below(
    worst('f32_exp', -87, 88, (y, x) => Math.abs(y / Math.exp(x) - 1)),
    2e-7,
  );
});

test('the sigmoid is within 2e-7', () => {
  below(
    worst('f32_sigmoid', -100, 100, (y, x) => Math.abs(y - 1 / (1 + Math.exp(-x)))),
    2e-7,
  );
});

test('tanh is within 2e-7', () => {
  below(
    worst('f32_tanh', -50, 50, (y, x) => Math.abs(y - Math.tanh(x))),
    2e-7,
  );
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
