import type { Tape, Tensor } from '../autograd/tape.js';
import type { ConvSpec } from '../network/spec.js';

/** Steps that a convolution gives for T of them. */
export function convolved(T: number, { width, stride = 1, padding = [width - 1, 0] }: ConvSpec): number {
  return Math.max(0, Math.floor((T + padding[0] + padding[1] - width) / stride) + 1);
}

/**
 * The windows that a convolution reads, as rows of one vector each: y[T' B, width I] from x[T B, I], rows of one time step
 * together. Window t begins at step t stride - padding[0]; steps outside the sequence are zeros.
 */
export function windows(tape: Tape, conv: ConvSpec, x: Tensor, B: number): Tensor {
  const { runtime } = tape;
  const { f32_copy_columns } = runtime.kernels;
  const { width, stride = 1, padding = [width - 1, 0] } = conv;
  const I = x.cols;
  const T = x.rows / B;
  const out = convolved(T, conv);
  const y: Tensor = { rows: out * B, cols: width * I, value: runtime.zeros(4 * out * B * width * I), grad: 0, runtime };
  /** Runs of windows whose k-th step lies in the sequence: of y's rows and x's, and how many. */
  const runs = Array.from({ length: width }, (_, k) => {
    const first = Math.max(0, Math.ceil((padding[0] - k) / stride));
    const last = Math.min(out - 1, Math.floor((T - 1 + padding[0] - k) / stride));
    const step = (t: number) => t * stride + k - padding[0];
    if (stride === 1) return first > last ? [] : [{ k, to: first, from: step(first), count: last - first + 1 }];
    const all: { k: number; to: number; from: number; count: number }[] = [];
    for (let t = first; t <= last; t++) all.push({ k, to: t, from: step(t), count: 1 });
    return all;
  }).flat();
  for (const { k, to, from, count } of runs) {
    const [source, target] = [x.value + 4 * from * B * I, y.value + 4 * (to * B * width * I + k * I)];
    f32_copy_columns(source, I, target, width * I, count * B, I, false);
  }
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const dy = tape.gradient(y);
    for (const { k, to, from, count } of runs) {
      const [source, target] = [dy + 4 * (to * B * width * I + k * I), x.grad + 4 * from * B * I];
      f32_copy_columns(source, width * I, target, I, count * B, I, true);
    }
  });
  return y;
}
