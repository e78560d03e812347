import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { BlockRows } from './csr.js';
import type { Parameter } from './parameter.js';
import { type Place, type Program, ROWS } from './program.js';
import { PRUNED, salient, sizeOf } from './pruning.js';

/**
 * Below this density, by the rows of a block, the three products of the compressed form are faster than the dense ones.
 * Measured at 2600 x 650 and 800 x 200 with batches of 20 and 160 rows, both take the same time at 0.52 to 0.60 for single
 * weights, at 0.79 or more for blocks; with a gemm that is a quarter faster, at these densities.
 */
export const CROSSOVER = { 1: 0.4, 4: 0.65, 8: 0.65 };

/** Bytes of the compressed form's indices. */
export function indexBytes(M: number, N: number, { size }: BlockRows, columns: number): number {
  const starts = M / size + 1;
  return 4 * (size === 1 ? starts + N + 1 + 3 * columns : starts + columns);
}

/**
 * The weights that have not been pruned, in the layout that assembly/sparse.ts reads. Single weights have a second list,
 * by columns, for the transpose: accumulating in registers is faster than in memory. Blocks need none, since they add four or
 * eight sums at once.
 */
export class Compressed {
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

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { M, N, weight, columns, starts } = this;
    const { size, stride } = this.rows;
    const scratch = this.scratch(program);
    const w = weight.value;
    if (size === 1) program.add('f32_csr_mm', w, 0, columns, starts, from, to, ROWS, M, N, accumulate, scratch);
    else program.add('f32_bsr_mm', w, columns, starts, from, to, ROWS, M, N, size, stride, accumulate, scratch);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { M, N, weight, columns, starts, byColumn } = this;
    const { size, stride } = this.rows;
    const scratch = this.scratch(program);
    const w = weight.value;
    if (size > 1) {
      program.add('f32_bsr_tmm', w, columns, starts, from, to, ROWS, M, N, size, stride, accumulate, scratch);
    } else {
      const { order, rows, starts } = byColumn;
      program.add('f32_csr_mm', w, order, rows, starts, from, to, ROWS, N, M, accumulate, scratch);
    }
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { M, N, weight, columns, starts } = this;
    const { size, stride } = this.rows;
    const [first, count] = program.partOf(M / size, size === 1 ? 4 : 1);
    if (count === 0) return;
    const part = [first, first + count, this.scratch(program)] as const;
    const dw = weight.grad;
    if (size === 1) program.add('f32_csr_grad', columns, starts, dy, x, dw, ROWS, M, N, ...part);
    else program.add('f32_bsr_grad', columns, starts, dy, x, dw, ROWS, M, N, size, stride, ...part);
  }

  private scratch(program: Program): Place {
    return program.scratch(128 * (Math.max(this.M, this.N) + 11));
  }

  /** The sizes that thresholdOf() compares; `second`: see salient(). */
  sizes(second?: Pointer): Uint32Array {
    const { size } = this.rows;
    const data = salient(this.weight, second);
    const sizes = new Float32Array(data.length / size);
    for (let k = 0; k < sizes.length; k++) {
      for (let row = 0; row < size; row++) sizes[k] += sizeOf(data[k * size + row], size);
    }
    return new Uint32Array(sizes.buffer);
  }

  /** Prunes what has the size PRUNED; what is left moves up within its memory. */
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

  /** The indices of what is left; its values are those of `weight`, in order. */
  alive(): { columns: Uint32Array; starts: Uint32Array; indices?: undefined } {
    const { runtime, M, rows, nonzeros } = this;
    return {
      columns: runtime.words(this.columns, nonzeros / rows.size).slice(),
      starts: runtime.words(this.starts, M / rows.size + 1).slice(),
    };
  }
}

/** The entries of CSR arrays by columns: their rows, ascending within a column, and their places among the entries. */
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
