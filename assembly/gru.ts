// The element-wise part of a GRU step, R batch rows of H units, f32, forward and backward, in PyTorch's formulation:
//
//   r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)   n = tanh(a_n + r u_n)
//   h = (1 - z) n + z h'
//
// a[R,3H] = W_ih x + b_ih and u[R,3H] = W_hh h' + b_hh, in the order r, z, n; everything else [R,H]. Row-major, no
// alignment asked. The two stay apart, unlike those of an LSTM, since r multiplies u_n alone.

import { run_program } from './program';
import { loadPart, madd, sigmoid4, storePart, tanh4 } from './simd';

/** a: r, z, n on return; u as it was. Writes h. */
export function f32_gru_cell(a: usize, u: usize, hPrev: usize, h: usize, R: i32, H: i32): void {
  const row = (<usize>H) << 2;
  for (let k = 0; k < R; ++k) {
    let at: usize = 0;
    for (let j = 0; j < H; j += 4, at += 16) {
      const left = H - j;
      const whole = left >= 4;
      const pa = a + at;
      const pu = u + at;
      const ar = whole ? v128.load(pa) : loadPart(pa, left);
      const az = whole ? v128.load(pa + row) : loadPart(pa + row, left);
      const an = whole ? v128.load(pa + (row << 1)) : loadPart(pa + (row << 1), left);
      const ur = whole ? v128.load(pu) : loadPart(pu, left);
      const uz = whole ? v128.load(pu + row) : loadPart(pu + row, left);
      const un = whole ? v128.load(pu + (row << 1)) : loadPart(pu + (row << 1), left);
      const before = whole ? v128.load(hPrev + at) : loadPart(hPrev + at, left);
      const r = sigmoid4(f32x4.add(ar, ur));
      const z = sigmoid4(f32x4.add(az, uz));
      const n = tanh4(madd(r, un, an));
      const state = madd(z, f32x4.sub(before, n), n);
      if (whole) {
        v128.store(pa, r);
        v128.store(pa + row, z);
        v128.store(pa + (row << 1), n);
        v128.store(h + at, state);
      } else {
        storePart(pa, r, left);
        storePart(pa + row, z, left);
        storePart(pa + (row << 1), n, left);
        storePart(h + at, state, left);
      }
    }
    a += row * 3;
    u += row * 3;
    hPrev += row;
    h += row;
  }
}

/**
 * One step back. a (r, z, n) and u as the forward left them, hPrev its input; dh is dL/dh. a becomes dL/da and u dL/du; to
 * dhPrev is added what reaches h' directly, z dh, and not through u.
 */
export function f32_gru_cell_grad(a: usize, u: usize, hPrev: usize, dh: usize, dhPrev: usize, R: i32, H: i32): void {
  const row = (<usize>H) << 2;
  const one = f32x4.splat(1);
  for (let k = 0; k < R; ++k) {
    let at: usize = 0;
    for (let j = 0; j < H; j += 4, at += 16) {
      const left = H - j;
      const whole = left >= 4;
      const pa = a + at;
      const pu = u + at;
      const r = whole ? v128.load(pa) : loadPart(pa, left);
      const z = whole ? v128.load(pa + row) : loadPart(pa + row, left);
      const n = whole ? v128.load(pa + (row << 1)) : loadPart(pa + (row << 1), left);
      const un = whole ? v128.load(pu + (row << 1)) : loadPart(pu + (row << 1), left);
      const before = whole ? v128.load(hPrev + at) : loadPart(hPrev + at, left);
      const d = whole ? v128.load(dh + at) : loadPart(dh + at, left);
      const to = dhPrev + at;
      const direct = madd(d, z, whole ? v128.load(to) : loadPart(to, left));
      const dz = f32x4.mul(f32x4.mul(d, f32x4.sub(before, n)), f32x4.mul(z, f32x4.sub(one, z)));
      const dn = f32x4.mul(f32x4.mul(d, f32x4.sub(one, z)), f32x4.sub(one, f32x4.mul(n, n)));
      const dr = f32x4.mul(f32x4.mul(dn, un), f32x4.mul(r, f32x4.sub(one, r)));
      const du = f32x4.mul(dn, r);
      if (whole) {
        v128.store(to, direct);
        v128.store(pa, dr);
        v128.store(pa + row, dz);
        v128.store(pa + (row << 1), dn);
        v128.store(pu, dr);
        v128.store(pu + row, dz);
        v128.store(pu + (row << 1), du);
      } else {
        storePart(to, direct, left);
        storePart(pa, dr, left);
        storePart(pa + row, dz, left);
        storePart(pa + (row << 1), dn, left);
        storePart(pu, dr, left);
        storePart(pu + row, dz, left);
        storePart(pu + (row << 1), du, left);
      }
    }
    a += row * 3;
    u += row * 3;
    hPrev += row;
    dh += row;
    dhPrev += row;
  }
}

/**
 * The recurrence of a layer, T steps in one call, for R of the B streams of a batch. Time step t of an array begins t B
 * rows after the first; pointers are to the first stream's row in it, and `row` is that row's number.
 *
 * `hh` is a program (see program.ts) that adds W_hh h to a row of u. a[T,B,3H]: W_ih x + b_ih on entry, r, z, n on return;
 * u[T,B,3H]: b_hh on entry, W_hh h + b_hh on return; hs [T+1,B,H]: the state before the first step on entry, those after
 * each behind it on return.
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
 * The way back: a, u and hs as the forward left them. dy[T,B,H]: dL/dh of every step on entry, to which the later steps'
 * is added; to dh[R,H] is added dL/dh before the first. `hh` adds W_hh^T du. a become dL/da, u dL/du.
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
