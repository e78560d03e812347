import { InputError } from '../errors.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import { type Noise, Operator } from './operator.js';
import { type Place, Program } from './program.js';
import type { OperatorSpec } from './spec.js';

/** Blocks of rows, one above the other. */
export class VStack extends Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    runtime: Runtime,
    readonly blocks: readonly Operator[],
  ) {
    super(runtime);
    const first = blocks[0];
    if (!first) throw new InputError('VStack: no blocks; it needs at least one');
    for (const { N } of blocks) {
      if (N !== first.N) throw new InputError(`VStack: blocks of ${first.N} and ${N} columns; all must have as many`);
    }
    this.M = blocks.reduce((sum, { M }) => sum + M, 0);
    this.N = first.N;
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.eachBlock(program, (block, top, part) => {
      block.forward(program, from, part, false);
      program.add(Op.Columns, part, Program.column(to, top), accumulate, block.M, this.M, block.M);
    });
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.eachBlock(program, (block, top, part) => {
      program.add(Op.Columns, Program.column(from, top), part, false, this.M, block.M, block.M);
      block.transpose(program, part, to, accumulate || top > 0);
    });
  }

  gradient(program: Program, dy: Place, x: Place): void {
    this.eachBlock(program, (block, top, part) => {
      program.add(Op.Columns, Program.column(dy, top), part, false, this.M, block.M, block.M);
      block.gradient(program, part, x);
    });
  }

  /** Each block with its first row in W and a place for its part of y. */
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
    const numbers = Float64Array.from(w);
    let at = 0;
    for (const block of this.blocks) {
      const size = block.M * block.N;
      block.fit(numbers.subarray(at, at + size));
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
