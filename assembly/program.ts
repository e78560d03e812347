// Products with a matrix that is composed of others, as a list of instructions: one call runs all of them, once or at every
// step of a sequence.
//
// A program works on R rows of two arrays, x and y, and on scratch. A place in one of them is a byte offset, a multiple of 4,
// whose two low bits tell which: 0 for x, 1 for y, 2 for scratch. An instruction is 16 u32: op, from, to, accumulate, then
// further arguments of its kernel. Addresses are absolute; `from`, `to`, and arguments called temp or scratch are places. All
// numbers are f32, rows are contiguous, and arrays in scratch have room for all R rows.
//
//   Gemm      packed N K scratch                    to[R,N] (+)= from[R,K] B, B packed
//   Gemv      w M N                                 to[M] (+)= W from[N], R = 1;  GemvT: to[N] (+)= W^T from[M]
//   Kron      b c m1 n1 m2 n2 temp scratch          see kron.ts;  KronT: its transpose
//   Csr       values order columns starts M N scratch         see sparse.ts
//   Bsr       values columns starts M N block stride scratch  see sparse.ts;  BsrT: its transpose
//   RowMask   M period rate seedLow seedHigh step stream       to[R,M] (+)= masked from[R,M], see random.ts
//   Columns   ldFrom ldTo N                         to[r ldTo + j] (+)= from[r ldFrom + j], j < N
//   Zero      N                                     to[R,N] = 0
//   Gram      sum M                                 f64 at `sum` += <from, to>, [R,M] each
//   Count     sum                                   f64 at `sum` += R
//
// Gradients; `from` is dy and `to` is x, and both are only read:
//
//   GemmGrad  dw M N ld scratch                     dW[M,N] += dy^T x[R,N], M columns of dy[R,ld]
//   GerGrad   dw M N                                the same for R = 1
//   KronGradB c db m1 n1 m2 n2 temp scratch          see kron.ts;  KronGradC: b dc, the rest the same
//   KronGrad  b c dw db dc m1 n1 m2 n2               see kron.ts; reads neither dy nor x
//   CsrGrad   columns starts dvalues M N first last scratch                see sparse.ts
//   BsrGrad   columns starts dvalues M N block stride first last scratch   see sparse.ts
//   MaskGrad  mask dw n                             dW = 0 where the mask is

import { Op } from '../src/wasm/op';
import { f32_gemm_packed, f32_gemm_tn } from './gemm';
import { f32_gemv, f32_gemv_t, f32_ger } from './gemv';
import { f32_kron_grad, f32_kron_grad_b, f32_kron_grad_c, f32_kron_mm, f32_kron_tmm } from './kron';
import { f32_dropout } from './random';
import { f32_bsr_grad, f32_bsr_mm, f32_bsr_tmm, f32_csr_grad, f32_csr_mm } from './sparse';
import { f32_copy_columns, f32_dot, f32_mask } from './vector';

/** Word i of an instruction, after the first four. */
function word(at: usize, i: usize): i32 {
  return load<i32>(at + (i << 2), 16);
}

/** `row` is the number of the first row within the batch, on which masks depend. */
export function run_program(program: usize, x: usize, y: usize, R: i32, row: i32, scratch: usize): void {
  for (let at = program; ; at += 64) {
    const op = load<i32>(at);
    if (op === Op.End) return;
    const from = place(load<u32>(at, 4), x, y, scratch);
    const to = place(load<u32>(at, 8), x, y, scratch);
    const add = load<i32>(at, 12) !== 0;
    const a = word(at, 0);
    const b = word(at, 1);
    const c = word(at, 2);
    const d = word(at, 3);
    if (op === Op.Gemm) f32_gemm_packed(from, a, to, R, b, c, add, place(d, x, y, scratch));
    else if (op === Op.Gemv) f32_gemv(a, from, to, b, c, add);
    else if (op === Op.GemvT) f32_gemv_t(a, from, to, b, c, add);
    else if (op === Op.Kron || op === Op.KronT) {
      const temp = place(word(at, 6), x, y, scratch);
      const work = place(word(at, 7), x, y, scratch);
      if (op === Op.Kron) f32_kron_mm(a, b, from, to, R, c, d, word(at, 4), word(at, 5), add, temp, work);
      else f32_kron_tmm(a, b, from, to, R, c, d, word(at, 4), word(at, 5), add, temp, work);
    } else if (op === Op.Csr) {
      f32_csr_mm(a, b, c, d, from, to, R, word(at, 4), word(at, 5), add, place(word(at, 6), x, y, scratch));
    } else if (op === Op.Bsr || op === Op.BsrT) {
      const work = place(word(at, 7), x, y, scratch);
      if (op === Op.Bsr) f32_bsr_mm(a, b, c, from, to, R, d, word(at, 4), word(at, 5), word(at, 6), add, work);
      else f32_bsr_tmm(a, b, c, from, to, R, d, word(at, 4), word(at, 5), word(at, 6), add, work);
    } else if (op === Op.RowMask) {
      f32_dropout(from, to, R, a, row, b, reinterpret<f32>(c), d, word(at, 4), word(at, 5), word(at, 6), add);
    } else if (op === Op.Columns) f32_copy_columns(from, a, to, b, R, c, add);
    else if (op === Op.Zero) memory.fill(to, 0, (<usize>(R * a)) << 2);
    else if (op === Op.Gram) store<f64>(a, load<f64>(a) + f32_dot(from, to, R * b));
    else if (op === Op.Count) store<f64>(a, load<f64>(a) + R);
    else if (op === Op.GemmGrad) f32_gemm_tn(from, d, to, a, b, c, R, true, place(word(at, 4), x, y, scratch));
    else if (op === Op.GerGrad) f32_ger(from, to, a, b, c);
    else if (op === Op.KronGradB || op === Op.KronGradC) {
      const temp = place(word(at, 6), x, y, scratch);
      const work = place(word(at, 7), x, y, scratch);
      if (op === Op.KronGradB) f32_kron_grad_b(a, from, to, b, R, c, d, word(at, 4), word(at, 5), temp, work);
      else f32_kron_grad_c(a, from, to, b, R, c, d, word(at, 4), word(at, 5), temp, work);
    } else if (op === Op.KronGrad) {
      f32_kron_grad(a, b, c, d, word(at, 4), word(at, 5), word(at, 6), word(at, 7), word(at, 8));
    } else if (op === Op.CsrGrad) {
      const work = place(word(at, 7), x, y, scratch);
      f32_csr_grad(a, b, from, to, c, R, d, word(at, 4), word(at, 5), word(at, 6), work);
    } else if (op === Op.BsrGrad) {
      const work = place(word(at, 9), x, y, scratch);
      const N = word(at, 4);
      f32_bsr_grad(a, b, from, to, c, R, d, N, word(at, 5), word(at, 6), word(at, 7), word(at, 8), work);
    } else if (op === Op.MaskGrad) f32_mask(a, b, c);
  }
}

function place(word: u32, x: usize, y: usize, scratch: usize): usize {
  const base = word & 3;
  return (base === 0 ? x : base === 1 ? y : scratch) + (word & ~3);
}
