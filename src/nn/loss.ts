import type { Tape, Tensor } from '../autograd/tape.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';

/**
 * Cross-entropy of the targets, i32[R], under softmax(logits[R,V]); a negative target does not count. Returns the sum
 * over the rows that count, in nats, and their number; the gradient is that of the mean. backward() turns the logits
 * into their own gradient: they are the largest tensor there is, and nobody needs them after the loss.
 */
export function crossEntropy(tape: Tape, logits: Tensor, targets: Pointer): { sum: number; count: number } {
  const { runtime } = tape;
  const { kernels } = runtime;
  const { rows: R, cols: V, value } = logits;
  const lse = runtime.alloc(4 * R);
  const losses = runtime.alloc(4 * R);
  kernels.f32_cross_entropy(value, targets, lse, losses, R, V);
  const count = countTargets(runtime, targets, R);
  tape.record(() => {
    kernels.f32_cross_entropy_grad(value, targets, lse, value, R, V, count ? 1 / count : 0);
    logits.grad = value;
  });
  return { sum: kernels.f32_sum(losses, R), count };
}

/** How many of the targets, i32[R], count. */
export function countTargets(runtime: Runtime, targets: Pointer, R: number): number {
  let count = 0;
  for (const target of runtime.ints(targets, R)) if (target >= 0) count++;
  return count;
}
