// Optimiser steps on n parameters w with gradients g, f32. The gradient is multiplied by `clip` first (1 when nothing
// is to be clipped). `mask`: u8[n], 0 where a weight has been pruned, or a null pointer: a pruned weight and its
// moments become and stay 0.

import { alive, loadPart, madd, storePart } from './simd';

/** w -= rate clip g */
export function f32_sgd(w: usize, g: usize, mask: usize, n: i32, rate: f32, clip: f32): void {
  const step = f32x4.splat(-rate * clip);
  for (; n > 0; n -= 4, w += 16, g += 16) {
    const whole = n >= 4;
    let v = whole ? madd(step, v128.load(g), v128.load(w)) : madd(step, loadPart(g, n), loadPart(w, n));
    if (mask) {
      v = v128.and(alive(mask, n), v);
      mask += 4;
    }
    if (whole) v128.store(w, v);
    else storePart(w, v, n);
  }
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
  const step = f32x4.splat(-rate1);
  const keep1 = f32x4.splat(b1);
  const add1 = f32x4.splat(1 - b1);
  const keep2 = f32x4.splat(b2);
  const add2 = f32x4.splat(1 - b2);
  const root = f32x4.splat(root2);
  const eps = f32x4.splat(epsilon);
  const c = f32x4.splat(clip);
  for (; n > 0; n -= 4, w += 16, g += 16, m += 16, v += 16) {
    const whole = n >= 4;
    const grad = f32x4.mul(c, whole ? v128.load(g) : loadPart(g, n));
    let mean = madd(keep1, whole ? v128.load(m) : loadPart(m, n), f32x4.mul(add1, grad));
    let square = madd(keep2, whole ? v128.load(v) : loadPart(v, n), f32x4.mul(add2, f32x4.mul(grad, grad)));
    const size = madd(root, f32x4.sqrt(square), eps);
    let value = f32x4.add(whole ? v128.load(w) : loadPart(w, n), f32x4.div(f32x4.mul(step, mean), size));
    if (mask) {
      const a = alive(mask, n);
      mean = v128.and(a, mean);
      square = v128.and(a, square);
      value = v128.and(a, value);
      mask += 4;
    }
    if (whole) {
      v128.store(m, mean);
      v128.store(v, square);
      v128.store(w, value);
    } else {
      storePart(m, mean, n);
      storePart(v, square, n);
      storePart(w, value, n);
    }
  }
}
