import type { Tape, Tensor } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkIndices, runtimeOf } from './checks.js';

/**
 * y[R,N] = rows of x[*,N]
 *
 * @param rows the address of i32[R], each the number of a row of x; they must stay there until the way back is over
 * @param name what the rows are called in errors
 * @throws InputError for a row that x does not have
 */
export function selectRows(tape: Tape, x: Tensor, rows: Pointer, R: number, name = 'rows'): Tensor {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  tape.check('x', x);
  checkWhole('R', R, 0);
  checkIndices(runtime, name, rows, R, 0, x.rows);
  const N = x.cols;
  const y = tape.tensor(R, N);
  kernels.f32_gather(x.value, rows, y.value, R, N);
  if (tape.recording) tape.gradient(x);
  tape.record(() => kernels.f32_scatter_add(tape.gradient(y), rows, x.grad, R, N));
  return y;
}

/** y[R,A+B]: the rows of a[R,A], and behind each the one of b[R,B]. Throws InputError for other numbers of rows. */
export function joinColumns(tape: Tape, a: Tensor, b: Tensor): Tensor {
  const { f32_copy_columns } = runtimeOf(tape).kernels;
  tape.check('a', a);
  tape.check('b', b, { rows: a.rows });
  const R = a.rows;
  const y = tape.tensor(R, a.cols + b.cols);
  const parts = [
    { part: a, offset: 0 },
    { part: b, offset: 4 * a.cols },
  ];
  for (const { part, offset } of parts) {
    f32_copy_columns(part.value, part.cols, y.value + offset, y.cols, R, part.cols, false);
    if (tape.recording) tape.gradient(part);
  }
  tape.record(() => {
    const dy = tape.gradient(y);
    for (const { part, offset } of parts) {
      f32_copy_columns(dy + offset, y.cols, part.grad, part.cols, R, part.cols, true);
    }
  });
  return y;
}

/** y[T R,N]: the rows of tensors x_t[R,N], one below the other. Throws InputError for tensors of other shapes than the first one's. */
export function stackRows(tape: Tape, parts: readonly Tensor[]): Tensor {
  const { kernels } = runtimeOf(tape);
  const [{ rows, cols }] = parts;
  for (const [t, part] of parts.entries()) tape.check(`parts[${t}]`, part, { rows, cols });
  const y = tape.tensor(parts.length * rows, cols);
  const size = 4 * rows * cols;
  for (const [t, part] of parts.entries()) {
    kernels.f32_copy_columns(part.value, cols, y.value + t * size, cols, rows, cols, false);
    if (tape.recording) tape.gradient(part);
  }
  tape.record(() => {
    const dy = tape.gradient(y);
    for (const [t, part] of parts.entries()) kernels.f32_add(dy + t * size, part.grad, rows * cols);
  });
  return y;
}

/** Some rows of x, which share its memory and its gradient. */
export function rowsOf(tape: Tape, x: Tensor, first: number, rows: number): Tensor {
  tape.check('x', x);
  checkWhole('first', first, 0, x.rows);
  checkWhole('rows', rows, 0, x.rows - first);
  const { cols, runtime } = x;
  const at = 4 * first * cols;
  return { rows, cols, value: x.value + at, grad: tape.recording ? tape.gradient(x) + at : 0, runtime };
}

/** y = factor x */
export function scaled(tape: Tape, x: Tensor, factor: number): Tensor {
  const { kernels } = runtimeOf(tape);
  tape.check('x', x);
  const n = x.rows * x.cols;
  const y = tape.tensor(x.rows, x.cols);
  kernels.f32_scale(factor, x.value, y.value, n);
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const dx = tape.gradient(y);
    kernels.f32_scale(factor, dx, dx, n);
    kernels.f32_add(dx, x.grad, n);
  });
  return y;
}
