import { Constant, constant, flush, get, put } from './simd';

/** Sets x[n] to 0 where |x| < 2^-58, see Constant.Tiny: for vectors that a user passes in. */
export function f32_flush(x: usize, n: i32): void {
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (; n > 0; n -= 4, x += 16) put(x, flush(get(x, n), least, magnitude), n, false);
}
