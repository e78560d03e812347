import { InputError } from '../errors.js';
import { csrToDense } from '../reference.js';
import type { Pointer } from '../wasm/kernels.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import { type BlockSize, type CsrArrays, checkBlock, checkCsr, toBlocks } from './csr.js';
import { Dense } from './dense.js';
import { type Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
import type { Place, Program } from './program.js';
import type { OperatorSpec } from './spec.js';

/**
 * An extremely sparse matrix, the dopants M_sp. Made without entries it is masked dense, all M N weights alive: the
 * form that prune() thins out while training. Made from CSR arrays it holds these alone. With `block`, that many
 * consecutive rows share their columns and are pruned together.
 */
export class Sparse extends Operator {
  private readonly form: Masked | Compressed;

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
      toBlocks(M, entries, block);
    }
    this.form = entries ? new Compressed(runtime, M, N, entries) : new Masked(runtime, M, N);
  }

  /** Weights that have not been pruned. */
  get nonzeros(): number {
    return this.form.nonzeros;
  }

  get density(): number {
    return this.nonzeros / (this.M * this.N);
  }

  /** The weights' numbers: M N of them while masked, then the nonzeros alone. */
  get weight(): Parameter {
    return this.form.weight;
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

  /** The weights that are alive, as files hold them. */
  entries(): CsrArrays {
    return this.form.entries();
  }

  /** The mask of the masked form, u8[M N], in place. */
  mask(): Uint8Array {
    return this.masked('mask()').mask;
  }

  /**
   * Prunes by magnitude over all the matrices taken as one: the largest weights stay alive, or the blocks of the largest
   * norms, all of one block size, and no more than `keep` weights. Ties go to the first. What is pruned stays so.
   */
  static prune(matrices: readonly Sparse[], keep: number): void {
    const forms = matrices.map((matrix) => matrix.masked('prune()'));
    if (keep >= forms.reduce((sum, form) => sum + form.nonzeros, 0)) return;
    const [block] = new Set(matrices.map((matrix) => matrix.block));
    if (matrices.some((matrix) => matrix.block !== block)) {
      throw new InputError('Sparse: prune() wants matrices of one block size');
    }
    const groups = forms.map((form) => form.groups(block));
    // A positive float's bits, read as an integer, are in the order of the floats: the threshold is found digit by
    // digit, 16 bits at a time.
    const digit = (wanted: number, high?: number) => {
      const counts = new Uint32Array(65536);
      for (const { sizes, alive } of groups) {
        for (let i = 0; i < sizes.length; i++) {
          const magnitude = sizes[i] & 0x7fffffff;
          if (!alive(i)) continue;
          if (high === undefined) counts[magnitude >>> 16]++;
          else if (magnitude >>> 16 === high) counts[magnitude & 0xffff]++;
        }
      }
      let value = 65535;
      while (value > 0 && counts[value] < wanted) wanted -= counts[value--];
      return { value, wanted };
    };
    const high = digit(Math.floor(keep / block));
    const low = digit(high.wanted, high.value);
    const threshold = high.value * 65536 + low.value;
    let ties = low.wanted;
    for (const { sizes, alive, kill } of groups) {
      for (let i = 0; i < sizes.length; i++) {
        const magnitude = sizes[i] & 0x7fffffff;
        if (!alive(i) || magnitude > threshold) continue;
        if (magnitude === threshold && ties > 0) {
          ties--;
          continue;
        }
        kill(i);
      }
    }
  }

  private masked(verb: string): Masked {
    if (this.form instanceof Masked) return this.form;
    throw new InputError(`Sparse: ${verb} wants the masked form, but this matrix was made from CSR arrays`);
  }

  override own() {
    return [this.form.weight];
  }

  initialise(variance: number, noise: Noise): void {
    noise(this.form.weight, Math.sqrt(3 * variance));
  }

  /** Takes what stands at the places that have not been pruned. */
  fit(w: ArrayLike<number>): void {
    this.form.fit(w);
  }

  spec(): OperatorSpec {
    const { M, N, nonzeros, block } = this;
    return { type: 'sparse', shape: [M, N], nonzeros, ...(block > 1 && { block }) };
  }

  toDense(): Float32Array {
    const { values, columns, starts } = this.entries();
    return Float32Array.from(csrToDense(values, columns, starts, this.M, this.N));
  }
}

