// Matrix products at inference, whatever the matrices are composed of, and the layers that are run with them, one call for a
// step or for a sequence.
//
// A packed matrix is a list of instructions of eight u32 each, which End terminates. `from` and `to` are places: byte offsets,
// multiples of 4, whose two low bits tell what they count from: 0 for the program's input x, 1 for its output y, 2 for its
// scratch, 3 for the start of memory. `add` tells whether to add to what is there.
//
//   Panel      to from add  w M ceil(N/4) -
//   Panel8     to from add  w shape - -           w is a place, too; shape: see packed-kron.ts
//   Transpose  to from -    rows columns - -      see packed-kron.ts
//   Sell       to from -    slices count stream -
//   Block4     to from -    rows count offsets values
//   Block8     the same
//   Int8       to from add  w M ceil(N/8) scales  the scratch of quantised x lies before the scales
//   Zero       to -    -    bytes - - -
//   Copy       to from -    bytes - - -
//
// Before the instructions lie u32 y, scratch, M, N and the bytes of the scratch, which is zero at first, and 12 bytes that
// hold nothing.

import { Activation, Instruction } from '../src/infer/instruction';
import { f32_relu } from './activation';
import { f32_gru_gates, f32_lstm_gates, sigmoids, tanhs } from './gates';
import { f32_panel_mm4, f32_panel_mv } from './packed-dense';
import { int8_panel_mm4, int8_panel_mv } from './packed-int8';
import { f32_panel8_tmm, f32_transpose } from './packed-kron';
import { f32_block4_mv, f32_block8_mv, f32_sell_lanes, f32_sell_mv } from './packed-sparse';
import { f32_share } from './softmax';

function place(word: u32, x: usize, y: usize, scratch: usize): usize {
  const base = word & 3;
  return (base === 0 ? x : base === 1 ? y : base === 2 ? scratch : 0) + (word & ~3);
}

/** Multiplies a packed matrix by the vector x, into its own y. x is padded with zeros to a multiple of 4, or 8 for Int8. */
export function run(program: usize, x: usize): void {
  execute(program, x, load<u32>(program - 32), false, false);
}

/** `lanes` and `rows`: leave out what vectors take together, see takesLanes and takesRows. */
function execute(program: usize, x: usize, y: usize, lanes: bool, rows: bool): void {
  const scratch = load<u32>(program - 28);
  for (; ; program += 32) {
    const op = load<i32>(program);
    if (op === Instruction.End) return;
    if ((lanes && takesLanes(program)) || (rows && takesRows(program))) continue;
    const to = place(load<u32>(program, 4), x, y, scratch);
    const from = place(load<u32>(program, 8), x, y, scratch);
    const add = load<u32>(program, 12) !== 0;
    const a = <usize>load<u32>(program, 16);
    const b = <usize>load<u32>(program, 20);
    const c = <usize>load<u32>(program, 24);
    const d = <usize>load<u32>(program, 28);
    if (op === Instruction.Panel) f32_panel_mv(a, from, to, <i32>b, <i32>c, add);
    else if (op === Instruction.Panel8) f32_panel8_tmm(from, place(<u32>a, x, y, scratch), to, b, add);
    else if (op === Instruction.Transpose) f32_transpose(from, to, <i32>a, <i32>b);
    else if (op === Instruction.Sell) f32_sell_mv(a, <i32>b, c, from, to);
    else if (op === Instruction.Block4) f32_block4_mv(a, <i32>b, c, d, from, to);
    else if (op === Instruction.Block8) f32_block8_mv(a, <i32>b, c, d, from, to);
    else if (op === Instruction.Int8) int8_panel_mv(a, d, from, to, <i32>b, <i32>c, add, d - (c << 4));
    else if (op === Instruction.Zero) memory.fill(to, 0, a);
    else if (op === Instruction.Copy) memory.copy(to, from, a);
  }
}

/** Vectors that are multiplied together, in lanes, and as rows. */
const LANES: i32 = 8;
const ROWS: i32 = 4;

/** Whether an instruction reads x itself and adds to y itself: then it can be done later, for several vectors together. */
function isDirect(program: usize): bool {
  return (load<u32>(program, 4) & 3) === 1 && (load<u32>(program, 8) & 3) === 0;
}

/** Whether eight vectors can take an instruction together, in lanes: a sparse one. */
function takesLanes(program: usize): bool {
  return load<i32>(program) === Instruction.Sell && isDirect(program);
}

/** Whether four vectors can take an instruction together: a dense one that adds. */
function takesRows(program: usize): bool {
  const op = load<i32>(program);
  return (op === Instruction.Panel || op === Instruction.Int8) && load<u32>(program, 12) !== 0 && isDirect(program);
}

/**
 * Multiplies a packed matrix by T vectors, `rowX` bytes apart, which need no padding, into rows of `out`, `rowOut` bytes
 * apart. The rows of x may overlap. `scratch` has room for scratchForMany() bytes, see src/infer/pack.ts. Unstructured
 * matrices take eight vectors at a time, in lanes: [N][8]; dense ones four, as rows.
 */
