// The element-wise part of an LSTM step, R batch rows of H units, f32, forward and backward.
//
//   i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)   g = tanh(a_g)
//   c = f c' + i g   h = o tanh(c)
//
// gates[R,4H] in PyTorch's order i, f, g, o; everything else [R,H]. Row-major, no alignment asked.

import { run_program } from './program';
import { loadPart, madd, sigmoid4, storePart, tanh4 } from './simd';

/** gates: a on entry, i, f, g, o on return. Writes c, tanhC = tanh(c) and h. c may be cPrev. */
export function f32_lstm_cell(gates: usize, cPrev: usize, c: usize, tanhC: usize, h: usize, R: i32, H: i32): void {
  const row = (<usize>H) << 2;
  for (let r = 0; r < R; ++r) {
    const F = gates + row;
    const G = F + row;
    const O = G + row;
    let at: usize = 0;
    for (let j = 0; j < H; j += 4, at += 16) {
      const n = H - j;
      if (n >= 4) {
        const i = sigmoid4(v128.load(gates + at));
        const f = sigmoid4(v128.load(F + at));
        const g = tanh4(v128.load(G + at));
        const o = sigmoid4(v128.load(O + at));
        v128.store(gates + at, i);
        v128.store(F + at, f);
        v128.store(G + at, g);
        v128.store(O + at, o);
        const cell = madd(i, g, f32x4.mul(f, v128.load(cPrev + at)));
        const t = tanh4(cell);
        v128.store(c + at, cell);
        v128.store(tanhC + at, t);
        v128.store(h + at, f32x4.mul(o, t));
      } else {
        const i = sigmoid4(loadPart(gates + at, n));
        const f = sigmoid4(loadPart(F + at, n));
        const g = tanh4(loadPart(G + at, n));
        const o = sigmoid4(loadPart(O + at, n));
        storePart(gates + at, i, n);
        storePart(F + at, f, n);
        storePart(G + at, g, n);
        storePart(O + at, o, n);
        const cell = madd(i, g, f32x4.mul(f, loadPart(cPrev + at, n)));
        const t = tanh4(cell);
        storePart(c + at, cell, n);
        storePart(tanhC + at, t, n);
        storePart(h + at, f32x4.mul(o, t), n);
      }
    }
    gates += row << 2;
    cPrev += row;
    c += row;
    tanhC += row;
    h += row;
  }
}

/**
 * One step back. gates (i, f, g, o) and tanhC as the forward left them, cPrev its input; dh is dL/dh; dc is dL/dc from
 * the step after on entry, dL/dc' on return. Writes dgates[R,4H] = dL/da; dgates may be gates.
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
  const one = f32x4.splat(1);
  for (let r = 0; r < R; ++r) {
    let at: usize = 0;
    for (let j = 0; j < H; j += 4, at += 16) {
      const n = H - j;
      const whole = n >= 4;
      const pi = gates + at;
      const pf = pi + row;
      const pg = pf + row;
      const po = pg + row;
      const i = whole ? v128.load(pi) : loadPart(pi, n);
      const f = whole ? v128.load(pf) : loadPart(pf, n);
      const g = whole ? v128.load(pg) : loadPart(pg, n);
      const o = whole ? v128.load(po) : loadPart(po, n);
      const t = whole ? v128.load(tanhC + at) : loadPart(tanhC + at, n);
      const c = whole ? v128.load(cPrev + at) : loadPart(cPrev + at, n);
      const d = whole ? v128.load(dh + at) : loadPart(dh + at, n);
      const later = whole ? v128.load(dc + at) : loadPart(dc + at, n);
      const dcell = madd(f32x4.mul(d, o), f32x4.sub(one, f32x4.mul(t, t)), later);
      const di = f32x4.mul(f32x4.mul(dcell, g), f32x4.mul(i, f32x4.sub(one, i)));
      const df = f32x4.mul(f32x4.mul(dcell, c), f32x4.mul(f, f32x4.sub(one, f)));
      const dg = f32x4.mul(f32x4.mul(dcell, i), f32x4.sub(one, f32x4.mul(g, g)));
      const dO = f32x4.mul(f32x4.mul(d, t), f32x4.mul(o, f32x4.sub(one, o)));
      const earlier = f32x4.mul(dcell, f);
      const to = dgates + at;
      if (whole) {
        v128.store(to, di);
        v128.store(to + row, df);
        v128.store(to + row * 2, dg);
        v128.store(to + row * 3, dO);
        v128.store(dc + at, earlier);
      } else {
        storePart(to, di, n);
        storePart(to + row, df, n);
        storePart(to + row * 2, dg, n);
        storePart(to + row * 3, dO, n);
        storePart(dc + at, earlier, n);
      }
    }
    gates += row << 2;
    dgates += row << 2;
    cPrev += row;
    tanhC += row;
    dh += row;
    dc += row;
  }
}

/**
 * The recurrence of a layer, T steps in one call, for R of the B streams of a batch. Time step t of an array begins t B
 * rows after the first; pointers are to the first stream's row in it, and `row` is that row's number.
 *
 * `hh` is a program (see program.ts) that adds W_hh h to a row of gates. gates[T,B,4H]: W_ih x + biases on entry, i, f,
 * g, o on return; hs and cs [T+1,B,H]: the state before the first step on entry, those after each behind it on return;
 * tanhC[T,B,H].
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
 * The way back: gates, cs and tanhC as the forward left them. dy[T,B,H]: dL/dh of every step on entry, to which the
 * later steps' is added; dc[R,H]: dL/dc after the last step on entry, dL/dc before the first on return; to dh[R,H] is
 * added dL/dh before the first. `hh` adds W_hh^T da. gates become dL/da.
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
