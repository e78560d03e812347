import bytes from '../build/peak.wasm';
import type { Task } from './harness.js';

const instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)), { env: { abort() {} } });
const peak = instance.exports.peak as (n: number) => number;

/** What 128-bit SIMD can do at most: see peak.as.ts. */
export const peakTask: Task & { flops: number } = {
  name: 'limit: multiply and add in registers',
  flops: 96 * 20_000,
  repeats: 1,
  run: () => peak(20_000),
};
