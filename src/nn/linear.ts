import type { Tape, Tensor } from '../autograd/tape.js';
import type { Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';

/** y[R,M] = x[R,N] W^T + bias[M] */
export function linear(tape: Tape, weight: Operator, bias: Parameter, x: Tensor): Tensor {
  const { kernels } = tape.runtime;
  const R = x.rows;
  const y = tape.tensor(R, weight.M);
  kernels.f32_set_rows(bias.value, y.value, R, weight.M);
  weight.matmul(x.value, y.value, R, true);
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    weight.tMatmul(y.grad, x.grad, R, true);
    weight.gradParams(y.grad, x.value, R);
    kernels.f32_add_rows(y.grad, bias.grad, R, weight.M);
  });
  return y;
}
