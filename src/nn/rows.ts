import type { Tape, Tensor } from '../autograd/tape.js';
import type { Pointer } from '../wasm/kernels.js';

/** y[R,N] = rows of x[*,N]; rows: i32[R], in range, kept until the step is over. */
export function selectRows(tape: Tape, x: Tensor, rows: Pointer, R: number): Tensor {
  const { kernels } = tape.runtime;
  const N = x.cols;
  const y = tape.tensor(R, N);
  kernels.f32_gather(x.value, rows, y.value, R, N);
  if (tape.recording) tape.gradient(x);
  tape.record(() => kernels.f32_scatter_add(y.grad, rows, x.grad, R, N));
  return y;
}

/** y[R,A+B]: the rows of a[R,A], and behind each the one of b[R,B]. */
export function joinColumns(tape: Tape, a: Tensor, b: Tensor): Tensor {
  const { f32_copy_columns } = tape.runtime.kernels;
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
    for (const { part, offset } of parts) {
      f32_copy_columns(y.grad + offset, y.cols, part.grad, part.cols, R, part.cols, true);
    }
  });
  return y;
}
