import type { TensorSource } from '../io/tensor-source.js';
import { type CsrArrays, fromBlocks } from '../operators/csr.js';
import { type OperatorSpec, shapeOf } from '../operators/spec.js';
import { csrToDense } from '../reference.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Engine } from './engine.js';

// Turns a matrix, as files hold it, into the instructions of assembly/step.ts. The run-time form is another than the
// training form: dense matrices in panels, Kronecker factors as their two products want them, sparse matrices in
// slices.

const END = 0;
const PANEL = 1;
const KRON = 2;
const SELL = 3;
const ZERO = 4;
const COPY = 5;
const BLOCK4 = 6;
const BLOCK8 = 7;
const INT8 = 8;

/**
 * Nanoseconds that one stored number costs in each layout, padding included; only their ratios count. They were measured
 * by bench/inference.ts, "crossover", at 2600 x 1300.
 */
const COST = { dense: 0.064, 1: 0.26, 4: 0.109, 8: 0.074 };

/** Byte offsets into x are 16 bits wide. */
const LARGEST_SPARSE_SIDE = 16384;

export interface PackedMatrix {
  program: Pointer;
  /** No element of W x is larger than this times the largest of x; what is added is not counted. */
  gain: number;
}

/** A program that leaves W x, for its input x, in `to`, or adds it to what is there, or to `bias`, [M]. */
export function packMatrix(
  engine: Engine,
  spec: OperatorSpec,
  name: string,
  source: TensorSource,
  to: Pointer,
  add: boolean | Float32Array,
): PackedMatrix {
  const packer = new Packer(engine, source);
  if (add instanceof Float32Array) packer.copy(add, to);
  const gain = packer.emit(spec, name, 0, to, add !== false);
  const words = [...packer.instructions, END];
  const program = engine.alloc(4 * words.length);
  engine.words(program, words.length).set(words);
  return { program, gain };
}

class Packer {
  readonly instructions: number[] = [];

  constructor(
    private readonly engine: Engine,
    private readonly source: TensorSource,
  ) {}

  /** `from` 0 is the program's input. Returns the gain. */
  emit(spec: OperatorSpec, name: string, from: Pointer, to: Pointer, add: boolean): number {
    switch (spec.type) {
      case 'dense': {
        const [M, N] = spec.shape;
        return this.panel(this.source.floats(`${name}.weight`, [M, N]), M, N, from, to, add);
      }
      case 'sparse':
        return this.sparse(spec, name, from, to, add);
      case 'kronecker':
        return this.kronecker(spec.B, spec.C, name, from, to, add);
      case 'int8':
        return this.int8(spec.shape, name, from, to, add);
      case 'product': {
        const [rank] = shapeOf(spec.V);
        const inner = this.engine.alloc(4 * rank);
        const gain = this.emit(spec.V, `${name}.V`, from, inner, false);
        return Math.max(1, gain) * Math.max(1, this.emit(spec.U, `${name}.U`, inner, to, add));
      }
      case 'vstack': {
        let top = 0;
        let gain = 0;
        for (const [i, block] of spec.blocks.entries()) {
          gain = Math.max(gain, this.emit(block, `${name}.${i}`, from, to + 4 * top, add));
          const [M] = shapeOf(block);
          top += M;
        }
        return gain;
      }
      case 'sum': {
        let gain = 0;
        for (const [i, term] of spec.terms.entries()) gain += this.emit(term, `${name}.${i}`, from, to, add || i > 0);
        return gain;
      }
    }
  }

  private instruct(op: number, to: Pointer, from: Pointer, add: boolean, ...rest: number[]): void {
    const words = [op, to, from, add ? 1 : 0, ...rest];
    while (words.length < 8) words.push(0);
    this.instructions.push(...words);
  }

  copy(values: Float32Array, to: Pointer): void {
    this.instruct(COPY, to, this.floats(values), false, values.byteLength);
  }

  private floats(values: Float32Array): Pointer {
    const at = this.engine.alloc(values.byteLength);
    this.engine.floats(at, values.length).set(values);
    return at;
  }

