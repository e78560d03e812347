// Products with a sparse W[M,N], f32, in two layouts. Compressed sparse rows (CSR): `columns` u32[nnz], ascending within a row
// and below N; `starts` u32[M + 1]; `values` f32[nnz]. Blocks (BSR) of `block` rows of one column: `columns` u32[blocks] and
// `starts` u32[M / block + 1], as if a row of blocks were a row; `values` f32[blocks, block]. The rows of a block are `stride`
// apart: 1 for consecutive rows, or M / block. `block` is 4 or 8 and divides M. M, N, R >= 1; there may be no entries.
// `scratch`: 32 (N + 11) floats, 16-byte aligned.
//
// Up to 32 rows of the batch at a time are transposed to feature-major order, [N][rows], so that SIMD runs across the batch and
// a nonzero is read once for all of them. A row of a product has the same bits whatever the other rows of the batch are. Loops
// over vectors are unrolled with an exit after each vector: V8 then keeps the sums in registers, and any width works.

import { dots4, joinHigh, joinLow, madd, put, zipHigh, zipLow } from './simd';

/** Rows of the batch at a time. */
const ROWS: i32 = 32;

/** Bytes of one feature of this many rows, in whole vectors. */
function widthOf(rows: i32): usize {
  return (<usize>(rows + 3) >> 2) << 4;
}

/** The size in bytes of n floats or indices. */
function bytes(n: i32): usize {
  return (<usize>n) << 2;
}

/** to[cols][rows, up to whole vectors] = x[rows, cols]^T, zero in lanes past `rows`; the rows of x are `ldx` bytes apart. */
function toLanes(x: usize, ldx: usize, to: usize, rows: i32, cols: i32): void {
  const width = widthOf(rows);
  const zero = i32x4.splat(0);
  for (; rows > 0; rows -= 4, x += ldx << 2, to += 16) {
    let from = x;
    let at = to;
    let n = cols;
    for (; n >= 4; n -= 4, from += 16, at += width << 2) {
      const a = v128.load(from);
      const b = rows > 1 ? v128.load(from + ldx) : zero;
      const c = rows > 2 ? v128.load(from + 2 * ldx) : zero;
      const d = rows > 3 ? v128.load(from + 3 * ldx) : zero;
      const ab = zipLow(a, b);
      const cd = zipLow(c, d);
      v128.store(at, joinLow(ab, cd));
      v128.store(at + width, joinHigh(ab, cd));
      const abHigh = zipHigh(a, b);
      const cdHigh = zipHigh(c, d);
      v128.store(at + 2 * width, joinLow(abHigh, cdHigh));
      v128.store(at + 3 * width, joinHigh(abHigh, cdHigh));
    }
    for (; n > 0; n--, from += 4, at += width) {
      let v = v128.load32_zero(from);
      if (rows > 1) v = v128.load_lane<f32>(from + ldx, v, 1);
      if (rows > 2) v = v128.load_lane<f32>(from + 2 * ldx, v, 2);
      if (rows > 3) v = v128.load_lane<f32>(from + 3 * ldx, v, 3);
      v128.store(at, v);
    }
  }
}

/** The reverse: y[rows, cols] (+)= from[cols][rows]^T. */
function fromLanes(from: usize, y: usize, ldy: usize, rows: i32, cols: i32, accumulate: bool): void {
  const width = widthOf(rows);
  for (; rows > 0; rows -= 4, y += ldy << 2, from += 16) {
    let to = y;
    let at = from;
    for (let n = cols; n > 0; n -= 4, to += 16, at += width << 2) {
      // Lanes past the last column are not stored; what is loaded for them only has to exist.
      const a = v128.load(at);
      const b = v128.load(at + width);
      const c = v128.load(at + 2 * width);
      const d = v128.load(at + 3 * width);
      const ab = zipLow(a, b);
      const cd = zipLow(c, d);
      put(to, joinLow(ab, cd), n, accumulate);
      if (rows > 1) put(to + ldy, joinHigh(ab, cd), n, accumulate);
      if (rows < 3) continue;
      const abHigh = zipHigh(a, b);
      const cdHigh = zipHigh(c, d);
      put(to + 2 * ldy, joinLow(abHigh, cdHigh), n, accumulate);
      if (rows > 3) put(to + 3 * ldy, joinHigh(abHigh, cdHigh), n, accumulate);
    }
  }
}

