import type { Tape, Tensor } from '../autograd/tape.js';
import { invalid } from '../errors.js';
import { exp, log } from '../math.js';
import { runtimeOf } from './checks.js';

/** Sum over the numbers that count, in nats or squares, and how many they are; the gradient is that of the mean. */
export interface LossSum {
  sum: number;
  count: number;
}

/**
 * Binary cross-entropy of the targets, [R N] from 0 to 1, under sigmoid(logits), logits[R,N], in nats. `weights`, [R],
 * multiply what a row counts: 0 leaves it out, such as steps behind a sequence's end.
 *
 * @throws InputError for arrays of another length
 */
export function binaryLoss(
  tape: Tape,
  logits: Tensor,
  targets: ArrayLike<number>,
  weights?: ArrayLike<number>,
): LossSum {
  return elementLoss(tape, logits, targets, weights, (x, target) => {
    // log(1 + e^-|x|) never overflows.
    const small = exp(-Math.abs(x));
    const probability = x >= 0 ? 1 / (1 + small) : small / (1 + small);
    return { loss: Math.max(x, 0) - x * target + log(1 + small), slope: probability - target };
  });
}

/** Mean squared error between outputs[R,N] and the targets, [R N]; `weights` as in binaryLoss(). */
export function meanSquaredLoss(
  tape: Tape,
  outputs: Tensor,
  targets: ArrayLike<number>,
  weights?: ArrayLike<number>,
): LossSum {
  return elementLoss(tape, outputs, targets, weights, (x, target) => {
    const error = x - target;
    return { loss: error * error, slope: 2 * error };
  });
}

/** Throws InputError unless these are n finite numbers. */
function checkNumbers(name: string, numbers: ArrayLike<number>, n: number): void {
  if (numbers?.length !== n) throw invalid(`${name}.length`, numbers?.length, `${n}`);
  for (let i = 0; i < n; i++)
    if (!Number.isFinite(numbers[i])) throw invalid(`${name}[${i}]`, numbers[i], 'a finite number');
}

function elementLoss(
  tape: Tape,
  outputs: Tensor,
  targets: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
  lossOf: (x: number, target: number) => { loss: number; slope: number },
): LossSum {
  const runtime = runtimeOf(tape);
  tape.check('outputs', outputs);
  const { rows: R, cols: N } = outputs;
  const n = R * N;
  checkNumbers('targets', targets, n);
  if (weights) checkNumbers('weights', weights, R);
  const x = runtime.floats(outputs.value, n);
  const slopes = new Float64Array(n);
  let sum = 0;
  let count = 0;
  for (let i = 0; i < n; i++) {
    const weight = weights ? weights[Math.floor(i / N)] : 1;
    if (weight === 0) continue;
    const { loss, slope } = lossOf(x[i], targets[i]);
    sum += weight * loss;
    // As the kernels do: see Constant.Tiny of assembly/simd.ts.
    slopes[i] = Math.abs(slope) < 2 ** -58 ? 0 : weight * slope;
    count += weight;
  }
  if (tape.recording) tape.gradient(outputs);
  tape.record(() => {
    const dx = runtime.floats(outputs.grad, n);
    for (let i = 0; i < n; i++) dx[i] += count ? slopes[i] / count : 0;
  });
  return { sum, count };
}
