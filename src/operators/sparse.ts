import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { Compressed, CROSSOVER, indexBytes } from './compressed.js';
import {
  type BlockArrays,
  type BlockRows,
  type BlockSize,
  type CsrArrays,
  checkBlock,
  checkCsr,
  firstRowOfGroup,
  fromBlocks,
  placesOf,
  rowsOf,
  toBlocks,
} from './csr.js';
import { Masked } from './masked.js';
import { checkEntries, checkSides, checkVariance, type Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
import type { Place, Program } from './program.js';
import { PRUNED, thresholdOf } from './pruning.js';
import type { OperatorSpec } from './spec.js';

/** Which weights are not pruned: a mask, u8[M,N], of ones for those; or the compressed form, with weights of 0 unless given. */
export type Pattern = { mask: Uint8Array } | { blocks: BlockArrays };

/**
 * An extremely sparse matrix, the dopants M_sp. It starts with all M N weights, or with `content`: CSR arrays of single rows,
 * or a pattern as files have it. prune() thins it out: first behind a mask, where products are dense, then, below a certain
 * density, in compressed form. With `block`, rows share their columns and are pruned together.
 */
export class Sparse extends Operator {
  /** M N weights while masked; in compressed form those that are left, [blocks, block]. */
  readonly weight: Parameter;
  private form: Masked | Compressed;
  private readonly rows: BlockRows;

  constructor(
    runtime: Runtime,
    readonly M: number,
    readonly N: number,
    content?: CsrArrays | Pattern,
    readonly block: BlockSize = 1,
  ) {
    super(runtime);
    checkSides(M, N);
    checkBlock(M, N, block);
    this.rows = rowsOf(block, M);
    if (!content || 'mask' in content) {
      if (content) checkMask(content.mask, M, N, this.rows);
      const form = new Masked(runtime, M, N, this.rows);
      if (content) form.setMask(content.mask);
      this.form = form;
      this.weight = form.weight;
      return;
    }
    let arrays: BlockArrays;
    if ('blocks' in content) {
      checkCsr(M, N, content.blocks, block);
      arrays = content.blocks;
    } else {
      checkCsr(M, N, content);
      arrays = toBlocks(M, content, block);
    }
    const { values, columns, starts } = arrays;
    this.weight = new Parameter(runtime, [this.rows.size * columns.length]);
    if (values) this.weight.data.set(values);
    const room = runtime.alloc(indexBytes(M, N, this.rows, columns.length));
    this.form = new Compressed(runtime, M, N, this.rows, this.weight, room, columns, starts);
  }

  /** Number of weights that have not been pruned. */
  get nonzeros(): number {
    return this.form.nonzeros;
  }

  get density(): number {
    return this.nonzeros / (this.M * this.N);
  }

  /** Whether it is in compressed form. */
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

  /** The weights that have not been pruned, as files store them: values [blocks, block], one column per block. */
  blocks(): CsrArrays {
    const { columns, starts, indices } = this.form.alive();
    const { data } = this.weight;
    return { values: indices ? gather(data, indices) : data.slice(), columns, starts };
  }

  /** The places of those weights among all that it has; undefined for all. */
  stored(): Uint32Array | undefined {
    return this.form.alive().indices;
  }

  /** The same as CSR arrays of single rows. */
  entries(): CsrArrays {
    return fromBlocks(this.M, this.blocks(), this.block);
  }

  pattern(): Pattern {
    if (this.form instanceof Masked) return { mask: this.form.mask.slice() };
    const { columns, starts } = this.form.alive();
    return { blocks: { columns, starts } };
  }

  /**
   * Prunes several matrices by magnitude as if they were one: the largest weights, or blocks of the largest norms, are left,
   * at most `keep` weights. Ties go to the first. Matrices that are then sparse enough change to compressed form, which
   * differs only by rounding, unless `compress` is false. Where `secondOf` gives the address of the second moments v of
   * the weights, f32[weight.size], abs(w) v^(1/4) takes the place of the magnitude.
   *
   * @throws InputError for matrices of different block sizes, or unless `keep` is a whole number >= 0
   */
  static prune(
    matrices: readonly Sparse[],
    keep: number,
    compress = true,
    secondOf: (weight: Parameter) => Pointer | undefined = () => undefined,
  ): void {
    checkWhole('keep', keep, 0);
    if (keep >= matrices.reduce((sum, { nonzeros }) => sum + nonzeros, 0)) return;
    const [size] = new Set(matrices.map(({ rows }) => rows.size));
    if (matrices.some(({ rows }) => rows.size !== size)) {
      throw new InputError('matrices: got different block sizes; expected the same for all');
    }
    const sizes = matrices.map(({ form, weight }) => form.sizes(secondOf(weight)));
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

  override own() {
    return [this.weight];
  }

  initialise(variance: number, noise: Noise): void {
    checkVariance(variance);
    noise(this.weight, Math.sqrt(3 * variance));
  }

  /** Copies the entries at the places that have not been pruned. */
  fit(w: ArrayLike<number>): void {
    checkEntries(w, this.M, this.N);
    const { columns, starts, indices } = this.form.alive();
    const { data } = this.weight;
    for (const [k, place] of placesOf(this.N, this.rows, columns, starts).entries()) {
      data[indices ? place : k] = w[place];
    }
  }

  spec(): OperatorSpec {
    const { M, N, nonzeros, block } = this;
    return { type: 'sparse', shape: [M, N], nonzeros, ...(block !== 1 && { block }) };
  }

  toDense(): Float32Array {
    const { values, columns, starts } = this.blocks();
    const w = new Float32Array(this.M * this.N);
    for (const [k, place] of placesOf(this.N, this.rows, columns, starts).entries()) w[place] = values[k];
    return w;
  }
}

/** Throws InputError unless the mask is M N zeros and ones, the same for all rows of a block. */
export function checkMask(mask: Uint8Array, M: number, N: number, rows: BlockRows, name = 'mask'): void {
  checkEntries(mask, M, N, name);
  const { size, stride } = rows;
  for (let group = 0; group < M / size; group++) {
    const first = firstRowOfGroup(group, rows) * N;
    for (let j = 0; j < N; j++) {
      const alive = mask[first + j];
      if (alive !== 0 && alive !== 1) throw invalid(name, alive, `0 or 1 at place ${first + j}`);
      for (let row = 1; row < size; row++) {
        const at = first + row * stride * N + j;
        if (mask[at] !== alive) throw invalid(name, mask[at], `${alive} at place ${at}, as in the rest of its block`);
      }
    }
  }
}

function gather(data: Float32Array, indices: Uint32Array): Float32Array {
  const result = new Float32Array(indices.length);
  for (let i = 0; i < indices.length; i++) result[i] = data[indices[i]];
  return result;
}
