import { instantiateSync } from '@assemblyscript/loader';
import hex from '../../build/dopant.hex';
import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { binaryOf, checkModule, compileRefused } from './binary.js';
import type { Bytes, WasmMemory, WasmModule } from './host-types.js';
import type { Kernels, Pointer } from './kernels.js';
import { chooseSimd, type SimdChoice } from './simd.js';
import { type Call, sharedMemory, type ThreadedKernel, Threads } from './threads.js';

const PAGE = 65536;
const MOST_PAGES = 65536; // what the binary says of the memory it imports
const MAX_PAGES = 65535;
const ALIGNMENT = 64; // bytes: a cache line
const MOST_THREADS = 64;

/** What a Runtime is made with. */
export interface RuntimeOptions {
  /** Default 'plain'. */
  simd?: SimdChoice | undefined;
  /** Threads that share the work, 1 to 64; default 1. */
  threads?: number | undefined;
  /** The kernels, compiled by a host that forbids compiling bytes: those of kernelBytes() with the same `threads`. */
  module?: WasmModule | undefined;
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
 * The compiled kernels and their memory. Memory is handed out like a stack: first what lives as long as the model; then,
 * above a mark, what one step needs, which release() takes back. A runtime stays usable after an error, running out of
 * memory included.
 */
export class Runtime {
  readonly kernels: Kernels;
  private readonly memory: WasmMemory;
  private readonly others: Threads | undefined;
  private oneThread = false;
  /** Where the memory that can be handed out begins, and where the part that is handed out ends. */
  private readonly base: Pointer;
  private top: Pointer;
  /** The limit of `top`: see within(). */
  private most = Number.POSITIVE_INFINITY;
  /** The buffer of the memory since it last grew, and a view of all of it. */
  private buffer: ArrayBuffer;
  private f32: Float32Array;

