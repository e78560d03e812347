import type { Tape, Tensor } from '../autograd/tape.js';
import { checkOperator, type Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { checkParameter, runtimeOf } from './checks.js';

/**
 * y[R,M] = x[R,N] W^T + bias[M]
 *
 * @throws InputError for shapes that do not fit together, or arguments of another runtime than the tape's
 */
export function linear(tape: Tape, weight: Operator, bias: Parameter, x: Tensor): Tensor {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  checkOperator(runtime, 'weight', weight);
  checkParameter(runtime, 'bias', bias, [weight.M]);
  tape.check('x', x, { cols: weight.N });
  const R = x.rows;
  const y = tape.tensor(R, weight.M);
  kernels.f32_set_rows(bias.value, y.value, R, weight.M);
  weight.matmul(x.value, y.value, R, true);
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const dy = tape.gradient(y);
    weight.tMatmul(dy, x.grad, R, true);
    weight.gradParams(dy, x.value, R);
    kernels.f32_add_rows(dy, bias.grad, R, weight.M);
  });
  return y;
}

/** y[R,M] = x[R,N] W^T. Throws InputError as linear() does. */
export function project(tape: Tape, weight: Operator, x: Tensor): Tensor {
  const runtime = runtimeOf(tape);
  checkOperator(runtime, 'weight', weight);
  tape.check('x', x, { cols: weight.N });
  const R = x.rows;
  const y = tape.tensor(R, weight.M);
  weight.matmul(x.value, y.value, R, false);
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const dy = tape.gradient(y);
    weight.tMatmul(dy, x.grad, R, true);
    weight.gradParams(dy, x.value, R);
  });
  return y;
}
