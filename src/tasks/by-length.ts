// Batches of sequences of similar length, which need little padding.

import { Stream, uniform } from '../random.js';

/** What has a length: a sentence's token numbers, a sequence's frames. */
type Sequence = { readonly length: number };

/**
 * The batches of one pass over the sequences, as their places, in random order. The sequences of a batch are of similar
 * length, and otherwise random. The same seed and epoch give the same batches.
 *
 * @param size sequences in a batch; the last one may have fewer
 */
export function shuffledBatches(
  sequences: readonly Sequence[],
  size: number,
  seed: number,
  epoch: number,
): Int32Array[] {
  const n = sequences.length;
  const first = 2 * n * epoch;
  const order = shuffled([...sequences.keys()], seed, first).sort((a, b) => sequences[a].length - sequences[b].length);
  const batches: Int32Array[] = [];
  for (let i = 0; i < n; i += size) batches.push(Int32Array.from(order.slice(i, i + size)));
  return shuffled(batches, seed, first + n);
}

/**
 * The same, where all sequences of a batch have one length: for what cannot be padded. Those that `beside` has in their places are of
 * similar lengths. There are as many batches in every epoch.
 */
export function shuffledBatchesOfEqualLength(
  sequences: readonly Sequence[],
  beside: readonly Sequence[],
  size: number,
  seed: number,
  epoch: number,
): Int32Array[] {
  const n = sequences.length;
  const first = 2 * n * epoch;
  const order = shuffled([...sequences.keys()], seed, first).sort(
    (a, b) => sequences[a].length - sequences[b].length || beside[a].length - beside[b].length,
  );
  const batches: Int32Array[] = [];
  for (let from = 0, to: number; from < n; from = to) {
    to = from + 1;
    while (to < n && to - from < size && sequences[order[to]].length === sequences[order[from]].length) to++;
    batches.push(Int32Array.from(order.slice(from, to)));
  }
  return shuffled(batches, seed, first + n);
}

/** The items in random order; keys are drawn from the place `first` on. */
function shuffled<T>(list: readonly T[], seed: number, first: number): T[] {
  return list
    .map((item, i) => ({ item, key: uniform(seed, Stream.order, first + i) }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

/** Limits of a batch that is evaluated; padding counts as steps. */
const AT_ONCE = { sequences: 64, steps: 4096 };

/** Yields the places of all sequences, shortest first, as many together as are evaluated at once. */
export const batchesByLength = (sequences: readonly Sequence[]) => batches(sequences, false);

/** The same, where all sequences of a batch have one length. */
export const batchesByEqualLength = (sequences: readonly Sequence[]) => batches(sequences, true);

function* batches(sequences: readonly Sequence[], equal: boolean): Generator<number[], void> {
  const order = [...sequences.keys()].sort((a, b) => sequences[a].length - sequences[b].length);
  for (let from = 0, to: number; from < order.length; from = to) {
    to = from + 1;
    while (
      to < order.length &&
      to - from < AT_ONCE.sequences &&
      (!equal || sequences[order[to]].length === sequences[order[from]].length) &&
      sequences[order[to]].length * (to + 1 - from) <= AT_ONCE.steps
    ) {
      to++;
    }
    yield order.slice(from, to);
  }
}