export function run_many(program: usize, x: usize, rowX: i32, T: i32, out: usize, rowOut: i32, scratch: usize): void {
  const N = load<i32>(program - 20);
  const bytes = (<usize>N) << 2;
  // Four padded rows, then what the dense instructions quantise of them, then the lanes.
  const row = (bytes + 47) & ~15;
  const quantised = scratch + (row << 2);
  const lanes = quantised + (row << 1);
  memory.fill(scratch, 0, row << 2);
  for (let t = 0; t < T; ++t, x += rowX, out += rowOut) {
    const inLanes = t < (T & -LANES);
    const inRows = t < (T & -ROWS);
    const own = scratch + row * (t & (ROWS - 1));
    memory.copy(own, x, bytes);
    execute(program, own, out, inLanes, inRows);
    if (inRows && (t & (ROWS - 1)) === ROWS - 1) {
      const first = out - rowOut * (ROWS - 1);
      for (let at = program; load<i32>(at) !== Instruction.End; at += 32) {
        if (!takesRows(at)) continue;
        const from = scratch + load<u32>(at, 8);
        const to = first + (load<u32>(at, 4) & ~3);
        const w = load<u32>(at, 16);
        const M = load<i32>(at, 20);
        const blocks = load<i32>(at, 24);
        if (load<i32>(at) === Instruction.Panel) f32_panel_mm4(w, from, row, to, rowOut, M, blocks);
        else int8_panel_mm4(w, load<u32>(at, 28), from, row, to, rowOut, M, blocks, quantised);
      }
    }
    if (!inLanes) continue;
    const lane = t & (LANES - 1);
    let to = lanes + (lane << 2);
    for (let i: usize = 0; i < bytes; i += 4, to += 32) store<f32>(to, load<f32>(x + i));
    if (lane < LANES - 1) continue;
    const first = out - rowOut * (LANES - 1);
    for (let at = program; load<i32>(at) !== Instruction.End; at += 32) {
      if (!takesLanes(at)) continue;
      const from = lanes + ((<usize>load<u32>(at, 8)) << 3);
      f32_sell_lanes(
        load<u32>(at, 16),
        load<i32>(at, 20),
        load<u32>(at, 24),
        from,
        first + (load<u32>(at, 4) & ~3),
        rowOut,
      );
    }
  }
}

/**
 * One step of one layer. `ih` and `hh` are programs that together compute W_ih x + W_hh h plus the biases in gates[4H]. x and h
 * are padded with zeros to a multiple of 8; c and h are updated in place.
 */
export function lstm_step(ih: usize, hh: usize, x: usize, gates: usize, c: usize, h: usize, H: i32): void {
  run(ih, x);
  run(hh, h);
  f32_lstm_gates(gates, c, h, H);
}

/** The same for a GRU: `ih` computes W_ih x + b_ih in gates[3H], `hh` computes W_hh h + b_hh in inner[3H]. */
export function gru_step(ih: usize, hh: usize, x: usize, gates: usize, inner: usize, h: usize, H: i32): void {
  run(ih, x);
  run(hh, h);
  f32_gru_gates(gates, inner, h, H);
}

/**
 * T steps of one layer, from the last to the first if `backward`. products[T,4H] holds W_ih x plus the biases of every step and
 * is overwritten; the program `hh` adds W_hh h. After step t, h is copied to row t of `out`; rows are `rowOut` bytes apart.
 */
export function lstm_run(
  hh: usize,
  products: usize,
  c: usize,
  h: usize,
  H: i32,
  T: i32,
  out: usize,
  rowOut: i32,
  backward: bool,
): void {
  const bytes = (<usize>H) << 2;
  let row = (<isize>bytes) << 2;
  if (backward) {
    products += row * (T - 1);
    out += rowOut * (T - 1);
    row = -row;
    rowOut = -rowOut;
  }
  for (; T > 0; --T, products += row, out += rowOut) {
    execute(hh, h, products, false, false);
    f32_lstm_gates(products, c, h, H);
    memory.copy(out, h, bytes);
  }
}

/** The same for a GRU: products[T,3H] holds W_ih x + b_ih; `hh` computes W_hh h + b_hh in inner[3H]. */
export function gru_run(
  hh: usize,
  products: usize,
  inner: usize,
  h: usize,
  H: i32,
  T: i32,
  out: usize,
  rowOut: i32,
  backward: bool,
): void {
  const bytes = (<usize>H) << 2;
  let row = <isize>bytes * 3;
  if (backward) {
    products += row * (T - 1);
    out += rowOut * (T - 1);
    row = -row;
    rowOut = -rowOut;
  }
  for (; T > 0; --T, products += row, out += rowOut) {
    execute(hh, h, inner, false, false);
    f32_gru_gates(products, inner, h, H);
    memory.copy(out, h, bytes);
  }
}

/**
 * A cluster of an adaptive softmax, but the first: out[n] are the logits of its outputs, of which e^x add up to e^own. `down`
 * and `weight` are programs; the first projects x to `projected`, which the second reads, into `out`. `own`, an f32, is the
 * cluster's row among those of the first cluster, and may be overwritten.
 */
export function adaptive_step(
  down: usize,
  weight: usize,
  x: usize,
  projected: usize,
  own: usize,
  out: usize,
  n: i32,
): void {
  const logit = load<f32>(own);
  run(down, x);
  run(weight, projected);
  f32_share(logit, out, n);
}

/** x[n] = activation(x), in place, as training computes it; `kind` is an Activation of src/infer/instruction.ts. */
export function activate(kind: i32, x: usize, n: i32): void {
  if (kind === Activation.Tanh) tanhs(x, n);
  else if (kind === Activation.Sigmoid) sigmoids(x, n);
  else f32_relu(x, x, n);
}
