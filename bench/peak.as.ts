// The limit of 128-bit SIMD without fused multiply-add: twelve independent chains of a multiplication and an addition
// in registers, no memory. Returns something that depends on all of them, so that nothing is optimised away.

/** 96 n floating-point operations. */
export function peak(n: i32): f32 {
  const a = f32x4.splat(0.999);
  const b = f32x4.splat(0.001);
  let s0 = f32x4.splat(1.0);
  let s1 = f32x4.splat(1.1);
  let s2 = f32x4.splat(1.2);
  let s3 = f32x4.splat(1.3);
  let s4 = f32x4.splat(1.4);
  let s5 = f32x4.splat(1.5);
  let s6 = f32x4.splat(1.6);
  let s7 = f32x4.splat(1.7);
  let s8 = f32x4.splat(1.8);
  let s9 = f32x4.splat(1.9);
  let s10 = f32x4.splat(2.0);
  let s11 = f32x4.splat(2.1);
  for (; n > 0; --n) {
    s0 = f32x4.add(f32x4.mul(s0, a), b);
    s1 = f32x4.add(f32x4.mul(s1, a), b);
    s2 = f32x4.add(f32x4.mul(s2, a), b);
    s3 = f32x4.add(f32x4.mul(s3, a), b);
    s4 = f32x4.add(f32x4.mul(s4, a), b);
    s5 = f32x4.add(f32x4.mul(s5, a), b);
    s6 = f32x4.add(f32x4.mul(s6, a), b);
    s7 = f32x4.add(f32x4.mul(s7, a), b);
    s8 = f32x4.add(f32x4.mul(s8, a), b);
    s9 = f32x4.add(f32x4.mul(s9, a), b);
    s10 = f32x4.add(f32x4.mul(s10, a), b);
    s11 = f32x4.add(f32x4.mul(s11, a), b);
  }
  s0 = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
  s4 = f32x4.add(f32x4.add(s4, s5), f32x4.add(s6, s7));
  s8 = f32x4.add(f32x4.add(s8, s9), f32x4.add(s10, s11));
  return f32x4.extract_lane(f32x4.add(f32x4.add(s0, s4), s8), 0);
}
