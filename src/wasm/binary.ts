import { InputError } from '../errors.js';
import type { Bytes, WasmModule } from './host-types.js';

/** The bytes of one of the two binaries in a text of src/wasm/hex.mjs: their pieces alternate. */
export function binaryOf(hex: string, simd: 'plain' | 'relaxed'): Bytes {
  const which = simd === 'plain' ? 0 : 1;
  const digits = hex
    .split(' ')
    .filter((_, i) => i % 2 === which)
    .join('');
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
