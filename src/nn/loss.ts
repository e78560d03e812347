import type { Tape, Tensor } from '../autograd/tape.js';
import { checkNumber } from '../checks.js';
import { checkOperator, type Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Program, X, Y } from '../operators/program.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Call } from '../wasm/threads.js';
import { checkIndices, checkParameter, runtimeOf } from './checks.js';

/** A softmax head: the logits are W x + bias. */
export interface SoftmaxHead {
  weight: Operator; // [V,N]
  bias: Parameter; // [V]
}

/** How a model learns from a teacher's probabilities besides the targets. */
export interface Distillation {
  /** The teacher's share of the loss, 0 to 1. */
  weight: number;
  /** Divides the logits of both; above 1, the teacher's less likely choices count for more. */
  temperature: number;
}

/** The address of a teacher's logits, f32[R,V], which are overwritten, and how much they count. */
export interface SoftTargets extends Distillation {
  logits: Pointer;
}

/** Throws InputError for a weight or a temperature out of range. */
export function checkDistillation({ weight, temperature }: Distillation): void {
  checkNumber('distill weight', weight, weight >= 0 && weight <= 1, 'a number from 0 to 1');
  checkNumber('distill temperature', temperature, temperature > 0, 'a number > 0');
}

/** Throws InputError unless this is a share of label smoothing. */
export function checkSmoothing(smoothing: number): void {
  checkNumber('label smoothing', smoothing, smoothing >= 0 && smoothing < 1, 'a number >= 0 and < 1');
}

const LEAST = -(2 ** 31); // any negative target

/** Bytes of logits at a time: they should still be in cache when their gradient is computed. */
const BLOCK_BYTES = 2 ** 21;

/**
 * Cross-entropy of the targets, i32[R], under softmax(W x + bias), x[R,N]; a negative target does not count. Returns the
 * sum over the rows that count, in nats, and their number; the gradient is that of the mean. With a teacher, the loss of a row is
 *
 *   (1 - weight) cross-entropy + weight T^2 KL(softmax(teacher's logits / T) || softmax(logits / T)), T the temperature
 *
 * (Hinton et al., 2015).
 *
 * It ends the tape, so the gradients begin here: logits, their gradient and that of x are computed block by block, and the
 * logits, the largest tensor, are stored once.
 *
 * @param smoothing label smoothing: the share of a target that all V outputs have alike (Szegedy et al., 2016)
 * @param divisor what the gradient of the sum is divided by, where that is not the number of rows that count
 * @throws InputError for a target that is not below V, for shapes that do not fit together, and for arguments of another
 * runtime than the tape's
 */
export function softmaxLoss(
  tape: Tape,
  { weight, bias }: SoftmaxHead,
  x: Tensor,
  targets: Pointer,
  softTargets?: SoftTargets,
  divisor?: number,
  smoothing = 0,
): { sum: number; count: number } {
  const runtime = runtimeOf(tape);
  const { recording } = tape;
  const { kernels } = runtime;
  checkOperator(runtime, 'weight', weight);
  const { M: V, N } = weight;
  checkParameter(runtime, 'bias', bias, [V]);
  tape.check('x', x, { cols: N });
  const R = x.rows;
  checkIndices(runtime, 'targets', targets, R, LEAST, V);
  checkSmoothing(smoothing);
  if (softTargets) {
    checkDistillation(softTargets);
    runtime.check('logits', softTargets.logits, R * V);
  }
  const most = Math.max(8, 8 * Math.floor(BLOCK_BYTES / (32 * V)));
  let count = 0;
  for (const target of runtime.ints(targets, R)) if (target >= 0) count++;
  const dx = recording ? tape.gradient(x) : 0;
  const all = recording ? runtime.alloc(4 * R * V) : 0;
  const losses = runtime.alloc(4 * R);

  runtime.scoped(() => {
    const lse = runtime.alloc(4 * R);
    const shares = runtime.shares(R);
    const block = Math.min(most, shares[0][1]);
    const forward = Program.block(runtime, block, shares.length);
    weight.forward(forward, X, Y, true);
    const transpose = Program.block(runtime, block, shares.length);
    if (recording) weight.transpose(transpose, X, Y, true);
    const { program, scratch } = forward.place();
    const back = transpose.place();
    const calls = shares.map(([row, rows], i) => {
      const at = 4 * row;
      const logits = all ? all + at * V : runtime.alloc(4 * block * V);
      return [
        program,
        recording ? back.program : 0,
        bias.value,
        x.value + at * N,
        logits,
        targets + at,
        lse + at,
        losses + at,
        dx + at * N,
        rows,
        V,
        N,
        block,
        count ? 1 / (divisor ?? count) : 0,
        scratch[i],
        back.scratch[i],
        softTargets ? softTargets.logits + at * V : 0,
        softTargets?.weight ?? 0,
        softTargets?.temperature ?? 1,
        smoothing,
      ] satisfies Call<'f32_softmax_head'>;
    });
    runtime.parallel('f32_softmax_head', calls);
  });
  tape.record(() => {
    weight.gradParams(all, x.value, R);
    kernels.f32_add_rows(all, bias.grad, R, V);
  });
  return { sum: kernels.f32_sum(losses, R), count };
}
