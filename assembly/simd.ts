// Helpers that the kernels inline. Kept out of index.ts: a v128 cannot cross the module's border.

/** Sum of the four lanes, pairwise. */
// @ts-ignore: decorator
@inline
export function sum4(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** [a0, b0, a1, b1] */
// @ts-ignore: decorator
@inline
export function zipLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 4, 1, 5);
}

/** [a2, b2, a3, b3] */
// @ts-ignore: decorator
@inline
export function zipHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 6, 3, 7);
}

/** [a0, a1, b0, b1] */
// @ts-ignore: decorator
@inline
export function joinLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 1, 4, 5);
}

/** [a2, a3, b2, b3] */
// @ts-ignore: decorator
@inline
export function joinHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 3, 6, 7);
}

/** The sums of the lanes of four vectors, each added up as sum4() does. */
// @ts-ignore: decorator
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(zipLow(a, b), zipHigh(a, b));
  const cd = f32x4.add(zipLow(c, d), zipHigh(c, d));
  return f32x4.add(joinLow(ab, cd), joinHigh(ab, cd));
}

/** acc + a * b: rounded twice in plain SIMD; in relaxed SIMD once or twice, as the machine likes. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, acc: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, acc);
  return f32x4.add(f32x4.mul(a, b), acc); // in the order of relaxed_madd, so that gzip sees one binary in the other
}

/** The products of a[n] with each of four others; n is 4, 8, ... or 32, and `width` its bytes. */
// @ts-ignore: decorator
@inline
export function dots4(a: usize, b0: usize, b1: usize, b2: usize, b3: usize, width: usize): v128 {
  let v = v128.load(a);
  let s0 = f32x4.mul(v, v128.load(b0));
  let s1 = f32x4.mul(v, v128.load(b1));
  let s2 = f32x4.mul(v, v128.load(b2));
  let s3 = f32x4.mul(v, v128.load(b3));
  while (width > 16) {
    v = v128.load(a, 16);
    s0 = madd(v, v128.load(b0, 16), s0);
    s1 = madd(v, v128.load(b1, 16), s1);
    s2 = madd(v, v128.load(b2, 16), s2);
    s3 = madd(v, v128.load(b3, 16), s3);
    if (width === 32) break;
    v = v128.load(a, 32);
    s0 = madd(v, v128.load(b0, 32), s0);
    s1 = madd(v, v128.load(b1, 32), s1);
    s2 = madd(v, v128.load(b2, 32), s2);
    s3 = madd(v, v128.load(b3, 32), s3);
    if (width === 48) break;
    v = v128.load(a, 48);
    s0 = madd(v, v128.load(b0, 48), s0);
    s1 = madd(v, v128.load(b1, 48), s1);
    s2 = madd(v, v128.load(b2, 48), s2);
    s3 = madd(v, v128.load(b3, 48), s3);
    if (width === 64) break;
    v = v128.load(a, 64);
    s0 = madd(v, v128.load(b0, 64), s0);
    s1 = madd(v, v128.load(b1, 64), s1);
    s2 = madd(v, v128.load(b2, 64), s2);
    s3 = madd(v, v128.load(b3, 64), s3);
    if (width === 80) break;
    v = v128.load(a, 80);
    s0 = madd(v, v128.load(b0, 80), s0);
    s1 = madd(v, v128.load(b1, 80), s1);
    s2 = madd(v, v128.load(b2, 80), s2);
    s3 = madd(v, v128.load(b3, 80), s3);
    if (width === 96) break;
    v = v128.load(a, 96);
    s0 = madd(v, v128.load(b0, 96), s0);
    s1 = madd(v, v128.load(b1, 96), s1);
    s2 = madd(v, v128.load(b2, 96), s2);
    s3 = madd(v, v128.load(b3, 96), s3);
    if (width === 112) break;
    v = v128.load(a, 112);
    s0 = madd(v, v128.load(b0, 112), s0);
    s1 = madd(v, v128.load(b1, 112), s1);
    s2 = madd(v, v128.load(b2, 112), s2);
    s3 = madd(v, v128.load(b3, 112), s3);
    break;
  }
  return sums4(s0, s1, s2, s3);
}

// Constants of exp4, one vector each. V8 rebuilds f32x4.splat(constant) inside loops; a load is free beside the
// arithmetic.
const EXP = memory.data<f32>(
  [
    -87.0, -87.0, -87.0, -87.0, // below: 1.6e-38, the smallest result
    88.0, 88.0, 88.0, 88.0, // above: 1.7e38, the largest
    1.44269504, 1.44269504, 1.44269504, 1.44269504, // 1 / ln 2
    12583039.0, 12583039.0, 12583039.0, 12583039.0, // 1.5 * 2^23 + 127: adding it rounds to an integer, biased as an exponent is
    0.693359375, 0.693359375, 0.693359375, 0.693359375, // ln 2, high part: n times it is exact
    -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, // ln 2, low part
    1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4, 1.9875691500e-4,
    1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3, 1.3981999507e-3,
    8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3, 8.3334519073e-3,
    4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2, 4.1665795894e-2,
    1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1, 1.6666665459e-1,
    0.5, 0.5, 0.5, 0.5,
    1.0, 1.0, 1.0, 1.0,
    2.0, 2.0, 2.0, 2.0,
  ],
  16,
);

