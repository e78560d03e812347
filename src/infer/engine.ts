import bytes from '../../build/infer.wasm';
import type { Pointer } from '../wasm/kernels.js';

/** What assembly/infer.ts exports. */
export interface InferenceKernels {
  memory: WebAssembly.Memory;
  heapBase(): Pointer;
  run(program: Pointer, input: Pointer): void;
  lstm_step(
    ih: Pointer,
    hh: Pointer,
    x: Pointer,
    gates: Pointer,
    bias: Pointer,
    c: Pointer,
    h: Pointer,
    H: number,
  ): void;
}

const IMPORTS = {
  env: {
    abort() {
      throw new Error('a kernel of dopant aborted');
    },
  },
};

let compiled: WebAssembly.Module | undefined;

/**
 * Compiles the kernels, once. Needed before load() only on hosts that forbid compiling bytes, with a module that they
 * compiled themselves, and before loadSync(). The bytes are `kernelBytes`.
 */
export async function init(options: { module?: WebAssembly.Module } = {}): Promise<void> {
  compiled ??= options.module ?? (await WebAssembly.compile(bytes));
}

/** The same at once. Browsers may refuse it on the main thread for large binaries; this one is small. */
export function initSync(options: { module?: WebAssembly.Module } = {}): void {
  compiled ??= options.module ?? new WebAssembly.Module(bytes);
}

/** The compiled kernels, for hosts that want to compile them by themselves. */
export const kernelBytes: Uint8Array<ArrayBuffer> = bytes;

const PAGE = 65536;

/** An instance of the kernels with a memory of its own, handed out from one end. */
export class Engine {
  readonly kernels: InferenceKernels;
  private top: Pointer;

  constructor() {
    if (!compiled) throw new Error('dopant/infer: call init() and wait for it, or initSync(), first');
    this.kernels = new WebAssembly.Instance(compiled, IMPORTS).exports as unknown as InferenceKernels;
    this.top = this.kernels.heapBase();
  }

  /** Zeroed memory, aligned to a cache line. May move every view. */
  alloc(bytes: number): Pointer {
    const at = Math.ceil(this.top / 64) * 64;
    // Kernels read up to a vector or two past the end of what they use.
    this.top = at + bytes + 32;
    const { memory } = this.kernels;
    const missing = this.top - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    return at;
  }

  floats(at: Pointer, n: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, at, n);
  }

  words(at: Pointer, n: number): Uint32Array {
    return new Uint32Array(this.kernels.memory.buffer, at, n);
  }

  halves(at: Pointer, n: number): Uint16Array {
    return new Uint16Array(this.kernels.memory.buffer, at, n);
  }
}