  private panel(w: ArrayLike<number>, M: number, N: number, from: Pointer, to: Pointer, add: boolean): number {
    const blocks = Math.ceil(N / 4);
    const size = Math.ceil(M / 4) * blocks * 16;
    const at = this.engine.alloc(4 * size);
    const packed = this.engine.floats(at, size);
    for (let i = 0; i < M; i++) {
      let place = (i >> 2) * blocks * 16 + (i & 3) * 4;
      for (let j = 0; j < N; j++, place += (j & 3) === 0 ? 13 : 1) packed[place] = w[i * N + j];
    }
    this.instruct(PANEL, to, from, add, at, M, blocks);
    return N * this.engine.kernels.f32_largest(at, size);
  }

  private kronecker(
    [m1, n1]: [number, number],
    [m2, n2]: [number, number],
    name: string,
    from: Pointer,
    to: Pointer,
    add: boolean,
  ): number {
    const b = this.source.floats(`${name}.B.weight`, [m1, n1]);
    const c = this.source.floats(`${name}.C.weight`, [m2, n2]);
    const left = new Float32Array(Math.ceil(m1 / 4) * n1 * 16);
    for (let i = 0; i < m1; i++) {
      for (let k = 0; k < n1; k++) {
        const at = (((i >> 2) * n1 + k) * 4 + (i & 3)) * 4;
        left.fill(b[i * n1 + k], at, at + 4);
      }
    }
    const right = new Float32Array(Math.ceil(m2 / 8) * n2 * 8);
    for (let j = 0; j < m2; j++) {
      for (let k = 0; k < n2; k++) right[((j >> 3) * n2 + k) * 8 + (j & 7)] = c[j * n2 + k];
    }
    const shape = this.engine.alloc(16);
    this.engine.words(shape, 4).set([m1, n1, m2, n2]);
    const temp = this.engine.alloc(4 * Math.max(m1 * n2, n1 * m2));
    const [leftAt, rightAt] = [this.floats(left), this.floats(right)];
    this.instruct(KRON, to, from, add, leftAt, rightAt, shape, temp);
    const { f32_largest } = this.engine.kernels;
    // At least 1, so that the gain bounds what is between the two products as well.
    return Math.max(1, n1 * f32_largest(leftAt, left.length)) * Math.max(1, n2 * f32_largest(rightAt, right.length));
  }

