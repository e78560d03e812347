import type { Pointer } from '../wasm/kernels.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';

/** Where an instruction reads or writes: byte offset in x, y or scratch, its two low bits saying which. */
export type Place = number & { readonly brand?: 'place' };

export const X: Place = 0;
export const Y: Place = 1;
const SCRATCH = 2;

const WORDS = 16; // of an instruction

/**
 * What operators add the instructions of their products to, for up to `rows` rows at once; assembly/program.ts runs
 * it. Memory that it needs, packed weights among it, is handed out while it is built, for the caller to take back.
 */
export class Program {
  private readonly words: number[] = [];
  private scratchBytes = 0;
  private work: Place | undefined;

  constructor(
    readonly runtime: Runtime,
    readonly rows: number,
  ) {}

  /** The place `columns` floats further on in a row. */
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

  /** What every gemm of packed weights needs while it runs. */
  gemmWork(): Place {
    this.work ??= this.scratch(this.runtime.kernels.F32_GEMM_SCRATCH.value);
    return this.work;
  }

  /** `to` (+)= op of `from`; the arguments stand in assembly/program.ts. */
  add(op: Op, from: Place, to: Place, accumulate: boolean, ...args: number[]): void {
    const words = [op, from, to, accumulate ? 1 : 0, ...args];
    while (words.length < WORDS) words.push(0);
    this.words.push(...words);
  }

  /** Its address, and that of its scratch. */
  place(): { program: Pointer; scratch: Pointer } {
    const { runtime, words } = this;
    const program = runtime.alloc(4 * (words.length + WORDS));
    // An argument may be a float's bits or an address beyond 2^31: words are unsigned.
    runtime.words(program, words.length + 1).set([...words.map((word) => word >>> 0), Op.End]);
    return { program, scratch: runtime.alloc(this.scratchBytes) };
  }

  /** Builds a program, runs it once on `rows` rows of x and y, and takes its memory back. */
  static run(runtime: Runtime, rows: number, build: (program: Program) => void, x: Pointer, y: Pointer, row = 0): void {
    const mark = runtime.mark();
    const built = new Program(runtime, rows);
    build(built);
    const { program, scratch } = built.place();
    runtime.kernels.run_program(program, x, y, rows, row, scratch);
    runtime.release(mark);
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** An f32 as the word of an instruction. */
export function floatWord(value: number): number {
  float[0] = value;
  return bits[0];
}
