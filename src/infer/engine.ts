import plain from '../../build/infer.hex';
import relaxed from '../../build/infer-relaxed.hex';
import type { Pointer } from '../wasm/kernels.js';
import { chooseSimd, type SimdChoice } from '../wasm/simd.js';

/** What assembly/infer.ts exports. */
export interface InferenceKernels {
  memory: WebAssembly.Memory;
  heapBase(): Pointer;
  f32_largest(x: Pointer, n: number): number;
  run(program: Pointer, input: Pointer): void;
  lstm_step(ih: Pointer, hh: Pointer, x: Pointer, gates: Pointer, c: Pointer, h: Pointer, H: number): void;
}

const IMPORTS = {
  env: {
    abort() {
      throw new Error('a kernel of dopant aborted');
    },
  },
};

export interface InitOptions {
  simd?: SimdChoice;
  /** The kernels, compiled by a host that forbids compiling bytes; from kernelBytes(). */
  module?: WebAssembly.Module;
}

/** The kernels as bytes, for hosts that want to compile them by themselves. */
export function kernelBytes(simd: SimdChoice = 'auto'): Uint8Array<ArrayBuffer> {
  const digits = chooseSimd(simd) === 'relaxed' ? relaxed : plain;
  // Node decodes at full speed at once; a loop of ours would still be interpreted.
  const { Buffer } = globalThis as { Buffer?: { from(digits: string, encoding: 'hex'): Uint8Array<ArrayBuffer> } };
  if (Buffer) return Buffer.from(digits, 'hex');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

let compiled: WebAssembly.Module | undefined;

/**
 * Chooses and compiles the kernels. load() does it where nobody has; called again with options, it sets what later
 * plans run on.
 */
export async function init(options?: InitOptions): Promise<void> {
  if (compiled && !options) return;
  compiled = options?.module ?? (await WebAssembly.compile(kernelBytes(options?.simd)));
}

/** The same at once. Browsers may refuse it on the main thread for large binaries; these are small. */
export function initSync(options?: InitOptions): void {
  if (compiled && !options) return;
  compiled = options?.module ?? new WebAssembly.Module(kernelBytes(options?.simd));
}

const PAGE = 65536;

/** An instance of the kernels with a memory of its own, handed out from one end. */
export class Engine {
  readonly kernels: InferenceKernels;
  private top: Pointer;

  /** `reserve` bytes are there from the start: growing piece by piece costs more. */
  constructor(reserve = 0) {
    if (!compiled) throw new Error('dopant/infer: call init() and wait for it, or initSync(), first');
    this.kernels = new WebAssembly.Instance(compiled, IMPORTS).exports as unknown as InferenceKernels;
    this.top = this.kernels.heapBase();
    this.grow(this.top + reserve);
  }

  /** Zeroed memory, aligned to a cache line. May move every view. */
  alloc(bytes: number): Pointer {
    const at = Math.ceil(this.top / 64) * 64;
    // Kernels read up to a vector or two past the end of what they use.
    this.top = at + bytes + 32;
    this.grow(this.top);
    return at;
  }

  private grow(bytes: number): void {
    const { memory } = this.kernels;
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
  }

  floats(at: Pointer, n: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, at, n);
  }

  bytes(at: Pointer, n: number): Int8Array {
    return new Int8Array(this.kernels.memory.buffer, at, n);
  }

  words(at: Pointer, n: number): Uint32Array {
    return new Uint32Array(this.kernels.memory.buffer, at, n);
  }

  halves(at: Pointer, n: number): Uint16Array {
    return new Uint16Array(this.kernels.memory.buffer, at, n);
  }
}
