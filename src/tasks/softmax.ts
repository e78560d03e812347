import { exp } from '../math.js';

/** Returns exp(x) / sum(exp(x)). */
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

/** Returns the index of the largest number, the first of equal ones. */
export function likeliest(probabilities: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < probabilities.length; i++) if (probabilities[i] > probabilities[best]) best = i;
  return best;
}

/**
 * Yields the indices of n numbers, those of the largest first, equal ones in order. A heap: the first takes O(n), each further
 * one O(log n).
 */
export function* largestFirst(numbers: ArrayLike<number>): Generator<number, void> {
  const n = numbers.length;
  const heap = new Uint32Array(n).map((_, i) => i);
  const isBefore = (a: number, b: number) => numbers[a] > numbers[b] || (numbers[a] === numbers[b] && a < b);
  /** Moves the entry at `at` down until none below it comes first. */
  const sink = (at: number, size: number) => {
    const moved = heap[at];
    while (2 * at + 1 < size) {
      let child = 2 * at + 1;
      if (child + 1 < size && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], moved)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moved;
  };
  for (let at = (n >> 1) - 1; at >= 0; at--) sink(at, n);
  for (let size = n; size > 0; ) {
    yield heap[0];
    heap[0] = heap[--size];
    sink(0, size);
  }
}
