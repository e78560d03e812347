// Optimiser steps on n parameters w with gradients g, f32. The gradient is first multiplied by `clip` (1 for no clipping).
// `mask`: u8[n], 0 where a weight is pruned, or a null pointer; a pruned weight and its moments are set to 0. Gradients and
// first moments below 2^-58 count as 0, as do denormal second moments: see Constant.Tiny.

import { alive, Constant, constant, flush, flushPositive, get, madd, put } from './simd';

/** w -= rate clip g */
export function f32_sgd(w: usize, g: usize, mask: usize, n: i32, rate: f32, clip: f32): void {
  const step = f32x4.splat(-rate * clip);
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (; n >= 4; n -= 4, w += 16, g += 16) {
    inline.always(sgd(w, g, mask, 4, step, least, magnitude));
    if (mask) mask += 4;
  }
  if (n > 0) sgd(w, g, mask, n, step, least, magnitude);
}

function sgd(w: usize, g: usize, mask: usize, n: i32, step: v128, least: v128, magnitude: v128): void {
  let v = madd(step, flush(get(g, n), least, magnitude), get(w, n));
  if (mask) v = v128.and(alive(mask, n), v);
  put(w, v, n, false);
}

/**
 * Adam (Kingma and Ba, 2015) in PyTorch's form: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate / (1 - b1^t) m /
 * (sqrt(v) / sqrt(1 - b2^t) + epsilon). `rate1` is rate / (1 - b1^t), `root2` is 1 / sqrt(1 - b2^t).
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
  const step = f32x4.splat(-rate1 / root2);
  const keep1 = f32x4.splat(b1);
  const add1 = f32x4.splat(1 - b1);
  const keep2 = f32x4.splat(b2);
  const add2 = f32x4.splat(1 - b2);
  const eps = f32x4.splat(epsilon / root2);
  const c = f32x4.splat(clip);
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  const least1 = f32x4.splat(f32x4.extract_lane(least, 0) / clip);
  const least2 = constant(Constant.Smallest);
  const next = mask ? 4 : 0;
  // Two vectors per iteration share the address arithmetic.
  for (; n >= 8; n -= 8, w += 32, g += 32, m += 32, v += 32) {
    inline.always(adam(w, g, m, v, mask, 4, step, keep1, add1, keep2, add2, eps, c, least, magnitude, least1, least2));
    mask += next;
    const w1 = w + 16;
    const g1 = g + 16;
    const m1 = m + 16;
    const v1 = v + 16;
    inline.always(
      adam(w1, g1, m1, v1, mask, 4, step, keep1, add1, keep2, add2, eps, c, least, magnitude, least1, least2),
    );
    mask += next;
  }
  for (; n > 0; n -= 4, w += 16, g += 16, m += 16, v += 16) {
    adam(w, g, m, v, mask, n, step, keep1, add1, keep2, add2, eps, c, least, magnitude, least1, least2);
    mask += next;
  }
}

function adam(
  w: usize,
  g: usize,
  m: usize,
  v: usize,
  mask: usize,
  n: i32,
  step: v128,
  keep1: v128,
  add1: v128,
  keep2: v128,
  add2: v128,
  eps: v128,
  c: v128,
  least: v128,
  magnitude: v128,
  least1: v128,
  least2: v128,
): void {
  // Only the square needs the flushed gradient, and only the next step the flushed moments: w does not wait for them.
  const gradient = get(g, n);
  const scaled = f32x4.mul(c, gradient);
  const rest = v128.andnot(scaled, f32x4.lt(v128.and(gradient, magnitude), least1));
  let mean = madd(keep1, get(m, n), f32x4.mul(add1, scaled));
  let square = madd(keep2, get(v, n), f32x4.mul(add2, f32x4.mul(rest, rest)));
  const size = f32x4.add(f32x4.sqrt(square), eps);
  let value = f32x4.add(get(w, n), f32x4.div(f32x4.mul(step, mean), size));
  mean = flush(mean, least, magnitude);
  square = flushPositive(square, least2);
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