/**
 * e^x, relative error below 2e-7 for x in [-87, 88], clamped outside: x = n ln 2 + r, a polynomial of degree 7 in r,
 * times 2^n. Coefficients: Cephes, expf.c.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax keep their first operand when the other compares false, so a NaN stays one.
  x = f32x4.pmin(f32x4.pmax(x, v128.load(EXP)), v128.load(EXP, 16));
  const magic = v128.load(EXP, 48);
  const shifted = f32x4.add(f32x4.mul(x, v128.load(EXP, 32)), magic);
  const n = f32x4.sub(shifted, magic);
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, v128.load(EXP, 64))), f32x4.mul(n, v128.load(EXP, 80)));
  let p = madd(v128.load(EXP, 96), r, v128.load(EXP, 112));
  p = madd(p, r, v128.load(EXP, 128));
  p = madd(p, r, v128.load(EXP, 144));
  p = madd(p, r, v128.load(EXP, 160));
  p = madd(p, r, v128.load(EXP, 176));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), v128.load(EXP, 192));
  // The low bits of `shifted` hold n + 127; the shift drops all the others and leaves 2^n. Multiplied, not added to the
  // exponent's bits: the low bits of a NaN may be anything, and added they would make it a number.
  return f32x4.mul(p, i32x4.shl(shifted, 23));
}

/** 1 / (1 + e^-x) */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = v128.load(EXP, 192);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** 1 - 2 / (1 + e^2x): absolute error below 2e-7. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const one = v128.load(EXP, 192);
  return f32x4.sub(one, f32x4.div(v128.load(EXP, 208), f32x4.add(one, exp4(f32x4.add(x, x)))));
}

// Constants of onePlusPower, one vector each.
export const POWER = memory.data<f32>(
  [
    -126.0, -126.0, -126.0, -126.0,
    126.0, 126.0, 126.0, 126.0,
    12583039.0, 12583039.0, 12583039.0, 12583039.0, // 1.5 * 2^23 + 127: adding it rounds, biased as an exponent is
    0.0013264713, 0.0013264713, 0.0013264713, 0.0013264713,
    0.009671523, 0.009671523, 0.009671523, 0.009671523,
    0.05550734, 0.05550734, 0.05550734, 0.05550734,
    0.24022242, 0.24022242, 0.24022242, 0.24022242,
    0.693147, 0.693147, 0.693147, 0.693147,
    1.0, 1.0, 1.0, 1.0,
  ],
  16,
);

/**
 * 1 + 2^t, t clamped to [-126, 126]: 2^n times a polynomial in f = t - n, |f| <= 1/2, of degree 5, 1 at f = 0, minimax in
 * relative error (9.2e-8 before rounding), found by Lawson's iteration.
 */
// @ts-ignore: decorator
@inline
export function onePlusPower(t: v128): v128 {
  // pmin and pmax keep their first operand when the other compares false, so a NaN stays one.
  t = f32x4.pmin(f32x4.pmax(t, v128.load(POWER)), v128.load(POWER, 16));
  const magic = v128.load(POWER, 32);
  const shifted = f32x4.add(t, magic);
  const f = f32x4.sub(t, f32x4.sub(shifted, magic));
  const one = v128.load(POWER, 128);
  const ff = f32x4.mul(f, f);
  let p = madd(v128.load(POWER, 48), f, v128.load(POWER, 64));
  p = madd(p, ff, madd(v128.load(POWER, 80), f, v128.load(POWER, 96)));
  p = madd(p, ff, madd(v128.load(POWER, 112), f, one));
  // The low bits of `shifted` hold n + 127; the shift drops all the others and leaves 2^n.
  return madd(p, i32x4.shl(shifted, 23), one);
}

/** The n < 4 first lanes from ptr, zero in the others: nothing past the array is read. */
// @ts-ignore: decorator
@inline
export function loadPart(ptr: usize, n: i32): v128 {
  let v = v128.load32_zero(ptr);
  if (n > 1) v = v128.load_lane<f32>(ptr, v, 1, 4);
  if (n > 2) v = v128.load_lane<f32>(ptr, v, 2, 8);
  return v;
}

/** Writes the n < 4 first lanes. */
// @ts-ignore: decorator
@inline
export function storePart(ptr: usize, v: v128, n: i32): void {
  v128.store_lane<f32>(ptr, v, 0);
  if (n > 1) v128.store_lane<f32>(ptr, v, 1, 4);
  if (n > 2) v128.store_lane<f32>(ptr, v, 2, 8);
}

/** to (+)= v, all four lanes, or the n first where fewer than four are left. */
// @ts-ignore: decorator
@inline
export function put(to: usize, v: v128, n: i32, accumulate: bool): void {
  if (n >= 4) v128.store(to, accumulate ? f32x4.add(v, v128.load(to)) : v);
  else storePart(to, accumulate ? f32x4.add(v, loadPart(to, n)) : v, n);
}

/** Lanes of ones where the mask's bytes are not 0; n <= 4 bytes are read. */
// @ts-ignore: decorator
@inline
export function alive(mask: usize, n: i32): v128 {
  let v = i32x4.splat(load<u8>(mask));
  if (n > 1) v = i32x4.replace_lane(v, 1, load<u8>(mask, 1));
  if (n > 2) v = i32x4.replace_lane(v, 2, load<u8>(mask, 2));
  if (n > 3) v = i32x4.replace_lane(v, 3, load<u8>(mask, 3));
  return i32x4.ne(v, i32x4.splat(0));
}
