import {
  rejectIndices,
  rejectNotFinite,
  rejectScale,
  type StoredIndices,
  type StoredNumbers,
  type TensorSource,
} from '../io/tensor-source.js';
import { type KroneckerSpec, type OperatorSpec, shapeOf } from '../operators/spec.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Engine } from './engine.js';
import { Instruction } from './instruction.js';

// Turns a matrix of a file into instructions of assembly/step.ts. The form at run time differs from that of training: dense
// matrices in panels, Kronecker factors laid out for their two products, sparse matrices in slices or blocks. The loops over
// weights are in assembly/packing.ts; this file decides what goes where.

/**
 * Nanoseconds per stored number in each layout, padding included; only their ratios matter. Measured by
 * bench/inference.ts, "crossover", at 2600 x 1300.
 */
const COST = { dense: 0.064, 1: 0.26, 4: 0.109, 8: 0.074 };

/** Byte offsets into x are 16 bits wide. */
const LARGEST_SPARSE_SIDE = 16384;

/**
 * Decodes numbers of a file to f32 at an address and notes their largest. Throws FileFormatError where one is not finite. Nothing
 * past the address may be in use but what is handed out.
 */
export function putFloats(
  engine: Engine,
  at: Pointer,
  name: string,
  numbers: StoredNumbers,
  source: TensorSource,
): void {
  const { kernels } = engine;
  const { n, bits, group, data } = numbers;
  if (bits === 32) engine.put(at, data);
  else {
    const from = engine.past(at + 4 * n);
    engine.put(from, data);
    const finite =
      bits === 16 ? kernels.f32_from_halves(from, at, n) : kernels.f32_dequantise(from, at, n, bits, group);
    if (!finite) rejectScale(name, numbers);
  }
  const largest = kernels.f32_largest(at, n);
  // Of what is decoded, every number is finite.
  if (!Number.isFinite(largest)) rejectNotFinite(name, data as Float32Array);
  source.noteLargest(name, largest);
}

/** Rows of 8-bit integers, packed as assembly/packed-int8.ts has them. */
export interface Int8Rows {
  at: Pointer;
  blocks: number;
  /** Their scales, f32; right before them, the scratch of the quantised x. */
  scales: Pointer;
}

/** Whether numbers are quantised row by row, and so can be multiplied as they are. */
export const isByRow = ({ bits, group }: StoredNumbers, N: number): boolean => bits <= 8 && group === N;

/** Packs a matrix that is quantised row by row. */
export function packInt8(
  engine: Engine,
  name: string,
  [M, N]: readonly [number, number],
  numbers: StoredNumbers,
  source: TensorSource,
): Int8Rows {
  const { kernels } = engine;
  const { n, bits, data } = numbers;
  const blocks = Math.ceil(N / 8);
  const scales = scalesFor(engine, M, blocks);
  const { at, raw } = panels(engine, M, N, 8);
  const from = engine.past(raw + n + 8);
  engine.put(from, data);
  if (!kernels.f32_from_halves(from, scales, M)) rejectScale(name, numbers);
  kernels.i8_from_codes(from + 2 * M, raw, n, bits);
  kernels.pack_panels(raw, at, M, N, 8);
  source.noteLargest(name, kernels.f32_largest(scales, M) * (1 << (bits - 1)));
  return { at, blocks, scales };
}

/** The same rows times a number. */
export function scaleInt8(engine: Engine, { at, blocks, scales }: Int8Rows, M: number, factor: number): Int8Rows {
  const scaled = scalesFor(engine, M, blocks);
  engine.kernels.f32_scale(factor, scales, scaled, M);
  return { at, blocks, scales: scaled };
}

function scalesFor(engine: Engine, M: number, blocks: number): Pointer {
  return engine.alloc(16 * (blocks + Math.ceil(M / 4))) + 16 * blocks;
}

