// Matrix times matrix, f32.
//
//   nn   C[M,N] (+)= A[M,K] B[K,N]
//   nt   C[M,N] (+)= A[M,K] B[N,K]^T
//   tn   C[M,N] (+)= A[K,M]^T B[K,N], the rows of A lda elements apart
//
// All row-major and dense. B is packed into panels of 8 columns, [ceil(N/8)][K][8], zero in the columns past N; A four
// rows at a time, each element repeated four times, so that the inner loop is only loads, multiplications and additions
// (Goto and van de Geijn, 2008; the repetition because a load32_splat with an offset costs V8 an instruction more).
// Tile: 4 rows x 8 columns in eight registers. `scratch` is 16-byte aligned and holds F32_GEMM_SCRATCH bytes, and
// behind them, for the kernels that pack B themselves, the packed B: 32 ceil(N/8) K bytes. M, N, K >= 1.

import { madd } from './simd';

const KC: i32 = 256; // K block: the packed rows of A, 16 kB, stay in L1
const PANELS: i32 = 64; // column block, in panels: with KC rows 512 kB of B, which stay in L2

const TILE: usize = 4 * 8 * 4; // bytes of a tile that hangs over the edge of C

/** Bytes of scratch besides the packed B. */
export const F32_GEMM_SCRATCH: i32 = KC * 64 + 128;

/** Packs B for A B, B[K,N]. */
export function f32_gemm_pack_n(b: usize, packed: usize, N: i32, K: i32): void {
  const ldb = (<usize>N) << 2;
  for (let j = 0; j < N; j += 8) {
    let p = b + ((<usize>j) << 2);
    if (j + 8 <= N) {
      for (let k = 0; k < K; ++k) {
        v128.store(packed, v128.load(p));
        v128.store(packed, v128.load(p, 16), 16);
        packed += 32;
        p += ldb;
      }
    } else {
      const n = (<usize>(N - j)) << 2;
      for (let k = 0; k < K; ++k) {
        memory.fill(packed, 0, 32);
        memory.copy(packed, p, n);
        packed += 32;
        p += ldb;
      }
    }
  }
}

/** Packs B for A B^T, B[N,K]: transposes four by four. */
export function f32_gemm_pack_t(b: usize, packed: usize, N: i32, K: i32): void {
  const ldb = (<usize>K) << 2;
  for (let j = 0; j < N; j += 8) {
    for (let half = 0; half < 8; half += 4) {
      const cols = min(4, N - j - half);
      let to = packed + ((<usize>half) << 2);
      if (cols <= 0) {
        for (let k = 0; k < K; ++k, to += 32) v128.store(to, i32x4.splat(0));
        continue;
      }
      // Missing columns repeat the last one that is there, then are zeroed by the mask.
      const p0 = b + <usize>(j + half) * ldb;
      const p1 = cols > 1 ? p0 + ldb : p0;
      const p2 = cols > 2 ? p1 + ldb : p1;
      const p3 = cols > 3 ? p2 + ldb : p2;
      const mask = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(cols));
      const whole = (<usize>K >> 2) << 4;
      let at: usize = 0;
      for (; at < whole; at += 16) {
        const r0 = v128.load(p0 + at);
        const r1 = v128.load(p1 + at);
        const r2 = v128.load(p2 + at);
        const r3 = v128.load(p3 + at);
        const lo01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
        const hi01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
        const lo23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
        const hi23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        v128.store(to, v128.and(mask, v128.shuffle<f32>(lo01, lo23, 0, 1, 4, 5)));
        v128.store(to, v128.and(mask, v128.shuffle<f32>(lo01, lo23, 2, 3, 6, 7)), 32);
        v128.store(to, v128.and(mask, v128.shuffle<f32>(hi01, hi23, 0, 1, 4, 5)), 64);
        v128.store(to, v128.and(mask, v128.shuffle<f32>(hi01, hi23, 2, 3, 6, 7)), 96);
        to += 128;
      }
      for (; at < ldb; at += 4, to += 32) {
        const v = f32x4(load<f32>(p0 + at), load<f32>(p1 + at), load<f32>(p2 + at), load<f32>(p3 + at));
        v128.store(to, v128.and(mask, v));
      }
    }
    packed += (<usize>K) << 5;
  }
}

