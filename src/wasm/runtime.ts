import { instantiateSync } from '@assemblyscript/loader';
import hex from '../../build/dopant.hex';
import { InputError, invalid } from '../errors.js';
import { binaryOf, checkModule, compileRefused } from './binary.js';
import type { Bytes, WasmMemory, WasmModule } from './host-types.js';
import type { Kernels, Pointer } from './kernels.js';
import { chooseSimd, type SimdChoice } from './simd.js';
import { type ThreadedKernel, Threads, whyNoThreads } from './threads.js';

const PAGE = 65536;
const MOST_PAGES = 65536; // what the binary says of the memory it imports
const MAX_PAGES = 65535;
const ALIGNMENT = 64; // bytes: a cache line
const MOST_THREADS = 64;

export interface RuntimeOptions {
  /** Default 'plain'. */
  simd?: SimdChoice;
  /** Threads that share the work, 1 to 64; default 1. */
  threads?: number;
  /** The kernels, compiled by a host that forbids compiling bytes: those of kernelBytes() with the same `threads`. */
  module?: WasmModule;
}

/**
 * The training kernels as bytes, for hosts that compile them by themselves.
 *
 * @example const module = await WebAssembly.compile(kernelBytes()); new Runtime({ module });
 */
export function kernelBytes({ simd = 'plain', threads = 1 }: RuntimeOptions = {}): Bytes {
  const bytes = binaryOf(hex, chooseSimd(simd));
  if (threads > 1) shareMemory(bytes);
  return bytes;
}

/** Asks for shared memory: a bit of the flags of the memory that the binary imports, env.memory. */
function shareMemory(bytes: Uint8Array): void {
  // The names "env" and "memory", the kind of import (2), flags: 1, a maximum; 3, a maximum and shared.
  const wanted = [3, 101, 110, 118, 6, 109, 101, 109, 111, 114, 121, 2, 1];
  const at = bytes.findIndex((_, i) => wanted.every((byte, k) => bytes[i + k] === byte));
  bytes[at + wanted.length - 1] = 3;
}

function compile(bytes: Bytes): WasmModule {
  try {
    return new WebAssembly.Module(bytes);
  } catch (cause) {
    throw compileRefused('new Runtime({ module })', cause);
  }
}

function instantiate(module: WasmModule, memory: WasmMemory, shared: boolean): Kernels {
  try {
    return instantiateSync(module, { env: { memory } }).exports as unknown as Kernels;
  } catch (cause) {
    if (!(cause instanceof WebAssembly.LinkError)) throw cause;
    const threads = shared ? 'several threads' : 'one thread';
    throw new InputError(
      `module: got one for another number of threads; expected kernelBytes({ threads }) compiled, for ${threads}`,
      { cause },
    );
  }
}

/**
 * The compiled kernels and their memory. Memory is handed out from one end like a stack: what lives as long as the
 * model first, then, behind a mark, what a step needs, until the memory is taken back to the mark.
 */
export class Runtime {
  readonly kernels: Kernels;
  /** Threads that share the work; 1 where they were not asked for, or cannot be had: see whyNoThreads(). */
  readonly threads: number;
  private readonly memory: WasmMemory;
  private readonly others: Threads | undefined;
  private isAlone = false;
  private top: Pointer;
  private f32: Float32Array;

