// Optimiser steps on n parameters w with gradients g, f32. The gradient is multiplied by `clip` first (1 when nothing
// is to be clipped). `mask`: u8[n], 0 where a weight has been pruned, or a null pointer: a pruned weight and its
// moments become and stay 0. A gradient below 2^-58 counts as 0, see flush.

import { alive, flush, flushDenormal, get, madd, put } from './simd';

/** w -= rate clip g */
export function f32_sgd(w: usize, g: usize, mask: usize, n: i32, rate: f32, clip: f32): void {
  const step = f32x4.splat(-rate * clip);
  for (; n >= 4; n -= 4, w += 16, g += 16) {
    inline.always(sgd(w, g, mask, 4, step));
    if (mask) mask += 4;
  }
  if (n > 0) inline.always(sgd(w, g, mask, n, step));
}

function sgd(w: usize, g: usize, mask: usize, n: i32, step: v128): void {
  let v = madd(step, flush(get(g, n)), get(w, n));
  if (mask) v = v128.and(alive(mask, n), v);
  put(w, v, n, false);
}

/**
 * Adam (Kingma and Ba, 2015) as PyTorch counts it: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate / (1 -
 * b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + epsilon). `rate1` is rate / (1 - b1^t), `root2` is 1 / sqrt(1 - b2^t).
 */
export function f32_adam(
  w: usize,
  g: usize,
  m: usize,
  v: usize,
  mask: usize,
  n: i32,
  rate1: f32,
  b1: f32,
  b2: f32,
  root2: f32,
  epsilon: f32,
  clip: f32,
): void {
  for (; n >= 4; n -= 4, w += 16, g += 16, m += 16, v += 16) {
    inline.always(adam(w, g, m, v, mask, 4, rate1, b1, b2, root2, epsilon, clip));
    if (mask) mask += 4;
  }
  if (n > 0) inline.always(adam(w, g, m, v, mask, n, rate1, b1, b2, root2, epsilon, clip));
}

function adam(
  w: usize,
  g: usize,
  m: usize,
  v: usize,
  mask: usize,
  n: i32,
  rate1: f32,
  b1: f32,
  b2: f32,
  root2: f32,
  epsilon: f32,
  clip: f32,
): void {
  const grad = flush(f32x4.mul(f32x4.splat(clip), get(g, n)));
  let mean = madd(f32x4.splat(b1), get(m, n), f32x4.mul(f32x4.splat(1 - b1), grad));
  let square = madd(f32x4.splat(b2), get(v, n), f32x4.mul(f32x4.splat(1 - b2), f32x4.mul(grad, grad)));
  mean = flush(mean);
  square = flushDenormal(square);
  const size = madd(f32x4.splat(root2), f32x4.sqrt(square), f32x4.splat(epsilon));
  let value = f32x4.add(get(w, n), f32x4.div(f32x4.mul(f32x4.splat(-rate1), mean), size));
  if (mask) {
    const a = alive(mask, n);
    mean = v128.and(a, mean);
    square = v128.and(a, square);
    value = v128.and(a, value);
  }
  put(m, mean, n, false);
  put(v, square, n, false);
  put(w, value, n, false);
}
