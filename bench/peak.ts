import plain from '../build/peak.wasm';
import relaxed from '../build/peak-relaxed.wasm';
import type { Contender } from './harness.js';

const ROUNDS = 20_000;

/** What 128-bit SIMD can do at most, without fused multiply-add or, in relaxed SIMD, with it: see peak.as.ts. */
export function peakContender(simd: 'plain' | 'relaxed'): Contender & { flops: number } {
  const module = new WebAssembly.Module(simd === 'relaxed' ? relaxed : plain);
  const instance = new WebAssembly.Instance(module, { env: { abort() {} } });
  const peak = instance.exports.peak as (n: number, one: number, zero: number) => number;
  return {
    name: simd === 'relaxed' ? 'limit: multiply and add at once in registers' : 'limit: multiply and add in registers',
    flops: (simd === 'relaxed' ? 192 : 96) * ROUNDS,
    repeats: 1,
    run: () => peak(ROUNDS, 1, 0),
  };
}
