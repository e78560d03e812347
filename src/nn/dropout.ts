import type { Tape, Tensor } from '../autograd/tape.js';
import { checkNumber, checkWhole } from '../checks.js';
import { seedWords } from '../random.js';
import type { Pointer } from '../wasm/kernels.js';
import { runtimeOf } from './checks.js';

/** The masks of one training step. */
export interface StepDropout {
  rate: number; // in [0, 1)
  seed: number;
  step: number;
}

/** Which mask: the same key gives the same one. */
export interface DropoutKey extends StepDropout {
  /** Tells apart the masks of one step; a whole number. */
  stream: number;
  /** The row of the mask for the first row of x; default 0. */
  firstRow?: number;
}

/** Throws InputError unless this is a rate of dropout. */
export function checkRate(name: string, rate: number): void {
  checkNumber(name, rate, rate >= 0 && rate < 1, 'a number >= 0 and < 1');
}

/**
 * y = x mask / (1 - rate), where the mask is 0 with probability `rate` and otherwise 1. x and y are [R,N].
 *
 * @throws InputError for a key out of range, or a tensor of another runtime than the tape's
 */
export function dropout(tape: Tape, x: Tensor, { rate, seed, step, stream, firstRow = 0 }: DropoutKey): Tensor {
  const { kernels } = runtimeOf(tape);
  tape.check('x', x);
  checkRate('rate', rate);
  checkWhole('seed', seed, 0);
  checkWhole('step', step, 0);
  checkWhole('stream', stream, 0);
  checkWhole('firstRow', firstRow, 0);
  if (rate === 0) return x;
  const { rows, cols } = x;
  const [low, high] = seedWords(seed);
  const apply = (from: Pointer, to: Pointer, accumulate: boolean) => {
    kernels.f32_dropout(from, to, rows, cols, firstRow, 0, rate, low, high, step, stream, accumulate);
  };
  const y = tape.tensor(rows, cols);
  apply(x.value, y.value, false);
  if (tape.recording) tape.gradient(x);
  tape.record(() => apply(tape.gradient(y), x.grad, true));
  return y;
}
