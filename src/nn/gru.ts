import type { Tape, Tensor } from '../autograd/tape.js';
import { InputError } from '../errors.js';
import type { Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Program, X, Y } from '../operators/program.js';

/** The weights of one layer, in PyTorch's layout: gates r, z, n, each matrix an operator of its own. */
export class GruLayer {
  readonly hidden: number;

  /** @throws InputError where the shapes do not fit together */
  constructor(
    readonly ih: Operator, // [3H, I]
    readonly hh: Operator, // [3H, H]
    readonly biasIh: Parameter, // [3H]
    readonly biasHh: Parameter, // [3H]
  ) {
    const H = hh.N;
    if (hh.M !== 3 * H || ih.M !== 3 * H || biasIh.size !== 3 * H || biasHh.size !== 3 * H) {
      throw new InputError(
        `GRU: got W_hh of ${hh.M} x ${H}, W_ih of ${ih.M} x ${ih.N} and biases of ${biasIh.size} and ${biasHh.size}; expected ${3 * H} rows in all, three gates of ${H} units`,
      );
    }
    this.hidden = H;
  }
}

/**
 * A layer over a whole sequence, as one step of the tape: x[T B, I], rows of one time step together; h[B,H] is the state
 * before. Returns y[T B, H] and the state after.
 *
 *   a_t = W_ih x_t + b_ih, u_t = W_hh h_(t-1) + b_hh, then the cell of assembly/gru.ts
 */
export function gru(tape: Tape, layer: GruLayer, x: Tensor, state: { h: Tensor }): { y: Tensor; h: Tensor } {
  const { runtime } = tape;
  const { kernels } = runtime;
  const { ih, hh, biasIh, biasHh, hidden: H } = layer;
  const B = state.h.rows;
  const T = x.rows / B;
  const step = 4 * B * H; // bytes of one time step of h; of the gates three times as much

  const a = runtime.alloc(3 * step * T);
  const u = runtime.alloc(3 * step * T);
  // The state before each step and, behind them, the last: hs[1..T] is y, hs[0..T-1] what W_hh was multiplied with.
  const hs = runtime.alloc(step * (T + 1));
  runtime.floats(hs, B * H).set(runtime.floats(state.h.value, B * H));
  kernels.f32_set_rows(biasIh.value, a, T * B, 3 * H);
  kernels.f32_set_rows(biasHh.value, u, T * B, 3 * H);

  const mark = runtime.mark();
  ih.matmul(x.value, a, T * B, true);
  const recurrence = Program.product(runtime, B);
  hh.forward(recurrence, X, Y, true);
  const { program, scratch } = recurrence.place();
  // Each thread takes some of the streams through all steps: `at` is the place of its first one, `row` in the batch.
  const forward = runtime.shares(B).map(([row, count], i) => {
    const at = 4 * row * H;
    return [program, a + 3 * at, u + 3 * at, hs + at, T, B, count, H, row, scratch[i]];
  });
  runtime.parallel('f32_gru_forward', forward);
  runtime.release(mark);

  const y: Tensor = { rows: T * B, cols: H, value: hs + step, grad: 0 };
  const h: Tensor = { rows: B, cols: H, value: hs + step * T, grad: 0 };
  if (tape.recording) for (const input of [x, state.h]) tape.gradient(input);
  tape.record(() => {
    const dy = tape.gradient(y);
    if (h.grad) kernels.f32_add(h.grad, dy + step * (T - 1), B * H);
    const mark = runtime.mark();
    const recurrence = Program.product(runtime, B);
    hh.transpose(recurrence, X, Y, true);
    const { program, scratch } = recurrence.place();
    const backward = runtime.shares(B).map(([row, count], i) => {
      const at = 4 * row * H;
      const arrays = [a + 3 * at, u + 3 * at, hs + at, dy + at, state.h.grad + at];
      return [program, ...arrays, T, B, count, H, row, scratch[i]];
    });
    runtime.parallel('f32_gru_backward', backward);
    runtime.release(mark);
    ih.tMatmul(a, x.grad, T * B, true);
    ih.gradParams(a, x.value, T * B);
    hh.gradParams(u, hs, T * B);
    kernels.f32_add_rows(a, biasIh.grad, T * B, 3 * H);
    kernels.f32_add_rows(u, biasHh.grad, T * B, 3 * H);
  });
  return { y, h };
}
