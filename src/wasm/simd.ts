import { InputError } from '../errors.js';

/**
 * plain: the same bits on every machine. relaxed: fused multiply-add where the machine has it, faster, the last bits may
 * differ. auto: relaxed where the host knows it.
 */
export type SimdChoice = 'auto' | 'plain' | 'relaxed';

/** A function of one relaxed instruction, f32x4.relaxed_madd: hosts without it refuse the module. */
const PROBE = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 1, 32, 2,
  253, 133, 2, 11,
]);

/** Whether this host runs relaxed SIMD. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(PROBE);
}

/** The binary that a choice comes to on this host. Throws InputError where there is none. */
export function chooseSimd(simd: SimdChoice): 'plain' | 'relaxed' {
  if (simd !== 'auto' && simd !== 'plain' && simd !== 'relaxed') {
    throw new InputError(`simd: '${simd}' was given; it must be auto, plain or relaxed`);
  }
  if (simd === 'plain' || hasRelaxedSimd()) return simd === 'auto' ? 'relaxed' : simd;
  if (simd === 'auto') return 'plain';
  throw new InputError("simd: 'relaxed' was given, but this host has no relaxed SIMD; auto or plain will do");
}
