// Helpers that the kernels inline. Kept out of index.ts: a v128 cannot cross the module's border.

// Constants, one vector each. V8 builds f32x4.splat(constant) again at every use, inside loops too. Kernels load constants
// before their loops instead, or inside where registers are scarce: a load is free beside the arithmetic.
const CONSTANTS = memory.data<f32>(
  [
    1.0, 1.0, 1.0, 1.0,
    0.5, 0.5, 0.5, 0.5,
    -87.0, -87.0, -87.0, -87.0, // e^-87 = 1.6e-38 is normal
    87.0, 87.0, 87.0, 87.0,
    88.0, 88.0, 88.0, 88.0, // e^88 = 1.7e38 is finite
    1.44269504, 1.44269504, 1.44269504, 1.44269504, // 1 / ln 2
    12583039.0, 12583039.0, 12583039.0, 12583039.0, // 1.5 * 2^23 + 127: adding it rounds to an integer, biased as an exponent is
    0.69314718, 0.69314718, 0.69314718, 0.69314718, // ln 2
    0.693359375, 0.693359375, 0.693359375, 0.693359375, // its high part: integers below 2^15 times it are exact
    -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, // its low part
    -0.0416640910, -0.0416640910, -0.0416640910, -0.0416640910, // of halfTanh
    0.00409708265, 0.00409708265, 0.00409708265, 0.00409708265,
    reinterpret<f32>(0x7fffffff), reinterpret<f32>(0x7fffffff), reinterpret<f32>(0x7fffffff), reinterpret<f32>(0x7fffffff),
    3.4694470e-18, 3.4694470e-18, 3.4694470e-18, 3.4694470e-18, // 2^-58
    1.17549435e-38, 1.17549435e-38, 1.17549435e-38, 1.17549435e-38, // 2^-126
  ],
  16,
);

/** The constants' offsets, in bytes. */
export enum Constant {
  One = 0,
  Half = 16,
  LowestExponent = 32,
  Highest = 48, // of sigmoid and tanh
  HighestExponent = 64,
  Log2E = 80,
  Rounding = 96,
  Ln2 = 112,
  Ln2High = 128,
  Ln2Low = 144,
  Cubic = 160,
  Quintic = 176,
  /** All bits but the sign */
  Magnitude = 192,
  /**
   * 2^-58. Numbers that decay, or that span many orders of magnitude, are flushed to 0 below it, before a matrix is
   * multiplied by them or the next step reads them. Arithmetic on denormals, below 2^-126, is up to 150 times slower, and
   * they do not go away: 0.9 times a small multiple of 2^-149 rounds to the same number. The product of two numbers of at
   * least 2^-58, and even (1 - 0.999) times the square of one, is normal.
   */
  Tiny = 208,
  /** 2^-126, the smallest normal number */
  Smallest = 224,
}

// @ts-ignore: decorator
@inline
export function constant(offset: Constant): v128 {
  return v128.load(CONSTANTS + <usize>offset);
}

/** The sum of the four lanes, added pairwise. */
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

/** The sums of the lanes of four vectors, each computed as by sum4(). */
// @ts-ignore: decorator
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(zipLow(a, b), zipHigh(a, b));
  const cd = f32x4.add(zipLow(c, d), zipHigh(c, d));
  return f32x4.add(joinLow(ab, cd), joinHigh(ab, cd));
}

/** Adds two numbers each to rows `row` bytes apart, or only the first of both where `left` is 1. */
export function addPairs(y: usize, row: usize, pairs: v128, left: i32): void {
  if (left > 1) {
    v128.store64_lane(y, f32x4.add(v128.load64_zero(y), pairs), 0);
    const high = v128.shuffle<f32>(pairs, pairs, 2, 3, 2, 3);
    v128.store64_lane(y + row, f32x4.add(v128.load64_zero(y + row), high), 0);
  } else {
    store<f32>(y, load<f32>(y) + f32x4.extract_lane(pairs, 0));
    store<f32>(y + row, load<f32>(y + row) + f32x4.extract_lane(pairs, 2));
  }
}

/**
 * acc + a * b: rounded twice in plain SIMD, once or twice in relaxed SIMD, depending on the machine.
 *
 * It compiles to two placeholder instructions, which nothing else may use. src/wasm/binary.ts replaces them by f32x4.mul and
 * f32x4.add, or by nothing and f32x4.relaxed_madd, so that a bundle contains both binaries as one.
 */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, acc: v128): v128 {
  return f64x2.pmax(f64x2.pmin(a, b), acc);
}

/** x, or 0 where |x| < least; NaN stays NaN. `magnitude` is Constant.Magnitude. */
// @ts-ignore: decorator
@inline
export function flush(x: v128, least: v128, magnitude: v128): v128 {
  return v128.andnot(x, f32x4.lt(v128.and(x, magnitude), least));
}

/** x >= 0, or 0 where x < least; NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function flushPositive(x: v128, least: v128): v128 {
  return v128.andnot(x, f32x4.lt(x, least));
}

/** The dot products of a[n] with four other vectors; n is 4, 8, ... or 32, and `width` its size in bytes. */
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

// Exponential, sigmoid and tanh. With x = n ln 2 + r, |r| <= ln(2) / 2, s = 2^n and u = tanh(r / 2), e^x is s (1 + u) / (1 - u),
// and a short odd polynomial approximates u. Nearly equal numbers are never subtracted, so all three have small relative
// errors, and tanh(x) is x for tiny x. gates.ts repeats sigmoid and tanh for three vectors at a time.

