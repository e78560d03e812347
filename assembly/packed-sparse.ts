// Sparse matrix times vector, the matrix packed for it: y[M] += W x[N], f32. x: at most 16,384 floats, so that byte
// offsets fit 16 bits.
//
// SELL-4 (sliced ELLPACK): rows sorted by length, four a slice, each padded with (offset 0, value 0) to the slice's
// longest, that to a multiple of two. One stream: for two entries of each of the four rows, 8 x u16 byte offsets into x
// (first entries of rows 0-3, then second ones), then 8 x f32 values in the same order. `slices`: for each, u32 pairs
// of entries, then 4 x u32 byte offsets into y; rows that are not there point to y[M], a place that is written and not
// read.

import { madd } from './simd';

export function f32_sell_mv(slices: usize, count: i32, stream: usize, x: usize, y: usize): void {
  for (; count > 0; --count, slices += 20) {
    let pairs = load<u32>(slices);
    let s0 = i32x4.splat(0);
    let s1 = s0;
    for (; pairs > 0; --pairs, stream += 48) {
      // Two offsets a word: cheaper for V8 than four loads of 16 bits.
      const a = load<u32>(stream);
      const b = load<u32>(stream, 4);
      const c = load<u32>(stream, 8);
      const d = load<u32>(stream, 12);
      let v = v128.load32_zero(x + (a & 0xffff));
      v = v128.load_lane<f32>(x + (a >> 16), v, 1);
      v = v128.load_lane<f32>(x + (b & 0xffff), v, 2);
      v = v128.load_lane<f32>(x + (b >> 16), v, 3);
      s0 = madd(v, v128.load(stream, 16), s0);
      v = v128.load32_zero(x + (c & 0xffff));
      v = v128.load_lane<f32>(x + (c >> 16), v, 1);
      v = v128.load_lane<f32>(x + (d & 0xffff), v, 2);
      v = v128.load_lane<f32>(x + (d >> 16), v, 3);
      s1 = madd(v, v128.load(stream, 32), s1);
    }
    s0 = f32x4.add(s0, s1);
    let to = y + load<u32>(slices, 4);
    store<f32>(to, load<f32>(to) + f32x4.extract_lane(s0, 0));
    to = y + load<u32>(slices, 8);
    store<f32>(to, load<f32>(to) + f32x4.extract_lane(s0, 1));
    to = y + load<u32>(slices, 12);
    store<f32>(to, load<f32>(to) + f32x4.extract_lane(s0, 2));
    to = y + load<u32>(slices, 16);
    store<f32>(to, load<f32>(to) + f32x4.extract_lane(s0, 3));
  }
}