/** Memory for M rows in panels of four, and where in it to put the rows to pack them in place; see assembly/packing.ts. */
function panels(engine: Engine, M: number, row: number, width: 8 | 16): { at: Pointer; raw: Pointer } {
  const panels = Math.ceil(M / 4);
  const end = panels * 4 * Math.ceil(row / width) * width;
  const at = engine.alloc(end);
  return { at, raw: at + end - 4 * row * (panels - 1) };
}

/** Where an instruction reads or writes: a byte offset that counts from one of these, see assembly/step.ts. */
type Place = number;
const [X, Y, SCRATCH, MEMORY] = [0, 1, 2, 3];

/** Bytes before a program, see assembly/step.ts. */
const HEAD = 32;

/**
 * Packs a matrix W. Returns a program that, for its input x, leaves W x in `to`, adds it to what is there, or, where `add` is
 * an address, leaves the sum of W x and the vector there. lstm_run, gru_run and run_many put it elsewhere.
 */
export function packMatrix(
  engine: Engine,
  spec: OperatorSpec,
  name: string,
  source: TensorSource,
  to: Pointer,
  add: boolean | Pointer,
): Pointer {
  return program(engine, source, shapeOf(spec), to, add, (packer) => packer.emit(spec, name, X, Y, add !== false));
}

/** The same for a table, which may be packed already. */
export function packTable(
  engine: Engine,
  name: string,
  [M, N]: readonly [number, number],
  table: Int8Rows | StoredNumbers,
  source: TensorSource,
  to: Pointer,
  add: Pointer,
): Pointer {
  return program(engine, source, [M, N], to, add, (packer) => {
    if ('at' in table) packer.int8(table, M, X, Y, true);
    else packer.panel(name, [M, N], table, X, Y, true);
  });
}

function program(
  engine: Engine,
  source: TensorSource,
  [M, N]: readonly [number, number],
  to: Pointer,
  add: boolean | Pointer,
  emit: (packer: Packer) => void,
): Pointer {
  const packer = new Packer(engine, source);
  if (typeof add === 'number') packer.instruct(Instruction.Copy, Y, add + MEMORY, false, 4 * M);
  emit(packer);
  const { scratch } = packer;
  const words = [to, engine.alloc(scratch), M, N, scratch, 0, 0, 0, ...packer.instructions, Instruction.End];
  const head = engine.alloc(4 * words.length);
  engine.words(head, words.length).set(words);
  return head + HEAD;
}

/** Bytes of scratch that run_many needs for a program. It may be the same for all programs. */
export function scratchForMany(engine: Engine, program: Pointer): number {
  const N = engine.words(program - HEAD, 4)[3];
  // Four vectors, padded, those quantised, and eight in lanes.
  return 56 * (N + 16);
}

class Packer {
  readonly instructions: number[] = [];
  /** Bytes of scratch that the instructions use. */
  scratch = 0;

  constructor(
    private readonly engine: Engine,
    private readonly source: TensorSource,
  ) {}

  /** Emits the instructions of a matrix. */
  emit(spec: OperatorSpec, name: string, from: Place, to: Place, add: boolean): void {
    switch (spec.type) {
      case 'dense':
        this.dense(spec.shape, name, from, to, add);
        break;
      case 'sparse':
        this.sparse(spec, name, from, to, add);
        break;
      case 'kronecker':
        this.kronecker(spec, name, from, to, add);
        break;
      case 'product': {
        const [rank] = shapeOf(spec.V);
        const inner = this.between(rank);
        this.emit(spec.V, `${name}.V`, from, inner, false);
        this.emit(spec.U, `${name}.U`, inner, to, add);
        break;
      }
      case 'vstack': {
        let top = 0;
        for (const [i, block] of spec.blocks.entries()) {
          this.emit(block, `${name}.${i}`, from, to + 4 * top, add);
          const [M] = shapeOf(block);
          top += M;
        }
        break;
      }
      case 'sum':
        for (const [i, term] of spec.terms.entries()) this.emit(term, `${name}.${i}`, from, to, add || i > 0);
    }
  }

