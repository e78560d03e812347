// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). A value
// depends only on its place and the key, so that the backward pass computes masks again instead of storing them, and a run can
// be resumed anywhere.
//
// Element (row, column) comes from the counter (16-column block * 4 + column mod 4, row, step, stream); of its four words of
// output, it is number (column mod 16) / 4. Four counters side by side in SIMD lanes give 16 columns in order.

import { loadPart, storePart } from './simd';

// The words of the current block, since a function returns only one value. Globals, since threads share memory.
let words0: v128 = i32x4.splat(0);
let words1: v128 = i32x4.splat(0);
let words2: v128 = i32x4.splat(0);
let words3: v128 = i32x4.splat(0);

/** The words of columns 4 i to 4 i + 3 of the block. */
function words(i: i32): v128 {
  return i === 0 ? words0 : i === 1 ? words1 : i === 2 ? words2 : words3;
}

/** Computes 16 words, for columns 16 block to 16 block + 15 of a row. */
function philox(block: u32, row: u32, step: u32, stream: u32, seedLow: u32, seedHigh: u32): void {
  let c0 = i32x4.add(i32x4.splat(block << 2), i32x4(0, 1, 2, 3));
  let c1 = i32x4.splat(row);
  let c2 = i32x4.splat(step);
  let c3 = i32x4.splat(stream);
  const m0 = i32x4.splat(0xd2511f53);
  const m1 = i32x4.splat(0xcd9e8d57);
  for (let round = 0; round < 10; ++round) {
    const high0 = v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(c0, m0), i64x2.extmul_high_i32x4_u(c0, m0), 1, 3, 5, 7);
    const high1 = v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(c2, m1), i64x2.extmul_high_i32x4_u(c2, m1), 1, 3, 5, 7);
    const low0 = i32x4.mul(c0, m0);
    const low1 = i32x4.mul(c2, m1);
    c0 = v128.xor(v128.xor(high1, c1), i32x4.splat(seedLow));
    c2 = v128.xor(v128.xor(high0, c3), i32x4.splat(seedHigh));
    c1 = low1;
    c3 = low0;
    seedLow += 0x9e3779b9;
    seedHigh += 0xbb67ae85;
  }
  words0 = c0;
  words1 = c1;
  words2 = c2;
  words3 = c3;
}

/** y[n] = the words, u32, of row 0 and step 0. */
export function u32_random(y: usize, n: i32, seedLow: u32, seedHigh: u32, stream: u32): void {
  for (let block = 0; n > 0; ++block) {
    philox(block, 0, 0, stream, seedLow, seedHigh);
    for (let i = 0; i < 4 && n > 0; ++i, n -= 4, y += 16) {
      if (n >= 4) v128.store(y, words(i));
      else storePart(y, words(i), n);
    }
  }
}

/** y[n] uniform in [low, high): low + (high - low) word / 2^32 of the 24 upper bits. */
export function f32_uniform(y: usize, n: i32, low: f32, high: f32, seedLow: u32, seedHigh: u32, stream: u32): void {
  const width = f32x4.splat((high - low) * (1.0 / 16777216.0));
  const base = f32x4.splat(low);
  for (let block = 0; n > 0; ++block) {
    philox(block, 0, 0, stream, seedLow, seedHigh);
    for (let i = 0; i < 4 && n > 0; ++i, n -= 4, y += 16) {
      const u = f32x4.convert_i32x4_u(i32x4.shr_u(words(i), 8));
      const v = f32x4.add(base, f32x4.mul(width, u));
      if (n >= 4) v128.store(y, v);
      else storePart(y, v, n);
    }
  }
}

/**
 * y[R,N] (+)= x[R,N] mask / (1 - rate), where mask is 0 with probability `rate` (in steps of 2^-24) and 1 otherwise; y may be x.
 * Row r draws from row firstRow + r of the stream, modulo `period` unless that is 0: with period B, all T time steps of a batch
 * of B share their masks.
 */
export function f32_dropout(
  x: usize,
  y: usize,
  R: i32,
  N: i32,
  firstRow: i32,
  period: i32,
  rate: f32,
  seedLow: u32,
  seedHigh: u32,
  step: u32,
  stream: u32,
  accumulate: bool,
): void {
  const threshold = i32x4.splat(<i32>(rate * 16777216.0));
  const scale = f32x4.splat(1 / (1 - rate));
  for (let r = 0; r < R; ++r) {
    const row = period ? (firstRow + r) % period : firstRow + r;
    let n = N;
    for (let block = 0; n > 0; ++block) {
      philox(block, row, step, stream, seedLow, seedHigh);
      for (let i = 0; i < 4 && n > 0; ++i, n -= 4) {
        const keep = i32x4.ge_s(i32x4.shr_u(words(i), 8), threshold);
        if (n >= 4) {
          const v = v128.and(keep, f32x4.mul(scale, v128.load(x)));
          v128.store(y, accumulate ? f32x4.add(v, v128.load(y)) : v);
          x += 16;
          y += 16;
        } else {
          const v = v128.and(keep, f32x4.mul(scale, loadPart(x, n)));
          storePart(y, accumulate ? f32x4.add(v, loadPart(y, n)) : v, n);
          x += (<usize>n) << 2;
          y += (<usize>n) << 2;
        }
      }
    }
  }
}
