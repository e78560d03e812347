// The element-wise part of a step of an LSTM or a GRU at inference, for one vector of H units, f32. Formulas and order of
// gates: see lstm.ts and gru.ts.
//
// Each makes several passes, each with few live constants: in a single loop over all gates, V8 spills registers. Sigmoid and
// tanh are those of simd.ts, computed for three vectors at a time, stage by stage: out-of-order execution looks only so far
// ahead, and V8 from version 13 on keeps the order of the source.

import { Constant, constant, flush, get, madd, put, sigmoid4, tanh4 } from './simd';
import { f32_add } from './vector';

/** x[n] = sigmoid(x), in place */
export function sigmoids(x: usize, n: i32): void {
  for (; n >= 12; n -= 12, x += 48) {
    const low = constant(Constant.LowestExponent);
    const high = constant(Constant.Highest);
    const log2e = constant(Constant.Log2E);
    const rounding = constant(Constant.Rounding);
    const ln2 = constant(Constant.Ln2High);
    const ln2Low = constant(Constant.Ln2Low);
    const c5 = constant(Constant.Quintic);
    const c3 = constant(Constant.Cubic);
    const half = constant(Constant.Half);
    const one = constant(Constant.One);
    const a = f32x4.pmin(f32x4.pmax(v128.load(x), low), high);
    const b = f32x4.pmin(f32x4.pmax(v128.load(x, 16), low), high);
    const c = f32x4.pmin(f32x4.pmax(v128.load(x, 32), low), high);
    const aRounded = madd(a, log2e, rounding);
    const bRounded = madd(b, log2e, rounding);
    const cRounded = madd(c, log2e, rounding);
    const an = f32x4.sub(aRounded, rounding);
    const bn = f32x4.sub(bRounded, rounding);
    const cn = f32x4.sub(cRounded, rounding);
    const ar = f32x4.sub(f32x4.sub(a, f32x4.mul(an, ln2)), f32x4.mul(an, ln2Low));
    const br = f32x4.sub(f32x4.sub(b, f32x4.mul(bn, ln2)), f32x4.mul(bn, ln2Low));
    const cr = f32x4.sub(f32x4.sub(c, f32x4.mul(cn, ln2)), f32x4.mul(cn, ln2Low));
    const az = f32x4.mul(ar, ar);
    const bz = f32x4.mul(br, br);
    const cz = f32x4.mul(cr, cr);
    const au = f32x4.mul(madd(madd(c5, az, c3), az, half), ar);
    const bu = f32x4.mul(madd(madd(c5, bz, c3), bz, half), br);
    const cu = f32x4.mul(madd(madd(c5, cz, c3), cz, half), cr);
    const aq = f32x4.mul(i32x4.shl(aRounded, 23), f32x4.add(one, au));
    const bq = f32x4.mul(i32x4.shl(bRounded, 23), f32x4.add(one, bu));
    const cq = f32x4.mul(i32x4.shl(cRounded, 23), f32x4.add(one, cu));
    v128.store(x, f32x4.div(aq, f32x4.add(aq, f32x4.sub(one, au))));
    v128.store(x, f32x4.div(bq, f32x4.add(bq, f32x4.sub(one, bu))), 16);
    v128.store(x, f32x4.div(cq, f32x4.add(cq, f32x4.sub(one, cu))), 32);
  }
  for (; n > 0; n -= 4, x += 16) put(x, sigmoid4(get(x, n)), n, false);
}

