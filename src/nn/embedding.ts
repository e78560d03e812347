import type { Tape, Tensor } from '../autograd/tape.js';
import type { Parameter } from '../operators/parameter.js';
import type { Pointer } from '../wasm/kernels.js';

/** y[R,E] = rows of table[V,E]; ids: i32[R], in range, kept until the step is over. */
export function embed(tape: Tape, table: Parameter, ids: Pointer, R: number): Tensor {
  const { kernels } = tape.runtime;
  const E = table.shape[1];
  const y = tape.tensor(R, E);
  kernels.f32_gather(table.value, ids, y.value, R, E);
  tape.record(() => kernels.f32_scatter_add(y.grad, ids, table.grad, R, E));
  return y;
}
