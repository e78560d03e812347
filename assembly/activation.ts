// The activations that vector.ts lacks, and the gradients of all of them, for n f32 elements. Gradients are computed from
// the outputs y and added to dx. No alignment required; n may be 0.

import { Constant, constant, flush, get, loadPart, put, storePart } from './simd';

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
    put(dx, v128.and(get(dy, n), f32x4.gt(get(y, n), zero)), n, true);
  }
}

/** dx += dy (1 - y^2), see Constant.Tiny */
export function f32_tanh_grad(y: usize, dy: usize, dx: usize, n: i32): void {
  const one = constant(Constant.One);
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (; n > 0; n -= 4, y += 16, dy += 16, dx += 16) {
    const v = get(y, n);
    const slope = f32x4.sub(one, f32x4.mul(v, v));
    put(dx, flush(f32x4.mul(get(dy, n), slope), least, magnitude), n, true);
  }
}

/** dx += dy y (1 - y), see Constant.Tiny */
export function f32_sigmoid_grad(y: usize, dy: usize, dx: usize, n: i32): void {
  const one = constant(Constant.One);
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (; n > 0; n -= 4, y += 16, dy += 16, dx += 16) {
    const v = get(y, n);
    const slope = f32x4.mul(v, f32x4.sub(one, v));
    put(dx, flush(f32x4.mul(get(dy, n), slope), least, magnitude), n, true);
  }
}
