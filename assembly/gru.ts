// The element-wise part of a GRU step, R batch rows of H units, f32, forward and backward, in PyTorch's formulation:
//
//   r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)   n = tanh(a_n + r u_n)
//   h = (1 - z) n + z h'
//
// a[R,3H] = W_ih x + b_ih and u[R,3H] = W_hh h' + b_hh, in the order r, z, n; all other arrays are [R,H]. Row-major, no
// alignment required. Unlike in an LSTM, a and u are kept apart, since r multiplies only u_n.

import { run_program } from './program';
import { Constant, constant, flush, get, madd, put, sigmoid4, tanh4 } from './simd';

/** a holds r, z, n on return; u is unchanged. Writes h. */
export function f32_gru_cell(a: usize, u: usize, hPrev: usize, h: usize, R: i32, H: i32): void {
  const row = (<usize>H) << 2;
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (let k = 0; k < R; ++k) {
    let n = H;
    let at: usize = 0;
    for (; n >= 4; n -= 4, at += 16) inline.always(cell(a + at, u + at, row, hPrev + at, h + at, 4, least, magnitude));
    if (n > 0) cell(a + at, u + at, row, hPrev + at, h + at, n, least, magnitude);
    a += row * 3;
    u += row * 3;
    hPrev += row;
    h += row;
  }
}

/** `left` <= 4 units, starting at these addresses. */
function cell(a: usize, u: usize, row: usize, hPrev: usize, h: usize, left: i32, least: v128, magnitude: v128): void {
  const r = sigmoid4(f32x4.add(get(a, left), get(u, left)));
  const z = sigmoid4(f32x4.add(get(a + row, left), get(u + row, left)));
  const n = tanh4(madd(r, get(u + (row << 1), left), get(a + (row << 1), left)));
  const state = flush(madd(z, f32x4.sub(get(hPrev, left), n), n), least, magnitude);
  put(a, r, left, false);
  put(a + row, z, left, false);
  put(a + (row << 1), n, left, false);
  put(h, state, left, false);
}

/**
 * The backward pass of one step. a (r, z, n), u and hPrev are as the forward pass left them; dh is dL/dh. a becomes dL/da and
 * u dL/du. Adds to dhPrev the part that reaches h' directly, z dh, rather than through u.
 */
export function f32_gru_cell_grad(a: usize, u: usize, hPrev: usize, dh: usize, dhPrev: usize, R: i32, H: i32): void {
  const row = (<usize>H) << 2;
  const one = constant(Constant.One);
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (let k = 0; k < R; ++k) {
    let n = H;
    let at: usize = 0;
    // Two vectors per iteration share the address arithmetic.
    for (; n >= 8; n -= 8, at += 32) {
      const p = a + at;
      const q = u + at;
      const before = hPrev + at;
      const d = dh + at;
      const to = dhPrev + at;
      inline.always(cellGrad(p, q, row, before, d, to, 4, one, least, magnitude));
      inline.always(cellGrad(p + 16, q + 16, row, before + 16, d + 16, to + 16, 4, one, least, magnitude));
    }
    for (; n > 0; n -= 4, at += 16) {
      cellGrad(a + at, u + at, row, hPrev + at, dh + at, dhPrev + at, n, one, least, magnitude);
    }
    a += row * 3;
    u += row * 3;
    hPrev += row;
    dh += row;
    dhPrev += row;
  }
}

/** `left` <= 4 units, starting at these addresses. */
function cellGrad(
  a: usize,
  u: usize,
  row: usize,
  hPrev: usize,
  dh: usize,
  dhPrev: usize,
  left: i32,
  one: v128,
  least: v128,
  magnitude: v128,
): void {
  const r = get(a, left);
  const z = get(a + row, left);
  const n = get(a + (row << 1), left);
  const d = get(dh, left);
  const direct = flush(madd(d, z, get(dhPrev, left)), least, magnitude);
  const dRest = f32x4.mul(d, f32x4.sub(one, z));
  const dz = flush(f32x4.mul(f32x4.mul(dRest, z), f32x4.sub(get(hPrev, left), n)), least, magnitude);
  const dn = flush(f32x4.mul(dRest, f32x4.sub(one, f32x4.mul(n, n))), least, magnitude);
  const du = flush(f32x4.mul(dn, r), least, magnitude);
  const dr = flush(f32x4.mul(f32x4.mul(du, get(u + (row << 1), left)), f32x4.sub(one, r)), least, magnitude);
  put(dhPrev, direct, left, false);
  put(a, dr, left, false);
  put(a + row, dz, left, false);
  put(a + (row << 1), dn, left, false);
  put(u, dr, left, false);
  put(u + row, dz, left, false);
  put(u + (row << 1), du, left, false);
}

/**
 * Runs the recurrence of a layer, T steps in one call, for R of the B streams of a batch. Time step t of an array begins t B
 * rows after the first one. Pointers point to the row of the first of the R streams; `row` is the number of that row.
 *
 * `hh` is a program (see program.ts) that adds W_hh h to a row of u. a[T,B,3H] holds W_ih x + b_ih on entry and r, z, n on
 * return; u[T,B,3H] holds b_hh on entry and W_hh h + b_hh on return; hs[T+1,B,H] holds the initial state on entry, followed by
 * the state after each step on return.
 */
export function f32_gru_forward(
  hh: usize,
  a: usize,
  u: usize,
  hs: usize,
  T: i32,
  B: i32,
  R: i32,
  H: i32,
  row: i32,
  scratch: usize,
): void {
  const step = (<usize>(B * H)) << 2;
  for (let t = 0; t < T; ++t) {
    run_program(hh, hs, u, R, row, scratch);
    f32_gru_cell(a, u, hs, hs + step, R, H);
    a += step * 3;
    u += step * 3;
    hs += step;
    row += B;
  }
}

/**
 * The backward pass: a, u and hs are as the forward pass left them. dy[T,B,H] holds dL/dh of every step on entry; the part that
 * comes from later steps is added to it, and that of the initial state to dh[R,H]. `hh` adds W_hh^T du. a becomes dL/da, u
 * dL/du.
 */
export function f32_gru_backward(
  hh: usize,
  a: usize,
  u: usize,
  hs: usize,
  dy: usize,
  dh: usize,
  T: i32,
  B: i32,
  R: i32,
  H: i32,
  row: i32,
  scratch: usize,
): void {
  const step = (<usize>(B * H)) << 2;
  for (let t = T - 1; t >= 0; --t) {
    const before = <usize>t * step;
    const du = u + before * 3;
    const earlier = t > 0 ? dy + before - step : dh;
    f32_gru_cell_grad(a + before * 3, du, hs + before, dy + before, earlier, R, H);
    run_program(hh, du, earlier, R, row + t * B, scratch);
  }
}
