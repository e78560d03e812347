import { uniform } from '../random.js';

// A prime number of values, so that they repeat in no row or column of a matrix.
const pool = Float32Array.from({ length: 8191 }, (_, i) => 2 * uniform(1, 0, i) - 1);
let drawn = 0;

/** n numbers in [-scale, scale), the same in every run. */
export function values(n: number, scale = 1): Float32Array {
  return Float32Array.from({ length: n }, () => scale * pool[drawn++ % pool.length]);
}
