import type { Tape, Tensor } from '../autograd/tape.js';

/** y[B,N] = the mean over each sequence's steps of x[T B, N], rows of one time step together; lengths: [B], at least 1. */
export function meanOverTime(tape: Tape, x: Tensor, lengths: readonly number[]): Tensor {
  const { runtime } = tape;
  const { kernels } = runtime;
  const B = lengths.length;
  const N = x.cols;
  const y: Tensor = { rows: B, cols: N, value: runtime.zeros(4 * B * N), grad: 0, runtime };
  lengths.forEach((length, b) => {
    const row = y.value + 4 * b * N;
    for (let t = 0; t < length; t++) kernels.f32_add(x.value + 4 * (t * B + b) * N, row, N);
    kernels.f32_scale(1 / length, row, row, N);
  });
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const dy = tape.gradient(y);
    lengths.forEach((length, b) => {
      const row = dy + 4 * b * N;
      kernels.f32_scale(1 / length, row, row, N);
      for (let t = 0; t < length; t++) kernels.f32_add(row, x.grad + 4 * (t * B + b) * N, N);
    });
  });
  return y;
}

/** y[B,N] = the largest over each sequence's steps, number by number; of equal ones the first. The rest as above. */
export function largestOverTime(tape: Tape, x: Tensor, lengths: readonly number[]): Tensor {
  const { runtime } = tape;
  const B = lengths.length;
  const N = x.cols;
  const y = tape.tensor(B, N);
  const from = new Uint32Array(B * N); // where in x each comes from
  const values = runtime.floats(x.value, x.rows * N);
  const largest = runtime.floats(y.value, B * N);
  lengths.forEach((length, b) => {
    for (let j = 0; j < N; j++) {
      let best = b * N + j;
      for (let t = 1; t < length; t++) {
        const at = (t * B + b) * N + j;
        if (values[at] > values[best]) best = at;
      }
      from[b * N + j] = best;
      largest[b * N + j] = values[best];
    }
  });
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const at = tape.gradient(y);
    const [dy, dx] = [runtime.floats(at, B * N), runtime.floats(x.grad, x.rows * N)];
    for (let i = 0; i < from.length; i++) dx[from[i]] += dy[i];
  });
  return y;
}
