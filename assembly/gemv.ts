// Matrix times one vector, f32. W is [M,N], row-major. No alignment required; M, N >= 1.

import { loadPart, madd, storePart, sum4 } from './simd';

/** y[M] (+)= W x[N] */
export function f32_gemv(w: usize, x: usize, y: usize, M: i32, N: i32, accumulate: bool): void {
  const ldw = (<usize>N) << 2;
  const whole = (<usize>N >> 2) << 4;
  const rest = N & 3;
  for (let i = 0; i < M; i += 4) {
    // Rows past M repeat the last one; their results are not written.
    const r1 = i + 1 < M ? w + ldw : w;
    const r2 = i + 2 < M ? r1 + ldw : r1;
    const r3 = i + 3 < M ? r2 + ldw : r2;
    let s0 = i32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    for (let at: usize = 0; at < whole; at += 16) {
      const v = v128.load(x + at);
      s0 = madd(v128.load(w + at), v, s0);
      s1 = madd(v128.load(r1 + at), v, s1);
      s2 = madd(v128.load(r2 + at), v, s2);
      s3 = madd(v128.load(r3 + at), v, s3);
    }
    if (rest) {
      const v = loadPart(x + whole, rest);
      s0 = madd(loadPart(w + whole, rest), v, s0);
      s1 = madd(loadPart(r1 + whole, rest), v, s1);
      s2 = madd(loadPart(r2 + whole, rest), v, s2);
      s3 = madd(loadPart(r3 + whole, rest), v, s3);
    }
    const sums = f32x4(sum4(s0), sum4(s1), sum4(s2), sum4(s3));
    if (i + 4 <= M) {
      v128.store(y, accumulate ? f32x4.add(sums, v128.load(y)) : sums);
    } else {
      storePart(y, accumulate ? f32x4.add(sums, loadPart(y, M - i)) : sums, M - i);
    }
    w += ldw << 2;
    y += 16;
  }
}

/** dx[N] (+)= W^T dy[M] */
export function f32_gemv_t(w: usize, dy: usize, dx: usize, M: i32, N: i32, accumulate: bool): void {
  const ldw = (<usize>N) << 2;
  if (!accumulate) memory.fill(dx, 0, ldw);
  const whole = (<usize>N >> 2) << 4;
  const rest = N & 3;
  for (let i = 0; i < M; ++i) {
    const d = v128.load32_splat(dy);
    for (let at: usize = 0; at < whole; at += 16) {
      v128.store(dx + at, madd(v128.load(w + at), d, v128.load(dx + at)));
    }
    if (rest) storePart(dx + whole, madd(loadPart(w + whole, rest), d, loadPart(dx + whole, rest)), rest);
    w += ldw;
    dy += 4;
  }
}

/** dW[M,N] += dy[M] x[N]^T */
export function f32_ger(dy: usize, x: usize, dw: usize, M: i32, N: i32): void {
  const ldw = (<usize>N) << 2;
  const whole = (<usize>N >> 2) << 4;
  const rest = N & 3;
  for (let i = 0; i < M; ++i) {
    const d = v128.load32_splat(dy);
    for (let at: usize = 0; at < whole; at += 16) {
      v128.store(dw + at, madd(v128.load(x + at), d, v128.load(dw + at)));
    }
    if (rest) storePart(dw + whole, madd(loadPart(x + whole, rest), d, loadPart(dw + whole, rest)), rest);
    dw += ldw;
    dy += 4;
  }
}
