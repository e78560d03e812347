// Activations that vector.ts does not have, and the gradients of all, n elements, f32. Gradients are taken from the
// outputs y; to dx is added what dy contributes. No alignment asked; n may be 0.

import { loadPart, madd, storePart } from './simd';

/** y = max(x, 0); NaN stays NaN */
export function f32_relu(x: usize, y: usize, n: i32): void {
  const zero = f32x4.splat(0);
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, f32x4.max(v128.load(x), zero));
  if (n) storePart(y, f32x4.max(loadPart(x, n), zero), n);
}

/** dx += dy where y > 0 */
export function f32_relu_grad(y: usize, dy: usize, dx: usize, n: i32): void {
  const zero = f32x4.splat(0);
  for (; n > 0; n -= 4, y += 16, dy += 16, dx += 16) {
    const whole = n >= 4;
    const alive = f32x4.gt(whole ? v128.load(y) : loadPart(y, n), zero);
    const d = v128.and(whole ? v128.load(dy) : loadPart(dy, n), alive);
    const sum = f32x4.add(whole ? v128.load(dx) : loadPart(dx, n), d);
    if (whole) v128.store(dx, sum);
    else storePart(dx, sum, n);
  }
}

/** dx += dy (1 - y^2) */
export function f32_tanh_grad(y: usize, dy: usize, dx: usize, n: i32): void {
  const one = f32x4.splat(1);
  for (; n > 0; n -= 4, y += 16, dy += 16, dx += 16) {
    const whole = n >= 4;
    const v = whole ? v128.load(y) : loadPart(y, n);
    const d = whole ? v128.load(dy) : loadPart(dy, n);
    const sum = madd(d, f32x4.sub(one, f32x4.mul(v, v)), whole ? v128.load(dx) : loadPart(dx, n));
    if (whole) v128.store(dx, sum);
    else storePart(dx, sum, n);
  }
}

/** dx += dy y (1 - y) */
export function f32_sigmoid_grad(y: usize, dy: usize, dx: usize, n: i32): void {
  const one = f32x4.splat(1);
  for (; n > 0; n -= 4, y += 16, dy += 16, dx += 16) {
    const whole = n >= 4;
    const v = whole ? v128.load(y) : loadPart(y, n);
    const d = whole ? v128.load(dy) : loadPart(dy, n);
    const sum = madd(d, f32x4.mul(v, f32x4.sub(one, v)), whole ? v128.load(dx) : loadPart(dx, n));
    if (whole) v128.store(dx, sum);
    else storePart(dx, sum, n);
  }
}