/** to[rows] = the entries from k to `end`, in bytes, of one row of W times lanes[N][rows] */
function rowProduct(
  values: usize,
  order: usize,
  columns: usize,
  k: usize,
  end: usize,
  lanes: usize,
  to: usize,
  width: usize,
): void {
  let s0 = i32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let s4 = s0;
  let s5 = s0;
  let s6 = s0;
  let s7 = s0;
  for (; k < end; k += 4) {
    const v = v128.load32_splat(order ? values + ((<usize>load<u32>(order + k)) << 2) : values + k);
    const at = lanes + <usize>load<u32>(columns + k) * width;
    s0 = madd(v, v128.load(at), s0);
    if (width === 16) continue;
    s1 = madd(v, v128.load(at, 16), s1);
    if (width === 32) continue;
    s2 = madd(v, v128.load(at, 32), s2);
    if (width === 48) continue;
    s3 = madd(v, v128.load(at, 48), s3);
    if (width === 64) continue;
    s4 = madd(v, v128.load(at, 64), s4);
    if (width === 80) continue;
    s5 = madd(v, v128.load(at, 80), s5);
    if (width === 96) continue;
    s6 = madd(v, v128.load(at, 96), s6);
    if (width === 112) continue;
    s7 = madd(v, v128.load(at, 112), s7);
  }
  v128.store(to, s0);
  if (width > 16) v128.store(to, s1, 16);
  if (width > 32) v128.store(to, s2, 32);
  if (width > 48) v128.store(to, s3, 48);
  if (width > 64) v128.store(to, s4, 64);
  if (width > 80) v128.store(to, s5, 80);
  if (width > 96) v128.store(to, s6, 96);
  if (width > 112) v128.store(to, s7, 112);
}

/**
 * y[R,M] (+)= x[R,N] W^T. With `order`, u32[nnz], entry k of W is values[order[k]], so that W and its transpose share their
 * values; it may be a null pointer.
 */
export function f32_csr_mm(
  values: usize,
  order: usize,
  columns: usize,
  starts: usize,
  x: usize,
  y: usize,
  R: i32,
  M: i32,
  N: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const tile = scratch + bytes(ROWS * N);
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    const width = widthOf(rows);
    const to = y + bytes(r * M);
    toLanes(x + bytes(r * N), bytes(N), scratch, rows, N);
    let k: usize = 0;
    for (let i = 0; i < M; i += 4) {
      const count = min(4, M - i);
      for (let c = 0; c < count; ++c) {
        const end = (<usize>load<u32>(starts + bytes(i + c), 4)) << 2;
        rowProduct(values, order, columns, k, end, scratch, tile + <usize>c * width, width);
        k = end;
      }
      fromLanes(tile, to + bytes(i), bytes(M), rows, count, accumulate);
    }
  }
}

/**
 * dvalues[nnz] += d<dy, W x>/dvalues, the sum over the batch of dy[., row] x[., column], for rows of W from `first` up to but
 * not including `last`.
 */
export function f32_csr_grad(
  columns: usize,
  starts: usize,
  dy: usize,
  x: usize,
  dvalues: usize,
  R: i32,
  M: i32,
  N: i32,
  first: i32,
  last: i32,
  scratch: usize,
): void {
  const tile = scratch + bytes(ROWS * N);
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    const width = widthOf(rows);
    const from = dy + bytes(r * M);
    toLanes(x + bytes(r * N), bytes(N), scratch, rows, N);
    let k = (<usize>load<u32>(starts + bytes(first))) << 2;
    for (let i = first; i < last; i += 4) {
      const count = min(4, last - i);
      toLanes(from + bytes(i), bytes(M), tile, rows, count);
      for (let c = 0; c < count; ++c) {
        const d = tile + <usize>c * width;
        const end = (<usize>load<u32>(starts + bytes(i + c), 4)) << 2;
        for (; k < end; k += 16) {
          const n = <i32>((end - k) >> 2);
          const x0 = scratch + <usize>load<u32>(columns + k) * width;
          const x1 = n > 1 ? scratch + <usize>load<u32>(columns + k, 4) * width : x0;
          const x2 = n > 2 ? scratch + <usize>load<u32>(columns + k, 8) * width : x0;
          const x3 = n > 3 ? scratch + <usize>load<u32>(columns + k, 12) * width : x0;
          put(dvalues + k, dots4(d, x0, x1, x2, x3, width), n, true);
        }
        k = end;
      }
    }
  }
}