  /** Scratch for n floats, padded with zeros to whole vectors of eight. */
  private between(n: number): Place {
    const at = this.scratch;
    this.scratch += 32 * Math.ceil(n / 8);
    return at + SCRATCH;
  }

  instruct(op: number, to: Place, from: Place, add: boolean, ...rest: number[]): void {
    const words = [op, to, from, add ? 1 : 0, ...rest];
    while (words.length < 8) words.push(0);
    this.instructions.push(...words);
  }

  private dense(shape: [number, number], name: string, from: Place, to: Place, add: boolean): void {
    const path = `${name}.weight`;
    const [M, N] = shape;
    const numbers = this.source.numbers(path, shape);
    if (isByRow(numbers, N)) this.int8(packInt8(this.engine, path, shape, numbers, this.source), M, from, to, add);
    else this.panel(path, shape, numbers, from, to, add);
  }

  panel(
    path: string,
    [M, N]: readonly [number, number],
    numbers: StoredNumbers,
    from: Place,
    to: Place,
    add: boolean,
  ): void {
    const { kernels } = this.engine;
    const { at, raw } = panels(this.engine, M, 4 * N, 16);
    putFloats(this.engine, raw, path, numbers, this.source);
    kernels.pack_panels(raw, at, M, 4 * N, 16);
    this.instruct(Instruction.Panel, to, from, add, at, M, Math.ceil(N / 4));
  }

  int8({ at, blocks, scales }: Int8Rows, M: number, from: Place, to: Place, add: boolean): void {
    this.instruct(Instruction.Int8, to, from, add, at, M, blocks, scales);
  }

  /** The two products of assembly/packed-kron.ts. More factors than two are taken together in two groups. */
  private kronecker(spec: KroneckerSpec, name: string, from: Place, to: Place, add: boolean): void {
    const { engine } = this;
    const [B, C] = halves(factorsOf(spec, name));
    const [[m1, n1], [m2, n2]] = [sidesOf(B), sidesOf(C)];
    const fourOf = (n: number) => 4 * Math.ceil(n / 4);
    /** The transpose of a group, [K,J], in panels of eight columns or with rows of whole vectors. */
    const factor = (pack: 'f32_pack_columns' | 'f32_transpose', group: readonly Factor[]): Place => {
      const [J, K] = sidesOf(group);
      const at = engine.alloc(32 * Math.ceil(J / 8) * K);
      const raw = engine.scratch(4 * J * K);
      const tensors = group.map(({ name }) => `${name}.weight`);
      putFloats(engine, raw, tensors.join(' (x) '), this.form(group), this.source);
      engine.kernels[pack](raw, at, J, K);
      return at + MEMORY;
    };
    const product = (s: Place, w: Place, out: Place, accumulate: boolean, ...shape: number[]) => {
      const at = engine.alloc(4 * shape.length);
      engine.words(at, shape.length).set(shape);
      this.instruct(Instruction.Panel8, out, s, accumulate, w, at);
    };
    if (m1 * n2 * (n1 + m2) <= n1 * m2 * (n2 + m1)) {
      const b = factor('f32_pack_columns', B);
      const c = factor('f32_pack_columns', C);
      const between = this.between(fourOf(m1) * n2);
      product(from, b, between, false, n2, fourOf(m1), n1, 4 * n2, 4 * fourOf(m1), 32);
      product(between, c, to, add, m1, m2, n2, 4 * fourOf(m1), 4 * m2, 32);
    } else {
      const b = factor('f32_transpose', B);
      const c = factor('f32_pack_columns', C);
      const turned = this.between(fourOf(n1) * n2);
      const between = this.between(8 * Math.ceil(m2 / 8) * n1);
      this.instruct(Instruction.Transpose, turned, from, false, n1, n2);
      product(turned, c, between, false, n1, fourOf(m2), n2, 4 * fourOf(n1), 32, 32 * n1);
      product(b, between, to, add, m1, m2, n1, 4 * fourOf(m1), 4 * m2, 32);
    }
  }

