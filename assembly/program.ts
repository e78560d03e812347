// Products with a matrix that is composed of others, as a list of instructions: one call runs all of them, once or at every
// step of a sequence.
//
// A program works on R rows of two arrays, x and y, and on scratch. An instruction is one kernel's call in 16 u32: its Op, then
// its arguments in the kernel's own order. How a word is read depends on the parameter's type:
//
//   usize   a multiple of 4 whose two low bits say what it is: 0, an address; 1, 2 and 3, a byte offset in x, y and scratch
//   i32     a number >= 0; -1 stands for R, -2 for `row`, the number of the first row within the batch, on which masks depend
//   u32     any number
//   f32     its bits
//   bool    0 or 1
//
// All arrays are f32 with contiguous rows unless the kernel says otherwise; those in scratch have room for all R rows.
// src/operators/program.ts writes programs, typed by the kernels' signatures.

import { Op } from '../src/wasm/op';
import { f32_gemm_packed, f32_gemm_tn } from './gemm';
import { f32_gemv, f32_gemv_t, f32_ger } from './gemv';
import { f32_kron_grad, f32_kron_grad_b, f32_kron_grad_c, f32_kron_mm, f32_kron_tmm } from './kron';
import { f32_dropout } from './random';
import { f32_bsr_grad, f32_bsr_mm, f32_bsr_tmm, f32_csr_grad, f32_csr_mm } from './sparse';
import { f32_copy_columns, f32_dot_add, f32_mask, f32_zero, f64_add } from './vector';

// Of the program that runs. Kernels that programs call run no programs themselves.
let at: usize; // the instruction
let baseX: usize;
let baseY: usize;
let baseScratch: usize;
let rows: i32;
let firstRow: i32;

/** Argument i of the instruction, a usize. */
function p(i: usize): usize {
  const word = u(i);
  const kind = word & 3;
  return <usize>(word & ~3) + (kind === 0 ? 0 : kind === 1 ? baseX : kind === 2 ? baseY : baseScratch);
}

/** An i32. */
function n(i: usize): i32 {
  const word = <i32>u(i);
  return word >= 0 ? word : word === -1 ? rows : firstRow;
}

function u(i: usize): u32 {
  return load<u32>(at + (i << 2), 4);
}

function f(i: usize): f32 {
  return load<f32>(at + (i << 2), 4);
}

function b(i: usize): bool {
  return u(i) !== 0;
}

/** Runs a program on rows x[R] and y[R]; the first of them is `row` of the batch. */
export function run_program(program: usize, x: usize, y: usize, R: i32, row: i32, scratch: usize): void {
  baseX = x;
  baseY = y;
  baseScratch = scratch;
  rows = R;
  firstRow = row;
  for (at = program; ; at += 64) {
    const op = load<i32>(at);
    if (op === Op.end) return;
    if (op === Op.f32_gemm_packed) f32_gemm_packed(p(0), p(1), p(2), n(3), n(4), n(5), b(6), p(7));
    else if (op === Op.f32_gemv) f32_gemv(p(0), p(1), p(2), n(3), n(4), b(5));
    else if (op === Op.f32_gemv_t) f32_gemv_t(p(0), p(1), p(2), n(3), n(4), b(5));
    else if (op === Op.f32_kron_mm) {
      f32_kron_mm(p(0), p(1), p(2), p(3), n(4), n(5), n(6), n(7), n(8), b(9), p(10), p(11));
    } else if (op === Op.f32_kron_tmm) {
      f32_kron_tmm(p(0), p(1), p(2), p(3), n(4), n(5), n(6), n(7), n(8), b(9), p(10), p(11));
    } else if (op === Op.f32_csr_mm) f32_csr_mm(p(0), p(1), p(2), p(3), p(4), p(5), n(6), n(7), n(8), b(9), p(10));
    else if (op === Op.f32_bsr_mm) {
      f32_bsr_mm(p(0), p(1), p(2), p(3), p(4), n(5), n(6), n(7), n(8), n(9), b(10), p(11));
    } else if (op === Op.f32_bsr_tmm) {
      f32_bsr_tmm(p(0), p(1), p(2), p(3), p(4), n(5), n(6), n(7), n(8), n(9), b(10), p(11));
    } else if (op === Op.f32_dropout) {
      f32_dropout(p(0), p(1), n(2), n(3), n(4), n(5), f(6), u(7), u(8), u(9), u(10), b(11));
    } else if (op === Op.f32_copy_columns) f32_copy_columns(p(0), n(1), p(2), n(3), n(4), n(5), b(6));
    else if (op === Op.f32_zero) f32_zero(p(0), n(1), n(2));
    else if (op === Op.f32_dot_add) f32_dot_add(p(0), p(1), p(2), n(3), n(4));
    else if (op === Op.f64_add) f64_add(n(0), p(1));
    else if (op === Op.f32_gemm_tn) f32_gemm_tn(p(0), n(1), p(2), p(3), n(4), n(5), n(6), b(7), p(8));
    else if (op === Op.f32_ger) f32_ger(p(0), p(1), p(2), n(3), n(4));
    else if (op === Op.f32_kron_grad_b) {
      f32_kron_grad_b(p(0), p(1), p(2), p(3), n(4), n(5), n(6), n(7), n(8), p(9), p(10));
    } else if (op === Op.f32_kron_grad_c) {
      f32_kron_grad_c(p(0), p(1), p(2), p(3), n(4), n(5), n(6), n(7), n(8), p(9), p(10));
    } else if (op === Op.f32_kron_grad) f32_kron_grad(p(0), p(1), p(2), p(3), p(4), n(5), n(6), n(7), n(8));
    else if (op === Op.f32_csr_grad) f32_csr_grad(p(0), p(1), p(2), p(3), p(4), n(5), n(6), n(7), n(8), n(9), p(10));
    else if (op === Op.f32_bsr_grad) {
      f32_bsr_grad(p(0), p(1), p(2), p(3), p(4), n(5), n(6), n(7), n(8), n(9), n(10), n(11), p(12));
    } else if (op === Op.f32_mask) f32_mask(p(0), p(1), n(2));
  }
}
