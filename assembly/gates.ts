// The element-wise part of an LSTM step at inference, one vector of H units, f32; formula and order of gates as in
// lstm.ts.
//
// In passes, each with few constants alive: a single loop over all gates spills registers in V8. Both functions are one:
// a + b / (1 + 2^(k x)), sigmoid with k = -log2 e, a = 0, b = 1, and tanh with k = 2 log2 e, a = 1, b = -2. Two vectors
// at a time share the loads of the constants.
//
// 2^t, t clamped to [-126, 126]: 2^n times a polynomial in f = t - n, |f| <= 1/2, of degree 5, 1 at f = 0, minimax in
// relative error (9.2e-8 before rounding), found by Lawson's iteration. Absolute error of sigmoid and tanh: below 2.5e-7.

import { loadPart, madd, storePart } from './simd';

const C = memory.data<f32>(
  [
    -126.0, -126.0, -126.0, -126.0, //
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

const LOG2E: f32 = 1.44269504;

/** 1 + 2^t */
function onePlusPower(t: v128): v128 {
  // pmin and pmax keep their first operand when the other compares false, so a NaN stays one.
  t = f32x4.pmin(f32x4.pmax(t, v128.load(C)), v128.load(C, 16));
  const magic = v128.load(C, 32);
  const shifted = f32x4.add(t, magic);
  const f = f32x4.sub(t, f32x4.sub(shifted, magic));
  const one = v128.load(C, 128);
  const ff = f32x4.mul(f, f);
  let p = madd(v128.load(C, 48), f, v128.load(C, 64));
  p = madd(p, ff, madd(v128.load(C, 80), f, v128.load(C, 96)));
  p = madd(p, ff, madd(v128.load(C, 112), f, one));
  // The low bits of `shifted` hold n + 127; the shift drops all the others and leaves 2^n.
  return madd(p, i32x4.shl(shifted, 23), one);
}

/** x[n] = a + b / (1 + 2^(k x)), in place */
function squash(x: usize, n: i32, factor: f32, offset: f32, numerator: f32): void {
  const k = f32x4.splat(factor);
  const a = f32x4.splat(offset);
  const b = f32x4.splat(numerator);
  for (; n >= 8; n -= 8, x += 32) {
    let t = f32x4.mul(v128.load(x), k);
    let u = f32x4.mul(v128.load(x, 16), k);
    const low = v128.load(C);
    t = f32x4.pmax(t, low);
    u = f32x4.pmax(u, low);
    const high = v128.load(C, 16);
    t = f32x4.pmin(t, high);
    u = f32x4.pmin(u, high);
    const magic = v128.load(C, 32);
    const tn = f32x4.add(t, magic);
    const un = f32x4.add(u, magic);
    t = f32x4.sub(t, f32x4.sub(tn, magic));
    u = f32x4.sub(u, f32x4.sub(un, magic));
    // Estrin's order: short chains, since the processor looks only so far ahead.
    let c = v128.load(C, 48);
    let d = v128.load(C, 64);
    let p = madd(c, t, d);
    let q = madd(c, u, d);
    c = v128.load(C, 80);
    d = v128.load(C, 96);
    const r = madd(c, t, d);
    const s = madd(c, u, d);
    const tt = f32x4.mul(t, t);
    const uu = f32x4.mul(u, u);
    p = madd(p, tt, r);
    q = madd(q, uu, s);
    c = v128.load(C, 112);
    d = v128.load(C, 128);
    p = madd(p, tt, madd(c, t, d));
    q = madd(q, uu, madd(c, u, d));
    p = madd(p, i32x4.shl(tn, 23), d);
    q = madd(q, i32x4.shl(un, 23), d);
    v128.store(x, f32x4.add(a, f32x4.div(b, p)));
    v128.store(x, f32x4.add(a, f32x4.div(b, q)), 16);
  }
  for (; n > 0; n -= 4, x += 16) {
    const t = f32x4.mul(n >= 4 ? v128.load(x) : loadPart(x, n), k);
    const y = f32x4.add(a, f32x4.div(b, onePlusPower(t)));
    if (n >= 4) v128.store(x, y);
    else storePart(x, y, n);
  }
}

/** a[4H]: W_ih x + W_hh h + b_ih + b_hh on entry, overwritten; c[H] and h[H] are the state, changed in place. */
export function f32_gates(a: usize, c: usize, h: usize, H: i32): void {
  const row = (<usize>H) << 2;
  squash(a, H << 1, -LOG2E, 0, 1);
  squash(a + (row << 1), H, 2 * LOG2E, 1, -2);
  squash(a + row * 3, H, -LOG2E, 0, 1);
  let i = a;
  let to = h;
  for (let n = H; n > 0; n -= 4, i += 16, c += 16, to += 16) {
    if (n >= 4) {
      const ig = f32x4.mul(v128.load(i), v128.load(i + (row << 1)));
      const cell = madd(v128.load(i + row), v128.load(c), ig);
      v128.store(c, cell);
      v128.store(to, cell);
    } else {
      const ig = f32x4.mul(loadPart(i, n), loadPart(i + (row << 1), n));
      const cell = madd(loadPart(i + row, n), loadPart(c, n), ig);
      storePart(c, cell, n);
      storePart(to, cell, n);
    }
  }
  squash(h, H, 2 * LOG2E, 1, -2);
  const o = a + row * 3;
  for (let n = H, at: usize = 0; n > 0; n -= 4, at += 16) {
    if (n >= 4) v128.store(h + at, f32x4.mul(v128.load(h + at), v128.load(o + at)));
    else storePart(h + at, f32x4.mul(loadPart(h + at, n), loadPart(o + at, n)), n);
  }
}
