// One step of an LSTM layer at inference, in one call: both matrix products, whatever the matrices are composed of, then the
// gates.
//
// A packed matrix is a list of instructions of eight u32 each, which End terminates. `from` is the address of a vector, or 0 for
// the layer's input or state; `to` is an address; `add` tells whether to add to what is there.
//
//   Panel      to from add  w M ceil(N/4) -
//   Panel8     to from add  w shape - -           shape: see packed-kron.ts
//   Transpose  to from -    rows columns - -      see packed-kron.ts
//   Sell       to from -    slices count stream -
//   Block4     to from -    rows count offsets values
//   Block8     the same
//   Int8       to from add  w M ceil(N/8) scales  the scratch of quantised x lies before the scales
//   Zero       to -    -    bytes - - -
//   Copy       to from -    bytes - - -

import { Instruction } from '../src/infer/instruction';
import { f32_gates } from './gates';
import { f32_panel_mv } from './packed-dense';
import { int8_panel_mv } from './packed-int8';
import { f32_panel8_tmm, f32_transpose } from './packed-kron';
import { f32_block4_mv, f32_block8_mv, f32_sell_mv } from './packed-sparse';

/** Multiplies a packed matrix by the vector `input`. */
export function run(program: usize, input: usize): void {
  for (; ; program += 32) {
    const op = load<i32>(program);
    if (op === Instruction.End) return;
    const to = <usize>load<u32>(program, 4);
    let from = <usize>load<u32>(program, 8);
    if (!from) from = input;
    const add = load<u32>(program, 12) !== 0;
    const a = <usize>load<u32>(program, 16);
    const b = <usize>load<u32>(program, 20);
    const c = <usize>load<u32>(program, 24);
    const d = <usize>load<u32>(program, 28);
    if (op === Instruction.Panel) f32_panel_mv(a, from, to, <i32>b, <i32>c, add);
    else if (op === Instruction.Panel8) f32_panel8_tmm(from, a, to, b, add);
    else if (op === Instruction.Transpose) f32_transpose(from, to, <i32>a, <i32>b);
    else if (op === Instruction.Sell) f32_sell_mv(a, <i32>b, c, from, to);
    else if (op === Instruction.Block4) f32_block4_mv(a, <i32>b, c, d, from, to);
    else if (op === Instruction.Block8) f32_block8_mv(a, <i32>b, c, d, from, to);
    else if (op === Instruction.Int8) int8_panel_mv(a, d, from, to, <i32>b, <i32>c, add, d - (c << 4));
    else if (op === Instruction.Zero) memory.fill(to, 0, a);
    else if (op === Instruction.Copy) memory.copy(to, from, a);
  }
}

/**
 * One step of one layer. `ih` and `hh` are programs that together compute W_ih x + W_hh h plus the biases in gates[4H]. x and h
 * are padded with zeros to a multiple of 4; c and h are updated in place.
 */
export function lstm_step(ih: usize, hh: usize, x: usize, gates: usize, c: usize, h: usize, H: i32): void {
  run(ih, x);
  run(hh, h);
  f32_gates(gates, c, h, H);
}
