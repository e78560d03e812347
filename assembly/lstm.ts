// The element-wise part of an LSTM step, R batch rows of H units, f32, forward and backward.
//
//   i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)   g = tanh(a_g)
//   c = f c' + i g   h = o tanh(c)
//
// gates[R,4H] in PyTorch's order i, f, g, o; all other arrays are [R,H]. Row-major, no alignment required. What the matrices
// multiply, and what is carried from step to step, is flushed: see Constant.Tiny.

import { run_program } from './program';
import { Constant, constant, flush, get, madd, put, sigmoid4, tanh4 } from './simd';

/** gates holds a on entry and i, f, g, o on return. Writes c, tanhC = tanh(c) and h. c may be cPrev. */
export function f32_lstm_cell(gates: usize, cPrev: usize, c: usize, tanhC: usize, h: usize, R: i32, H: i32): void {
  const row = (<usize>H) << 2;
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  for (let r = 0; r < R; ++r) {
    let n = H;
    let at: usize = 0;
    for (; n >= 4; n -= 4, at += 16)
      inline.always(cell(gates + at, row, cPrev + at, c + at, tanhC + at, h + at, 4, least, magnitude));
    if (n > 0) inline.always(cell(gates + at, row, cPrev + at, c + at, tanhC + at, h + at, n, least, magnitude));
    gates += row << 2;
    cPrev += row;
    c += row;
    tanhC += row;
    h += row;
  }
}

/** n <= 4 units, starting at these addresses. */
function cell(
  gates: usize,
  row: usize,
  cPrev: usize,
  c: usize,
  tanhC: usize,
  h: usize,
  n: i32,
  least: v128,
  magnitude: v128,
): void {
  const i = sigmoid4(get(gates, n));
  const f = sigmoid4(get(gates + row, n));
  const g = tanh4(get(gates + row * 2, n));
  const o = sigmoid4(get(gates + row * 3, n));
  const next = flush(madd(i, g, f32x4.mul(f, get(cPrev, n))), least, magnitude);
  const t = tanh4(next);
  put(gates, i, n, false);
  put(gates + row, f, n, false);
  put(gates + row * 2, g, n, false);
  put(gates + row * 3, o, n, false);
  put(c, next, n, false);
  put(tanhC, t, n, false);
  put(h, flush(f32x4.mul(o, t), least, magnitude), n, false);
}

/**
 * The backward pass of one step. gates (i, f, g, o), tanhC and cPrev are as the forward pass left them; dh is dL/dh. dc holds
 * dL/dc, as far as it comes from the next step, on entry and dL/dc' on return. Writes dgates[R,4H] = dL/da; dgates may be
 * gates.
 */
export function f32_lstm_cell_grad(
  gates: usize,
  cPrev: usize,
  tanhC: usize,
  dh: usize,
  dc: usize,
  dgates: usize,
  R: i32,
  H: i32,
): void {
  const row = (<usize>H) << 2;
  const least = constant(Constant.Tiny);
  const magnitude = constant(Constant.Magnitude);
  const one = constant(Constant.One);
  for (let r = 0; r < R; ++r) {
    let n = H;
    let at: usize = 0;
    // Two vectors per iteration share the address arithmetic.
    for (; n >= 8; n -= 8, at += 32) {
      const p = gates + at;
      const c = cPrev + at;
      const t = tanhC + at;
      const d = dh + at;
      const later = dc + at;
      const to = dgates + at;
      inline.always(cellGrad(p, row, c, t, d, later, to, 4, one, least, magnitude));
      inline.always(cellGrad(p + 16, row, c + 16, t + 16, d + 16, later + 16, to + 16, 4, one, least, magnitude));
    }
    for (; n > 0; n -= 4, at += 16)
      cellGrad(gates + at, row, cPrev + at, tanhC + at, dh + at, dc + at, dgates + at, n, one, least, magnitude);
    gates += row << 2;
    dgates += row << 2;
    cPrev += row;
    tanhC += row;
    dh += row;
    dc += row;
  }
}

/** n <= 4 units, starting at these addresses. */
function cellGrad(
  gates: usize,
  row: usize,
  cPrev: usize,
  tanhC: usize,
  dh: usize,
  dc: usize,
  dgates: usize,
  n: i32,
  one: v128,
  least: v128,
  magnitude: v128,
): void {
  const i = get(gates, n);
  const f = get(gates + row, n);
  const g = get(gates + row * 2, n);
  const o = get(gates + row * 3, n);
  const t = get(tanhC, n);
  const d = get(dh, n);
  const dOut = f32x4.mul(d, o);
  const dcell = madd(dOut, f32x4.sub(one, f32x4.mul(t, t)), get(dc, n));
  const dIn = f32x4.mul(dcell, i);
  const earlier = f32x4.mul(dcell, f);
  const di = f32x4.mul(f32x4.mul(dIn, g), f32x4.sub(one, i));
  const df = f32x4.mul(f32x4.mul(earlier, get(cPrev, n)), f32x4.sub(one, f));
  const dg = f32x4.mul(dIn, f32x4.sub(one, f32x4.mul(g, g)));
  const dO = f32x4.mul(f32x4.mul(dOut, t), f32x4.sub(one, o));
  put(dgates, flush(di, least, magnitude), n, false);
  put(dgates + row, flush(df, least, magnitude), n, false);
  put(dgates + row * 2, flush(dg, least, magnitude), n, false);
  put(dgates + row * 3, flush(dO, least, magnitude), n, false);
  put(dc, flush(earlier, least, magnitude), n, false);
}

/**
 * Runs the recurrence of a layer, T steps in one call, for R of the B streams of a batch. Time step t of an array begins t B
 * rows after the first one. Pointers point to the row of the first of the R streams; `row` is the number of that row.
 *
 * `hh` is a program (see program.ts) that adds W_hh h to a row of gates. gates[T,B,4H] holds W_ih x + biases on entry and i, f,
 * g, o on return; hs and cs[T+1,B,H] hold the initial state on entry, followed by the state after each step on return;
 * tanhC[T,B,H] is written.
 */
export function f32_lstm_forward(
  hh: usize,
  gates: usize,
  hs: usize,
  cs: usize,
  tanhC: usize,
  T: i32,
  B: i32,
  R: i32,
  H: i32,
  row: i32,
  scratch: usize,
): void {
  const step = (<usize>(B * H)) << 2;
  for (let t = 0; t < T; ++t) {
    run_program(hh, hs, gates, R, row, scratch);
    f32_lstm_cell(gates, cs, cs + step, tanhC, hs + step, R, H);
    gates += step << 2;
    hs += step;
    cs += step;
    tanhC += step;
    row += B;
  }
}

/**
 * The backward pass: gates, cs and tanhC are as the forward pass left them. dy[T,B,H] holds dL/dh of every step on entry; the
 * part that comes from later steps is added to it, and that of the initial state to dh[R,H]. dc[R,H] holds dL/dc after the last
 * step on entry and before the first step on return. `hh` adds W_hh^T da. gates become dL/da.
 */
export function f32_lstm_backward(
  hh: usize,
  gates: usize,
  cs: usize,
  tanhC: usize,
  dy: usize,
  dc: usize,
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
    const da = gates + (before << 2);
    f32_lstm_cell_grad(da, cs + before, tanhC + before, dy + before, dc, da, R, H);
    run_program(hh, da, t > 0 ? dy + before - step : dh, R, row + t * B, scratch);
  }
}
