// Packed sparse matrix times vector: y[M] += W x[N], f32. x has at most 16,384 floats, so that byte offsets fit 16 bits. Rows,
// slices and rows of blocks are sorted by length: a loop whose count changes costs a mispredicted branch.
//
// SELL-4 (sliced ELLPACK): rows are sorted by length, four to a slice. Each is padded with (offset 0, value 0) to the length of
// the slice's longest row, rounded up to a multiple of two. There is one stream: for two entries of each of the four rows, 8 x
// u16 byte offsets into x (the first entries of rows 0 to 3, then the second ones), then 8 x f32 values in the same order.
// `slices` holds for each slice the u32 number of pairs of entries, then 4 x u32 byte offsets into y; missing rows add their
// sum, 0, to the slice's first row.

import { madd } from './simd';

export function f32_sell_mv(slices: usize, count: i32, stream: usize, x: usize, y: usize): void {
  for (; count > 0; --count, slices += 20) {
    let pairs = load<u32>(slices);
    let s0 = i32x4.splat(0);
    let s1 = s0;
    for (; pairs > 0; --pairs, stream += 48) {
      // Two offsets per word: cheaper in V8 than four 16-bit loads.
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

// Blocks of 4 x 1 or 8 x 1: consecutive rows share a column, so that one number of x is broadcast and multiplied by whole vectors
// of weights. Rows of blocks are padded to pairs with (offset 0, weights 0). `rows` holds for each row of blocks the u32 number
// of pairs, then the u32 byte offset of its part of y. `offsets` are u16 byte offsets into x; `values` are f32[block] each.

export function f32_block4_mv(rows: usize, count: i32, offsets: usize, values: usize, x: usize, y: usize): void {
  for (; count > 0; --count, rows += 8) {
    let pairs = load<u32>(rows);
    let s0 = i32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    // Four sums, used in turn, hide the latency of the additions.
    while (true) {
      const a = load<u32>(offsets);
      s0 = madd(v128.load32_splat(x + (a & 0xffff)), v128.load(values), s0);
      s1 = madd(v128.load32_splat(x + (a >> 16)), v128.load(values, 16), s1);
      offsets += 4;
      values += 32;
      if (--pairs === 0) break;
      const b = load<u32>(offsets);
      s2 = madd(v128.load32_splat(x + (b & 0xffff)), v128.load(values), s2);
      s3 = madd(v128.load32_splat(x + (b >> 16)), v128.load(values, 16), s3);
      offsets += 4;
      values += 32;
      if (--pairs === 0) break;
    }
    const to = y + load<u32>(rows, 4);
    s0 = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
    v128.store(to, f32x4.add(v128.load(to), s0));
  }
}

export function f32_block8_mv(rows: usize, count: i32, offsets: usize, values: usize, x: usize, y: usize): void {
  for (; count > 0; --count, rows += 8) {
    let s0 = i32x4.splat(0);
    let s1 = s0;
    let t0 = s0;
    let t1 = s0;
    for (let pairs = load<u32>(rows); pairs > 0; --pairs) {
      const a = load<u32>(offsets);
      let v = v128.load32_splat(x + (a & 0xffff));
      s0 = madd(v, v128.load(values), s0);
      s1 = madd(v, v128.load(values, 16), s1);
      v = v128.load32_splat(x + (a >> 16));
      t0 = madd(v, v128.load(values, 32), t0);
      t1 = madd(v, v128.load(values, 48), t1);
      offsets += 4;
      values += 64;
    }
    const to = y + load<u32>(rows, 4);
    v128.store(to, f32x4.add(v128.load(to), f32x4.add(s0, t0)));
    v128.store(to, f32x4.add(v128.load(to, 16), f32x4.add(s1, t1)), 16);
  }
}

// Products with several vectors. A product with eight takes them in lanes, x[N][8]: an entry is read once for all of them.

/** y[8,M] += x[N][8]^T W^T in the layout of f32_sell_mv; the rows of y are `row` bytes apart. */
export function f32_sell_lanes(slices: usize, count: i32, stream: usize, x: usize, y: usize, row: usize): void {
  for (; count > 0; --count, slices += 20) {
    let a0 = i32x4.splat(0);
    let a1 = a0;
    let b0 = a0;
    let b1 = a0;
    let c0 = a0;
    let c1 = a0;
    let d0 = a0;
    let d1 = a0;
    let at: usize;
    let v: v128;
    for (let pairs = load<u32>(slices); pairs > 0; --pairs, stream += 48) {
      at = x + ((<usize>load<u16>(stream, 0)) << 3);
      v = v128.load32_splat(stream, 16);
      a0 = madd(v, v128.load(at), a0);
      a1 = madd(v, v128.load(at, 16), a1);
      at = x + ((<usize>load<u16>(stream, 2)) << 3);
      v = v128.load32_splat(stream, 20);
      b0 = madd(v, v128.load(at), b0);
      b1 = madd(v, v128.load(at, 16), b1);
      at = x + ((<usize>load<u16>(stream, 4)) << 3);
      v = v128.load32_splat(stream, 24);
      c0 = madd(v, v128.load(at), c0);
      c1 = madd(v, v128.load(at, 16), c1);
      at = x + ((<usize>load<u16>(stream, 6)) << 3);
      v = v128.load32_splat(stream, 28);
      d0 = madd(v, v128.load(at), d0);
      d1 = madd(v, v128.load(at, 16), d1);
      at = x + ((<usize>load<u16>(stream, 8)) << 3);
      v = v128.load32_splat(stream, 32);
      a0 = madd(v, v128.load(at), a0);
      a1 = madd(v, v128.load(at, 16), a1);
      at = x + ((<usize>load<u16>(stream, 10)) << 3);
      v = v128.load32_splat(stream, 36);
      b0 = madd(v, v128.load(at), b0);
      b1 = madd(v, v128.load(at, 16), b1);
      at = x + ((<usize>load<u16>(stream, 12)) << 3);
      v = v128.load32_splat(stream, 40);
      c0 = madd(v, v128.load(at), c0);
      c1 = madd(v, v128.load(at, 16), c1);
      at = x + ((<usize>load<u16>(stream, 14)) << 3);
      v = v128.load32_splat(stream, 44);
      d0 = madd(v, v128.load(at), d0);
      d1 = madd(v, v128.load(at, 16), d1);
    }
    addColumn(y + load<u32>(slices, 4), row, a0, a1);
    addColumn(y + load<u32>(slices, 8), row, b0, b1);
    addColumn(y + load<u32>(slices, 12), row, c0, c1);
    addColumn(y + load<u32>(slices, 16), row, d0, d1);
  }
}

/** Adds eight numbers to a column of y. */
function addColumn(to: usize, row: usize, low: v128, high: v128): void {
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(low, 0));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(low, 1));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(low, 2));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(low, 3));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(high, 0));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(high, 1));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(high, 2));
  to += row;
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(high, 3));
}
