import { exp } from '../math.js';

/** exp(x) / sum of exp(x) */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const result = Float64Array.from(logits);
  const largest = result.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = exp(result[i] - largest);
    sum += result[i];
  }
  return result.map((x) => x / sum);
}

/** The place of the largest, the first of equal ones. */
export function likeliest(probabilities: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < probabilities.length; i++) if (probabilities[i] > probabilities[best]) best = i;
  return best;
}
