import type { Tape, Tensor } from '../autograd/tape.js';
import type { Activation } from '../network/spec.js';

/** y = activation(x), element by element. */
export function activate(tape: Tape, activation: Activation, x: Tensor): Tensor {
  const { kernels } = tape.runtime;
  const n = x.rows * x.cols;
  const y = tape.tensor(x.rows, x.cols);
  kernels[`f32_${activation}`](x.value, y.value, n);
  if (tape.recording) tape.gradient(x);
  tape.record(() => kernels[`f32_${activation}_grad`](y.value, tape.gradient(y), x.grad, n));
  return y;
}