/** All M N weights with a mask: while many are alive, dense products over them are the faster ones. */
class Masked extends Dense {
  constructor(runtime: Runtime, M: number, N: number) {
    super(runtime, M, N);
    this.weight.mask = runtime.alloc(M * N);
    this.mask.fill(1);
  }

  get mask(): Uint8Array {
    return this.runtime.bytes(this.weight.mask, this.weight.size);
  }

  /**
   * What is pruned together: weight by weight, or `block` rows of a column. `sizes` are the bits of floats, magnitudes
   * or sums of squares, in which signs may still stand.
   */
  groups(block: BlockSize): { sizes: Uint32Array; alive(i: number): boolean; kill(i: number): void } {
    const { M, N, mask } = this;
    const { data, value, size } = this.weight;
    if (block === 1) {
      const kill = (i: number) => {
        mask[i] = 0;
        data[i] = 0;
      };
      return { sizes: this.runtime.words(value, size), alive: (i) => mask[i] !== 0, kill };
    }
    const squares = new Float32Array((M / block) * N);
    const first = (i: number) => Math.floor(i / N) * block * N + (i % N);
    for (let i = 0; i < squares.length; i++) {
      const at = first(i);
      for (let row = 0; row < block; row++) squares[i] += data[at + row * N] ** 2;
    }
    const kill = (i: number) => {
      const at = first(i);
      for (let row = 0; row < block; row++) {
        mask[at + row * N] = 0;
        data[at + row * N] = 0;
      }
    };
    return { sizes: new Uint32Array(squares.buffer), alive: (i) => mask[first(i)] !== 0, kill };
  }

  get nonzeros(): number {
    let count = 0;
    for (const alive of this.mask) count += alive;
    return count;
  }

  /** Pruned weights have no gradient: the dense product gave them one, which clipping by the norm must not see. */
  override gradient(program: Program, dy: Place, x: Place): void {
    super.gradient(program, dy, x);
    const { mask, grad, size } = this.weight;
    program.add(Op.MaskGrad, dy, dy, false, mask, grad, size);
  }

  override fit(w: ArrayLike<number>): void {
    super.fit(w);
    this.runtime.kernels.f32_mask(this.weight.mask, this.weight.value, this.weight.size);
  }

  entries(): CsrArrays {
    const { M, N, mask } = this;
    const { data } = this.weight;
    const starts = new Uint32Array(M + 1);
    const values: number[] = [];
    const columns: number[] = [];
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++) {
        if (!mask[i * N + j]) continue;
        values.push(data[i * N + j]);
        columns.push(j);
      }
      starts[i + 1] = values.length;
    }
    return { values: Float32Array.from(values), columns: Uint32Array.from(columns), starts };
  }
}

/** The nonzeros alone. */
class Compressed {
  readonly weight: Parameter;
  readonly nonzeros: number;
  private readonly columns: Pointer; // u32[nonzeros]
  private readonly starts: Pointer; // u32[M + 1]

  constructor(
    private readonly runtime: Runtime,
    readonly M: number,
    readonly N: number,
    { values, columns, starts }: CsrArrays,
  ) {
    this.nonzeros = values.length;
    this.weight = new Parameter(runtime, [values.length]);
    this.columns = runtime.alloc(4 * values.length);
    this.starts = runtime.alloc(4 * (M + 1));
    this.weight.data.set(values);
    runtime.words(this.columns, values.length).set(columns);
    runtime.words(this.starts, M + 1).set(starts);
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product(Op.Csr, program, from, to, accumulate);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product(Op.CsrT, program, from, to, accumulate);
  }

  private product(op: Op, program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { M, N, weight, columns, starts } = this;
    const scratch = program.scratch(32 * (M + N));
    program.add(op, from, to, accumulate, weight.value, columns, starts, M, N, scratch);
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { M, N, weight, columns, starts } = this;
    const scratch = program.scratch(128 * (M + N));
    program.add(Op.CsrGrad, dy, x, true, columns, starts, weight.grad, M, N, scratch);
  }

  fit(w: ArrayLike<number>): void {
    const { columns, starts } = this.entries();
    const { data } = this.weight;
    for (let i = 0; i < this.M; i++) {
      for (let k = starts[i]; k < starts[i + 1]; k++) data[k] = w[i * this.N + columns[k]];
    }
  }

  entries(): CsrArrays {
    const { runtime, M, nonzeros, weight } = this;
    return {
      values: weight.data.slice(),
      columns: runtime.words(this.columns, nonzeros).slice(),
      starts: runtime.words(this.starts, M + 1).slice(),
    };
  }
}
