import { loadPart } from './simd';

/** The largest magnitude of n floats; 0 of none. */
export function f32_largest(x: usize, n: i32): f32 {
  let top = f32x4.splat(0);
  for (; n >= 4; n -= 4, x += 16) top = f32x4.pmax(top, f32x4.abs(v128.load(x)));
  if (n > 0) top = f32x4.pmax(top, f32x4.abs(loadPart(x, n)));
  const low = max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1));
  return max(low, max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)));
}
