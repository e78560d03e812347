import type { Pointer } from '../wasm/kernels.js';
import type { Parameter } from './parameter.js';

// Whatever is pruned as a unit, a weight or a block, has a size: the bits of a float, its magnitude or sum of squares. The
// bits of positive floats, read as integers, are in the order of the floats. Both forms list sizes in the same order, by rows
// of blocks and then by columns, so that they prune the same weights.

export const PRUNED = 0xffffffff; // not a positive float, and larger than any

/** The size below which everything is pruned so that `keep` are left, and how many of exactly this size are left. */
export function thresholdOf(sizes: readonly Uint32Array[], keep: number): { threshold: number; ties: number } {
  // Found digit by digit, 16 bits at a time.
  const counts = new Uint32Array(65536);
  for (const group of sizes) for (let i = 0; i < group.length; i++) counts[group[i] >>> 16]++;
  const high = digit(counts, 0x7fff, keep);
  counts.fill(0);
  for (const group of sizes) {
    for (let i = 0; i < group.length; i++) if (group[i] >>> 16 === high.value) counts[group[i] & 0xffff]++;
  }
  const low = digit(counts, 0xffff, high.left);
  return { threshold: high.value * 65536 + low.value, ties: low.left };
}

/** The largest digit for which at least `wanted` are as large or larger, and how many of those with it are needed. */
function digit(counts: Uint32Array, largest: number, wanted: number): { value: number; left: number } {
  let value = largest;
  let left = wanted;
  while (value > 0 && counts[value] < left) left -= counts[value--];
  return { value, left };
}

/** The weights whose sizes are compared: as they are, or times v^(1/4), where `second` holds the v of each. */
export function salient({ runtime, data, size }: Parameter, second: Pointer | undefined): Float32Array {
  if (second === undefined) return data;
  return runtime.floats(second, size).map((v, i) => data[i] * Math.sqrt(Math.sqrt(v)));
}

/** What a weight adds to the size of a block of `rows` rows. */
export function sizeOf(weight: number, rows: number): number {
  return rows === 1 ? Math.abs(weight) : weight * weight;
}
