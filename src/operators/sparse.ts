import { InputError } from '../errors.js';
import { bsrToDense } from '../reference.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import {
  type BlockRows,
  type BlockSize,
  type CsrArrays,
  checkBlock,
  checkCsr,
  firstRow,
  fromBlocks,
  rowsOf,
  toBlocks,
} from './csr.js';
import { Dense } from './dense.js';
import type { Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
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
 * CSR arrays it holds these alone. With `block`, rows share their columns and are pruned together.
 */
export class Sparse implements Operator {
  /** The weights' numbers: M N of them while masked, then those alive, [blocks, block]. */
  readonly weight: Parameter;
  private form: Masked | Compressed;
  private readonly rows: BlockRows;

  constructor(
    runtime: Runtime,
    readonly M: number,
    readonly N: number,
    entries?: CsrArrays,
    readonly block: BlockSize = 1,
  ) {
    checkBlock(M, N, block);
    this.rows = rowsOf(block, M);
    if (entries) {
      checkCsr(M, N, entries);
      const { values, columns, starts } = toBlocks(M, entries, block);
      this.weight = new Parameter(runtime, [values.length]);
      this.weight.data.set(values);
      const room = runtime.alloc(indexBytes(M, N, this.rows, columns.length));
      this.form = new Compressed(runtime, M, N, this.rows, this.weight, room, columns, starts);
    } else {
      this.form = new Masked(runtime, M, N, this.rows);
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

  matmul(x: Pointer, y: Pointer, R: number, accumulate = false): void {
    this.form.matmul(x, y, R, accumulate);
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false): void {
    this.form.tMatmul(dy, dx, R, accumulate);
  }

  gradParams(dy: Pointer, x: Pointer, R: number): void {
    this.form.gradParams(dy, x, R);
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
    const { M, N, block, rows, form } = this;
    if (form instanceof Compressed || form.nonzeros < M * N) {
      throw new InputError('Sparse: restore() wants a matrix of which nothing has been pruned');
    }
    if ('mask' in pattern) {
      form.setMask(pattern.mask);
      return;
    }
    const { columns, starts } = pattern;
    checkCsr(M, N, { values: new Float32Array(rows.size * columns.length), columns, starts }, block);
    this.form = form.compress(columns, starts);
  }

  /**
   * Prunes by magnitude over all the matrices taken as one: the largest weights stay alive, or the blocks of the largest
   * norms, all of one block size, and no more than `keep` weights. Ties go to the first. What is pruned stays so. Matrices
   * that are sparse enough then are compressed, unless `compress` forbids it: what they compute differs by rounding alone.
   */
  static prune(matrices: readonly Sparse[], keep: number, compress = true): void {
    if (keep >= matrices.reduce((sum, { nonzeros }) => sum + nonzeros, 0)) return;
    const [size] = new Set(matrices.map(({ rows }) => rows.size));
    if (matrices.some(({ rows }) => rows.size !== size)) {
      throw new InputError('Sparse: prune() wants matrices of one block size');
    }
    const sizes = matrices.map(({ form }) => form.sizes());
    let { threshold, ties } = thresholdOf(sizes, Math.floor(keep / size));
    for (const [i, matrix] of matrices.entries()) {
      const group = sizes[i];
      for (let k = 0; k < group.length; k++) {
        if (group[k] > threshold) continue;
        if (group[k] === threshold && ties > 0) ties--;
        else group[k] = PRUNED;
      }
      matrix.form.prune(group);
      if (compress && matrix.form instanceof Masked && matrix.density < CROSSOVER[size]) {
        const { columns, starts } = matrix.form.alive();
        matrix.form = matrix.form.compress(columns, starts);
      }
    }
  }

  children() {
    return [];
  }

  own() {
    return [this.weight];
  }

  initialise(variance: number, noise: Noise): void {
    noise(this.weight, Math.sqrt(3 * variance));
  }

  spec(): OperatorSpec {
    const { M, N, nonzeros, block } = this;
    return { type: 'sparse', shape: [M, N], nonzeros, ...(block !== 1 && { block }) };
  }

  toDense(): Float32Array {
    const { values, columns, starts } = this.blocks();
    return Float32Array.from(bsrToDense(values, columns, starts, this.M, this.N, this.rows.size, this.rows.stride));
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

/** What a weight adds to the size of a block of so many rows. */
function sizeOf(weight: number, rows: number): number {
  return rows === 1 ? Math.abs(weight) : weight * weight;
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
    private readonly rows: BlockRows,
  ) {
    super(runtime, M, N);
    this.nonzeros = M * N;
    // Where the mask is, the indices of the compressed form will be.
    this.roomSize = Math.max(M * N, indexBytes(M, N, rows, Math.ceil((CROSSOVER[rows.size] * M * N) / rows.size)));
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
  override gradParams(dy: Pointer, x: Pointer, R: number): void {
    super.gradParams(dy, x, R);
    this.runtime.kernels.f32_mask(this.weight.mask, this.weight.grad, this.weight.size);
  }

  sizes(): Uint32Array {
    const { M, N, rows, mask } = this;
    const { size, stride } = rows;
    const { data } = this.weight;
    const sizes = new Float32Array((M / size) * N);
    const bits = new Uint32Array(sizes.buffer);
    for (let group = 0; group < M / size; group++) {
      const first = firstRow(group, rows) * N;
      for (let row = 0; row < size; row++) {
        const at = first + row * stride * N;
        for (let j = 0; j < N; j++) sizes[group * N + j] += sizeOf(data[at + j], size);
      }
      for (let j = 0; j < N; j++) if (!mask[first + j]) bits[group * N + j] = PRUNED;
    }
    return bits;
  }

  /** Prunes what has the size PRUNED. */
  prune(sizes: Uint32Array): void {
    const { M, N, rows, mask } = this;
    const { size, stride } = rows;
    const { data } = this.weight;
    let alive = 0;
    for (let group = 0; group < M / size; group++) {
      for (let row = 0; row < size; row++) {
        const at = (firstRow(group, rows) + row * stride) * N;
        for (let j = 0; j < N; j++) {
          if (sizes[group * N + j] === PRUNED) mask[at + j] = data[at + j] = 0;
          else alive++;
        }
      }
    }
    this.nonzeros = alive;
  }

  /** What is alive, and the place of each value, [blocks, size], in W. */
  alive(): { columns: Uint32Array; starts: Uint32Array; indices: Uint32Array } {
    const { M, N, rows, mask, nonzeros } = this;
    const { size } = rows;
    const columns = new Uint32Array(nonzeros / size);
    const starts = new Uint32Array(M / size + 1);
    let k = 0;
    for (let group = 0; group < M / size; group++) {
      const first = firstRow(group, rows) * N;
      for (let j = 0; j < N; j++) if (mask[first + j]) columns[k++] = j;
      starts[group + 1] = k;
    }
    return { columns, starts, indices: this.places(columns, starts) };
  }

  private places(columns: Uint32Array, starts: Uint32Array): Uint32Array {
    const { N, rows } = this;
    const { size, stride } = rows;
    const places = new Uint32Array(columns.length * size);
    for (let group = 0; group < starts.length - 1; group++) {
      const first = firstRow(group, rows);
      for (let k = starts[group]; k < starts[group + 1]; k++) {
        for (let row = 0; row < size; row++) places[k * size + row] = (first + row * stride) * N + columns[k];
      }
    }
    return places;
  }

  /** This matrix's weights at these places, in its memory; it must not be used any more. */
  compress(columns: Uint32Array, starts: Uint32Array): Compressed {
    const { runtime, M, N, rows, weight, roomSize } = this;
    const wanted = indexBytes(M, N, rows, columns.length);
    const room = wanted <= roomSize ? weight.mask : runtime.alloc(wanted);
    weight.keep(this.places(columns, starts));
    weight.mask = 0;
    return new Compressed(runtime, M, N, rows, weight, room, columns, starts);
  }
}

/** Bytes that the compressed form's indices take. */
function indexBytes(M: number, N: number, { size }: BlockRows, columns: number): number {
  const starts = M / size + 1;
  return 4 * (size === 1 ? starts + N + 1 + 3 * columns : starts + columns);
}

/**
 * The weights that are alive: their blocks as assembly/sparse.ts wants them. Single weights have a second list, by columns,
 * for the transpose, since adding up in registers is faster than adding to memory; what a block adds to memory is four or
 * eight sums at once, and needs none.
 */
class Compressed {
  // u32, in `room`
  private readonly starts: Pointer; // [M / size + 1]
  private columns: Pointer = 0; // [blocks]
  private byColumn = { starts: 0, rows: 0, order: 0 }; // [N + 1], [nonzeros], and [nonzeros], places in `weight`

  constructor(
    private readonly runtime: Runtime,
    readonly M: number,
    readonly N: number,
    private readonly rows: BlockRows,
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
    const { runtime, N, rows } = this;
    const put = (at: Pointer, data: Uint32Array) => {
      runtime.words(at, data.length).set(data);
      return at + data.byteLength;
    };
    this.columns = put(this.starts, starts);
    const end = put(this.columns, columns);
    if (rows.size > 1) return;
    const byColumn = transposed(N, columns, starts);
    const at = put(end, byColumn.starts);
    const order = put(at, byColumn.rows);
    put(order, byColumn.order);
    this.byColumn = { starts: end, rows: at, order };
  }

  private scratch(): Pointer {
    return this.runtime.alloc(128 * (Math.max(this.M, this.N) + 11));
  }

  matmul(x: Pointer, y: Pointer, R: number, accumulate: boolean): void {
    const { runtime, M, N, weight, columns, starts } = this;
    const { size, stride } = this.rows;
    const { f32_csr_mm, f32_bsr_mm } = runtime.kernels;
    const mark = runtime.mark();
    const scratch = this.scratch();
    if (size === 1) f32_csr_mm(weight.value, 0, columns, starts, x, y, R, M, N, accumulate, scratch);
    else f32_bsr_mm(weight.value, columns, starts, x, y, R, M, N, size, stride, accumulate, scratch);
    runtime.release(mark);
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate: boolean): void {
    const { runtime, M, N, weight, columns, starts, byColumn } = this;
    const { size, stride } = this.rows;
    const { f32_csr_mm, f32_bsr_tmm } = runtime.kernels;
    const mark = runtime.mark();
    const scratch = this.scratch();
    if (size > 1) f32_bsr_tmm(weight.value, columns, starts, dy, dx, R, M, N, size, stride, accumulate, scratch);
    else {
      const { order, rows, starts } = byColumn;
      f32_csr_mm(weight.value, order, rows, starts, dy, dx, R, N, M, accumulate, scratch);
    }
    runtime.release(mark);
  }

  gradParams(dy: Pointer, x: Pointer, R: number): void {
    const { runtime, M, N, weight, columns, starts } = this;
    const { size, stride } = this.rows;
    const { f32_csr_grad, f32_bsr_grad } = runtime.kernels;
    const mark = runtime.mark();
    const scratch = this.scratch();
    if (size === 1) f32_csr_grad(columns, starts, dy, x, weight.grad, R, M, N, 0, M, scratch);
    else f32_bsr_grad(columns, starts, dy, x, weight.grad, R, M, N, size, stride, 0, M / size, scratch);
    runtime.release(mark);
  }

  sizes(): Uint32Array {
    const { size } = this.rows;
    const { data } = this.weight;
    const sizes = new Float32Array(data.length / size);
    for (let k = 0; k < sizes.length; k++) {
      for (let row = 0; row < size; row++) sizes[k] += sizeOf(data[k * size + row], size);
    }
    return new Uint32Array(sizes.buffer);
  }

  /** Prunes what has the size PRUNED: what stays moves up in the memory it is in. */
  prune(sizes: Uint32Array): void {
    const { size } = this.rows;
    const before = this.alive();
    let kept = 0;
    for (let k = 0; k < sizes.length; k++) if (sizes[k] !== PRUNED) kept++;
    const columns = new Uint32Array(kept);
    const starts = new Uint32Array(before.starts.length);
    const indices = new Uint32Array(kept * size);
    let to = 0;
    for (let group = 0; group < starts.length - 1; group++) {
      for (let k = before.starts[group]; k < before.starts[group + 1]; k++) {
        if (sizes[k] === PRUNED) continue;
        columns[to] = before.columns[k];
        for (let row = 0; row < size; row++) indices[to * size + row] = k * size + row;
        to++;
      }
      starts[group + 1] = to;
    }
    this.weight.keep(indices);
    this.index(columns, starts);
  }

  /** What is alive; the values are where `weight` has them. */
  alive(): { columns: Uint32Array; starts: Uint32Array; indices?: undefined } {
    const { runtime, M, rows, nonzeros } = this;
    return {
      columns: runtime.words(this.columns, nonzeros / rows.size).slice(),
      starts: runtime.words(this.starts, M / rows.size + 1).slice(),
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
