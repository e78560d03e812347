import type { Kernels, Pointer } from '../../build/assembly/infer.js';
import hex from '../../build/infer.hex';
import { InputError, invalid } from '../errors.js';
import { binaryOf, checkModule, compileRefused } from '../wasm/binary.js';
import type { Bytes, WasmMemory, WasmModule } from '../wasm/host-types.js';
import { chooseSimd, type SimdChoice } from '../wasm/simd.js';

/** What assembly/infer.ts exports. */
export type InferenceKernels = Kernels & { readonly memory: WasmMemory };

/** What init() and initSync() take. */
export interface InitOptions {
  simd?: SimdChoice | undefined;
  /** The kernels of kernelBytes(), compiled elsewhere, for hosts that forbid compiling bytes. */
  module?: WasmModule | undefined;
}

/**
 * The inference kernels as bytes, for hosts that compile them ahead.
 *
 * @example
 * writeFileSync('dopant.wasm', kernelBytes('plain')); // at build time
 * import module from './dopant.wasm'; // as workerd compiles it
 * await init({ module });
 */
export function kernelBytes(simd: SimdChoice = 'auto'): Bytes {
  return binaryOf(hex, chooseSimd(simd));
}

const checked = (module: WasmModule) => checkModule(module, ['memory', 'lstm_step', 'csr_check'], 'dopant/infer');
const refused = (cause: unknown) => (cause instanceof InputError ? cause : compileRefused('init({ module })', cause));

let compiled: WasmModule | undefined;

/**
 * Compiles the kernels. load() calls it where it has not been called; called again with options, it sets the kernels that
 * later plans run on.
 *
 * @throws InputError for options that cannot be used, and where the host does not compile the kernels
 */
export async function init(options?: InitOptions): Promise<void> {
  if (compiled && !options) return;
  try {
    compiled = options?.module ? checked(options.module) : await WebAssembly.compile(kernelBytes(options?.simd));
  } catch (cause) {
    throw refused(cause);
  }
}

/** The same, synchronously. Browsers may reject that on the main thread for large binaries; these are small. */
export function initSync(options?: InitOptions): void {
  if (compiled && !options) return;
  try {
    compiled = options?.module ? checked(options.module) : new WebAssembly.Module(kernelBytes(options?.simd));
  } catch (cause) {
    throw refused(cause);
  }
}

const PAGE = 65536;

/** An instance of the kernels with its own memory, handed out from one end. A request that fails changes nothing. */
export class Engine {
  readonly kernels: InferenceKernels;
  private top: Pointer;
  /** Memory from here on was never used. */
  private clean: Pointer;
  /** Where it must end at the latest: see within(). */
  private most = Number.POSITIVE_INFINITY;

  /** Reserves some bytes from the start: growing piece by piece costs more. */
  constructor(reserve = 0) {
    if (!compiled) throw new Error('dopant/infer: call init() and wait for it, or initSync(), first');
    this.kernels = new WebAssembly.Instance(compiled).exports as unknown as InferenceKernels;
    this.top = this.kernels.heapBase();
    this.clean = this.top;
    this.grow(this.top + reserve);
  }

  /** Zeroed memory, aligned to a cache line. May move every view. */
  alloc(bytes: number): Pointer {
    const at = this.next;
    // Kernels read up to a vector or two past the end of what they use.
    const end = at + bytes + 32;
    this.grow(end);
    this.top = end;
    if (this.clean > at) new Uint8Array(this.kernels.memory.buffer, at, Math.min(this.clean, end) - at).fill(0);
    return at;
  }

  /** Memory past all that is handed out, with whatever it held before; the next alloc's again. May move every view. */
  scratch(bytes: number): Pointer {
    const at = this.next;
    this.use(at + bytes);
    return at;
  }

  /** Copies the bytes of a view to an address, which may lie past all that is handed out. May move every view. */
  put(at: Pointer, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
    this.use(at + byteLength + 8); // codes may be read with the bytes after them
    new Uint8Array(this.kernels.memory.buffer).set(new Uint8Array(buffer, byteOffset, byteLength), at);
  }

  /** An address not below `at`, past all that is handed out: for what put() puts there for a moment. */
  past(at: Pointer): Pointer {
    return Math.max(at, this.next);
  }

  private get next(): Pointer {
    return Math.ceil(this.top / 64) * 64;
  }

  /** Memory up to `end` is there, and no longer clean. */
  private use(end: Pointer): void {
    this.grow(end);
    this.clean = Math.max(this.clean, end);
  }

  /** Runs `act`, in which memory may grow to no more than `bytes`. Throws InputError where `act` asks for more. */
  within<T>(bytes: number, act: () => T): T {
    this.most = bytes;
    try {
      return act();
    } finally {
      this.most = Number.POSITIVE_INFINITY;
    }
  }

  private grow(bytes: number): void {
    const { memory } = this.kernels;
    if (bytes > this.most) throw invalid('memory', bytes, `at most ${this.most} bytes`);
    const missing = bytes - memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      memory.grow(Math.ceil(missing / PAGE));
    } catch (cause) {
      throw new InputError(`memory: got a request for ${bytes} bytes; expected no more than this host gives`, {
        cause,
      });
    }
  }

  floats(at: Pointer, n: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, at, n);
  }

  words(at: Pointer, n: number): Uint32Array {
    return new Uint32Array(this.kernels.memory.buffer, at, n);
  }
}
