import type { Tape, Tensor } from '../autograd/tape.js';
import { invalid } from '../errors.js';
import { checkOperator, type Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Program, X, Y } from '../operators/program.js';
import type { Call } from '../wasm/threads.js';
import { checkMatrix, checkParameter, runtimeOf } from './checks.js';

/**
 * The weights of one GRU layer, in PyTorch's layout: gates r, z, n.
 */
export class GruLayer {
  /** Units, H. */
  readonly hidden: number;

  /** @throws InputError for shapes that do not fit together, and for arguments of different runtimes */
  constructor(
    readonly ih: Operator, // [3H, I]
    readonly hh: Operator, // [3H, H]
    readonly biasIh: Parameter, // [3H]
    readonly biasHh: Parameter, // [3H]
  ) {
    checkOperator(hh?.runtime, 'hh', hh);
    const { runtime, N: H } = hh;
    checkMatrix(runtime, 'hh', hh, 3 * H, H);
    checkOperator(runtime, 'ih', ih);
    checkMatrix(runtime, 'ih', ih, 3 * H, ih.N);
    checkParameter(runtime, 'biasIh', biasIh, [3 * H]);
    checkParameter(runtime, 'biasHh', biasHh, [3 * H]);
    this.hidden = H;
  }
}

/**
 * Runs a layer over a whole sequence: x[T B, I], rows of one time step together; h[B,H] is the state before it. Returns y[T B,
 * H] and the state after.
 *
 *   a_t = W_ih x_t + b_ih, u_t = W_hh h_(t-1) + b_hh, then the cell of assembly/gru.ts
 *
 * @throws InputError for shapes that do not fit together, and for arguments of another runtime than the tape's
 */
export function gru(tape: Tape, layer: GruLayer, x: Tensor, state: { h: Tensor }): { y: Tensor; h: Tensor } {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  if (!(layer instanceof GruLayer)) throw invalid('layer', layer, 'a GruLayer');
  const { ih, hh, biasIh, biasHh, hidden: H } = layer;
  checkOperator(runtime, 'layer', hh);
  tape.check('h', state.h, { cols: H });
  const B = state.h.rows;
  tape.check('x', x, { cols: ih.N });
  const T = x.rows / B;
  if (!(T >= 1 && Number.isInteger(T))) throw invalid('x.rows', x.rows, `a multiple of the ${B} rows of the state`);
  const step = 4 * B * H; // bytes of one time step of h; of the gates three times as much

  const a = runtime.alloc(3 * step * T);
  const u = runtime.alloc(3 * step * T);
  // The states before each step, then the last one: hs[1..T] is y, hs[0..T-1] is what W_hh multiplies.
  const hs = runtime.alloc(step * (T + 1));
  runtime.floats(hs, B * H).set(runtime.floats(state.h.value, B * H));
  kernels.f32_set_rows(biasIh.value, a, T * B, 3 * H);
  kernels.f32_set_rows(biasHh.value, u, T * B, 3 * H);

  runtime.scoped(() => {
    ih.matmul(x.value, a, T * B, true);
    const recurrence = Program.product(runtime, B);
    hh.forward(recurrence, X, Y, true);
    const { program, scratch } = recurrence.place();
    // Each thread takes some of the streams through all steps; the first of them is `row` of the batch.
    const calls = runtime.shares(B).map(([row, count], i) => {
      const at = 4 * row * H;
      return [
        program,
        a + 3 * at,
        u + 3 * at,
        hs + at,
        T,
        B,
        count,
        H,
        row,
        scratch[i],
      ] satisfies Call<'f32_gru_forward'>;
    });
    runtime.parallel('f32_gru_forward', calls);
  });

  const y: Tensor = { rows: T * B, cols: H, value: hs + step, grad: 0, runtime };
  const h: Tensor = { rows: B, cols: H, value: hs + step * T, grad: 0, runtime };
  if (tape.recording) for (const input of [x, state.h]) tape.gradient(input);
  tape.record(() => {
    const dy = tape.gradient(y);
    if (h.grad) kernels.f32_add(h.grad, dy + step * (T - 1), B * H);
    runtime.scoped(() => {
      const recurrence = Program.product(runtime, B);
      hh.transpose(recurrence, X, Y, true);
      const { program, scratch } = recurrence.place();
      const calls = runtime.shares(B).map(([row, count], i) => {
        const at = 4 * row * H;
        const arrays = [a + 3 * at, u + 3 * at, hs + at, dy + at, state.h.grad + at] as const;
        return [program, ...arrays, T, B, count, H, row, scratch[i]] satisfies Call<'f32_gru_backward'>;
      });
      runtime.parallel('f32_gru_backward', calls);
    });
    ih.tMatmul(a, x.grad, T * B, true);
    ih.gradParams(a, x.value, T * B);
    hh.gradParams(u, hs, T * B);
    kernels.f32_add_rows(a, biasIh.grad, T * B, 3 * H);
    kernels.f32_add_rows(u, biasHh.grad, T * B, 3 * H);
  });
  return { y, h };
}
