import type { Tape, Tensor } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import { invalid } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import { runtimeOf } from './checks.js';

/**
 * Attention of queries x[T B,N] to S steps of a memory, with rows of one time step together: the context c[T B,M] and the weights,
 * f32[T B,S], that it is the mean with.
 *
 *   a = softmax over s of x . keys[s];  c = sum over s of a[s] values[s]
 *
 * @param keys [S B,N], what queries are compared with
 * @param values [S B,M]
 * @param B sequences side by side
 * @throws InputError for shapes that do not fit together, and for tensors of another runtime than the tape's
 */
export function attend(
  tape: Tape,
  x: Tensor,
  keys: Tensor,
  values: Tensor,
  B: number,
): { context: Tensor; weights: Pointer } {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  checkWhole('B', B, 1);
  tape.check('x', x);
  tape.check('keys', keys, { cols: x.cols });
  tape.check('values', values, { rows: keys.rows });
  for (const [name, { rows }] of Object.entries({ x, keys })) {
    if (rows === 0 || rows % B !== 0) throw invalid(`${name}.rows`, rows, `a multiple of the ${B} sequences`);
  }
  const [N, M] = [x.cols, values.cols];
  const sizes = [x.rows / B, keys.rows / B, B, N, M] as const;
  const [, S] = sizes;
  const context = tape.tensor(x.rows, M);
  const weights = runtime.alloc(4 * x.rows * S);
  kernels.f32_attention(x.value, keys.value, values.value, weights, context.value, ...sizes);
  if (tape.recording) for (const input of [x, keys, values]) tape.gradient(input);
  tape.record(() => {
    const dc = tape.gradient(context);
    runtime.scoped(() => {
      const scores = runtime.alloc(4 * S);
      const inputs = [x.value, keys.value, values.value, weights, dc] as const;
      kernels.f32_attention_grad(...inputs, x.grad, keys.grad, values.grad, scores, ...sizes);
    });
  });
  return { context, weights };
}
