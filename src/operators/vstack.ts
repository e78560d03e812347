import { invalid } from '../errors.js';
import type { Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';
import { checkEntries, checkOperator, checkSides, type Noise, Operator } from './operator.js';
import { type Place, Program, ROWS } from './program.js';
import type { OperatorSpec } from './spec.js';

/** Operators of the same number of columns, stacked vertically. */
export class VStack extends Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    runtime: Runtime,
    readonly blocks: readonly Operator[],
  ) {
    super(runtime);
    if (!Array.isArray(blocks) || blocks.length === 0)
      throw invalid('blocks', blocks, 'a list of at least one operator');
    for (const [i, block] of blocks.entries()) {
      checkOperator(runtime, `blocks[${i}]`, block);
      if (block.N !== blocks[0].N) throw invalid(`blocks[${i}].N`, block.N, `${blocks[0].N}, as in the first block`);
    }
    this.M = blocks.reduce((sum, { M }) => sum + M, 0);
    this.N = blocks[0].N;
    checkSides(this.M, this.N);
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.eachBlock(program, (block, top, part) => {
      block.forward(program, from, part, false);
      program.add('f32_copy_columns', part, block.M, Program.column(to, top), this.M, ROWS, block.M, accumulate);
    });
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.eachBlock(program, (block, top, part) => {
      program.add('f32_copy_columns', Program.column(from, top), this.M, part, block.M, ROWS, block.M, false);
      block.transpose(program, part, to, accumulate || top > 0);
    });
  }

  gradient(program: Program, dy: Place, x: Place): void {
    this.eachBlock(program, (block, top, part) => {
      program.add('f32_copy_columns', Program.column(dy, top), this.M, part, block.M, ROWS, block.M, false);
      block.gradient(program, part, x);
    });
  }

  /** Visits each block with its first row in W and a place for its part of y. */
  private eachBlock(program: Program, visit: (block: Operator, top: number, part: Place) => void): void {
    let top = 0;
    for (const block of this.blocks) {
      visit(block, top, program.temp(block.M));
      top += block.M;
    }
  }

  override children() {
    return this.blocks.map((block, i) => [String(i), block] as const);
  }

  initialise(variance: number, noise: Noise): void {
    for (const block of this.blocks) block.initialise(variance, noise);
  }

  fit(w: ArrayLike<number>): void {
    complete(this.fitInParts(w));
  }

  override *fitInParts(w: ArrayLike<number>): Work<void> {
    checkEntries(w, this.M, this.N);
    const numbers = Float64Array.from(w);
    let at = 0;
    for (const block of this.blocks) {
      const size = block.M * block.N;
      yield* block.fitInParts(numbers.subarray(at, at + size));
      at += size;
    }
  }

  spec(): OperatorSpec {
    return { type: 'vstack', blocks: this.blocks.map((block) => block.spec()) };
  }

  toDense(): Float32Array {
    const w = new Float32Array(this.M * this.N);
    let at = 0;
    for (const block of this.blocks) {
      w.set(block.toDense(), at);
      at += block.M * block.N;
    }
    return w;
  }
}
