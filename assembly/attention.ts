// Attention (Luong et al., 2015) of T B queries x to S steps of a memory, f32: rows of one time step together, so that the rows
// t B + b and s B + b are of one sequence b. x[T B,N], keys[S B,N], values[S B,M], weights[T B,S], context[T B,M]. Row-major, no
// alignment required; all sizes >= 1.
//
//   a = softmax over s of x . keys[s];  context = sum over s of a[s] values[s]
//
// Weights below 2^-58 count as 0, see Constant.Tiny.

import { Constant, constant, exp4, flushPositive, get, madd, put, sum4 } from './simd';

/** x . y, n numbers each */
function dot(x: usize, y: usize, n: i32): f32 {
  let sum = i32x4.splat(0);
  for (; n >= 4; n -= 4, x += 16, y += 16) sum = madd(v128.load(x), v128.load(y), sum);
  if (n > 0) sum = madd(get(x, n), get(y, n), sum);
  return sum4(sum);
}

/** y += a x, n numbers each */
function axpy(a: f32, x: usize, y: usize, n: i32): void {
  const factor = f32x4.splat(a);
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, madd(factor, v128.load(x), v128.load(y)));
  if (n > 0) put(y, madd(factor, get(x, n), get(y, n)), n, false);
}

/** Writes weights and context. */
export function f32_attention(
  x: usize,
  keys: usize,
  values: usize,
  weights: usize,
  context: usize,
  T: i32,
  S: i32,
  B: i32,
  N: i32,
  M: i32,
): void {
  const query = (<usize>N) << 2;
  const value = (<usize>M) << 2;
  const row = (<usize>S) << 2;
  for (let t = 0; t < T; ++t) {
    for (let b = 0; b < B; ++b, x += query, weights += row, context += value) {
      let largest: f32 = -Infinity;
      let at = keys + <usize>b * query;
      for (let s: usize = 0; s < row; s += 4, at += <usize>B * query) {
        const score = dot(x, at, N);
        store<f32>(weights + s, score);
        largest = max(largest, score);
      }
      const total = exponentials(weights, S, largest);
      memory.fill(context, 0, value);
      at = values + <usize>b * value;
      for (let s: usize = 0; s < row; s += 4, at += <usize>B * value) {
        const share = load<f32>(weights + s) / total;
        store<f32>(weights + s, share);
        if (share > 0) axpy(share, at, context, M);
      }
    }
  }
}

/** a = e^(a - shift) of n numbers, those below 2^-58 as 0; returns their sum. */
function exponentials(a: usize, n: i32, shift: f32): f32 {
  const least = constant(Constant.Tiny);
  const top = f32x4.splat(shift);
  let total: f32 = 0;
  for (; n > 0; n -= 4, a += 16) {
    const here = min(n, 4);
    const e = flushPositive(exp4(f32x4.sub(get(a, here), top)), least);
    put(a, e, here, false);
    for (let i: usize = 0; i < (<usize>here) << 2; i += 4) total += load<f32>(a + i);
  }
  return total;
}

/**
 * Given the weights of f32_attention and dcontext, adds to dx, dkeys and dvalues. `dscores` is scratch, [S].
 *
 *   da[s] = dcontext . values[s];  dscores = a (da - sum a da)
 */
export function f32_attention_grad(
  x: usize,
  keys: usize,
  values: usize,
  weights: usize,
  dcontext: usize,
  dx: usize,
  dkeys: usize,
  dvalues: usize,
  dscores: usize,
  T: i32,
  S: i32,
  B: i32,
  N: i32,
  M: i32,
): void {
  const query = (<usize>N) << 2;
  const value = (<usize>M) << 2;
  const row = (<usize>S) << 2;
  for (let t = 0; t < T; ++t) {
    for (let b = 0; b < B; ++b, x += query, dx += query, weights += row, dcontext += value) {
      let mean: f32 = 0;
      let at = <usize>b * value;
      for (let s: usize = 0; s < row; s += 4, at += <usize>B * value) {
        const share = load<f32>(weights + s);
        if (share > 0) axpy(share, dcontext, dvalues + at, M);
        const slope = dot(dcontext, values + at, M);
        store<f32>(dscores + s, slope);
        mean += share * slope;
      }
      at = <usize>b * query;
      for (let s: usize = 0; s < row; s += 4, at += <usize>B * query) {
        const slope = load<f32>(weights + s) * (load<f32>(dscores + s) - mean);
        axpy(slope, keys + at, dx, N);
        axpy(slope, x, dkeys + at, N);
      }
    }
  }
}
