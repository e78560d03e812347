import type { Tape, Tensor } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import type { Parameter } from '../operators/parameter.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkIndices, checkParameter, runtimeOf } from './checks.js';

/**
 * Looks up rows of a table: y[R,E] from table[V,E].
 *
 * @param ids the address of i32[R], each from 0 to V - 1; they must stay there until the way back is over
 * @throws InputError for an id out of range, or arrays that do not lie in the tape's runtime
 */
export function embed(tape: Tape, table: Parameter, ids: Pointer, R: number): Tensor {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  const [V, E = 1] = table?.shape ?? [];
  checkParameter(runtime, 'table', table, [V, E]);
  checkWhole('R', R, 0);
  checkIndices(runtime, 'ids', ids, R, 0, V);
  const y = tape.tensor(R, E);
  kernels.f32_gather(table.value, ids, y.value, R, E);
  tape.record(() => kernels.f32_scatter_add(tape.gradient(y), ids, table.grad, R, E));
  return y;
}
