// The limit of 128-bit SIMD without fused multiply-add: chains of multiplications and chains of additions in registers,
// independent of one another, no memory. Returns something that depends on all of them, so that nothing is optimised
// away.

/** 96 n floating-point operations. */
export function peak(n: i32): f32 {
  const a = f32x4.splat(0.999);
  const b = f32x4.splat(0.001);
  let m0 = f32x4.splat(1.0);
  let m1 = f32x4.splat(1.1);
  let m2 = f32x4.splat(1.2);
  let m3 = f32x4.splat(1.3);
  let m4 = f32x4.splat(1.4);
  let m5 = f32x4.splat(1.5);
  let s0 = f32x4.splat(2.0);
  let s1 = f32x4.splat(2.1);
  let s2 = f32x4.splat(2.2);
  let s3 = f32x4.splat(2.3);
  let s4 = f32x4.splat(2.4);
  let s5 = f32x4.splat(2.5);
  for (; n > 0; --n) {
    m0 = f32x4.mul(m0, a);
    s0 = f32x4.add(s0, b);
    m1 = f32x4.mul(m1, a);
    s1 = f32x4.add(s1, b);
    m2 = f32x4.mul(m2, a);
    s2 = f32x4.add(s2, b);
    m3 = f32x4.mul(m3, a);
    s3 = f32x4.add(s3, b);
    m4 = f32x4.mul(m4, a);
    s4 = f32x4.add(s4, b);
    m5 = f32x4.mul(m5, a);
    s5 = f32x4.add(s5, b);
    m0 = f32x4.mul(m0, a);
    s0 = f32x4.add(s0, b);
    m1 = f32x4.mul(m1, a);
    s1 = f32x4.add(s1, b);
    m2 = f32x4.mul(m2, a);
    s2 = f32x4.add(s2, b);
    m3 = f32x4.mul(m3, a);
    s3 = f32x4.add(s3, b);
    m4 = f32x4.mul(m4, a);
    s4 = f32x4.add(s4, b);
    m5 = f32x4.mul(m5, a);
    s5 = f32x4.add(s5, b);
  }
  m0 = f32x4.add(f32x4.add(m0, m1), f32x4.add(m2, m3));
  s0 = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
  m0 = f32x4.add(f32x4.add(m0, s0), f32x4.add(f32x4.add(m4, m5), f32x4.add(s4, s5)));
  return f32x4.extract_lane(m0, 0);
}