/**
 * Four rows of A[M,K] from row i and column k0 on, each element four times: [kc][4][4]. Rows past M repeat the last
 * one.
 */
function packRows(a: usize, to: usize, i: i32, k0: i32, kc: i32, M: i32, K: i32): void {
  const lda = (<usize>K) << 2;
  const p0 = a + <usize>i * lda + ((<usize>k0) << 2);
  const p1 = i + 1 < M ? p0 + lda : p0;
  const p2 = i + 2 < M ? p1 + lda : p1;
  const p3 = i + 3 < M ? p2 + lda : p2;
  const end = (<usize>kc) << 2;
  for (let at: usize = 0; at < end; at += 4, to += 64) {
    v128.store(to, v128.load32_splat(p0 + at));
    v128.store(to, v128.load32_splat(p1 + at), 16);
    v128.store(to, v128.load32_splat(p2 + at), 32);
    v128.store(to, v128.load32_splat(p3 + at), 48);
  }
}

/** The same from A[K,M], whose columns are the rows wanted. */
function packColumns(a: usize, to: usize, i: i32, k0: i32, kc: i32, M: i32, lda: usize): void {
  let p = a + <usize>k0 * lda + ((<usize>i) << 2);
  const o1: usize = i + 1 < M ? 4 : 0;
  const o2: usize = i + 2 < M ? o1 + 4 : o1;
  const o3: usize = i + 3 < M ? o2 + 4 : o2;
  for (let k = 0; k < kc; ++k, p += lda, to += 64) {
    v128.store(to, v128.load32_splat(p));
    v128.store(to, v128.load32_splat(p + o1), 16);
    v128.store(to, v128.load32_splat(p + o2), 32);
    v128.store(to, v128.load32_splat(p + o3), 48);
  }
}

