import type { Tape, Tensor } from '../autograd/tape.js';
import { seedWords } from '../random.js';
import type { Pointer } from '../wasm/kernels.js';

/** The masks of one training step. */
export interface StepDropout {
  rate: number; // in [0, 1)
  seed: number;
  step: number;
}

/** Which mask: the same key and step give the same one. */
export interface DropoutKey extends StepDropout {
  stream: number;
}

/** y = x mask / (1 - rate) */
export function dropout(tape: Tape, x: Tensor, { rate, seed, step, stream }: DropoutKey): Tensor {
  if (rate === 0) return x;
  const { rows, cols } = x;
  const [low, high] = seedWords(seed);
  const apply = (from: Pointer, to: Pointer, accumulate: boolean) => {
    const { f32_dropout } = tape.runtime.kernels;
    f32_dropout(from, to, rows, cols, 0, 0, rate, low, high, step, stream, accumulate);
  };
  const y = tape.tensor(rows, cols);
  apply(x.value, y.value, false);
  if (tape.recording) tape.gradient(x);
  tape.record(() => apply(y.grad, x.grad, true));
  return y;
}
