// The limit of 128-bit SIMD: chains of arithmetic in registers, independent of one another, no memory. In plain SIMD half
// of them multiply and half add, in relaxed SIMD all do both at once. Returns something that depends on all of them, so
// that nothing is optimised away; 1 and 0 are arguments, as V8 rebuilds a constant that it knows at every use.

function multiply(v: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(v, a, b) : f32x4.mul(v, a);
}

function add(v: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(v, a, b) : f32x4.add(v, b);
}

/** 96 n floating-point operations, in relaxed SIMD 192 n. */
export function peak(n: i32, one: f32, zero: f32): f32 {
  const a = f32x4.splat(one);
  const b = f32x4.splat(zero);
  let m0 = f32x4.splat(one + 0.0);
  let m1 = f32x4.splat(one + 1.0);
  let m2 = f32x4.splat(one + 2.0);
  let m3 = f32x4.splat(one + 3.0);
  let m4 = f32x4.splat(one + 4.0);
  let m5 = f32x4.splat(one + 5.0);
  let s0 = f32x4.splat(zero + 0.0);
  let s1 = f32x4.splat(zero + 1.0);
  let s2 = f32x4.splat(zero + 2.0);
  let s3 = f32x4.splat(zero + 3.0);
  let s4 = f32x4.splat(zero + 4.0);
  let s5 = f32x4.splat(zero + 5.0);
  for (; n > 0; --n) {
    m0 = multiply(m0, a, b);
    s0 = add(s0, a, b);
    m1 = multiply(m1, a, b);
    s1 = add(s1, a, b);
    m2 = multiply(m2, a, b);
    s2 = add(s2, a, b);
    m3 = multiply(m3, a, b);
    s3 = add(s3, a, b);
    m4 = multiply(m4, a, b);
    s4 = add(s4, a, b);
    m5 = multiply(m5, a, b);
    s5 = add(s5, a, b);
    m0 = multiply(m0, a, b);
    s0 = add(s0, a, b);
    m1 = multiply(m1, a, b);
    s1 = add(s1, a, b);
    m2 = multiply(m2, a, b);
    s2 = add(s2, a, b);
    m3 = multiply(m3, a, b);
    s3 = add(s3, a, b);
    m4 = multiply(m4, a, b);
    s4 = add(s4, a, b);
    m5 = multiply(m5, a, b);
    s5 = add(s5, a, b);
  }
  m0 = f32x4.add(f32x4.add(m0, m1), f32x4.add(m2, m3));
  s0 = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
  m0 = f32x4.add(f32x4.add(m0, s0), f32x4.add(f32x4.add(m4, m5), f32x4.add(s4, s5)));
  return f32x4.extract_lane(m0, 0);
}
