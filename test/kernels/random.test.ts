// That the numbers are as random as they should be; that they are the right ones is in kernels.test.ts and
// random.test.ts.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { philox, Stream, seedWords } from '../../src/random.js';
import { runKernel, Written, written } from '../support.js';

const n = 2 ** 16;
const seeds = [1, 2, 2 ** 40 + 3].map(seedWords);

// A mean of n draws is within five standard errors of what is expected but for once in 1.7 million.
const plausible = (mean: number, expected: number, deviation: number, draws = n) =>
  assert.ok(
    Math.abs(mean - expected) < (5 * deviation) / Math.sqrt(draws),
    `${mean} is not plausible for ${expected} +- ${deviation / Math.sqrt(draws)}`,
  );

const mean = (x: ArrayLike<number>) => Array.from(x).reduce((sum, v) => sum + v, 0) / x.length;

const words = (seed: [number, number], stream: number) =>
  runKernel('u32_random', [new Written(new Uint32Array(n)), n, ...seed, stream]).outputs[0] as Uint32Array;

test('every bit of a word is set half of the time', () => {
  for (const seed of seeds) {
    const drawn = words(seed, Stream.sampling);
    for (let bit = 0; bit < 32; bit++) plausible(mean(drawn.map((word) => (word >>> bit) & 1)), 1 / 2, 1 / 2);
  }
});

test('seeds and streams have nothing in common', () => {
  const all = [...seeds.map((seed) => words(seed, 7)), words(seeds[0], 8)];
  all.forEach((a, i) => {
    for (const b of all.slice(0, i)) {
      const sameBits = a.map((word, j) => bits(~(word ^ b[j])));
      plausible(mean(sameBits) / 32, 1 / 2, 1 / 2, 32 * n);
    }
  });
});

const bits = (word: number) => {
  let count = 0;
  for (let rest = word >>> 0; rest > 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
};

test('uniform numbers lie in [low, high), with the mean and the variance that belong there', () => {
  for (const seed of seeds) {
    for (const [low, high] of [
      [0, 1],
      [-0.05, 0.05],
      [-1, 3],
    ]) {
      const [f32Low, f32High] = [Math.fround(low), Math.fround(high)];
      const x = Array.from(runKernel('f32_uniform', [written(n), n, low, high, ...seed, 9]).outputs[0]);
      assert.ok(x.every((v) => v >= f32Low && v < f32High));
      const width = high - low;
      const middle = low + width / 2;
      plausible(mean(x), middle, width / Math.sqrt(12));
      // (x - middle)^2 has mean w^2 / 12 and variance w^4 / 180.
      plausible(mean(x.map((v) => (v - middle) ** 2)), width ** 2 / 12, width ** 2 / Math.sqrt(180));
    }
  }
});

const dropout = (N: number, R: number, firstRow: number, period: number, rate: number, step = 0, stream = 1) =>
  Array.from(
    runKernel('f32_dropout', [
      new Float32Array(R * N).fill(1),
      written(R * N),
      R,
      N,
      firstRow,
      period,
      rate,
      ...seeds[0],
      step,
      stream,
      false,
    ]).outputs[0],
  );

test('dropout keeps 1 - rate of the elements, and their sum in the mean', () => {
  for (const rate of [0.1, 0.5, 0.9, 0.999]) {
    const y = dropout(256, n / 256, 0, 0, rate);
    plausible(mean(y.map((v) => (v === 0 ? 0 : 1))), 1 - rate, Math.sqrt(rate * (1 - rate)));
    plausible(mean(y), 1, Math.sqrt(rate / (1 - rate)));
  }
});

test('dropout of rate 0 changes nothing', () => {
  assert.ok(dropout(100, 3, 0, 0, 0).every((v) => v === 1));
});

test('dropout keeps the numbers from the rate on, in steps of 2^-24', () => {
  const drawn = philox([0, 0, 0, 1], seeds[0])[0] >>> 8;
  assert.not.equal(dropout(1, 1, 0, 0, drawn / 2 ** 24)[0], 0);
  assert.equal(dropout(1, 1, 0, 0, (drawn + 1) / 2 ** 24)[0], 0);
});

test('a row of dropout depends on its place, not on the call', () => {
  const all = dropout(33, 6, 0, 0, 0.5);
  assert.equal(dropout(33, 2, 3, 0, 0.5), all.slice(3 * 33, 5 * 33));
});

test('rows a period apart share their mask, steps and streams do not', () => {
  const N = 64;
  const y = dropout(N, 7, 0, 3, 0.5);
  const row = (r: number) => y.slice(r * N, (r + 1) * N);
  for (const r of [3, 4, 5, 6]) assert.equal(row(r), row(r - 3));
  assert.not.equal(row(0), row(1));
  assert.not.equal(dropout(N, 1, 0, 0, 0.5, 0, 1), dropout(N, 1, 0, 0, 0.5, 1, 1));
  assert.not.equal(dropout(N, 1, 0, 0, 0.5, 0, 1), dropout(N, 1, 0, 0, 0.5, 0, 2));
});

test.run();