/** One tile: c[4,8] (+)= a[kc][4][4 times] b[kc][8]; ldc in bytes. */
function tile(a: usize, b: usize, kc: i32, c: usize, ldc: usize, accumulate: bool): void {
  let c00 = i32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let b0: v128;
  let b1: v128;
  let r: v128;
  // Four steps of k a turn, with a way out after each: it serves every kc, and V8 keeps the sums in registers, where in
  // a plain unrolled loop it moves the loads up and spills them.
  while (true) {
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    r = v128.load(a);
    c00 = madd(r, b0, c00);
    c01 = madd(r, b1, c01);
    r = v128.load(a, 16);
    c10 = madd(r, b0, c10);
    c11 = madd(r, b1, c11);
    r = v128.load(a, 32);
    c20 = madd(r, b0, c20);
    c21 = madd(r, b1, c21);
    r = v128.load(a, 48);
    c30 = madd(r, b0, c30);
    c31 = madd(r, b1, c31);
    if (--kc === 0) break;
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    r = v128.load(a, 64);
    c00 = madd(r, b0, c00);
    c01 = madd(r, b1, c01);
    r = v128.load(a, 80);
    c10 = madd(r, b0, c10);
    c11 = madd(r, b1, c11);
    r = v128.load(a, 96);
    c20 = madd(r, b0, c20);
    c21 = madd(r, b1, c21);
    r = v128.load(a, 112);
    c30 = madd(r, b0, c30);
    c31 = madd(r, b1, c31);
    if (--kc === 0) break;
    b0 = v128.load(b, 64);
    b1 = v128.load(b, 80);
    r = v128.load(a, 128);
    c00 = madd(r, b0, c00);
    c01 = madd(r, b1, c01);
    r = v128.load(a, 144);
    c10 = madd(r, b0, c10);
    c11 = madd(r, b1, c11);
    r = v128.load(a, 160);
    c20 = madd(r, b0, c20);
    c21 = madd(r, b1, c21);
    r = v128.load(a, 176);
    c30 = madd(r, b0, c30);
    c31 = madd(r, b1, c31);
    if (--kc === 0) break;
    b0 = v128.load(b, 96);
    b1 = v128.load(b, 112);
    r = v128.load(a, 192);
    c00 = madd(r, b0, c00);
    c01 = madd(r, b1, c01);
    r = v128.load(a, 208);
    c10 = madd(r, b0, c10);
    c11 = madd(r, b1, c11);
    r = v128.load(a, 224);
    c20 = madd(r, b0, c20);
    c21 = madd(r, b1, c21);
    r = v128.load(a, 240);
    c30 = madd(r, b0, c30);
    c31 = madd(r, b1, c31);
    if (--kc === 0) break;
    a += 256;
    b += 128;
  }
  const r1 = c + ldc;
  const r2 = r1 + ldc;
  const r3 = r2 + ldc;
  if (accumulate) {
    c00 = f32x4.add(c00, v128.load(c));
    c01 = f32x4.add(c01, v128.load(c, 16));
    c10 = f32x4.add(c10, v128.load(r1));
    c11 = f32x4.add(c11, v128.load(r1, 16));
    c20 = f32x4.add(c20, v128.load(r2));
    c21 = f32x4.add(c21, v128.load(r2, 16));
    c30 = f32x4.add(c30, v128.load(r3));
    c31 = f32x4.add(c31, v128.load(r3, 16));
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(r1, c10);
  v128.store(r1, c11, 16);
  v128.store(r2, c20);
  v128.store(r2, c21, 16);
  v128.store(r3, c30);
  v128.store(r3, c31, 16);
}

/** A tile of which only rows x cols lie within C: computed aside, then copied. */
function edgeTile(
  a: usize,
  b: usize,
  kc: i32,
  c: usize,
  ldc: usize,
  rows: i32,
  cols: i32,
  accumulate: bool,
  aside: usize,
): void {
  tile(a, b, kc, aside, 32, false);
  for (let i = 0; i < rows; ++i) {
    for (let j = 0; j < cols; ++j) {
      const at = c + ((<usize>j) << 2);
      const v = load<f32>(aside + ((<usize>j) << 2));
      store<f32>(at, accumulate ? load<f32>(at) + v : v);
    }
    c += ldc;
    aside += 32;
  }
}

/** `lda`, in bytes, is not 0 where A is transposed. */
function run(
  a: usize,
  lda: usize,
  packed: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const ldc = (<usize>N) << 2;
  const panels = (N + 7) >> 3;
  const rowsAt = scratch + TILE;
  for (let k0 = 0; k0 < K; k0 += KC) {
    const kc = min(KC, K - k0);
    const add = accumulate || k0 > 0;
    for (let block = 0; block < panels; block += PANELS) {
      const end = min(panels, block + PANELS);
      for (let i = 0; i < M; i += 4) {
        if (lda) packColumns(a, rowsAt, i, k0, kc, M, lda);
        else packRows(a, rowsAt, i, k0, kc, M, K);
        const rows = min(4, M - i);
        for (let p = block; p < end; ++p) {
          const b = packed + ((<usize>(p * K + k0)) << 5);
          const to = c + <usize>i * ldc + ((<usize>p) << 5);
          const cols = min(8, N - (p << 3));
          if (rows === 4 && cols === 8) tile(rowsAt, b, kc, to, ldc, add);
          else edgeTile(rowsAt, b, kc, to, ldc, rows, cols, add, scratch);
        }
      }
    }
  }
}

/** C[M,N] (+)= A[M,K] B, B packed before by one of the packing kernels. */
export function f32_gemm_packed(
  a: usize,
  packed: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  accumulate: bool,
  scratch: usize,
): void {
  run(a, 0, packed, c, M, N, K, accumulate, scratch);
}

export function f32_gemm_nn(
  a: usize,
  b: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const packed = scratch + F32_GEMM_SCRATCH;
  f32_gemm_pack_n(b, packed, N, K);
  run(a, 0, packed, c, M, N, K, accumulate, scratch);
}

export function f32_gemm_nt(
  a: usize,
  b: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const packed = scratch + F32_GEMM_SCRATCH;
  f32_gemm_pack_t(b, packed, N, K);
  run(a, 0, packed, c, M, N, K, accumulate, scratch);
}

export function f32_gemm_tn(
  a: usize,
  lda: i32,
  b: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const packed = scratch + F32_GEMM_SCRATCH;
  f32_gemm_pack_n(b, packed, N, K);
  run(a, (<usize>lda) << 2, packed, c, M, N, K, accumulate, scratch);
}