  /**
   * Plain SIMD unless asked for: only there does a seed give the same bits on every machine. The number of threads
   * changes no bit.
   *
   * @throws InputError for options out of range, and where the host does not compile the kernels and no module is given
   */
  constructor(options: RuntimeOptions = {}) {
    const { threads = 1 } = options;
    if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
      throw invalid('threads', threads, `a whole number from 1 to ${MOST_THREADS}`);
    }
    this.threads = whyNoThreads() === undefined ? threads : 1;
    const shared = this.threads > 1;
    const module = options.module
      ? checkModule(options.module, ['heapBase', 'run_program', 'f32_adam'], 'dopant')
      : compile(kernelBytes({ ...options, threads: this.threads }));
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES, shared });
    this.kernels = instantiate(module, this.memory, shared);
    this.top = this.kernels.heapBase();
    this.f32 = new Float32Array(this.memory.buffer);
    if (shared) {
      const mailboxes = Array.from({ length: this.threads - 1 }, () => this.zeros(Threads.mailboxBytes));
      this.others = new Threads(module, this.memory, mailboxes);
    }
  }

  /** Whether all threads are up; until they are, one does the work. */
  get ready(): boolean {
    return this.others?.ready ?? true;
  }

  /** R rows as shares for the threads, [first, number]: whole tiles of a gemm. One share while alone() works. */
  shares(R: number): [first: number, count: number][] {
    const each = this.isAlone ? R : 4 * Math.ceil(R / (4 * this.threads));
    const result: [number, number][] = [];
    for (let first = 0; first < R; first += each) result.push([first, Math.min(each, R - first)]);
    return result;
  }

  /** Calls a kernel once for each list of arguments, side by side, and returns when all are done. */
  parallel(kernel: ThreadedKernel, calls: readonly (readonly number[])[]): void {
    const { others } = this;
    const call = this.kernels[kernel] as (...args: readonly number[]) => void;
    // A worker that is not up yet may never be, while a page's main thread does not rest.
    if (!others?.ready) {
      for (const args of calls) call(...args);
      return;
    }
    for (let i = 1; i < calls.length; i++) others.post(i - 1, kernel, calls[i]);
    call(...calls[0]);
    const done = calls.slice(1).map((_, i) => others.join(i));
    if (done.includes(false)) throw new Error(`${kernel} failed in another thread`);
  }

  /** Does what is asked on this thread alone: where sums over all rows are taken. */
  alone<T>(act: () => T): T {
    const before = this.isAlone;
    this.isAlone = true;
    const result = act();
    this.isAlone = before;
    return result;
  }

  /** Ends the other threads; without it they end with the process or page. */
  close(): void {
    this.others?.close();
  }

  /** `bytes` of memory, aligned to a cache line, with whatever they held before. May move every view: see floats(). */
  alloc(bytes: number): Pointer {
    const at = Math.ceil(this.top / ALIGNMENT) * ALIGNMENT;
    const end = at + bytes;
    if (end > this.memory.buffer.byteLength) this.grow(end);
    this.top = end;
    return at;
  }

  /** The same, all zero. */
  zeros(bytes: number): Pointer {
    const at = this.alloc(bytes);
    this.bytes(at, bytes).fill(0);
    return at;
  }

  private grow(end: number): void {
    const have = this.memory.buffer.byteLength;
    // A quarter more than asked, so that many small requests do not each move the memory.
    const wanted = Math.min(MAX_PAGES, Math.ceil((end + have / 4) / PAGE));
    try {
      if (end > MAX_PAGES * PAGE) throw new RangeError('more than WebAssembly can address');
      this.memory.grow(wanted - have / PAGE);
    } catch (cause) {
      throw new RangeError(
        `out of memory: ${Math.ceil(end / 2 ** 20)} MB wanted; WebAssembly has at most 4096 MB, this host perhaps less. Use a smaller model, batch or bptt`,
        { cause },
      );
    }
    this.f32 = new Float32Array(this.memory.buffer);
  }

  mark(): number {
    return this.top;
  }

  /** Takes back all memory handed out since the mark. */
  release(mark: number): void {
    this.top = mark;
  }

  /** Bytes handed out now, and bytes held from the host. */
  usage(): { used: number; held: number } {
    return { used: this.top, held: this.memory.buffer.byteLength };
  }

  // Views. Growing the memory detaches them, so take one, use it, and do not keep it across an alloc().

  floats(at: Pointer, n: number): Float32Array {
    return this.f32.subarray(at >>> 2, (at >>> 2) + n);
  }

  doubles(at: Pointer, n: number): Float64Array {
    return new Float64Array(this.memory.buffer, at, n);
  }

  ints(at: Pointer, n: number): Int32Array {
    return new Int32Array(this.memory.buffer, at, n);
  }

  words(at: Pointer, n: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, at, n);
  }

  bytes(at: Pointer, n: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, n);
  }
}
