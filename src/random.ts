// Random numbers by counting, Philox4x32-10 (Salmon et al., SC 2011), the same as assembly/random.ts, a block at a
// time.

import { invalid } from './errors.js';

/** High and low words of a * b, unsigned 32-bit. */
function multiply(a: number, b: number): [number, number] {
  const low = Math.imul(a, b) >>> 0;
  const a1 = a >>> 16;
  const a0 = a & 0xffff;
  const b1 = b >>> 16;
  const b0 = b & 0xffff;
  const middle = a1 * b0 + Math.floor((a0 * b0) / 65536);
  const high = a1 * b1 + Math.floor(middle / 65536) + Math.floor(((middle % 65536) + a0 * b1) / 65536);
  return [high >>> 0, low];
}

/** Four random words for a counter of four words and a key of two. */
export function philox(counter: readonly number[], key: readonly number[]): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter.map((word) => word >>> 0) as [number, number, number, number];
  let [k0, k1] = key.map((word) => word >>> 0) as [number, number];
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiply(c0, 0xd2511f53);
    const [high1, low1] = multiply(c2, 0xcd9e8d57);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Throws InputError for a seed that is not an integer from 0 to 2^53 - 1. */
export function checkSeed(seed: number): void {
  if (!(Number.isSafeInteger(seed) && seed >= 0)) throw invalid('seed', seed, 'an integer from 0 to 2^53 - 1');
}

/** A seed as two key words. Throws InputError for one that checkSeed() rejects. */
export function seedWords(seed: number): [number, number] {
  checkSeed(seed);
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/** A uniform number in [0, 1) of 24 bits, the `index`th of a stream. */
export function uniform(seed: number, stream: number, index: number): number {
  return (philox([index, 0, 0, stream], seedWords(seed))[0] >>> 8) / 2 ** 24;
}

// Streams keep draws for different purposes apart. Dropout layers and co-matrix masks count on from their base.
export enum Stream {
  initialisation = 0x1000,
  dropout = 0x2000,
  coMatrixDropout = 0x3000,
  sampling = 0x4000,
  order = 0x5000,
}