  /** The numbers of a group, row-major; those of several factors are formed. */
  private form([first, ...others]: readonly Factor[]): StoredNumbers {
    const path = `${first.name}.weight`;
    const numbers = this.source.numbers(path, first.sides);
    if (others.length === 0) return numbers;
    const b = this.decoded(path, numbers);
    const c = this.decoded('', this.form(others));
    const [M, N] = first.sides;
    const [m, n] = sidesOf(others);
    const formed = new Float32Array(b.length * c.length);
    let at = 0;
    for (let i = 0; i < M * m; i++) {
      const [row, inner] = [Math.floor(i / m) * N, (i % m) * n];
      for (let j = 0; j < N; j++) for (let k = 0; k < n; k++) formed[at++] = b[row + j] * c[inner + k];
    }
    return { n: at, bits: 32, group: 1, data: formed };
  }

  /** Numbers of a file as f32. */
  private decoded(name: string, numbers: StoredNumbers): Float32Array {
    if (numbers.bits === 32) return numbers.data as Float32Array;
    const at = this.engine.scratch(4 * numbers.n);
    putFloats(this.engine, at, name, numbers, this.source);
    return this.engine.floats(at, numbers.n).slice();
  }

  /** Packs a sparse matrix, as a dense one where that is cheaper. */
  private sparse(
    { shape: [M, N], nonzeros, block = 1 }: Extract<OperatorSpec, { type: 'sparse' }>,
    name: string,
    from: Place,
    to: Place,
    add: boolean,
  ): void {
    const { engine } = this;
    const { kernels } = engine;
    const path = `${name}.values`;
    let numbers = this.source.numbers(path, [nonzeros]);
    let indices = this.source.indices(name, M, N, nonzeros, block);
    let size: 1 | 4 | 8 = block === 'gates' ? 4 : block;
    let count = nonzeros / size;
    /** The file's arrays past all that is handed out, checked, and the order of their rows. */
    const stage = () => {
      const rows = M / size;
      const longest = Math.min(N, count); // no row has more entries
      const at = engine.scratch(4 * (nonzeros + count + 2 * (rows + 1) + longest + 1));
      const columns = at + 4 * nonzeros;
      const starts = columns + 4 * count;
      const order = starts + 4 * (rows + 1);
      putFloats(engine, at, path, numbers, this.source);
      this.putIndices(name, indices, count, rows, N, columns, starts);
      const held = kernels.csr_longest_first(starts, rows, order, order + 4 * (rows + 1), longest);
      return { values: at, columns, starts, order, held };
    };

    if (block === 'gates') {
      // These blocks have no kernel of their own: their rows are packed one by one.
      const csr = stage();
      const words = (at: Pointer, n: number) => engine.words(at, n).slice();
      const apart = gatesApart(
        engine.floats(csr.values, nonzeros).slice(),
        words(csr.columns, count),
        words(csr.starts, M / size + 1),
      );
      numbers = { n: nonzeros, bits: 32, group: 1, data: apart.values };
      indices = apart;
      size = 1;
      count = nonzeros;
    }
    const rows = M / size;
    const { held, starts: startsAt, order } = stage();
    // A slice of SELL-4 is as long as its first row; a row of blocks stands for itself.
    const rowsAtOnce = size === 1 ? 4 : 1;
    const pairs = kernels.csr_pairs(startsAt, order, held, rowsAtOnce);
    const panels = Math.ceil(M / 4) * Math.ceil(N / 4);
    // What is staged lies where the packed form goes: from here on it is staged once more, past that.
    if (N > LARGEST_SPARSE_SIDE || COST[size] * 2 * rowsAtOnce * size * pairs > COST.dense * 16 * panels) {
      const at = engine.alloc(64 * panels);
      const blocks = Math.ceil(N / 4);
      const csr = stage();
      kernels.csr_to_panels(csr.values, csr.columns, csr.starts, rows, size, at, blocks);
      this.instruct(Instruction.Panel, to, from, add, at, M, blocks);
      return;
    }
    if (!add) this.instruct(Instruction.Zero, to, X, false, 4 * M);
    if (held === 0) return;
    if (size === 1) {
      const slices = Math.ceil(held / 4);
      const table = engine.alloc(20 * slices);
      const stream = engine.alloc(48 * pairs);
      const csr = stage();
      kernels.f32_sell_pack(csr.values, csr.columns, csr.starts, csr.order, held, table, stream);
      this.instruct(Instruction.Sell, to, from, true, table, slices, stream);
    } else {
      const table = engine.alloc(8 * held);
      const offsets = engine.alloc(4 * pairs);
      const weights = engine.alloc(8 * size * pairs);
      const csr = stage();
      kernels.f32_block_pack(csr.values, csr.columns, csr.starts, csr.order, held, table, offsets, weights, size);
      this.instruct(
        size === 4 ? Instruction.Block4 : Instruction.Block8,
        to,
        from,
        true,
        table,
        held,
        offsets,
        weights,
      );
    }
  }