/** x clamped to [low, high]. pmin and pmax keep their first operand when the comparison is false, so NaN stays NaN. */
// @ts-ignore: decorator
@inline
function clamp(x: v128, low: v128, high: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, low), high);
}

/** n, which is x / ln 2 rounded to an integer, plus Constant.Rounding. */
// @ts-ignore: decorator
@inline
function roundedLog2(x: v128): v128 {
  return madd(x, constant(Constant.Log2E), constant(Constant.Rounding));
}

/**
 * 2^n. The low bits of `rounded` hold n + 127; the shift drops the others. Callers multiply by it instead of adding to the
 * bits of an exponent: the low bits of NaN are arbitrary, and adding them could turn it into a number.
 */
// @ts-ignore: decorator
@inline
function powerOf2(rounded: v128): v128 {
  return i32x4.shl(rounded, 23);
}

/** x - n ln 2, with ln 2 in two parts. */
// @ts-ignore: decorator
@inline
function remainder(x: v128, rounded: v128): v128 {
  const n = f32x4.sub(rounded, constant(Constant.Rounding));
  const r = f32x4.sub(x, f32x4.mul(n, constant(Constant.Ln2High)));
  return f32x4.sub(r, f32x4.mul(n, constant(Constant.Ln2Low)));
}

/** tanh(r / 2) for |r| <= 0.34662: r times a minimax polynomial in r^2 (Remez; relative error 5.6e-8). */
// @ts-ignore: decorator
@inline
function halfTanh(r: v128): v128 {
  const z = f32x4.mul(r, r);
  const p = madd(madd(constant(Constant.Quintic), z, constant(Constant.Cubic)), z, constant(Constant.Half));
  return f32x4.mul(p, r);
}

/** e^x; relative error below 2e-7 for x in [-87, 88], clamped outside. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  x = clamp(x, constant(Constant.LowestExponent), constant(Constant.HighestExponent));
  const rounded = roundedLog2(x);
  const u = halfTanh(remainder(x, rounded));
  const one = constant(Constant.One);
  return f32x4.div(f32x4.mul(powerOf2(rounded), f32x4.add(one, u)), f32x4.sub(one, u));
}

/** 1 / (1 + e^-x) = q / (q + 1 - u), q = s (1 + u); relative error below 4e-7 for x >= -87, else 1.6e-38. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  x = clamp(x, constant(Constant.LowestExponent), constant(Constant.Highest));
  const rounded = roundedLog2(x);
  const u = halfTanh(remainder(x, rounded));
  const one = constant(Constant.One);
  const q = f32x4.mul(powerOf2(rounded), f32x4.add(one, u));
  return f32x4.div(q, f32x4.add(q, f32x4.sub(one, u)));
}

/** tanh(x) = (s - 1 + (s + 1) u) / (s + 1 + (s - 1) u), with s and u of 2 x; relative error below 4e-7 everywhere. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  x = clamp(f32x4.add(x, x), constant(Constant.LowestExponent), constant(Constant.Highest));
  const rounded = roundedLog2(x);
  // ln 2 in one part: the error grows with n, but so does |tanh(x)|, to 1.
  const n = f32x4.sub(rounded, constant(Constant.Rounding));
  const u = halfTanh(f32x4.sub(x, f32x4.mul(n, constant(Constant.Ln2))));
  const one = constant(Constant.One);
  const s = powerOf2(rounded);
  const less = f32x4.sub(s, one);
  const more = f32x4.add(s, one);
  return f32x4.div(madd(more, u, less), madd(less, u, more));
}

/** The first n < 4 lanes from ptr, zero in the others. Reads nothing past the array. */
// @ts-ignore: decorator
@inline
export function loadPart(ptr: usize, n: i32): v128 {
  let v = v128.load32_zero(ptr);
  if (n > 1) v = v128.load_lane<f32>(ptr, v, 1, 4);
  if (n > 2) v = v128.load_lane<f32>(ptr, v, 2, 8);
  return v;
}

/** Stores the first n < 4 lanes. */
// @ts-ignore: decorator
@inline
export function storePart(ptr: usize, v: v128, n: i32): void {
  v128.store_lane<f32>(ptr, v, 0);
  if (n > 1) v128.store_lane<f32>(ptr, v, 1, 4);
  if (n > 2) v128.store_lane<f32>(ptr, v, 2, 8);
}

/** Loads four lanes, or the first n if n < 4, with zero in the others. */
// @ts-ignore: decorator
@inline
export function get(from: usize, n: i32): v128 {
  return n >= 4 ? v128.load(from) : loadPart(from, n);
}

/** to (+)= v for all four lanes, or for the first n if n < 4. */
// @ts-ignore: decorator
@inline
export function put(to: usize, v: v128, n: i32, accumulate: bool): void {
  if (n >= 4) v128.store(to, accumulate ? f32x4.add(v, v128.load(to)) : v);
  else storePart(to, accumulate ? f32x4.add(v, loadPart(to, n)) : v, n);
}

/** Lanes of ones where the bytes of the mask are not 0. Reads n <= 4 bytes. */
// @ts-ignore: decorator
@inline
export function alive(mask: usize, n: i32): v128 {
  let v = i32x4.splat(load<u8>(mask));
  if (n > 1) v = i32x4.replace_lane(v, 1, load<u8>(mask, 1));
  if (n > 2) v = i32x4.replace_lane(v, 2, load<u8>(mask, 2));
  if (n > 3) v = i32x4.replace_lane(v, 3, load<u8>(mask, 3));
  return i32x4.ne(v, i32x4.splat(0));
}