  private int8([M, N]: [number, number], name: string, from: Pointer, to: Pointer, add: boolean): number {
    const { weight, scales } = this.source.int8(name, M, N);
    const blocks = Math.ceil(N / 8);
    const panels = Math.ceil(M / 4);
    const at = this.engine.alloc(32 * panels * blocks);
    const packed = this.engine.bytes(at, 32 * panels * blocks);
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++)
        packed[(((i >> 2) * blocks + (j >> 3)) * 4 + (i & 3)) * 8 + (j & 7)] = weight[i * N + j];
    }
    // The scratch of the quantised x lies right before the scales; see assembly/step.ts.
    const scratch = this.engine.alloc(16 * (blocks + panels));
    this.engine.floats(scratch + 16 * blocks, M).set(scales);
    this.instruct(INT8, to, from, add, at, M, blocks, scratch + 16 * blocks);
    return N * 127 * this.engine.kernels.f32_largest(scratch + 16 * blocks, M);
  }

  /** Sparse, or dense where so much would have to be stored that dense is cheaper. */
  private sparse(
    { shape: [M, N], nonzeros, block = 1 }: Extract<OperatorSpec, { type: 'sparse' }>,
    name: string,
    from: Pointer,
    to: Pointer,
    add: boolean,
  ): number {
    const held = this.source.csr(name, M, N, nonzeros, block);
    // The gates of a unit have no kernel of their own: every row is for itself.
    const size = block === 'gates' ? 1 : block;
    const arrays = block === 'gates' ? fromBlocks(M, held, block) : held;
    const rows = longestFirst(arrays.starts);
    const { order, lengths } = rows;
    // A slice of SELL-4 is as long as its first row; a row of blocks stands for itself.
    const rowsAtOnce = size === 1 ? 4 : 1;
    let stored = 0;
    for (let i = 0; i < order.length; i += rowsAtOnce) stored += 2 * rowsAtOnce * size * pairsOf(lengths[order[i]]);
    const dense = COST.dense * Math.ceil(M / 4) * Math.ceil(N / 4) * 16;
    if (N > LARGEST_SPARSE_SIDE || COST[size] * stored > dense) {
      const { values, columns, starts } = fromBlocks(M, arrays, size);
      return this.panel(csrToDense(values, columns, starts, M, N), M, N, from, to, add);
    }
    if (!add) this.instruct(ZERO, to, 0, false, 4 * M);
    if (order.length === 0) return 0;
    const largest = size === 1 ? this.sell(arrays, rows, from, to) : this.blocks(arrays, size, rows, from, to);
    return lengths[order[0]] * largest;
  }

  /** Returns the largest magnitude; so does blocks(). */
  private sell({ values, columns, starts }: CsrArrays, { order, lengths }: Sorted, from: Pointer, to: Pointer): number {
    const { engine } = this;
    const slices = Math.ceil(order.length / 4);
    let pairs = 0;
    for (let s = 0; s < slices; s++) pairs += pairsOf(lengths[order[4 * s]]);
    const table = engine.alloc(20 * slices);
    const stream = engine.alloc(48 * pairs);
    // Rows that are not there read and write a place of their own.
    const nowhere = engine.alloc(4);
    const words = engine.words(table, 5 * slices);
    const offsets = engine.halves(stream, 24 * pairs);
    const numbers = engine.floats(stream, 12 * pairs);
    let pair = 0;
    let largest = 0;
    for (let s = 0; s < slices; s++) {
      const count = pairsOf(lengths[order[4 * s]]);
      words[5 * s] = count;
      for (let r = 0; r < 4; r++) {
        const there = 4 * s + r < order.length;
        words[5 * s + 1 + r] = there ? 4 * order[4 * s + r] : nowhere - to;
        if (!there) continue;
        const row = order[4 * s + r];
        const first = starts[row];
        for (let i = 0; i < lengths[row]; i++) {
          const at = pair + (i >> 1);
          const lane = 4 * (i & 1) + r;
          offsets[24 * at + lane] = 4 * columns[first + i];
          numbers[12 * at + 4 + lane] = values[first + i];
          largest = Math.max(largest, Math.abs(values[first + i]));
        }
      }
      pair += count;
    }
    this.instruct(SELL, to, from, true, table, slices, stream);
    return largest;
  }

  private blocks(
    { values, columns, starts }: CsrArrays,
    size: 4 | 8,
    { order, lengths }: Sorted,
    from: Pointer,
    to: Pointer,
  ): number {
    const { engine } = this;
    let count = 0;
    for (const row of order) count += 2 * pairsOf(lengths[row]);
    const table = engine.alloc(8 * order.length);
    const offsetsAt = engine.alloc(2 * count);
    const valuesAt = engine.alloc(4 * size * count);
    const offsets = engine.halves(offsetsAt, count);
    const weights = engine.floats(valuesAt, size * count);
    const words = engine.words(table, 2 * order.length);
    let at = 0;
    for (let i = 0; i < order.length; i++) {
      const row = order[i];
      words[2 * i] = pairsOf(lengths[row]);
      words[2 * i + 1] = 4 * size * row;
      for (let k = 0; k < lengths[row]; k++) offsets[at + k] = 4 * columns[starts[row] + k];
      weights.set(values.subarray(size * starts[row], size * starts[row + 1]), size * at);
      at += 2 * pairsOf(lengths[row]);
    }
    this.instruct(size === 4 ? BLOCK4 : BLOCK8, to, from, true, table, order.length, offsetsAt, valuesAt);
    return engine.kernels.f32_largest(valuesAt, size * count);
  }
}

/** What is stored comes in pairs. */
const pairsOf = (length: number) => (length + 1) >> 1;

interface Sorted {
  order: Uint32Array; // those that hold anything, the longest first
  lengths: Uint32Array;
}

function longestFirst(starts: Uint32Array): Sorted {
  const lengths = new Uint32Array(starts.length - 1);
  const keys = new Float64Array(lengths.length);
  let held = 0;
  for (let i = 0; i < lengths.length; i++) {
    lengths[i] = starts[i + 1] - starts[i];
    // One number to sort by: typed arrays sort numbers fast, and by a function slowly.
    if (lengths[i] > 0) keys[held++] = i - lengths[i] * KEY;
  }
  const sorted = keys.subarray(0, held).sort();
  const order = new Uint32Array(held);
  for (let i = 0; i < held; i++) order[i] = ((sorted[i] % KEY) + KEY) % KEY;
  return { order, lengths };
}

/** More than there are rows. */
const KEY = 2 ** 25;
