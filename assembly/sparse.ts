// Products with a sparse W[M,N] in compressed sparse rows (CSR), f32: `values` f32[nnz], `columns` u32[nnz], ascending
// within a row and below N, `starts` u32[M+1]. M, N, R >= 1, nnz >= 0. Adding a sparse product to another is
// `accumulate`. For a batch, eight (or 32) of its rows at a time are turned feature-major, [N][8], so that SIMD runs
// across the batch and a nonzero is read once for all of them.

import { madd, sum4 } from './simd';

/** y[M] (+)= W x[N] */
export function f32_csr_mv(
  values: usize,
  columns: usize,
  starts: usize,
  x: usize,
  y: usize,
  M: i32,
  accumulate: bool,
): void {
  for (let i = 0; i < M; ++i, y += 4) {
    let k = (<usize>load<u32>(starts + ((<usize>i) << 2))) << 2;
    const end = (<usize>load<u32>(starts + ((<usize>i) << 2), 4)) << 2;
    let s0: f32 = accumulate ? load<f32>(y) : 0;
    let s1: f32 = 0;
    let s2: f32 = 0;
    let s3: f32 = 0;
    for (; k + 16 <= end; k += 16) {
      s0 += load<f32>(values + k) * load<f32>(x + ((<usize>load<u32>(columns + k)) << 2));
      s1 += load<f32>(values + k, 4) * load<f32>(x + ((<usize>load<u32>(columns + k, 4)) << 2));
      s2 += load<f32>(values + k, 8) * load<f32>(x + ((<usize>load<u32>(columns + k, 8)) << 2));
      s3 += load<f32>(values + k, 12) * load<f32>(x + ((<usize>load<u32>(columns + k, 12)) << 2));
    }
    for (; k < end; k += 4) s0 += load<f32>(values + k) * load<f32>(x + ((<usize>load<u32>(columns + k)) << 2));
    store<f32>(y, s0 + s1 + (s2 + s3));
  }
}

/** dx[N] (+)= W^T dy[M] */
export function f32_csr_tmv(
  values: usize,
  columns: usize,
  starts: usize,
  dy: usize,
  dx: usize,
  M: i32,
  N: i32,
  accumulate: bool,
): void {
  if (!accumulate) memory.fill(dx, 0, (<usize>N) << 2);
  for (let i = 0; i < M; ++i, dy += 4) {
    const d = load<f32>(dy);
    const end = (<usize>load<u32>(starts + ((<usize>i) << 2), 4)) << 2;
    for (let k = (<usize>load<u32>(starts + ((<usize>i) << 2))) << 2; k < end; k += 4) {
      const at = dx + ((<usize>load<u32>(columns + k)) << 2);
      store<f32>(at, load<f32>(at) + load<f32>(values + k) * d);
    }
  }
}

/** Turns `rows` (at most `width`) rows of x[.,cols] feature-major: to[cols][width], zero in the lanes past `rows`. */
function toLanes(x: usize, to: usize, rows: i32, cols: i32, width: i32): void {
  const step = (<usize>width) << 2;
  if (rows < width) memory.fill(to, 0, <usize>cols * step);
  for (let r = 0; r < rows; ++r) {
    let at = to + ((<usize>r) << 2);
    for (let j = 0; j < cols; ++j, x += 4, at += step) store<f32>(at, load<f32>(x));
  }
}

/** The way back: y[.,cols] (+)= from[cols][8]. */
function fromLanes(from: usize, y: usize, rows: i32, cols: i32, accumulate: bool): void {
  for (let r = 0; r < rows; ++r) {
    let at = from + ((<usize>r) << 2);
    for (let j = 0; j < cols; ++j, y += 4, at += 32) {
      store<f32>(y, accumulate ? load<f32>(y) + load<f32>(at) : load<f32>(at));
    }
  }
}