/** x[n] = tanh(x), in place */
export function tanhs(x: usize, n: i32): void {
  for (; n >= 12; n -= 12, x += 48) {
    const low = constant(Constant.LowestExponent);
    const high = constant(Constant.Highest);
    const log2e = constant(Constant.Log2E);
    const rounding = constant(Constant.Rounding);
    const ln2 = constant(Constant.Ln2);
    const c5 = constant(Constant.Quintic);
    const c3 = constant(Constant.Cubic);
    const half = constant(Constant.Half);
    const one = constant(Constant.One);
    let a = v128.load(x);
    let b = v128.load(x, 16);
    let c = v128.load(x, 32);
    a = f32x4.pmin(f32x4.pmax(f32x4.add(a, a), low), high);
    b = f32x4.pmin(f32x4.pmax(f32x4.add(b, b), low), high);
    c = f32x4.pmin(f32x4.pmax(f32x4.add(c, c), low), high);
    const aRounded = madd(a, log2e, rounding);
    const bRounded = madd(b, log2e, rounding);
    const cRounded = madd(c, log2e, rounding);
    const ar = f32x4.sub(a, f32x4.mul(f32x4.sub(aRounded, rounding), ln2));
    const br = f32x4.sub(b, f32x4.mul(f32x4.sub(bRounded, rounding), ln2));
    const cr = f32x4.sub(c, f32x4.mul(f32x4.sub(cRounded, rounding), ln2));
    const az = f32x4.mul(ar, ar);
    const bz = f32x4.mul(br, br);
    const cz = f32x4.mul(cr, cr);
    const au = f32x4.mul(madd(madd(c5, az, c3), az, half), ar);
    const bu = f32x4.mul(madd(madd(c5, bz, c3), bz, half), br);
    const cu = f32x4.mul(madd(madd(c5, cz, c3), cz, half), cr);
    const as = i32x4.shl(aRounded, 23);
    const bs = i32x4.shl(bRounded, 23);
    const cs = i32x4.shl(cRounded, 23);
    const aLess = f32x4.sub(as, one);
    const bLess = f32x4.sub(bs, one);
    const cLess = f32x4.sub(cs, one);
    const aMore = f32x4.add(as, one);
    const bMore = f32x4.add(bs, one);
    const cMore = f32x4.add(cs, one);
    v128.store(x, f32x4.div(madd(aMore, au, aLess), madd(aLess, au, aMore)));
    v128.store(x, f32x4.div(madd(bMore, bu, bLess), madd(bLess, bu, bMore)), 16);
    v128.store(x, f32x4.div(madd(cMore, cu, cLess), madd(cLess, cu, cMore)), 32);
  }
  for (; n > 0; n -= 4, x += 16) put(x, tanh4(get(x, n)), n, false);
}

/** a[4H] holds W_ih x + W_hh h + b_ih + b_hh and is overwritten; the state, c[H] and h[H], is updated in place. */
export function f32_lstm_gates(a: usize, c: usize, h: usize, H: i32): void {
  const row = (<usize>H) << 2;
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  sigmoids(a, H << 1);
  tanhs(a + (row << 1), H);
  sigmoids(a + row * 3, H);
  let n = H;
  let i = a;
  let to = h;
  for (; n >= 4; n -= 4, i += 16, c += 16, to += 16) inline.always(cell(i, row, c, to, 4, least, magnitude));
  if (n > 0) cell(i, row, c, to, n, least, magnitude);
  tanhs(h, H);
  let o = a + row * 3;
  for (n = H; n >= 4; n -= 4, h += 16, o += 16) inline.always(output(o, h, 4, least, magnitude));
  if (n > 0) output(o, h, n, least, magnitude);
}

/** c = f c + i g for n <= 4 units; h = c. */
function cell(i: usize, row: usize, c: usize, h: usize, n: i32, least: v128, magnitude: v128): void {
  const ig = f32x4.mul(get(i, n), get(i + (row << 1), n));
  const next = flush(madd(get(i + row, n), get(c, n), ig), least, magnitude);
  put(c, next, n, false);
  put(h, next, n, false);
}

/** h = o h for n <= 4 units. */
function output(o: usize, h: usize, n: i32, least: v128, magnitude: v128): void {
  put(h, flush(f32x4.mul(get(h, n), get(o, n)), least, magnitude), n, false);
}

/**
 * a[3H] holds W_ih x + b_ih and is overwritten, u[3H] holds W_hh h + b_hh; the state h[H] is updated in place.
 */
export function f32_gru_gates(a: usize, u: usize, h: usize, H: i32): void {
  const row = (<usize>H) << 2;
  f32_add(u, a, H << 1);
  sigmoids(a, H << 1);
  const z = a + row;
  const n = z + row;
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  u += row << 1;
  let left = H;
  for (let at: usize = 0; left > 0; left -= 4, at += 16) {
    put(n + at, madd(get(a + at, left), get(u + at, left), get(n + at, left)), left, false);
  }
  tanhs(n, H);
  left = H;
  for (let at: usize = 0; left > 0; left -= 4, at += 16) {
    const next = get(n + at, left);
    const state = madd(get(z + at, left), f32x4.sub(get(h + at, left), next), next);
    put(h + at, flush(state, least, magnitude), left, false);
  }
}
