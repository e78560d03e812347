// The element-wise part of an LSTM step at inference, one vector of H units, f32; formula and order of gates as in
// lstm.ts.
//
// In passes, each with few constants alive: a single loop over all gates spills registers in V8.

import { loadPart, madd, sigmoid4, storePart, tanh4 } from './simd';

/** x = sigmoid(x + bias), n elements */
function sigmoids(x: usize, bias: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, bias += 16) v128.store(x, sigmoid4(f32x4.add(v128.load(x), v128.load(bias))));
  if (n) storePart(x, sigmoid4(f32x4.add(loadPart(x, n), loadPart(bias, n))), n);
}

/** x = tanh(x + bias), n elements */
function tanhs(x: usize, bias: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, bias += 16) v128.store(x, tanh4(f32x4.add(v128.load(x), v128.load(bias))));
  if (n) storePart(x, tanh4(f32x4.add(loadPart(x, n), loadPart(bias, n))), n);
}

/**
 * a[4H]: W_ih x + W_hh h on entry, overwritten; bias[4H] = b_ih + b_hh; c[H] and h[H] are the state, changed in place.
 */
export function f32_gates(a: usize, bias: usize, c: usize, h: usize, H: i32): void {
  const row = (<usize>H) << 2;
  sigmoids(a, bias, H << 1);
  tanhs(a + (row << 1), bias + (row << 1), H);
  sigmoids(a + row * 3, bias + row * 3, H);
  for (let n = H; n > 0; n -= 4, a += 16, c += 16, h += 16) {
    if (n >= 4) {
      const ig = f32x4.mul(v128.load(a), v128.load(a + (row << 1)));
      const cell = madd(v128.load(a + row), v128.load(c), ig);
      v128.store(c, cell);
      v128.store(h, f32x4.mul(v128.load(a + row * 3), tanh4(cell)));
    } else {
      const ig = f32x4.mul(loadPart(a, n), loadPart(a + (row << 1), n));
      const cell = madd(loadPart(a + row, n), loadPart(c, n), ig);
      storePart(c, cell, n);
      storePart(h, f32x4.mul(loadPart(a + row * 3, n), tanh4(cell)), n);
    }
  }
}
