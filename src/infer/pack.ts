import { FileFormatError } from '../errors.js';
import { rejectNotFinite, type TensorSource } from '../io/tensor-source.js';
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

/** Copies floats of a file to an address and notes their largest. Throws FileFormatError where one is not finite. */
export function putFloats(engine: Engine, at: Pointer, name: string, values: Float32Array, source: TensorSource): void {
  engine.put(at, values);
  const largest = engine.kernels.f32_largest(at, values.length);
  if (!Number.isFinite(largest)) rejectNotFinite(name, values);
  source.noteLargest(name, largest);
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
  const packer = new Packer(engine, source);
  const [M, N] = shapeOf(spec);
  if (typeof add === 'number') packer.instruct(Instruction.Copy, Y, add + MEMORY, false, 4 * M);
  packer.emit(spec, name, X, Y, add !== false);
  const { scratch } = packer;
  const words = [to, engine.alloc(scratch), M, N, scratch, 0, 0, 0, ...packer.instructions, Instruction.End];
  const head = engine.alloc(4 * words.length);
  engine.words(head, words.length).set(words);
  return head + HEAD;
}

/** Bytes of scratch that run_many needs for a program. It may be the same for all programs. */
export function scratchForMany(engine: Engine, program: Pointer): number {
  const N = engine.words(program - HEAD, 4)[3];
  // One vector and eight in lanes, padded.
  return 36 * (N + 16);
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
      case 'int8':
        this.int8(spec.shape, name, from, to, add);
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

  /** Memory for M rows in panels of four, and where in it to put the rows to pack them in place; see assembly/packing.ts. */
  private panels(M: number, row: number, width: 8 | 16): { at: Pointer; raw: Pointer } {
    const panels = Math.ceil(M / 4);
    const end = panels * 4 * Math.ceil(row / width) * width;
    const at = this.engine.alloc(end);
    return { at, raw: at + end - 4 * row * (panels - 1) };
  }

  private dense([M, N]: [number, number], name: string, from: Place, to: Place, add: boolean): void {
    const path = `${name}.weight`;
    const weight = this.source.unseenFloats(path, [M, N]);
    const { at, raw } = this.panels(M, 4 * N, 16);
    putFloats(this.engine, raw, path, weight, this.source);
    this.engine.kernels.pack_panels(raw, at, M, 4 * N, 16);
    this.instruct(Instruction.Panel, to, from, add, at, M, Math.ceil(N / 4));
  }

  private int8([M, N]: [number, number], name: string, from: Place, to: Place, add: boolean): void {
    const { weight, scales } = this.source.int8(name, M, N);
    const { at, raw } = this.panels(M, N, 8);
    this.engine.put(raw, weight);
    this.engine.kernels.pack_panels(raw, at, M, N, 8);
    const blocks = Math.ceil(N / 8);
    // The scratch of the quantised x lies right before the scales; see assembly/step.ts.
    const scratch = this.engine.alloc(16 * (blocks + Math.ceil(M / 4)));
    const scalesAt = scratch + 16 * blocks;
    this.engine.put(scalesAt, scales);
    this.instruct(Instruction.Int8, to, from, add, at, M, blocks, scalesAt);
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
  private form([first, ...others]: readonly Factor[]): Float32Array {
    const b = this.source.unseenFloats(`${first.name}.weight`, first.sides);
    if (others.length === 0) return b;
    const c = this.form(others);
    const [M, N] = first.sides;
    const [m, n] = sidesOf(others);
    const formed = new Float32Array(b.length * c.length);
    let at = 0;
    for (let i = 0; i < M * m; i++) {
      const [row, inner] = [Math.floor(i / m) * N, (i % m) * n];
      for (let j = 0; j < N; j++) for (let k = 0; k < n; k++) formed[at++] = b[row + j] * c[inner + k];
    }
    return formed;
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
    // Blocks of the gates of a unit have no kernel of their own: their rows are packed one by one.
    const size = block === 'gates' ? 1 : block;
    const stored = this.source.unseenCsr(name, M, nonzeros, block);
    const { values, columns, starts } = block === 'gates' ? gatesApart(stored) : stored;
    const rows = M / size;
    const longest = Math.min(N, columns.length); // no row has more entries
    /** The file's arrays past all that is handed out, checked, and the order of their rows. */
    const stage = () => {
      const at = engine.scratch(4 * (values.length + columns.length + 2 * starts.length + longest + 1));
      const columnsAt = at + values.byteLength;
      const startsAt = columnsAt + 4 * columns.length;
      const order = startsAt + 4 * starts.length;
      putFloats(engine, at, `${name}.values`, values, this.source);
      engine.words(columnsAt, columns.length).set(columns);
      engine.words(startsAt, starts.length).set(starts);
      if (!kernels.csr_check(columnsAt, startsAt, rows, N, columns.length)) {
        const expected = `starts from 0 to ${columns.length} and, in each row, ascending columns below ${N}`;
        throw new FileFormatError(`'${name}': got indices out of order or range; expected ${expected}`);
      }
      const held = kernels.csr_longest_first(startsAt, rows, order, order + 4 * starts.length, longest);
      return { values: at, columns: columnsAt, starts: startsAt, order, held };
    };

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
function gatesApart({ values, columns, starts }: ReturnType<TensorSource['unseenCsr']>) {
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
