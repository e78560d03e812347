import { instantiateSync } from '@assemblyscript/loader';
import plain from '../../build/dopant.wasm';
import relaxed from '../../build/dopant-relaxed.wasm';
import type { Kernels, Pointer } from './kernels.js';
import { chooseSimd, type SimdChoice } from './simd.js';

const PAGE = 65536;
const MAX_PAGES = 65535;
const ALIGNMENT = 64; // bytes: a cache line

/**
 * The compiled kernels and their memory. Memory is handed out from one end like a stack: what lives as long as the
 * model first, then, behind a mark, what a step needs, until the memory is taken back to the mark.
 */
export class Runtime {
  readonly kernels: Kernels;
  private readonly memory: WebAssembly.Memory;
  private top: Pointer;
  private f32: Float32Array;

  /** Plain SIMD unless asked for: only there does a seed give the same bits on every machine. */
  constructor({ simd = 'plain' }: { simd?: SimdChoice } = {}) {
    const { exports } = instantiateSync(chooseSimd(simd) === 'relaxed' ? relaxed : plain);
    this.kernels = exports as unknown as Kernels;
    this.memory = exports.memory!;
    this.top = this.kernels.heapBase();
    this.f32 = new Float32Array(this.memory.buffer);
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
