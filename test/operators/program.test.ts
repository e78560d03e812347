// Programs: their instructions are calls of kernels, so each must do what the kernel itself does, and take what it takes.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { packedBytes } from '../../src/operators/dense.js';
import { FIRST_ROW, floatWord, Program, ROWS, X, Y } from '../../src/operators/program.js';
import type { Pointer } from '../../src/wasm/kernels.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { values } from '../support.js';

const runtime = new Runtime();

function numbers(n: number): Pointer {
  const at = runtime.alloc(4 * n);
  runtime.floats(at, n).set(values(n));
  return at;
}

test('an instruction does what its kernel does, with each type of argument', () => {
  const [R, M, N, row] = [5, 3, 7, 11];
  const [x, w] = [numbers(R * N), numbers(M * N)];
  const [y, wanted] = [runtime.zeros(4 * R * M), runtime.zeros(4 * R * M)];
  const program = Program.product(runtime, R);
  const product = program.temp(N);
  const scratchBytes = runtime.kernels.F32_GEMM_SCRATCH.value + packedBytes(N, 1);
  // Addresses and places, the number of rows, booleans.
  program.add('f32_gemm_tn', w, M, X, product, M, N, 1, false, program.scratch(scratchBytes));
  program.add('f32_zero', Y, ROWS, M);
  program.add('f32_copy_columns', Program.column(product, 1), M, Program.column(Y, 2), M, 2, 1, true);
  // Floats by their bits, words above 2^31, the place of the first row.
  program.add('f32_dropout', Y, Y, ROWS, M, FIRST_ROW, 4, floatWord(0.3), 0xffff_fff0, 2, 3, 4, true);
  program.run(x, N, y, M, row);

  const { kernels } = runtime;
  const [temp, scratch] = [runtime.alloc(4 * R * N), runtime.alloc(scratchBytes)];
  kernels.f32_gemm_tn(w, M, x, temp, M, N, 1, false, scratch);
  kernels.f32_copy_columns(temp + 4, M, wanted + 8, M, 2, 1, true);
  kernels.f32_dropout(wanted, wanted, R, M, row, 4, 0.3, 0xffff_fff0, 2, 3, 4, true);
  assert.equal(runtime.floats(y, R * M), runtime.floats(wanted, R * M));
  assert.ok(runtime.floats(y, R * M).some((value) => value !== 0));
});

/** Compiled, not run: each of these lines must be an error. */
export function wrongArguments(program: Program, [a, b, c]: Pointer[]): void {
  // @ts-expect-error one argument too few
  program.add('f32_gemv', a, X, Y, 2, 3);
  // @ts-expect-error one too many
  program.add('f32_gemv', a, X, Y, 2, 3, true, 4);
  // @ts-expect-error a boolean for a number
  program.add('f32_gemv', a, X, Y, 2, true, 3);
  // @ts-expect-error a number for a boolean
  program.add('f32_gemv', a, X, Y, 2, 3, 1);
  // @ts-expect-error a place for a number
  program.add('f32_gemv', a, X, Y, X, 3, true);
  // @ts-expect-error a number for the bits of an f32
  program.add('f32_dropout', X, Y, ROWS, 3, FIRST_ROW, 0, 0.5, 1, 2, 3, 4, false);
  // @ts-expect-error a kernel that programs do not call
  program.add('f32_exp', X, Y, 3);
  // @ts-expect-error no kernel
  program.add('f32_none', X, Y, 3);
  // @ts-expect-error one argument too few
  runtime.parallel('f32_sgd', [[a, b, c, 1, 0.5]]);
  // @ts-expect-error a list of any length
  runtime.parallel('f32_sgd', [[a, b, c, 1, 0.5, 1] as number[]]);
  // @ts-expect-error a kernel that is not run in parallel
  runtime.parallel('f32_add', [[a, b, 1]]);
}

test.run();
