// The element-wise part of an LSTM step at inference, one vector of H units, f32; formula and order of gates as in
// lstm.ts.
//
// In passes, each with few constants alive: a single loop over all gates spills registers in V8. Three vectors at a time
// hide latencies.

import { flush, get, madd, put, sigmoid4, tanh4 } from './simd';

/** x[n] = sigmoid(x), in place */
function sigmoids(x: usize, n: i32): void {
  for (; n >= 12; n -= 12, x += 48) {
    const a0 = sigmoid4(v128.load(x));
    const a1 = sigmoid4(v128.load(x, 16));
    const a2 = sigmoid4(v128.load(x, 32));
    v128.store(x, a0);
    v128.store(x, a1, 16);
    v128.store(x, a2, 32);
  }
  for (; n > 0; n -= 4, x += 16) put(x, sigmoid4(get(x, n)), n, false);
}

/** x[n] = tanh(x), in place */
function tanhs(x: usize, n: i32): void {
  for (; n >= 12; n -= 12, x += 48) {
    const a0 = tanh4(v128.load(x));
    const a1 = tanh4(v128.load(x, 16));
    const a2 = tanh4(v128.load(x, 32));
    v128.store(x, a0);
    v128.store(x, a1, 16);
    v128.store(x, a2, 32);
  }
  for (; n > 0; n -= 4, x += 16) put(x, tanh4(get(x, n)), n, false);
}

/** a[4H]: W_ih x + W_hh h + b_ih + b_hh on entry, overwritten; c[H] and h[H] are the state, changed in place. */
export function f32_gates(a: usize, c: usize, h: usize, H: i32): void {
  const row = (<usize>H) << 2;
  sigmoids(a, H << 1);
  tanhs(a + (row << 1), H);
  sigmoids(a + row * 3, H);
  let n = H;
  let i = a;
  let to = h;
  for (; n >= 4; n -= 4, i += 16, c += 16, to += 16) inline.always(cell(i, row, c, to, 4));
  if (n > 0) cell(i, row, c, to, n);
  tanhs(h, H);
  let o = a + row * 3;
  for (n = H; n >= 4; n -= 4, h += 16, o += 16) inline.always(output(o, h, 4));
  if (n > 0) output(o, h, n);
}

/** c = f c + i g for n <= 4 units; h = c. */
function cell(i: usize, row: usize, c: usize, h: usize, n: i32): void {
  const ig = f32x4.mul(get(i, n), get(i + (row << 1), n));
  const next = flush(madd(get(i + row, n), get(c, n), ig));
  put(c, next, n, false);
  put(h, next, n, false);
}

/** h = o h for n <= 4 units. */
function output(o: usize, h: usize, n: i32): void {
  put(h, flush(f32x4.mul(get(h, n), get(o, n))), n, false);
}
