import type { Tape, Tensor } from '../autograd/tape.js';
import { invalid } from '../errors.js';
import { checkOperator, type Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Program, X, Y } from '../operators/program.js';
import type { Call } from '../wasm/threads.js';
import { checkMatrix, checkParameter, runtimeOf } from './checks.js';

/**
 * The weights of one LSTM layer, in PyTorch's layout: gates i, f, g, o.
 */
export class LstmLayer {
  /** Units, H. */
  readonly hidden: number;

  /** @throws InputError for shapes that do not fit together, and for arguments of different runtimes */
  constructor(
    readonly ih: Operator, // [4H, I]
    readonly hh: Operator, // [4H, H]
    readonly biasIh: Parameter, // [4H]
    readonly biasHh: Parameter, // [4H]
  ) {
    checkOperator(hh?.runtime, 'hh', hh);
    const { runtime, N: H } = hh;
    checkOperator(runtime, 'ih', ih);
    checkMatrix(runtime, 'hh', hh, 4 * H, H);
    checkMatrix(runtime, 'ih', ih, 4 * H, ih.N);
    checkParameter(runtime, 'biasIh', biasIh, [4 * H]);
    checkParameter(runtime, 'biasHh', biasHh, [4 * H]);
    this.hidden = H;
  }
}

/**
 * Runs a layer over a whole sequence: x[T B, I], rows of one time step together; h and c [B,H] are the state before it.
 * Returns y[T B, H] and the state after.
 *
 *   a_t = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, then the cell of assembly/lstm.ts
 *
 * @throws InputError for shapes that do not fit together, and for arguments of another runtime than the tape's
 */
export function lstm(
  tape: Tape,
  layer: LstmLayer,
  x: Tensor,
  state: { h: Tensor; c: Tensor },
): { y: Tensor; h: Tensor; c: Tensor } {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  if (!(layer instanceof LstmLayer)) throw invalid('layer', layer, 'an LstmLayer');
  const { ih, hh, biasIh, biasHh, hidden: H } = layer;
  checkOperator(runtime, 'layer', hh);
  tape.check('h', state.h, { cols: H });
  const B = state.h.rows;
  tape.check('c', state.c, { rows: B, cols: H });
  tape.check('x', x, { cols: ih.N });
  const T = x.rows / B;
  if (!(T >= 1 && Number.isInteger(T))) throw invalid('x.rows', x.rows, `a multiple of the ${B} rows of the state`);
  const step = 4 * B * H; // bytes of one time step of h or c; of the gates four times as much

  const gates = runtime.alloc(4 * step * T);
  // The states before each step, then the last one: hs[1..T] is y, hs[0..T-1] is what W_hh multiplies.
  const hs = runtime.alloc(step * (T + 1));
  const cs = runtime.alloc(step * (T + 1));
  const tanhC = runtime.alloc(step * T);
  runtime.floats(hs, B * H).set(runtime.floats(state.h.value, B * H));
  runtime.floats(cs, B * H).set(runtime.floats(state.c.value, B * H));

  runtime.scoped(() => {
    const bias = runtime.alloc(16 * H);
    runtime.floats(bias, 4 * H).set(biasIh.data);
    kernels.f32_add(biasHh.value, bias, 4 * H);
    kernels.f32_set_rows(bias, gates, T * B, 4 * H);

    ih.matmul(x.value, gates, T * B, true);
    const recurrence = Program.product(runtime, B);
    hh.forward(recurrence, X, Y, true);
    const { program, scratch } = recurrence.place();
    // Each thread takes some of the streams through all steps; the first of them is `row` of the batch.
    const calls = runtime.shares(B).map(([row, count], i) => {
      const at = 4 * row * H;
      const arrays = [gates + 4 * at, hs + at, cs + at, tanhC + at] as const;
      return [program, ...arrays, T, B, count, H, row, scratch[i]] satisfies Call<'f32_lstm_forward'>;
    });
    runtime.parallel('f32_lstm_forward', calls);
  });

  const y: Tensor = { rows: T * B, cols: H, value: hs + step, grad: 0, runtime };
  const h: Tensor = { rows: B, cols: H, value: hs + step * T, grad: 0, runtime };
  const c: Tensor = { rows: B, cols: H, value: cs + step * T, grad: 0, runtime };
  if (tape.recording) {
    for (const input of [x, state.h, state.c]) tape.gradient(input);
  }
  tape.record(() => {
    const dy = tape.gradient(y);
    const dc = tape.gradient(c); // is updated in place, back through time
    if (h.grad) kernels.f32_add(h.grad, dy + step * (T - 1), B * H);
    runtime.scoped(() => {
      const recurrence = Program.product(runtime, B);
      hh.transpose(recurrence, X, Y, true);
      const { program, scratch } = recurrence.place();
      const calls = runtime.shares(B).map(([row, count], i) => {
        const at = 4 * row * H;
        const arrays = [gates + 4 * at, cs + at, tanhC + at, dy + at, dc + at, state.h.grad + at] as const;
        return [program, ...arrays, T, B, count, H, row, scratch[i]] satisfies Call<'f32_lstm_backward'>;
      });
      runtime.parallel('f32_lstm_backward', calls);
    });
    kernels.f32_add(dc, state.c.grad, B * H);
    ih.tMatmul(gates, x.grad, T * B, true);
    ih.gradParams(gates, x.value, T * B);
    hh.gradParams(gates, hs, T * B);
    for (const { grad } of [biasIh, biasHh]) kernels.f32_add_rows(gates, grad, T * B, 4 * H);
  });
  return { y, h, c };
}