/** y[R,M] (+)= x[R,N] W^T. `scratch`: 8 (M + N) floats, 16-byte aligned. */
export function f32_csr_mm(
  values: usize,
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
  const lanesOfY = scratch + ((<usize>N) << 5);
  for (let r = 0; r < R; r += 8) {
    const rows = min(8, R - r);
    toLanes(x + ((<usize>(r * N)) << 2), scratch, rows, N, 8);
    let to = lanesOfY;
    let k = (<usize>load<u32>(starts)) << 2;
    for (let i = 0; i < M; ++i, to += 32) {
      const end = (<usize>load<u32>(starts + ((<usize>i) << 2), 4)) << 2;
      let s0 = i32x4.splat(0);
      let s1 = s0;
      for (; k < end; k += 4) {
        const v = v128.load32_splat(values + k);
        const at = scratch + ((<usize>load<u32>(columns + k)) << 5);
        s0 = madd(v128.load(at), v, s0);
        s1 = madd(v128.load(at, 16), v, s1);
      }
      v128.store(to, s0);
      v128.store(to, s1, 16);
    }
    fromLanes(lanesOfY, y + ((<usize>(r * M)) << 2), rows, M, accumulate);
  }
}

/** dx[R,N] (+)= dy[R,M] W. `scratch`: 8 (M + N) floats, 16-byte aligned. */
export function f32_csr_tmm(
  values: usize,
  columns: usize,
  starts: usize,
  dy: usize,
  dx: usize,
  R: i32,
  M: i32,
  N: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const lanesOfX = scratch + ((<usize>M) << 5);
  for (let r = 0; r < R; r += 8) {
    const rows = min(8, R - r);
    toLanes(dy + ((<usize>(r * M)) << 2), scratch, rows, M, 8);
    memory.fill(lanesOfX, 0, (<usize>N) << 5);
    let from = scratch;
    let k = (<usize>load<u32>(starts)) << 2;
    for (let i = 0; i < M; ++i, from += 32) {
      const end = (<usize>load<u32>(starts + ((<usize>i) << 2), 4)) << 2;
      const d0 = v128.load(from);
      const d1 = v128.load(from, 16);
      for (; k < end; k += 4) {
        const v = v128.load32_splat(values + k);
        const at = lanesOfX + ((<usize>load<u32>(columns + k)) << 5);
        v128.store(at, madd(d0, v, v128.load(at)));
        v128.store(at, madd(d1, v, v128.load(at, 16)), 16);
      }
    }
    fromLanes(lanesOfX, dx + ((<usize>(r * N)) << 2), rows, N, accumulate);
  }
}

/**
 * dvalues[nnz] += d<dy, W x>/dvalues = sum over rows of dy[., row] x[., column]. `scratch`: 32 (M + N) floats, 16-byte
 * aligned.
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
  scratch: usize,
): void {
  const lanesOfX = scratch + ((<usize>M) << 7);
  for (let r = 0; r < R; r += 32) {
    const rows = min(32, R - r);
    toLanes(dy + ((<usize>(r * M)) << 2), scratch, rows, M, 32);
    toLanes(x + ((<usize>(r * N)) << 2), lanesOfX, rows, N, 32);
    let d = scratch;
    let k = (<usize>load<u32>(starts)) << 2;
    for (let i = 0; i < M; ++i, d += 128) {
      const end = (<usize>load<u32>(starts + ((<usize>i) << 2), 4)) << 2;
      for (; k < end; k += 4) {
        const at = lanesOfX + ((<usize>load<u32>(columns + k)) << 7);
        let s0 = f32x4.mul(v128.load(d), v128.load(at));
        let s1 = f32x4.mul(v128.load(d, 16), v128.load(at, 16));
        s0 = madd(v128.load(d, 32), v128.load(at, 32), s0);
        s1 = madd(v128.load(d, 48), v128.load(at, 48), s1);
        s0 = madd(v128.load(d, 64), v128.load(at, 64), s0);
        s1 = madd(v128.load(d, 80), v128.load(at, 80), s1);
        s0 = madd(v128.load(d, 96), v128.load(at, 96), s0);
        s1 = madd(v128.load(d, 112), v128.load(at, 112), s1);
        store<f32>(dvalues + k, load<f32>(dvalues + k) + sum4(f32x4.add(s0, s1)));
      }
    }
  }
}
