import { loadPart } from './simd';

/**
 * Returns the largest magnitude of n floats, 0 for n = 0. Infinity and NaN count as larger than all other numbers, as their
 * bits are when compared as integers.
 */
export function f32_largest(x: usize, n: i32): f32 {
  let top = i32x4.splat(0);
  for (; n >= 4; n -= 4, x += 16) top = i32x4.max_s(top, f32x4.abs(v128.load(x)));
  if (n > 0) top = i32x4.max_s(top, f32x4.abs(loadPart(x, n)));
  const low = max(i32x4.extract_lane(top, 0), i32x4.extract_lane(top, 1));
  return reinterpret<f32>(max(low, max(i32x4.extract_lane(top, 2), i32x4.extract_lane(top, 3))));
}
