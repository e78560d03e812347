// Matrix of 8-bit integers times vector: y[M] (+)= scale_i (W x)_i, W int8[M,N], x quantised to 16 bits by the kernel.
//
// W is packed into panels of four rows, [ceil(M/4)][ceil(N/8)][4 rows][8 columns] bytes, with zeros past M and N. `scales` is
// f32, one per row, padded to a multiple of 4. x is padded with zeros to a multiple of 8, as is `quantised`, scratch for N
// i16. x is scaled by the largest factor for which no sum of N products overflows 31 bits: 26,000 steps at N = 650.

import { f32_largest } from './largest';
import { addPairs, put } from './simd';

/** Quantises x. Returns the value of one step: 0 for x = 0, NaN if x contains NaN. `blocks` is ceil(N / 8). */
function quantise(x: usize, to: usize, blocks: i32): f32 {
  const largest = f32_largest(x, blocks << 3);
  const steps = <f32>min(32767, 2147483647 / (128 * 8 * blocks));
  const factor = largest > 0 ? steps / largest : 0;
  const scale = f32x4.splat(factor);
  for (let i = 0; i < blocks; ++i, x += 32, to += 16) {
    const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), scale)));
    const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x, 16), scale)));
    v128.store(to, i16x8.narrow_i32x4_s(low, high));
  }
  return largest / steps;
}

export function int8_panel_mv(
  w: usize,
  scales: usize,
  x: usize,
  y: usize,
  M: i32,
  blocks: i32,
  accumulate: bool,
  quantised: usize,
): void {
  const unit = f32x4.splat(quantise(x, quantised, blocks));
  for (let i = 0; i < M; i += 4, y += 16, scales += 16) {
    let s0 = i32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let at = quantised;
    let n = blocks;
    while (true) {
      const v = v128.load(at);
      s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v128.load8x8_s(w), v));
      s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v128.load8x8_s(w, 8), v));
      s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v128.load8x8_s(w, 16), v));
      s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v128.load8x8_s(w, 24), v));
      w += 32;
      at += 16;
      if (--n === 0) break;
    }
    const total = f32x4.convert_i32x4_s(sums(s0, s1, s2, s3));
    put(y, f32x4.mul(total, f32x4.mul(unit, v128.load(scales))), M - i, accumulate);
  }
}

/**
 * The same for four vectors at once, whose weights are read once: y_j += W x_j, rows `rowX` and `rowY` bytes apart. `quantised` is
 * scratch for four times ceil(N/8) 8 i16.
 */
export function int8_panel_mm4(
  w: usize,
  scales: usize,
  x: usize,
  rowX: usize,
  y: usize,
  rowY: usize,
  M: i32,
  blocks: i32,
  quantised: usize,
): void {
  const bytes = (<usize>blocks) << 4;
  const u0 = quantise(x, quantised, blocks);
  const u1 = quantise(x + rowX, quantised + bytes, blocks);
  const u2 = quantise(x + 2 * rowX, quantised + 2 * bytes, blocks);
  const u3 = quantise(x + 3 * rowX, quantised + 3 * bytes, blocks);
  const unitLow = f32x4(u0, u0, u1, u1);
  const unitHigh = f32x4(u2, u2, u3, u3);
  const panel = bytes << 1;
  // Two rows at a time, whose eight sums fit into registers.
  for (let i = 0; i < M; i += 2, y += 8, scales += 8) {
    let a0 = i32x4.splat(0);
    let a1 = a0;
    let a2 = a0;
    let a3 = a0;
    let b0 = a0;
    let b1 = a0;
    let b2 = a0;
    let b3 = a0;
    let at = quantised;
    let from = w + <usize>(i >> 2) * panel + ((<usize>(i & 2)) << 3);
    for (let n = blocks; n > 0; --n, from += 32, at += 16) {
      const a = v128.load8x8_s(from);
      const b = v128.load8x8_s(from, 8);
      let next = at;
      let v = v128.load(next);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, v));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, v));
      next += bytes;
      v = v128.load(next);
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, v));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, v));
      next += bytes;
      v = v128.load(next);
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, v));
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, v));
      next += bytes;
      v = v128.load(next);
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, v));
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, v));
    }
    // Both rows' scales, for two vectors.
    const scale = v128.load64_splat(scales);
    const low = f32x4.mul(f32x4.convert_i32x4_s(sums(a0, b0, a1, b1)), f32x4.mul(unitLow, scale));
    const high = f32x4.mul(f32x4.convert_i32x4_s(sums(a2, b2, a3, b3)), f32x4.mul(unitHigh, scale));
    inline.always(addPairs(y, rowY, low, M - i));
    inline.always(addPairs(y + (rowY << 1), rowY, high, M - i));
  }
}

/** The sums of the lanes of each, side by side. */
function sums(s0: v128, s1: v128, s2: v128, s3: v128): v128 {
  const a = i32x4.add(v128.shuffle<i32>(s0, s1, 0, 4, 1, 5), v128.shuffle<i32>(s0, s1, 2, 6, 3, 7));
  const b = i32x4.add(v128.shuffle<i32>(s2, s3, 0, 4, 1, 5), v128.shuffle<i32>(s2, s3, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7));
}

/** x[N] = row `row` of W, f32; x has room for ceil(N/8) 8 numbers, and zeros past N. `blocks` is ceil(N / 8). */
export function int8_panel_row(w: usize, scales: usize, row: u32, blocks: i32, x: usize): void {
  const scale = v128.load32_splat(scales + ((<usize>row) << 2));
  let at = w + ((<usize>(row >> 2) * blocks) << 5) + ((<usize>(row & 3)) << 3);
  for (; blocks > 0; --blocks, at += 32, x += 32) {
    const codes = v128.load8x8_s(at);
    v128.store(x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(codes))));
    v128.store(x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(codes))), 16);
  }
}
