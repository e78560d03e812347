import { invalid } from '../errors.js';

/**
 * 'plain' gives the same bits on every machine. 'relaxed' uses fused multiply-add where the machine has it: it is faster,
 * and the last bits may differ. 'auto' is 'relaxed' where the host supports it, else 'plain'.
 */
export type SimdChoice = 'auto' | 'plain' | 'relaxed';

/** A function of one relaxed instruction, f32x4.relaxed_madd: hosts without it reject the module. */
const PROBE = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 1, 32, 2,
  253, 133, 2, 11,
]);

/** Whether this host supports relaxed SIMD. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(PROBE);
}

/** Which of the two this host runs for a choice. Throws InputError if it runs none. */
export function chooseSimd(simd: SimdChoice): 'plain' | 'relaxed' {
  if (simd !== 'auto' && simd !== 'plain' && simd !== 'relaxed') {
    throw invalid('simd', simd, "'auto', 'plain' or 'relaxed'");
  }
  if (simd === 'plain' || hasRelaxedSimd()) return simd === 'auto' ? 'relaxed' : simd;
  if (simd === 'auto') return 'plain';
  throw invalid('simd', simd, "'auto' or 'plain', since this host has no relaxed SIMD");
}
