import type { Pointer } from '../wasm/kernels.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';

/** Where an instruction reads or writes: a byte offset in x, y or scratch; its two low bits say in which. */
export type Place = number & { readonly brand?: 'place' };

export const X: Place = 0;
export const Y: Place = 1;
const SCRATCH = 2;

const WORDS = 16; // of an instruction

/**
 * The instructions of a product over R rows: operators add them, assembly/program.ts runs them. Memory that they need, such
 * as packed weights, is handed out while the program is built; the caller takes it back.
 *
 * The threads share the rows of a product and run the same program. A gradient is a sum over the rows, so there each thread
 * has its own program, for its part of the parameters. No sum is split either way: the number of threads changes no bit.
 */
export class Program {
  /** Rows that run at once: those of the largest share. */
  readonly rows: number;
  private readonly words: number[] = [];
  private scratchBytes = 0;
  private work: Place | undefined;

  private constructor(
    readonly runtime: Runtime,
    private readonly shares: readonly (readonly [first: number, count: number])[],
    /** For a gradient: which part, of how many. */
    private readonly part: readonly [index: number, parts: number] = [0, 1],
  ) {
    this.rows = shares[0][1];
  }

  /** A product over R rows, shared by all threads. */
  static product(runtime: Runtime, R: number): Program {
    return new Program(runtime, runtime.shares(R));
  }

  /** A product over `rows` rows at a time, on each of the threads. */
  static block(runtime: Runtime, rows: number, threads: number): Program {
    return new Program(
      runtime,
      Array.from({ length: threads }, () => [0, rows]),
    );
  }

  /** dtheta += d<dy[R,M], x[R,N] W^T> / dtheta, on all threads. */
  static gradient(
    runtime: Runtime,
    R: number,
    build: (program: Program) => void,
    dy: Pointer,
    x: Pointer,
    row: number,
  ): void {
    runtime.scoped(() => {
      const calls = Array.from({ length: runtime.threads }, (_, part) => {
        const built = new Program(runtime, [[0, R]], [part, runtime.threads]);
        build(built);
        const { program, scratch } = built.place();
        return [program, dy, x, R, row, scratch[0]];
      });
      runtime.parallel('run_program', calls);
    });
  }

  /** This part of n items, in whole groups: the first, and how many. */
  partOf(n: number, group: number): [first: number, count: number] {
    const [index, parts] = this.part;
    const each = group * Math.ceil(n / (group * parts));
    const first = Math.min(n, index * each);
    return [first, Math.min(each, n - first)];
  }

  /** The place `columns` floats further along the row. */
  static column(place: Place, columns: number): Place {
    return place + 4 * columns;
  }

  /** Memory between instructions: `columns` floats for each row. */
  temp(columns: number): Place {
    return this.scratch(4 * this.rows * columns);
  }

  scratch(bytes: number): Place {
    const at = this.scratchBytes;
    this.scratchBytes += Math.ceil(bytes / 64) * 64;
    return at | SCRATCH;
  }

  /** The scratch memory of every gemm of packed weights. */
  gemmWork(): Place {
    this.work ??= this.scratch(this.runtime.kernels.F32_GEMM_SCRATCH.value);
    return this.work;
  }

  /** Adds an instruction: `to` (+)= op of `from`; assembly/program.ts lists the arguments. */
  add(op: Op, from: Place, to: Place, accumulate: boolean, ...args: number[]): void {
    const words = [op, from, to, accumulate ? 1 : 0, ...args];
    while (words.length < WORDS) words.push(0);
    this.words.push(...words);
  }

  /** Writes the program to memory; returns its address, and scratch for each share. */
  place(): { program: Pointer; scratch: Pointer[] } {
    const { runtime, words } = this;
    const program = runtime.alloc(4 * (words.length + WORDS));
    // An argument may be the bits of a float or an address above 2^31: words are unsigned.
    runtime.words(program, words.length + 1).set([...words.map((word) => word >>> 0), Op.End]);
    return { program, scratch: this.shares.map(() => runtime.alloc(this.scratchBytes)) };
  }

  /** Runs the program on all rows of x and y; the first is `row` of the sequence's batch. */
  run(x: Pointer, columnsOfX: number, y: Pointer, columnsOfY: number, row: number): void {
    const { runtime, shares } = this;
    const { program, scratch } = this.place();
    const calls = shares.map(([first, count], i) => {
      const [from, to] = [x + 4 * first * columnsOfX, y + 4 * first * columnsOfY];
      return [program, from, to, count, row + first, scratch[i]];
    });
    runtime.parallel('run_program', calls);
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** An f32 as the word of an instruction. */
export function floatWord(value: number): number {
  float[0] = value;
  return bits[0];
}
