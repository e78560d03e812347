import { InputError } from '../errors.js';
import type { Bytes, WasmModule } from './host-types.js';

/** The bytes of a text of src/wasm/hex.mjs, its multiply-adds in plain or in relaxed SIMD. */
export function binaryOf(text: string, simd: 'plain' | 'relaxed'): Bytes {
  // f32x4.mul and f32x4.add; or three nops, so that nothing moves, and f32x4.relaxed_madd.
  const [mul, add] = simd === 'plain' ? ['fde601', 'fde401'] : ['010101', 'fd8502'];
  const digits = text.replaceAll('*', mul).replaceAll('+', add);
  // Node decodes at full speed at once; a loop of ours would still be interpreted.
  const { Buffer } = globalThis as { Buffer?: { from(digits: string, encoding: 'hex'): Bytes } };
  if (Buffer) return Buffer.from(digits, 'hex');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** The error of a host that does not compile the kernels; `way` says how to pass a compiled module. */
export function compileRefused(way: string, cause: unknown): InputError {
  return new InputError(
    `WebAssembly: this host does not compile the kernels (${(cause as Error).message}); in a page, allow 'wasm-unsafe-eval' in its Content-Security-Policy, or compile kernelBytes() elsewhere and pass the module: ${way}`,
    { cause },
  );
}

/** A module that was given must export these, or it holds something else than kernelBytes(). */
export function checkModule(module: WasmModule, names: readonly string[], entry: string): WasmModule {
  let found: string[] = [];
  try {
    found = WebAssembly.Module.exports(module).map(({ name }) => name);
  } catch {
    // Not a module.
  }
  if (names.every((name) => found.includes(name))) return module;
  throw new InputError(`module: got one without the kernels of ${entry}; expected kernelBytes() of ${entry}, compiled`);
}
