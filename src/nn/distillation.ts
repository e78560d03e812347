import type { Tape, Tensor } from '../autograd/tape.js';
import { InputError } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import { countTargets } from './loss.js';

/** How much a model learns from a teacher's probabilities instead of from the text alone. */
export interface Distillation {
  /** Share of the teacher in the loss, 0 to 1. */
  weight: number;
  /** Above 1, the teacher's lesser choices count for more. */
  temperature: number;
}

export function checkDistillation({ weight, temperature }: Distillation): void {
  if (!(weight >= 0 && weight <= 1)) throw new InputError(`distill: weight ${weight}; it must be from 0 to 1`);
  if (!(temperature > 0 && Number.isFinite(temperature))) {
    throw new InputError(`distill: temperature ${temperature}; it must be a positive number`);
  }
}

/**
 * (1 - weight) cross-entropy + weight T^2 KL(softmax(teacher / T) || softmax(logits / T)), T the temperature (Hinton et
 * al., 2015). As crossEntropy() otherwise; the teacher's logits are written over.
 */
export function distil(
  tape: Tape,
  logits: Tensor,
  teacher: Tensor,
  targets: Pointer,
  { weight, temperature }: Distillation,
): { sum: number; count: number } {
  const { runtime } = tape;
  const { kernels } = runtime;
  const { rows: R, cols: V, value } = logits;
  const lse = runtime.alloc(4 * R);
  const losses = runtime.alloc(4 * R);
  const count = countTargets(runtime, targets, R);
  const scale = count ? 1 / count : 0;
  kernels.f32_cross_entropy(value, targets, lse, losses, R, V);
  kernels.f32_distill(value, teacher.value, targets, losses, R, V, weight, temperature, scale);
  tape.record(() => {
    kernels.f32_cross_entropy_grad(value, targets, lse, value, R, V, (1 - weight) * scale);
    kernels.f32_add(teacher.value, value, R * V);
    logits.grad = value;
  });
  return { sum: kernels.f32_sum(losses, R), count };
}
