import { InputError } from '../errors.js';
import { bsrToDense } from '../reference.js';
import type { Pointer } from '../wasm/kernels.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import { type BlockSize, type CsrArrays, checkBlock, checkCsr, firstRow, fromBlocks, toBlocks } from './csr.js';
import { Dense } from './dense.js';
import { type Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
import type { Place, Program } from './program.js';
import type { OperatorSpec } from './spec.js';

/**
 * Below this density, by rows of a block, the compressed form's products are the faster ones. Measured by bench/training.ts,
 * "crossover", at 2600 x 650 and 800 x 200, batches of 20 and 700 rows.
 */
const CROSSOVER = { 1: 0.2, 4: 0.3, 8: 0.3 };

/** Which weights are alive: u8[M N], or the columns and starts of the compressed form, a column a block. */
export type Pattern = { mask: Uint8Array } | { columns: Uint32Array; starts: Uint32Array };

/**
 * An extremely sparse matrix, the dopants M_sp. Made without entries all its M N weights are alive, and prune() thins
 * them out: first behind a mask, where products are the dense ones, and below a certain density compressed. Made from
 * CSR arrays it holds these alone. With `block`, that many consecutive rows share their columns and are pruned together.
 */
export class Sparse extends Operator {
  /** The weights' numbers: M N of them while masked, then those alive, [blocks, block]. */
  readonly weight: Parameter;
  private form: Masked | Compressed;

  constructor(
    runtime: Runtime,
    readonly M: number,
    readonly N: number,
    entries?: CsrArrays,
    readonly block: BlockSize = 1,
  ) {
    super(runtime);
    checkBlock(M, N, block);
    if (entries) {
      checkCsr(M, N, entries);
      const { values, columns, starts } = toBlocks(M, entries, block);
      this.weight = new Parameter(runtime, [values.length]);
      this.weight.data.set(values);
      const room = runtime.alloc(indexBytes(M, N, block, columns.length));
      this.form = new Compressed(runtime, M, N, block, this.weight, room, columns, starts);
    } else {
      this.form = new Masked(runtime, M, N, block);
      this.weight = this.form.weight;
    }
  }

  /** Weights that have not been pruned. */
  get nonzeros(): number {
    return this.form.nonzeros;
  }

  get density(): number {
    return this.nonzeros / (this.M * this.N);
  }

  /** Whether it holds the weights that are alive, and no others. */
  get compressed(): boolean {
    return this.form instanceof Compressed;
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.form.forward(program, from, to, accumulate);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.form.transpose(program, from, to, accumulate);
  }

  gradient(program: Program, dy: Place, x: Place): void {
    this.form.gradient(program, dy, x);
  }

  /** The weights that are alive, as files hold them: values [blocks, block], a column a block. */
  blocks(): CsrArrays {
    const { columns, starts, indices } = this.form.alive();
    const { data } = this.weight;
    return { values: indices ? gather(data, indices) : data.slice(), columns, starts };
  }

  /** The same, every row for itself. */
  entries(): CsrArrays {
    return fromBlocks(this.M, this.blocks(), this.block);
  }

  pattern(): Pattern {
    if (this.form instanceof Masked) return { mask: this.form.mask.slice() };
    const { columns, starts } = this.form.alive();
    return { columns, starts };
  }

  /**
   * Takes up the pattern, and with it the form, that another matrix had, all weights being alive here. Their numbers are
   * not those of the other.
   */
  restore(pattern: Pattern): void {
    const { M, N, block, form } = this;
    if (form instanceof Compressed || form.nonzeros < M * N) {
      throw new InputError('Sparse: restore() wants a matrix of which nothing has been pruned');
    }
    if ('mask' in pattern) {
      form.setMask(pattern.mask);
      return;
    }
    const { columns, starts } = pattern;
    checkCsr(M, N, { values: new Float32Array(block * columns.length), columns, starts }, block);
    this.form = form.compress(columns, starts);
  }

  /**
   * Prunes by magnitude over all the matrices taken as one: the largest weights stay alive, or the blocks of the largest
   * norms, all of one block size, and no more than `keep` weights. Ties go to the first. What is pruned stays so. Matrices
   * that are sparse enough then are compressed, unless `compress` forbids it: what they compute differs by rounding alone.
   */
  static prune(matrices: readonly Sparse[], keep: number, compress = true): void {
    if (keep >= matrices.reduce((sum, { nonzeros }) => sum + nonzeros, 0)) return;
    const [block] = new Set(matrices.map((matrix) => matrix.block));
    if (matrices.some((matrix) => matrix.block !== block)) {
      throw new InputError('Sparse: prune() wants matrices of one block size');
    }
    const sizes = matrices.map(({ form }) => form.sizes());
    let { threshold, ties } = thresholdOf(sizes, Math.floor(keep / block));
    for (const [i, matrix] of matrices.entries()) {
      const group = sizes[i];
      for (let k = 0; k < group.length; k++) {
        if (group[k] > threshold) continue;
        if (group[k] === threshold && ties > 0) ties--;
        else group[k] = PRUNED;
      }
      matrix.form.prune(group);
      if (compress && matrix.form instanceof Masked && matrix.density < CROSSOVER[block]) {
        const { columns, starts } = matrix.form.alive();
        matrix.form = matrix.form.compress(columns, starts);
      }
    }
  }

  override own() {
    return [this.weight];
  }

  initialise(variance: number, noise: Noise): void {
    noise(this.weight, Math.sqrt(3 * variance));
  }

  /** Takes what stands at the places that have not been pruned. */
  fit(w: ArrayLike<number>): void {
    const { columns, starts, indices } = this.form.alive();
    const { data } = this.weight;
    for (const [k, place] of placesOf(this.N, this.block, columns, starts).entries()) {
      data[indices ? place : k] = w[place];
    }
  }

  spec(): OperatorSpec {
    const { M, N, nonzeros, block } = this;
    return { type: 'sparse', shape: [M, N], nonzeros, ...(block > 1 && { block }) };
  }

  toDense(): Float32Array {
    const { values, columns, starts } = this.blocks();
    return Float32Array.from(bsrToDense(values, columns, starts, this.M, this.N, this.block));
  }
}

// What is pruned together, a weight or a block, has a size: the bits of a float, its magnitude or its sum of squares. A
// positive float's bits, read as an integer, are in the order of the floats. Both forms list sizes in one order, by rows
// of blocks and then by columns, so that the same are pruned in either.

const PRUNED = 0xffffffff; // no positive float, and larger than any

/** The size below which all are to be pruned so that `keep` stay, and how many of just this size stay. */
function thresholdOf(sizes: readonly Uint32Array[], keep: number): { threshold: number; ties: number } {
  // Found digit by digit, 16 bits at a time.
  const counts = new Uint32Array(65536);
  for (const group of sizes) for (let i = 0; i < group.length; i++) counts[group[i] >>> 16]++;
  const high = digit(counts, 0x7fff, keep);
  counts.fill(0);
  for (const group of sizes) {
    for (let i = 0; i < group.length; i++) if (group[i] >>> 16 === high.value) counts[group[i] & 0xffff]++;
  }
  const low = digit(counts, 0xffff, high.left);
  return { threshold: high.value * 65536 + low.value, ties: low.left };
}

/** The largest digit with which no fewer than `wanted` are at least as large, and how many of these it has to give. */
function digit(counts: Uint32Array, largest: number, wanted: number): { value: number; left: number } {
  let value = largest;
  let left = wanted;
  while (value > 0 && counts[value] < left) left -= counts[value--];
  return { value, left };
}

function gather(data: Float32Array, indices: Uint32Array): Float32Array {
  const result = new Float32Array(indices.length);
  for (let i = 0; i < indices.length; i++) result[i] = data[indices[i]];
  return result;
}

/** All M N weights with a mask: while many are alive, dense products over them are the faster ones. */
class Masked extends Dense {
  nonzeros: number;
  private readonly roomSize: number;

  constructor(
    runtime: Runtime,
    M: number,
    N: number,
    readonly block: BlockSize,
  ) {
    super(runtime, M, N);
    this.nonzeros = M * N;
    // Where the mask is, the indices of the compressed form will be.
    this.roomSize = Math.max(M * N, indexBytes(M, N, block, Math.ceil((CROSSOVER[block] * M * N) / block)));
    this.weight.mask = runtime.alloc(this.roomSize);
    this.mask.fill(1);
  }

  get mask(): Uint8Array {
    return this.runtime.bytes(this.weight.mask, this.weight.size);
  }

  setMask(mask: Uint8Array): void {
    this.mask.set(mask);
    this.nonzeros = mask.reduce((sum, alive) => sum + alive, 0);
  }

  /** Pruned weights have no gradient: the dense product gave them one, which clipping by the norm must not see. */
  override gradient(program: Program, dy: Place, x: Place): void {
    super.gradient(program, dy, x);
    const { M, N, weight } = this;
    const [first, rows] = program.partOf(M, 4);
    if (rows > 0)
      program.add(Op.MaskGrad, dy, dy, false, weight.mask + first * N, weight.grad + 4 * first * N, rows * N);
  }

  sizes(): Uint32Array {
    const { M, N, block, mask } = this;
    const { data } = this.weight;
    const sizes = new Float32Array((M / block) * N);
    if (block === 1) for (let i = 0; i < sizes.length; i++) sizes[i] = Math.abs(data[i]);
    else {
      for (let i = 0; i < M; i++) {
        const group = Math.floor(i / block) * N;
        for (let j = 0; j < N; j++) sizes[group + j] += data[i * N + j] ** 2;
      }
    }
    const bits = new Uint32Array(sizes.buffer);
    for (let group = 0; group < M / block; group++) {
      const first = firstRow(group, block) * N;
      for (let j = 0; j < N; j++) if (!mask[first + j]) bits[group * N + j] = PRUNED;
    }
    return bits;
  }

  /** Prunes what has the size PRUNED. */
  prune(sizes: Uint32Array): void {
    const { M, N, block, mask } = this;
    const { data } = this.weight;
    let alive = 0;
    for (let i = 0; i < M; i++) {
      const group = Math.floor(i / block) * N;
      for (let j = 0; j < N; j++) {
        if (sizes[group + j] === PRUNED) mask[i * N + j] = data[i * N + j] = 0;
        else alive++;
      }
    }
    this.nonzeros = alive;
  }

  /** What is alive, and the place of each value, [blocks, block], in W. */
  alive(): { columns: Uint32Array; starts: Uint32Array; indices: Uint32Array } {
    const { M, N, block, mask, nonzeros } = this;
    const columns = new Uint32Array(nonzeros / block);
    const starts = new Uint32Array(M / block + 1);
    let k = 0;
    for (let group = 0; group < M / block; group++) {
      const first = firstRow(group, block) * N;
      for (let j = 0; j < N; j++) if (mask[first + j]) columns[k++] = j;
      starts[group + 1] = k;
    }
    return { columns, starts, indices: placesOf(N, block, columns, starts) };
  }

  /** This matrix's weights at these places, in its memory; it must not be used any more. */
  compress(columns: Uint32Array, starts: Uint32Array): Compressed {
    const { runtime, M, N, block, weight, roomSize } = this;
    const wanted = indexBytes(M, N, block, columns.length);
    const room = wanted <= roomSize ? weight.mask : runtime.alloc(wanted);
    weight.keep(placesOf(N, block, columns, starts));
    weight.mask = 0;
    return new Compressed(runtime, M, N, block, weight, room, columns, starts);
  }
}

/** Bytes that the compressed form's indices take. */
function indexBytes(M: number, N: number, block: BlockSize, columns: number): number {
  const rows = M / block + 1;
  return 4 * (block === 1 ? rows + N + 1 + 3 * columns : rows + columns);
}

/**
 * The weights that are alive: their blocks as assembly/sparse.ts wants them. Single weights have a second list, by columns,
 * for the transpose, since adding up in registers is faster than adding to memory; what a block adds to memory is four or
 * eight sums at once, and needs none.
 */
class Compressed {
  // u32, in `room`
  private readonly starts: Pointer; // [M / block + 1]
  private columns: Pointer = 0; // [blocks]
  private rowStarts: Pointer = 0; // [N + 1]
  private rows: Pointer = 0; // [nonzeros]
  private order: Pointer = 0; // [nonzeros], places in `weight`

  constructor(
    private readonly runtime: Runtime,
    readonly M: number,
    readonly N: number,
    readonly block: BlockSize,
    readonly weight: Parameter,
    room: Pointer,
    columns: Uint32Array,
    starts: Uint32Array,
  ) {
    this.starts = room;
    this.index(columns, starts);
  }

  get nonzeros(): number {
    return this.weight.size;
  }

  private index(columns: Uint32Array, starts: Uint32Array): void {
    const { runtime, N, block } = this;
    const put = (at: Pointer, data: Uint32Array) => {
      runtime.words(at, data.length).set(data);
      return at + data.byteLength;
    };
    this.columns = put(this.starts, starts);
    this.rowStarts = put(this.columns, columns);
    if (block > 1) return;
    const byColumn = transposed(N, columns, starts);
    this.rows = put(this.rowStarts, byColumn.starts);
    this.order = put(this.rows, byColumn.rows);
    put(this.order, byColumn.order);
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { M, N, block, weight, columns, starts } = this;
    const scratch = this.scratch(program);
    if (block === 1) program.add(Op.Csr, from, to, accumulate, weight.value, 0, columns, starts, M, N, scratch);
    else program.add(Op.Bsr, from, to, accumulate, weight.value, columns, starts, M, N, block, 1, scratch);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { M, N, block, weight, columns, starts, rows, rowStarts, order } = this;
    const scratch = this.scratch(program);
    if (block === 1) program.add(Op.Csr, from, to, accumulate, weight.value, order, rows, rowStarts, N, M, scratch);
    else program.add(Op.BsrT, from, to, accumulate, weight.value, columns, starts, M, N, block, 1, scratch);
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { M, N, block, weight, columns, starts } = this;
    const [first, count] = program.partOf(M / block, block === 1 ? 4 : 1);
    if (count === 0) return;
    const scratch = this.scratch(program);
    const rows = [first, first + count, scratch];
    if (block === 1) program.add(Op.CsrGrad, dy, x, true, columns, starts, weight.grad, M, N, ...rows);
    else program.add(Op.BsrGrad, dy, x, true, columns, starts, weight.grad, M, N, block, 1, ...rows);
  }

  private scratch(program: Program): Place {
    return program.scratch(128 * (Math.max(this.M, this.N) + 11));
  }

  sizes(): Uint32Array {
    const { block } = this;
    const { data } = this.weight;
    const sizes = new Float32Array(data.length / block);
    for (let i = 0; i < data.length; i++) {
      if (block === 1) sizes[i] = Math.abs(data[i]);
      else sizes[Math.floor(i / block)] += data[i] ** 2;
    }
    return new Uint32Array(sizes.buffer);
  }

  /** Prunes what has the size PRUNED: what stays moves up in the memory it is in. */
  prune(sizes: Uint32Array): void {
    const { block } = this;
    const before = this.alive();
    let kept = 0;
    for (let k = 0; k < sizes.length; k++) if (sizes[k] !== PRUNED) kept++;
    const columns = new Uint32Array(kept);
    const starts = new Uint32Array(before.starts.length);
    const indices = new Uint32Array(kept * block);
    let to = 0;
    for (let group = 0; group < starts.length - 1; group++) {
      for (let k = before.starts[group]; k < before.starts[group + 1]; k++) {
        if (sizes[k] === PRUNED) continue;
        columns[to] = before.columns[k];
        for (let row = 0; row < block; row++) indices[to * block + row] = k * block + row;
        to++;
      }
      starts[group + 1] = to;
    }
    this.weight.keep(indices);
    this.index(columns, starts);
  }

  /** What is alive; the values are where `weight` has them. */
  alive(): { columns: Uint32Array; starts: Uint32Array; indices?: undefined } {
    const { runtime, M, block, nonzeros } = this;
    return {
      columns: runtime.words(this.columns, nonzeros / block).slice(),
      starts: runtime.words(this.starts, M / block + 1).slice(),
    };
  }
}

/** The entries of CSR arrays by columns: their rows, ascending in a column, and their places among the entries. */
function transposed(N: number, columns: Uint32Array, starts: Uint32Array) {
  const rowStarts = new Uint32Array(N + 1);
  for (const column of columns) rowStarts[column + 1]++;
  for (let j = 0; j < N; j++) rowStarts[j + 1] += rowStarts[j];
  const next = rowStarts.slice();
  const rows = new Uint32Array(columns.length);
  const order = new Uint32Array(columns.length);
  for (let i = 0; i < starts.length - 1; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) {
      const at = next[columns[k]]++;
      rows[at] = i;
      order[at] = k;
    }
  }
  return { starts: rowStarts, rows, order };
}

/** The place in W of each value, [blocks, block]. */
function placesOf(N: number, block: BlockSize, columns: Uint32Array, starts: Uint32Array): Uint32Array {
  const places = new Uint32Array(columns.length * block);
  for (let group = 0; group < starts.length - 1; group++) {
    const first = firstRow(group, block);
    for (let k = starts[group]; k < starts[group + 1]; k++) {
      for (let row = 0; row < block; row++) places[k * block + row] = (first + row) * N + columns[k];
    }
  }
  return places;
}
