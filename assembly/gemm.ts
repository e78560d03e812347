// Matrix times matrix, f32.
//
//   nn   C[M,N] (+)= A[M,K] B[K,N]
//   nt   C[M,N] (+)= A[M,K] B[N,K]^T
//   tn   C[M,N] (+)= A[K,M]^T B[K,N], the rows of A lda elements apart: M of its columns
//
// All matrices are dense and row-major. B is packed into panels of 8 columns, KC rows after KC rows,
// [K/KC][ceil(N/8)][kc][8], with zeros in the columns past N. It is then read linearly, which is a third faster where it
// comes from memory. A is packed one block at a time, four rows side by side and every number four times,
// [rows/4][kc][4][4]: a load that broadcasts one number would cost one more instruction in the innermost loop. A panel of B
// stays in L1 while the block of A, in L2, passes over it (Goto and van de Geijn, 2008). A tile is 4 rows x 8 columns in
// eight registers; six rows spill up to V8 12. Every element of C is summed over k in the same order, wherever it lies and
// whatever M and N are, so the bits stay the same when rows are divided between calls.
//
// `scratch` is 16-byte aligned and holds F32_GEMM_SCRATCH bytes; for the kernels that pack B themselves, the packed B, 32
// ceil(N/8) K bytes, follows. M, N, K >= 1.

import { loadPart, madd, storePart } from './simd';

const KC: i32 = 128; // K block: a panel of B, 4 kB, stays in L1
const MC: i32 = 64; // rows of A packed at once: 128 kB, which stay in L2
const PACKED_AT_ONCE: i32 = 32; // rows of B: that many pages fit the first-level TLB

const TILE: usize = 4 * 8 * 4; // bytes of a tile that extends past the edge of C

/** Bytes of scratch without the packed B. */
export const F32_GEMM_SCRATCH: i32 = MC * KC * 16 + 128;

/** Packs B for A B, B[K,N]. */
export function f32_gemm_pack_n(b: usize, packed: usize, N: i32, K: i32): void {
  const ldb = (<usize>N) << 2;
  const panels = (N + 7) >> 3;
  for (let k0 = 0; k0 < K; k0 += PACKED_AT_ONCE) {
    const k1 = min(K, k0 + PACKED_AT_ONCE);
    const inside = k0 % KC;
    const kc = min(KC, K - (k0 - inside));
    let panel = packed + ((<usize>((k0 - inside) * panels + inside)) << 5);
    let row = b + <usize>k0 * ldb;
    for (let n = N; n > 0; n -= 8, panel += (<usize>kc) << 5, row += 32) {
      let p = row;
      let to = panel;
      if (n >= 8) {
        for (let k = k0; k < k1; ++k, p += ldb, to += 32) {
          v128.store(to, v128.load(p));
          v128.store(to, v128.load(p, 16), 16);
        }
      } else {
        const zero = i32x4.splat(0);
        for (let k = k0; k < k1; ++k, p += ldb, to += 32) {
          v128.store(to, n < 4 ? loadPart(p, n) : v128.load(p));
          v128.store(to, n > 4 ? loadPart(p + 16, n - 4) : zero, 16);
        }
      }
    }
  }
}

/** Packs B for A B^T, B[N,K], transposing 4 x 4 blocks. */
export function f32_gemm_pack_t(b: usize, packed: usize, N: i32, K: i32): void {
  const ldb = (<usize>K) << 2;
  for (let k0 = 0; k0 < K; k0 += KC) {
    const kc = min(KC, K - k0);
    const whole = (<usize>kc >> 2) << 4;
    const end = (<usize>kc) << 2;
    for (let j = 0; j < N; j += 8) {
      for (let half = 0; half < 8; half += 4) {
        const cols = min(4, N - j - half);
        let to = packed + ((<usize>half) << 2);
        if (cols <= 0) {
          for (let k = 0; k < kc; ++k, to += 32) v128.store(to, i32x4.splat(0));
          continue;
        }
        // Missing columns repeat the last existing one; the mask then sets them to zero.
        const p0 = b + <usize>(j + half) * ldb + ((<usize>k0) << 2);
        const p1 = cols > 1 ? p0 + ldb : p0;
        const p2 = cols > 2 ? p1 + ldb : p1;
        const p3 = cols > 3 ? p2 + ldb : p2;
        const mask = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(cols));
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
        for (; at < end; at += 4, to += 32) {
          const v = f32x4(load<f32>(p0 + at), load<f32>(p1 + at), load<f32>(p2 + at), load<f32>(p3 + at));
          v128.store(to, v128.and(mask, v));
        }
      }
      packed += (<usize>kc) << 5;
    }
  }
}