/** The first row of a row of blocks. */
function firstRowOfGroup(group: i32, block: i32, stride: i32): i32 {
  return stride === 1 ? group * block : group;
}

/** toLanes() of the columns of dy that belong to the rows of a block. */
function blockToLanes(dy: usize, ldy: usize, to: usize, rows: i32, block: i32, stride: i32): void {
  if (stride === 1) toLanes(dy, ldy, to, rows, block);
  else {
    const width = widthOf(rows);
    for (let h = 0; h < block; ++h) toLanes(dy + bytes(h * stride), ldy, to + <usize>h * width, rows, 1);
  }
}

/** The reverse, into y. */
function blockFromLanes(from: usize, y: usize, ldy: usize, rows: i32, block: i32, stride: i32, accumulate: bool): void {
  if (stride === 1) fromLanes(from, y, ldy, rows, block, accumulate);
  else {
    const width = widthOf(rows);
    for (let h = 0; h < block; ++h) fromLanes(from + <usize>h * width, y + bytes(h * stride), ldy, rows, 1, accumulate);
  }
}

/**
 * to[4][rows] = four rows of W that share their columns, blocks up to `end`, times lanes[N][rows], for one or two vectors of
 * lanes. The values of consecutive blocks are `step` bytes apart.
 */
function blockProduct(
  values: usize,
  step: usize,
  columns: usize,
  end: usize,
  lanes: usize,
  to: usize,
  width: usize,
  single: bool,
): void {
  let s0 = i32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let t0 = s0;
  let t1 = s0;
  let t2 = s0;
  let t3 = s0;
  for (; columns < end; columns += 4, values += step) {
    const at = lanes + <usize>load<u32>(columns) * width;
    const v = v128.load(values);
    const v0 = v128.shuffle<f32>(v, v, 0, 0, 0, 0);
    const v1 = v128.shuffle<f32>(v, v, 1, 1, 1, 1);
    const v2 = v128.shuffle<f32>(v, v, 2, 2, 2, 2);
    const v3 = v128.shuffle<f32>(v, v, 3, 3, 3, 3);
    const x = v128.load(at);
    s0 = madd(v0, x, s0);
    s1 = madd(v1, x, s1);
    s2 = madd(v2, x, s2);
    s3 = madd(v3, x, s3);
    if (single) continue;
    const z = v128.load(at, 16);
    t0 = madd(v0, z, t0);
    t1 = madd(v1, z, t1);
    t2 = madd(v2, z, t2);
    t3 = madd(v3, z, t3);
  }
  v128.store(to, s0);
  v128.store(to + width, s1);
  v128.store(to + 2 * width, s2);
  v128.store(to + 3 * width, s3);
  if (single) return;
  v128.store(to, t0, 16);
  v128.store(to + width, t1, 16);
  v128.store(to + 2 * width, t2, 16);
  v128.store(to + 3 * width, t3, 16);
}

/** y[R,M] (+)= x[R,N] W^T */
export function f32_bsr_mm(
  values: usize,
  columns: usize,
  starts: usize,
  x: usize,
  y: usize,
  R: i32,
  M: i32,
  N: i32,
  block: i32,
  stride: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const tile = scratch + bytes(ROWS * N);
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    const width = widthOf(rows);
    const to = y + bytes(r * M);
    toLanes(x + bytes(r * N), bytes(N), scratch, rows, N);
    let k: usize = 0;
    for (let g = 0; g < M / block; ++g) {
      const end = (<usize>load<u32>(starts + bytes(g), 4)) << 2;
      for (let h = 0; h < block; h += 4) {
        const v = values + k * <usize>block + bytes(h);
        const half = tile + <usize>h * width;
        for (let at: usize = 0; at < width; at += 32) {
          const single = at + 16 === width;
          blockProduct(v, bytes(block), columns + k, columns + end, scratch + at, half + at, width, single);
        }
      }
      k = end;
      blockFromLanes(tile, to + bytes(firstRowOfGroup(g, block, stride)), bytes(M), rows, block, stride, accumulate);
    }
  }
}