  /**
   * @param options.simd 'plain' unless told otherwise: only then does a seed give the same bits on every machine
   * @param options.threads how many threads share the work, 1 to 64; their number changes no bit of a result
   * @throws InputError for options out of range, and if the host does not compile the kernels and no module is given
   * @example const runtime = new Runtime({ threads: 2 });
   */
  constructor(options: RuntimeOptions = {}) {
    const { simd = 'plain', threads = 1 } = options;
    checkWhole('threads', threads, 1, MOST_THREADS);
    chooseSimd(simd);
    const shared = threads > 1 ? sharedMemory(MOST_PAGES) : undefined;
    const module = options.module
      ? checkModule(options.module, ['heapBase', 'run_program', 'f32_adam'], 'dopant')
      : compile(kernelBytes({ simd, threads: shared ? threads : 1 }));
    this.memory = shared ?? new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES });
    this.kernels = instantiate(module, this.memory, shared !== undefined);
    this.base = this.top = this.kernels.heapBase();
    this.buffer = this.memory.buffer;
    this.f32 = new Float32Array(this.buffer);
    if (shared) {
      const mailboxes = Array.from({ length: threads - 1 }, () => this.zeros(Threads.mailboxBytes));
      this.others = new Threads(module, this.memory, mailboxes);
      this.base = this.top;
    }
  }

  /** Threads that share the work; 1 if no others were asked for, if they cannot start (see whyNoThreads()), or after close(). */
  get threads(): number {
    return this.others?.threads ?? 1;
  }

  /**
   * Whether there is nothing to wait for: all threads have started, or one does all the work for good. Until then one
   * thread does the work. Workers start, or report that they cannot, only while the event loop runs.
   *
   * @example while (!runtime.ready) await new Promise((resolve) => setTimeout(resolve, 1));
   */
  get ready(): boolean {
    return this.others?.ready ?? true;
  }

  /** Divides R rows among the threads, as [first, number]: whole tiles of a gemm. There is always at least one share. */
  shares(R: number): [first: number, count: number][] {
    checkWhole('R', R, 0);
    const each = this.oneThread ? R : 4 * Math.ceil(R / (4 * this.threads));
    const result: [number, number][] = [[0, Math.min(each, R)]];
    for (let first = each; first < R; first += each) result.push([first, Math.min(each, R - first)]);
    return result;
  }

  /** Calls a kernel once for each list of arguments, each on its own thread, and returns when all are done. */
  parallel<K extends ThreadedKernel>(kernel: K, calls: readonly Call<K>[]): void {
    const { others, threads } = this;
    const call = this.kernels[kernel] as (...args: Call<K>) => void;
    // A worker that has not started may never do so while a page's main thread is busy.
    if (threads === 1 || !others?.ready || calls.length < 2) {
      for (const args of calls) call(...args);
      return;
    }
    if (calls.length > threads) throw invalid('calls', calls.length, `at most ${threads}, one for each thread`);
    for (let i = 1; i < calls.length; i++) others.post(i - 1, kernel, calls[i]);
    let done: boolean[] = [];
    try {
      call(...calls[0]);
    } finally {
      done = calls.slice(1).map((_, i) => others.join(i));
    }
    if (done.includes(false)) throw new Error(`${kernel} failed in another thread`);
  }

  /** Runs `act` on this thread only, for sums over all rows. */
  onThisThread<T>(act: () => T): T {
    const before = this.oneThread;
    this.oneThread = true;
    try {
      return act();
    } finally {
      this.oneThread = before;
    }
  }

  /** Ends the other threads, which otherwise end with the process or page. From then on this thread does all the work. */
  close(): void {
    this.others?.close();
  }

  /**
   * Hands out memory, aligned to a cache line, that holds whatever it held before. May move every view: see floats().
   *
   * @throws InputError unless `bytes` is a whole number >= 0
   * @throws RangeError when there is not so much memory; the runtime is as it was before
   */
  alloc(bytes: number): Pointer {
    checkWhole('bytes', bytes, 0);
    const at = Math.ceil(this.top / ALIGNMENT) * ALIGNMENT;
    const end = at + bytes;
    if (end > this.most) throw invalid('memory', end, `at most ${this.most} bytes`);
    if (end > this.buffer.byteLength) this.grow(end);
    this.top = end;
    return at;
  }

  /** The same, filled with zeros. */
  zeros(bytes: number): Pointer {
    const at = this.alloc(bytes);
    this.bytes(at, bytes).fill(0);
    return at;
  }

  private grow(end: number): void {
    const have = this.buffer.byteLength;
    // A quarter more than needed, so that many small requests do not each move the memory.
    const wanted = Math.min(MAX_PAGES, Math.ceil((end + have / 4) / PAGE));
    try {
      if (end > MAX_PAGES * PAGE) throw new RangeError('more than WebAssembly can address');
      this.memory.grow(wanted - have / PAGE);
    } catch (cause) {
      throw new RangeError(
        `out of memory: ${Math.ceil(end / 2 ** 20)} MB needed; WebAssembly has at most 4096 MB, and this host may have less. Use a smaller model, batch or bptt`,
        { cause },
      );
    }
    this.buffer = this.memory.buffer;
    this.f32 = new Float32Array(this.buffer);
  }

  /** Where the memory that is handed out ends: for release(). */
  mark(): number {
    return this.top;
  }

  /**
   * Takes back all memory handed out since the mark.
   *
   * @throws InputError for a mark that was released before, or that mark() never returned
   */
  release(mark: number): void {
    if (!Number.isSafeInteger(mark) || mark < this.base || mark > this.top) {
      throw invalid('mark', mark, `a result of mark() from ${this.base} to ${this.top}`);
    }
    this.top = mark;
  }

  /** Runs `act` and takes back all memory that was handed out in it, even if it throws. */
  scoped<T>(act: () => T): T {
    const mark = this.mark();
    try {
      return act();
    } finally {
      this.release(mark);
    }
  }

  /**
   * Runs `act`, in which no more than `bytes` of memory may be handed out, or any number with Infinity. If it throws, all
   * memory handed out in it is taken back.
   *
   * @throws InputError if `act` asks for more
   */
  within<T>(bytes: number, act: () => T): T {
    if (!(bytes >= 0)) throw invalid('bytes', bytes, 'a number >= 0');
    const [mark, before] = [this.mark(), this.most];
    this.most = Math.min(before, mark + bytes);
    try {
      return act();
    } catch (error) {
      this.release(mark);
      throw error;
    } finally {
      this.most = before;
    }
  }

  /** Whether `n` 4-byte numbers at this address lie in memory that is handed out. */
  holds(at: Pointer, n: number): boolean {
    return Number.isSafeInteger(at) && at % 4 === 0 && at >= this.base && at + 4 * n <= this.top;
  }

  /** Throws InputError unless `n` 4-byte numbers at this address lie in memory that is handed out. */
  check(name: string, at: Pointer, n: number): void {
    if (this.holds(at, n)) return;
    throw invalid(name, at, `the address of ${n} numbers in memory that this runtime handed out`);
  }

  /** Bytes handed out now, and bytes held from the host. */
  usage(): { used: number; held: number } {
    return { used: this.top, held: this.buffer.byteLength };
  }

  // Views of n numbers of memory. Growing the memory detaches them: do not keep one across an alloc(). They throw
  // InputError for an address that is not a multiple of a number's bytes, or numbers beyond the end of the memory.

  floats(at: Pointer, n: number): Float32Array {
    this.checkView(at, n, 4);
    return this.f32.subarray(at >>> 2, (at >>> 2) + n);
  }

  doubles(at: Pointer, n: number): Float64Array {
    this.checkView(at, n, 8);
    return new Float64Array(this.buffer, at, n);
  }

  ints(at: Pointer, n: number): Int32Array {
    this.checkView(at, n, 4);
    return new Int32Array(this.buffer, at, n);
  }

  words(at: Pointer, n: number): Uint32Array {
    this.checkView(at, n, 4);
    return new Uint32Array(this.buffer, at, n);
  }

  bytes(at: Pointer, n: number): Uint8Array {
    this.checkView(at, n, 1);
    return new Uint8Array(this.buffer, at, n);
  }

  private checkView(at: Pointer, n: number, bytes: number): void {
    const { byteLength } = this.buffer;
    if (!Number.isSafeInteger(at) || at < 0 || at > byteLength || at % bytes !== 0) {
      throw invalid('at', at, `a multiple of ${bytes} from 0 to ${byteLength}`);
    }
    checkWhole('n', n, 0, (byteLength - at) / bytes);
  }
}

/** Throws InputError for a value that is not a Runtime. */
export function checkRuntime(runtime: Runtime): void {
  if (!(runtime instanceof Runtime)) throw invalid('runtime', runtime, 'a Runtime');
}
