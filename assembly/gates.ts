// The element-wise part of an LSTM step at inference, one vector of H units, f32; formula and order of gates as in
// lstm.ts.
//
// In passes, each with few constants alive: a single loop over all gates spills registers in V8. Both functions are one:
// a + b / (1 + 2^(k x)), sigmoid with k = -log2 e, a = 0, b = 1, and tanh with k = 2 log2 e, a = 1, b = -2. Two vectors
// at a time share the loads of the constants.
//
// Absolute error of sigmoid and tanh: below 5e-7, which test/infer/kernels.test.ts checks.

import { loadPart, madd, onePlusPower, POWER, storePart } from './simd';

const LOG2E: f32 = 1.44269504;

/** x[n] = a + b / (1 + 2^(k x)), in place */
function squash(x: usize, n: i32, factor: f32, offset: f32, numerator: f32): void {
  const k = f32x4.splat(factor);
  const a = f32x4.splat(offset);
  const b = f32x4.splat(numerator);
  for (; n >= 8; n -= 8, x += 32) {
    let t = f32x4.mul(v128.load(x), k);
    let u = f32x4.mul(v128.load(x, 16), k);
    const low = v128.load(POWER);
    t = f32x4.pmax(t, low);
    u = f32x4.pmax(u, low);
    const high = v128.load(POWER, 16);
    t = f32x4.pmin(t, high);
    u = f32x4.pmin(u, high);
    const magic = v128.load(POWER, 32);
    const tn = f32x4.add(t, magic);
    const un = f32x4.add(u, magic);
    t = f32x4.sub(t, f32x4.sub(tn, magic));
    u = f32x4.sub(u, f32x4.sub(un, magic));
    // Estrin's order: short chains, since the processor looks only so far ahead.
    let c = v128.load(POWER, 48);
    let d = v128.load(POWER, 64);
    let p = madd(c, t, d);
    let q = madd(c, u, d);
    c = v128.load(POWER, 80);
    d = v128.load(POWER, 96);
    const r = madd(c, t, d);
    const s = madd(c, u, d);
    const tt = f32x4.mul(t, t);
    const uu = f32x4.mul(u, u);
    p = madd(p, tt, r);
    q = madd(q, uu, s);
    c = v128.load(POWER, 112);
    d = v128.load(POWER, 128);
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