/** lanes[N][rows] += four rows that share their columns, blocks up to `end`, times d[4][rows]; two vectors of lanes. */
function addBlocks(
  values: usize,
  step: usize,
  columns: usize,
  end: usize,
  d: usize,
  lanes: usize,
  width: usize,
  single: bool,
): void {
  const d0 = v128.load(d);
  const d1 = v128.load(d + width);
  const d2 = v128.load(d + 2 * width);
  const d3 = v128.load(d + 3 * width);
  const e0 = v128.load(d, 16);
  const e1 = v128.load(d + width, 16);
  const e2 = v128.load(d + 2 * width, 16);
  const e3 = v128.load(d + 3 * width, 16);
  for (; columns < end; columns += 4, values += step) {
    const at = lanes + <usize>load<u32>(columns) * width;
    const v = v128.load(values);
    const v0 = v128.shuffle<f32>(v, v, 0, 0, 0, 0);
    const v1 = v128.shuffle<f32>(v, v, 1, 1, 1, 1);
    const v2 = v128.shuffle<f32>(v, v, 2, 2, 2, 2);
    const v3 = v128.shuffle<f32>(v, v, 3, 3, 3, 3);
    v128.store(at, madd(v3, d3, madd(v2, d2, madd(v1, d1, madd(v0, d0, v128.load(at))))));
    if (single) continue;
    v128.store(at, madd(v3, e3, madd(v2, e2, madd(v1, e1, madd(v0, e0, v128.load(at, 16))))), 16);
  }
}

/** dx[R,N] (+)= dy[R,M] W */
export function f32_bsr_tmm(
  values: usize,
  columns: usize,
  starts: usize,
  dy: usize,
  dx: usize,
  R: i32,
  M: i32,
  N: i32,
  block: i32,
  stride: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const tile = scratch + bytes(ROWS * N);
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    const width = widthOf(rows);
    const from = dy + bytes(r * M);
    memory.fill(scratch, 0, <usize>N * width);
    let k: usize = 0;
    for (let g = 0; g < M / block; ++g) {
      const end = (<usize>load<u32>(starts + bytes(g), 4)) << 2;
      blockToLanes(from + bytes(firstRowOfGroup(g, block, stride)), bytes(M), tile, rows, block, stride);
      for (let h = 0; h < block; h += 4) {
        const v = values + k * <usize>block + bytes(h);
        const half = tile + <usize>h * width;
        for (let at: usize = 0; at < width; at += 32) {
          const single = at + 16 === width;
          addBlocks(v, bytes(block), columns + k, columns + end, half + at, scratch + at, width, single);
        }
      }
      k = end;
    }
    fromLanes(scratch, dx + bytes(r * N), bytes(N), rows, N, accumulate);
  }
}

/** Adds to dvalues[blocks, block] as f32_csr_grad does, for rows of blocks from `first` up to but not including `last`. */
export function f32_bsr_grad(
  columns: usize,
  starts: usize,
  dy: usize,
  x: usize,
  dvalues: usize,
  R: i32,
  M: i32,
  N: i32,
  block: i32,
  stride: i32,
  first: i32,
  last: i32,
  scratch: usize,
): void {
  const tile = scratch + bytes(ROWS * N);
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    const width = widthOf(rows);
    const from = dy + bytes(r * M);
    toLanes(x + bytes(r * N), bytes(N), scratch, rows, N);
    let k = (<usize>load<u32>(starts + bytes(first))) << 2;
    for (let g = first; g < last; ++g) {
      const end = (<usize>load<u32>(starts + bytes(g), 4)) << 2;
      blockToLanes(from + bytes(firstRowOfGroup(g, block, stride)), bytes(M), tile, rows, block, stride);
      for (; k < end; k += 4) {
        const at = scratch + <usize>load<u32>(columns + k) * width;
        for (let h = 0; h < block; h += 4) {
          const d = tile + <usize>h * width;
          const sums = dots4(at, d, d + width, d + 2 * width, d + 3 * width, width);
          put(dvalues + k * <usize>block + bytes(h), sums, 4, true);
        }
      }
    }
  }
}
