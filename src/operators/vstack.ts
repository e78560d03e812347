import { InputError } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Noise, Operator } from './operator.js';
import type { OperatorSpec } from './spec.js';

/** Blocks of rows, one above the other. */
export class VStack implements Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    private readonly runtime: Runtime,
    readonly blocks: readonly Operator[],
  ) {
    const first = blocks[0];
    if (!first) throw new InputError('VStack: no blocks; it needs at least one');
    for (const { N } of blocks) {
      if (N !== first.N) throw new InputError(`VStack: blocks of ${first.N} and ${N} columns; all must have as many`);
    }
    this.M = blocks.reduce((sum, { M }) => sum + M, 0);
    this.N = first.N;
  }

  matmul(x: Pointer, y: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const { runtime, M } = this;
    const { f32_copy_columns } = runtime.kernels;
    this.eachBlock(R, (block, top, part) => {
      block.matmul(x, part, R, false, firstRow);
      f32_copy_columns(part, block.M, y + 4 * top, M, R, block.M, accumulate);
    });
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const { runtime, M } = this;
    const { f32_copy_columns } = runtime.kernels;
    this.eachBlock(R, (block, top, part) => {
      f32_copy_columns(dy + 4 * top, M, part, block.M, R, block.M, false);
      block.tMatmul(part, dx, R, accumulate || top > 0, firstRow);
    });
  }

  gradParams(dy: Pointer, x: Pointer, R: number, firstRow = 0): void {
    const { runtime, M } = this;
    const { f32_copy_columns } = runtime.kernels;
    this.eachBlock(R, (block, top, part) => {
      f32_copy_columns(dy + 4 * top, M, part, block.M, R, block.M, false);
      block.gradParams(part, x, R, firstRow);
    });
  }

  /** Each block with its first row in W and memory for R rows of its part of y. */
  private eachBlock(R: number, visit: (block: Operator, top: number, part: Pointer) => void): void {
    let top = 0;
    for (const block of this.blocks) {
      const mark = this.runtime.mark();
      visit(block, top, this.runtime.alloc(4 * R * block.M));
      this.runtime.release(mark);
      top += block.M;
    }
  }

  children() {
    return this.blocks.map((block, i) => [String(i), block] as const);
  }

  own() {
    return [];
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
