// Operations on vectors of n f32 elements, and on rows of them. No alignment required; n may be 0. Sums are computed in f64.

import { alive, exp4, loadPart, sigmoid4, storePart, tanh4 } from './simd';

/** y += x */
export function f32_add(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(x)));
  if (n) storePart(y, f32x4.add(loadPart(y, n), loadPart(x, n)), n);
}

/** y = a x */
export function f32_scale(a: f32, x: usize, y: usize, n: i32): void {
  const s = f32x4.splat(a);
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, f32x4.mul(s, v128.load(x)));
  if (n) storePart(y, f32x4.mul(s, loadPart(x, n)), n);
}

/** y = e^x, see exp4 in simd.ts */
export function f32_exp(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, exp4(v128.load(x)));
  if (n) storePart(y, exp4(loadPart(x, n)), n);
}

export function f32_sigmoid(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, sigmoid4(v128.load(x)));
  if (n) storePart(y, sigmoid4(loadPart(x, n)), n);
}

export function f32_tanh(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, y += 16) v128.store(y, tanh4(v128.load(x)));
  if (n) storePart(y, tanh4(loadPart(x, n)), n);
}

/** x = sign(x) max(abs(x) - a, 0), a >= 0: the proximal step of L1 */
export function f32_shrink(x: usize, n: i32, a: f32): void {
  const least = f32x4.splat(a);
  for (; n >= 4; n -= 4, x += 16) v128.store(x, inline.always(shrink(v128.load(x), least)));
  if (n) storePart(x, shrink(loadPart(x, n), least), n);
}

function shrink(v: v128, least: v128): v128 {
  // What remains of the magnitude, with the sign of v.
  const rest = f32x4.max(f32x4.sub(f32x4.abs(v), least), f32x4.splat(0));
  return v128.or(rest, v128.and(v, f32x4.splat(-0.0)));
}

/** sum of x y */
export function f32_dot(x: usize, y: usize, n: i32): f64 {
  let s = f64x2.splat(0);
  for (; n >= 4; n -= 4, x += 16, y += 16) {
    const a = v128.load(x);
    const b = v128.load(y);
    s = f64x2.add(s, f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)));
    const high = f64x2.promote_low_f32x4(v128.shuffle<f32>(a, a, 2, 3, 2, 3));
    s = f64x2.add(s, f64x2.mul(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(b, b, 2, 3, 2, 3))));
  }
  let total = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
  for (; n > 0; --n, x += 4, y += 4) total += <f64>load<f32>(x) * <f64>load<f32>(y);
  return total;
}

/** f64 at `sum` += sum of x y, [R,N] each */
export function f32_dot_add(x: usize, y: usize, sum: usize, R: i32, N: i32): void {
  store<f64>(sum, load<f64>(sum) + f32_dot(x, y, R * N));
}

/** f64 at `sum` += a */
export function f64_add(a: i32, sum: usize): void {
  store<f64>(sum, load<f64>(sum) + <f64>a);
}

/** sum of x */
export function f32_sum(x: usize, n: i32): f64 {
  let total: f64 = 0;
  for (; n > 0; --n, x += 4) total += <f64>load<f32>(x);
  return total;
}

/** sum of x^2, for clipping by the global norm */
export function f32_sum_squares(x: usize, n: i32): f64 {
  let s0 = f64x2.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; n >= 8; n -= 8, x += 32) {
    const a = v128.load(x);
    const b = v128.load(x, 16);
    const a0 = f64x2.promote_low_f32x4(a);
    const a1 = f64x2.promote_low_f32x4(v128.shuffle<f32>(a, a, 2, 3, 2, 3));
    const b0 = f64x2.promote_low_f32x4(b);
    const b1 = f64x2.promote_low_f32x4(v128.shuffle<f32>(b, b, 2, 3, 2, 3));
    s0 = f64x2.add(s0, f64x2.mul(a0, a0));
    s1 = f64x2.add(s1, f64x2.mul(a1, a1));
    s2 = f64x2.add(s2, f64x2.mul(b0, b0));
    s3 = f64x2.add(s3, f64x2.mul(b1, b1));
  }
  s0 = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3));
  let total = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  for (; n > 0; --n, x += 4) total += <f64>load<f32>(x) * <f64>load<f32>(x);
  return total;
}

/** y[R,N] = 0 */
export function f32_zero(y: usize, R: i32, N: i32): void {
  memory.fill(y, 0, (<usize>(R * N)) << 2);
}

/** y[r] = x[N] in each of R rows: a bias, to which products are then added. */
export function f32_set_rows(x: usize, y: usize, R: i32, N: i32): void {
  const row = (<usize>N) << 2;
  for (let r = 0; r < R; ++r, y += row) memory.copy(y, x, row);
}

/** y[N] += sum over the R rows of x[R,N]: the gradient of a bias. */
export function f32_add_rows(x: usize, y: usize, R: i32, N: i32): void {
  const row = (<usize>N) << 2;
  for (let r = 0; r < R; ++r, x += row) f32_add(x, y, N);
}

/** x = 0 where mask, u8[n], is 0 */
export function f32_mask(mask: usize, x: usize, n: i32): void {
  for (; n >= 4; n -= 4, mask += 4, x += 16) v128.store(x, v128.and(alive(mask, 4), v128.load(x)));
  if (n) storePart(x, v128.and(alive(mask, n), loadPart(x, n)), n);
}

/** y[r ldy + j] (+)= x[r ldx + j], j < N: a block of columns of one matrix into one of another. */
export function f32_copy_columns(x: usize, ldx: i32, y: usize, ldy: i32, R: i32, N: i32, accumulate: bool): void {
  const stepX = (<usize>ldx) << 2;
  const stepY = (<usize>ldy) << 2;
  for (let r = 0; r < R; ++r, x += stepX, y += stepY) {
    if (accumulate) f32_add(x, y, N);
    else memory.copy(y, x, (<usize>N) << 2);
  }
}