  /** Puts indices of a file, as u32, to two addresses past all that is handed out. Throws FileFormatError for bad ones. */
  private putIndices(
    name: string,
    indices: StoredIndices,
    count: number,
    rows: number,
    N: number,
    columns: Pointer,
    starts: Pointer,
  ): void {
    const { engine } = this;
    const { kernels } = engine;
    let good: boolean | 0 | 1;
    if ('gaps' in indices) {
      const { gaps, k } = indices;
      const from = engine.past(starts + 4 * (rows + 1));
      engine.put(from, gaps);
      good = kernels.rice_decode(from, gaps.length, k, count, rows, N, columns, starts);
    } else {
      engine.words(columns, count).set(indices.columns);
      engine.words(starts, rows + 1).set(indices.starts);
      good = kernels.csr_check(columns, starts, rows, N, count);
    }
    if (!good) rejectIndices(name, indices, count, N);
  }
}

/** A Kronecker factor, and its name in the file. */
interface Factor {
  name: string;
  sides: [number, number];
}

function factorsOf({ B, C }: KroneckerSpec, name: string): Factor[] {
  const others = Array.isArray(C) ? [{ name: `${name}.C`, sides: C }] : factorsOf(C, `${name}.C`);
  return [{ name: `${name}.B`, sides: B }, ...others];
}

/** M and N of the product of some factors. */
function sidesOf(factors: readonly Factor[]): [number, number] {
  return factors.reduce<[number, number]>(([M, N], { sides: [m, n] }) => [M * m, N * n], [1, 1]);
}

/** Factors in two groups, such that the two products are cheapest. */
function halves(factors: readonly Factor[]): [Factor[], Factor[]] {
  const pairs = factors.slice(1).map((_, i): [Factor[], Factor[]] => [factors.slice(0, i + 1), factors.slice(i + 1)]);
  const cost = (groups: readonly Factor[][]) => {
    const [[m1, n1], [m2, n2]] = groups.map(sidesOf);
    return Math.min(m1 * n2 * (n1 + m2), n1 * m2 * (n2 + m1));
  };
  return pairs.reduce((best, pair) => (cost(pair) < cost(best) ? pair : best));
}

/** Blocks across the gates as single rows: a quarter of them for each gate, alike but for their values. */
function gatesApart(values: Float32Array, columns: Uint32Array, starts: Uint32Array) {
  const n = columns.length;
  const units = starts.length - 1;
  const rows = {
    values: new Float32Array(4 * n),
    columns: new Uint32Array(4 * n),
    starts: new Uint32Array(4 * units + 1),
  };
  for (let gate = 0; gate < 4; gate++) {
    rows.columns.set(columns, gate * n);
    for (let k = 0; k < n; k++) rows.values[gate * n + k] = values[4 * k + gate];
    for (let j = 0; j <= units; j++) rows.starts[gate * units + j] = gate * n + starts[j];
  }
  return rows;
}
