import type { TensorSource } from '../io/tensor-source.js';
import { checkCsr } from '../operators/csr.js';
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

/**
 * Above this share of nonzeros a sparse matrix is packed dense: a nonzero of SELL-4 costs about as much as so many
 * dense weights.
 */
const DENSE_ABOVE = 0.4;

/** Byte offsets into x are 16 bits wide. */
const LARGEST_SELL_SIDE = 16384;

/** A program that leaves W x, for its input x, in `to`, or adds it to what is there, or to `bias`, [M]. */
export function packMatrix(
  engine: Engine,
  spec: OperatorSpec,
  name: string,
  source: TensorSource,
  to: Pointer,
  add: boolean | Float32Array,
): Pointer {
  const packer = new Packer(engine, source);
  if (add instanceof Float32Array) packer.copy(add, to);
  packer.emit(spec, name, 0, to, add !== false);
  const words = [...packer.instructions, END];
  const program = engine.alloc(4 * words.length);
  engine.words(program, words.length).set(words);
  return program;
}

class Packer {
  readonly instructions: number[] = [];

  constructor(
    private readonly engine: Engine,
    private readonly source: TensorSource,
  ) {}

  /** `from` 0 is the program's input. */
  emit(spec: OperatorSpec, name: string, from: Pointer, to: Pointer, add: boolean): void {
    switch (spec.type) {
      case 'dense': {
        const [M, N] = spec.shape;
        this.panel(this.source.floats(`${name}.weight`, [M, N]), M, N, from, to, add);
        return;
      }
      case 'sparse':
        this.sparse(spec, name, from, to, add);
        return;
      case 'kronecker':
        this.kronecker(spec.B, spec.C, name, from, to, add);
        return;
      case 'product': {
        const [rank] = shapeOf(spec.V);
        const inner = this.engine.alloc(4 * rank);
        this.emit(spec.V, `${name}.V`, from, inner, false);
        this.emit(spec.U, `${name}.U`, inner, to, add);
        return;
      }
      case 'vstack': {
        let top = 0;
        for (const [i, block] of spec.blocks.entries()) {
          this.emit(block, `${name}.${i}`, from, to + 4 * top, add);
          const [M] = shapeOf(block);
          top += M;
        }
        return;
      }
      case 'sum': {
        for (const [i, term] of spec.terms.entries()) this.emit(term, `${name}.${i}`, from, to, add || i > 0);
        return;
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

  private panel(w: ArrayLike<number>, M: number, N: number, from: Pointer, to: Pointer, add: boolean): void {
    const blocks = Math.ceil(N / 4);
    const packed = new Float32Array(Math.ceil(M / 4) * blocks * 16);
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++) packed[(((i >> 2) * blocks + (j >> 2)) * 4 + (i & 3)) * 4 + (j & 3)] = w[i * N + j];
    }
    this.instruct(PANEL, to, from, add, this.floats(packed), M, blocks);
  }

  private kronecker(
    [m1, n1]: [number, number],
    [m2, n2]: [number, number],
    name: string,
    from: Pointer,
    to: Pointer,
    add: boolean,
  ): void {
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
    this.instruct(KRON, to, from, add, this.floats(left), this.floats(right), shape, temp);
  }

  private sparse(
    { shape: [M, N], nonzeros }: Extract<OperatorSpec, { type: 'sparse' }>,
    name: string,
    from: Pointer,
    to: Pointer,
    add: boolean,
  ): void {
    const { values, columns, starts } = this.source.csr(name, M, nonzeros);
    checkCsr(M, N, { values, columns, starts });
    if (nonzeros > DENSE_ABOVE * M * N || N > LARGEST_SELL_SIDE) {
      this.panel(csrToDense(values, columns, starts, M, N), M, N, from, to, add);
      return;
    }
    if (!add) this.instruct(ZERO, to, 0, false, 4 * M);
    const { engine } = this;
    const length = (row: number) => (row < M ? starts[row + 1] - starts[row] : 0);
    const rows = Array.from({ length: M }, (_, i) => i).filter((row) => length(row) > 0);
    rows.sort((a, b) => length(b) - length(a) || a - b);
    const slices = Math.ceil(rows.length / 4);
    const pairs = Array.from({ length: slices }, (_, s) => Math.ceil(length(rows[4 * s]) / 2));
    const table = engine.alloc(20 * slices);
    const stream = engine.alloc(48 * pairs.reduce((sum, n) => sum + n, 0));
    // Rows that are not there read and write a place of their own.
    const nowhere = engine.alloc(4);
    let at = stream;
    for (let s = 0; s < slices; s++) {
      const slice = [0, 1, 2, 3].map((r) => rows[4 * s + r] as number | undefined);
      const places = slice.map((row) => (row === undefined ? nowhere - to : 4 * row));
      engine.words(table + 20 * s, 5).set([pairs[s], ...places]);
      for (let pair = 0; pair < pairs[s]; pair++, at += 48) {
        const offsets = engine.halves(at, 8);
        const numbers = engine.floats(at + 16, 8);
        for (let entry = 0; entry < 2; entry++) {
          slice.forEach((row, r) => {
            if (row === undefined || 2 * pair + entry >= length(row)) return;
            const k = starts[row] + 2 * pair + entry;
            offsets[4 * entry + r] = 4 * columns[k];
            numbers[4 * entry + r] = values[k];
          });
        }
      }
    }
    this.instruct(SELL, to, from, true, table, slices, stream);
  }
}
