import type { TensorSource } from '../io/tensor-source.js';
import type { CsrArrays } from '../operators/csr.js';
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
const COST = { dense: 0.065, sell: 0.22, 4: 0.085, 8: 0.062 };

/** Byte offsets into x are 16 bits wide. */
const LARGEST_SPARSE_SIDE = 16384;

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
      case 'int8':
        this.int8(spec.shape, name, from, to, add);
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

  private int8([M, N]: [number, number], name: string, from: Pointer, to: Pointer, add: boolean): void {
    const { weight, scales } = this.source.int8(name, M, N);
    const blocks = Math.ceil(N / 8);
    const panels = Math.ceil(M / 4);
    const packed = new Int8Array(panels * blocks * 32);
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++)
        packed[(((i >> 2) * blocks + (j >> 3)) * 4 + (i & 3)) * 8 + (j & 7)] = weight[i * N + j];
    }
    const at = this.engine.alloc(packed.length);
    this.engine.bytes(at, packed.length).set(packed);
    // The scratch of the quantised x lies right before the scales; see assembly/step.ts.
    const scratch = this.engine.alloc(16 * (blocks + panels));
    this.engine.floats(scratch + 16 * blocks, M).set(scales);
    this.instruct(INT8, to, from, add, at, M, blocks, scratch + 16 * blocks);
  }

  /** In whichever layout is the cheapest for what nonzeros there are and how they lie. */
  private sparse(
    { shape: [M, N], nonzeros, block }: Extract<OperatorSpec, { type: 'sparse' }>,
    name: string,
    from: Pointer,
    to: Pointer,
    add: boolean,
  ): void {
    const csr = this.source.csr(name, M, N, nonzeros, block);
    const rows = sellRows(M, csr.starts);
    const layouts: { cost: number; emit(): void }[] = [
      {
        cost: COST.dense * Math.ceil(M / 4) * Math.ceil(N / 4) * 16,
        emit: () => this.panel(csrToDense(csr.values, csr.columns, csr.starts, M, N), M, N, from, to, add),
      },
    ];
    if (N <= LARGEST_SPARSE_SIDE) {
      const zeroed = (emit: () => void) => () => {
        if (!add) this.instruct(ZERO, to, 0, false, 4 * M);
        emit();
      };
      const stored = rows.filter((_, i) => i % 4 === 0).reduce((sum, row) => sum + 8 * pairsOf(row.length), 0);
      layouts.push({ cost: COST.sell * stored, emit: zeroed(() => this.sell(csr, rows, from, to)) });
      for (const size of [4, 8] as const) {
        if (M % size !== 0) continue;
        const blocks = blockRows(M, size, csr);
        const weights = blocks.reduce((sum, { columns }) => sum + 2 * size * pairsOf(columns.length), 0);
        layouts.push({ cost: COST[size] * weights, emit: zeroed(() => this.blocks(csr, size, blocks, from, to)) });
      }
    }
    layouts.reduce((best, layout) => (layout.cost < best.cost ? layout : best)).emit();
  }

  private sell({ values, columns, starts }: CsrArrays, rows: readonly SellRow[], from: Pointer, to: Pointer): void {
    if (rows.length === 0) return;
    const { engine } = this;
    const slices = Math.ceil(rows.length / 4);
    const pairs = Array.from({ length: slices }, (_, s) => pairsOf(rows[4 * s].length));
    const table = engine.alloc(20 * slices);
    const stream = engine.alloc(48 * pairs.reduce((sum, n) => sum + n, 0));
    // Rows that are not there read and write a place of their own.
    const nowhere = engine.alloc(4);
    let at = stream;
    for (let s = 0; s < slices; s++) {
      const slice = [0, 1, 2, 3].map((r) => rows[4 * s + r] as SellRow | undefined);
      engine.words(table + 20 * s, 5).set([pairs[s], ...slice.map((row) => (row ? 4 * row.row : nowhere - to))]);
      for (let pair = 0; pair < pairs[s]; pair++, at += 48) {
        const offsets = engine.halves(at, 8);
        const numbers = engine.floats(at + 16, 8);
        for (let entry = 0; entry < 2; entry++) {
          slice.forEach((row, r) => {
            if (row === undefined || 2 * pair + entry >= row.length) return;
            const k = starts[row.row] + 2 * pair + entry;
            offsets[4 * entry + r] = 4 * columns[k];
            numbers[4 * entry + r] = values[k];
          });
        }
      }
    }
    this.instruct(SELL, to, from, true, table, slices, stream);
  }

  private blocks(
    { values, columns, starts }: CsrArrays,
    size: 4 | 8,
    rows: readonly BlockRow[],
    from: Pointer,
    to: Pointer,
  ): void {
    if (rows.length === 0) return;
    const { engine } = this;
    const count = 2 * rows.reduce((sum, row) => sum + pairsOf(row.columns.length), 0);
    const table = engine.alloc(8 * rows.length);
    const offsetsAt = engine.alloc(2 * count);
    const valuesAt = engine.alloc(4 * size * count);
    const offsets = engine.halves(offsetsAt, count);
    const weights = engine.floats(valuesAt, size * count);
    const words = engine.words(table, 2 * rows.length);
    let at = 0;
    for (const [r, row] of rows.entries()) {
      words.set([pairsOf(row.columns.length), 4 * row.first], 2 * r);
      const place = new Map(row.columns.map((column, k) => [column, at + k]));
      row.columns.forEach((column, k) => {
        offsets[at + k] = 4 * column;
      });
      for (let i = 0; i < size; i++) {
        for (let k = starts[row.first + i]; k < starts[row.first + i + 1]; k++) {
          weights[place.get(columns[k])! * size + i] = values[k];
        }
      }
      at += 2 * pairsOf(row.columns.length);
    }
    this.instruct(size === 4 ? BLOCK4 : BLOCK8, to, from, true, table, rows.length, offsetsAt, valuesAt);
  }
}

interface SellRow {
  row: number;
  length: number;
}

/** Rows that hold anything, the longest first. */
function sellRows(M: number, starts: Uint32Array): SellRow[] {
  return Array.from({ length: M }, (_, row) => ({ row, length: starts[row + 1] - starts[row] }))
    .filter(({ length }) => length > 0)
    .sort((a, b) => b.length - a.length || a.row - b.row);
}

interface BlockRow {
  first: number; // of its rows
  columns: number[]; // in which any of its rows holds something
}

/** Groups of `size` rows that hold anything, the longest first. */
function blockRows(M: number, size: number, { columns, starts }: CsrArrays): BlockRow[] {
  return Array.from({ length: M / size }, (_, group) => {
    const first = group * size;
    const any = new Set(columns.subarray(starts[first], starts[first + size]));
    return { first, columns: [...any].sort((a, b) => a - b) };
  })
    .filter((row) => row.columns.length > 0)
    .sort((a, b) => b.columns.length - a.columns.length || a.first - b.first);
}

/** What is stored comes in pairs. */
const pairsOf = (length: number) => Math.ceil(length / 2);
