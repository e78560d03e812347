import type { Pointer, Signatures } from '../wasm/kernels.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Call } from '../wasm/threads.js';

// The words of assembly/program.ts. These are numbers with another type each, so that none is taken for another.

/** Where an instruction reads or writes: a byte offset in x, y or scratch, which only the program's run makes an address. */
export type Place = { readonly is: 'place' };
/** The bits of an f32, see floatWord(). */
export type FloatWord = { readonly is: 'f32' };

const placeOf = (word: number) => word as unknown as Place;
const wordOf = (word: Word) => Number(word) >>> 0;

export const X = placeOf(1);
export const Y = placeOf(2);
const SCRATCH = 3;

/** The number of rows that the program runs on, as an argument. */
export const ROWS = -1;
/** The number of the first of them in the sequence's batch, as an argument. */
export const FIRST_ROW = -2;

const WORDS = 16; // of an instruction

/** The kernels that a program can call. */
export type ProgramKernel = Exclude<keyof typeof Op, 'end'>;

/** What a program takes for a parameter of each type; ROWS and FIRST_ROW are numbers. */
interface Kinds {
  usize: Pointer | Place;
  i32: number;
  u32: number;
  f32: FloatWord;
  bool: boolean;
}

type Word = Kinds[keyof Kinds];

/** The arguments of a kernel in a program: its own, in their order. */
export type Arguments<K extends ProgramKernel> = Values<Signatures[K]>;
// Extract: TypeScript 5 does not see that a mapped tuple is an array.
type Values<T extends readonly (keyof Kinds)[]> = Extract<{ [I in keyof T]: Kinds[T[I]] }, readonly unknown[]>;

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
        return [program, dy, x, R, row, scratch[0]] satisfies Call<'run_program'>;
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
    return placeOf(Number(place) + 4 * columns);
  }

  /** Memory between instructions: `columns` floats for each row. */
  temp(columns: number): Place {
    return this.scratch(4 * this.rows * columns);
  }

  scratch(bytes: number): Place {
    const at = this.scratchBytes;
    this.scratchBytes += Math.ceil(bytes / 64) * 64;
    return placeOf(at + SCRATCH);
  }

  /** The scratch memory of every gemm of packed weights. */
  gemmWork(): Place {
    this.work ??= this.scratch(this.runtime.kernels.F32_GEMM_SCRATCH.value);
    return this.work;
  }

  /**
   * Adds the call of a kernel. Its arguments are the kernel's own; where the kernel takes a pointer, a place will do, and
   * ROWS is the number of rows, which only a run knows.
   *
   * @example program.add('f32_gemv', weight.value, X, Y, M, N, accumulate);
   */
  add<K extends ProgramKernel>(kernel: K, ...args: Arguments<K>): void;
  add(kernel: ProgramKernel, ...args: Word[]): void {
    const { words } = this;
    const end = words.length + WORDS;
    // An argument may be an address above 2^31: words are unsigned.
    words.push(Op[kernel], ...args.map(wordOf));
    while (words.length < end) words.push(0);
  }

  /** Writes the program to memory; returns its address, and scratch for each share. */
  place(): { program: Pointer; scratch: Pointer[] } {
    const { runtime, words } = this;
    const program = runtime.alloc(4 * (words.length + WORDS));
    runtime.words(program, words.length + 1).set([...words, Op.end]);
    return { program, scratch: this.shares.map(() => runtime.alloc(this.scratchBytes)) };
  }

  /** Runs the program on all rows of x and y; the first is `row` of the sequence's batch. */
  run(x: Pointer, columnsOfX: number, y: Pointer, columnsOfY: number, row: number): void {
    const { runtime, shares } = this;
    const { program, scratch } = this.place();
    const calls = shares.map(([first, count], i) => {
      const [from, to] = [x + 4 * first * columnsOfX, y + 4 * first * columnsOfY];
      return [program, from, to, count, row + first, scratch[i]] satisfies Call<'run_program'>;
    });
    runtime.parallel('run_program', calls);
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** An f32 as an argument of a program. */
export function floatWord(value: number): FloatWord {
  float[0] = value;
  return bits[0] as unknown as FloatWord;
}