/** Four rows of A[M,K] from row i and column k0 on, side by side: [kc][4][4]. Rows past M hold arbitrary numbers. */
function packRows(a: usize, lda: usize, to: usize, i: i32, k0: i32, kc: i32, M: i32): void {
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

/** The same from A[K,M], whose columns are the rows. */
function packColumns(a: usize, lda: usize, to: usize, i: i32, k0: i32, kc: i32, M: i32): void {
  let p = a + <usize>k0 * lda + ((<usize>i) << 2);
  const rows = M - i;
  for (let k = 0; k < kc; ++k, p += lda, to += 64) {
    const v = rows >= 4 ? v128.load(p) : loadPart(p, rows);
    v128.store(to, v128.shuffle<f32>(v, v, 0, 0, 0, 0));
    v128.store(to, v128.shuffle<f32>(v, v, 1, 1, 1, 1), 16);
    v128.store(to, v128.shuffle<f32>(v, v, 2, 2, 2, 2), 32);
    v128.store(to, v128.shuffle<f32>(v, v, 3, 3, 3, 3), 48);
  }
}

/** One tile: the rows r0 to r3 of C, 8 columns of each, (+)= a[kc][4]^T b[kc][8], a as packed. */
function tile(a: usize, b: usize, kc: i32, r0: usize, r1: usize, r2: usize, r3: usize, accumulate: bool): void {
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
  // Four steps of k per iteration, with an exit after each. This handles every kc, and V8 keeps the sums in registers; in a
  // plainly unrolled loop it moves the loads up and spills.
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
  if (accumulate) {
    c00 = f32x4.add(c00, v128.load(r0));
    c01 = f32x4.add(c01, v128.load(r0, 16));
    c10 = f32x4.add(c10, v128.load(r1));
    c11 = f32x4.add(c11, v128.load(r1, 16));
    c20 = f32x4.add(c20, v128.load(r2));
    c21 = f32x4.add(c21, v128.load(r2, 16));
    c30 = f32x4.add(c30, v128.load(r3));
    c31 = f32x4.add(c31, v128.load(r3, 16));
  }
  v128.store(r0, c00);
  v128.store(r0, c01, 16);
  v128.store(r1, c10);
  v128.store(r1, c11, 16);
  v128.store(r2, c20);
  v128.store(r2, c21, 16);
  v128.store(r3, c30);
  v128.store(r3, c31, 16);
}

/** Copies or adds n < 8 columns of a row of C from a tile that was computed elsewhere. */
function copyPart(from: usize, to: usize, n: i32, accumulate: bool): void {
  if (n >= 4) {
    const v = v128.load(from);
    v128.store(to, accumulate ? f32x4.add(v, v128.load(to)) : v);
    from += 16;
    to += 16;
    n -= 4;
    if (n === 0) return;
  }
  const v = v128.load(from);
  storePart(to, accumulate ? f32x4.add(v, loadPart(to, n)) : v, n);
}

function run(
  a: usize,
  lda: usize,
  transposed: bool,
  packed: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  accumulate: bool,
  scratch: usize,
): void {
  const ldc = (<usize>N) << 2;
  const aside = scratch;
  const rowsAt = scratch + TILE;
  const panels = (N + 7) >> 3;
  for (let k0 = 0; k0 < K; k0 += KC) {
    const kc = min(KC, K - k0);
    const group = (<usize>kc) << 6;
    const add = accumulate || k0 > 0;
    for (let i0 = 0; i0 < M; i0 += MC) {
      const i1 = min(M, i0 + MC);
      let at = rowsAt;
      for (let i = i0; i < i1; i += 4, at += group) {
        if (transposed) packColumns(a, lda, at, i, k0, kc, M);
        else packRows(a, lda, at, i, k0, kc, M);
      }
      for (let j = 0; j < N; j += 8) {
        const b = packed + ((<usize>(k0 * panels + (j >> 3) * kc)) << 5);
        const cols = N - j;
        at = rowsAt;
        for (let i = i0; i < i1; i += 4, at += group) {
          const rows = i1 - i;
          const r0 = c + <usize>i * ldc + ((<usize>j) << 2);
          if (cols >= 8) {
            const r1 = rows > 1 ? r0 + ldc : aside;
            const r2 = rows > 2 ? r1 + ldc : aside;
            const r3 = rows > 3 ? r2 + ldc : aside;
            tile(at, b, kc, r0, r1, r2, r3, add);
          } else {
            tile(at, b, kc, aside, aside + 32, aside + 64, aside + 96, false);
            for (let r = 0; r < min(4, rows); ++r) copyPart(aside + (r << 5), r0 + <usize>r * ldc, cols, add);
          }
        }
      }
    }
  }
}

/** C[M,N] (+)= A[M,K] B, B packed by one of the packing kernels. */
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
  run(a, (<usize>K) << 2, false, packed, c, M, N, K, accumulate, scratch);
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
  run(a, (<usize>K) << 2, false, packed, c, M, N, K, accumulate, scratch);
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
  run(a, (<usize>K) << 2, false, packed, c, M, N, K, accumulate, scratch);
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
  run(a, (<usize>lda) << 2, true, packed, c, M, N, K, accumulate, scratch);
}
