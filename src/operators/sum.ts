import { InputError } from '../errors.js';
import { seedWords } from '../random.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Noise, Operator } from './operator.js';
import type { OperatorSpec } from './spec.js';

/**
 * Co-matrix row dropout (CMR): in training, y = sum of mask_i . (W_i x), mask_i independent Bernoulli masks over the
 * rows of y, rescaled. Masks depend on the fields below and on the row's place in the sequence, nothing else.
 */
export interface CoMatrixDropout {
  rates: readonly number[]; // one a term
  seed: number;
  step: number; // of the training
  stream: number; // that of the first term; the others count on
  period: number; // 0: a mask of its own for every row; the batch size: one mask a stream of the batch, held over the sequence
}

/** How the terms share the work, summed up over all rows multiplied while the probe was in place. */
export interface Probe {
  rows: number;
  gram: Float64Array; // [terms, terms]: sums of <W_i x, W_j x>
}

/** W = W_0 + W_1 + ...; a doped matrix is Sum(structure, Sparse). */
export class Sum implements Operator {
  readonly M: number;
  readonly N: number;
  dropout: CoMatrixDropout | undefined;
  probe: Probe | undefined;
  /** Terms that take part; switching one off shows what the others do alone. Not for training. */
  readonly active: boolean[];

  constructor(
    private readonly runtime: Runtime,
    readonly terms: readonly Operator[],
  ) {
    const first = terms[0];
    if (!first) throw new InputError('Sum: no terms; it needs at least one');
    for (const { M, N } of terms) {
      if (M !== first.M || N !== first.N) {
        throw new InputError(`Sum: terms of ${first.M} x ${first.N} and ${M} x ${N}; all must have one shape`);
      }
    }
    this.M = first.M;
    this.N = first.N;
    this.active = terms.map(() => true);
  }

  matmul(x: Pointer, y: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const { runtime, dropout } = this;
    if (this.probe) this.observe(this.probe, x, R, firstRow);
    const mark = runtime.mark();
    const product = dropout ? runtime.alloc(4 * R * this.M) : 0;
    let add = accumulate;
    this.terms.forEach((term, i) => {
      if (!this.active[i]) return;
      if (dropout) {
        term.matmul(x, product, R, false, firstRow);
        this.applyMask(dropout, i, product, y, R, firstRow, add);
      } else {
        term.matmul(x, y, R, add, firstRow);
      }
      add = true;
    });
    if (!add) runtime.floats(y, R * this.M).fill(0);
    runtime.release(mark);
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false, firstRow = 0): void {
    this.backward(dy, R, firstRow, (term, masked, i) => {
      term.tMatmul(masked, dx, R, accumulate || i > 0, firstRow);
    });
  }

  gradParams(dy: Pointer, x: Pointer, R: number, firstRow = 0): void {
    this.backward(dy, R, firstRow, (term, masked) => term.gradParams(masked, x, R, firstRow));
  }

  /** Each term with the dy that reaches it through its mask. */
  private backward(
    dy: Pointer,
    R: number,
    firstRow: number,
    visit: (term: Operator, dy: Pointer, i: number) => void,
  ): void {
    const { runtime, dropout } = this;
    const mark = runtime.mark();
    const masked = dropout ? runtime.alloc(4 * R * this.M) : dy;
    this.terms.forEach((term, i) => {
      if (dropout) this.applyMask(dropout, i, dy, masked, R, firstRow, false);
      visit(term, masked, i);
    });
    runtime.release(mark);
  }

  private applyMask(
    { rates, seed, step, stream, period }: CoMatrixDropout,
    term: number,
    from: Pointer,
    to: Pointer,
    R: number,
    firstRow: number,
    accumulate: boolean,
  ): void {
    const [low, high] = seedWords(seed);
    const { f32_dropout } = this.runtime.kernels;
    f32_dropout(from, to, R, this.M, firstRow, period, rates[term], low, high, step, stream + term, accumulate);
  }

  private observe(probe: Probe, x: Pointer, R: number, firstRow: number): void {
    const { runtime, terms, M } = this;
    const mark = runtime.mark();
    const products = terms.map((term) => {
      const product = runtime.alloc(4 * R * M);
      term.matmul(x, product, R, false, firstRow);
      return product;
    });
    products.forEach((a, i) => {
      products.forEach((b, j) => {
        probe.gram[i * terms.length + j] += runtime.kernels.f32_dot(a, b, R * M);
      });
    });
    probe.rows += R;
    runtime.release(mark);
  }

  children() {
    return this.terms.map((term, i) => [String(i), term] as const);
  }

  own() {
    return [];
  }

  initialise(variance: number, noise: Noise): void {
    for (const term of this.terms) term.initialise(variance / this.terms.length, noise);
  }

  /** The first term alone as well as it can, the next what that leaves, and so on. */
  fit(w: ArrayLike<number>): void {
    const rest = Float64Array.from(w);
    for (const term of this.terms) {
      term.fit(rest);
      const values = term.toDense();
      for (let i = 0; i < rest.length; i++) rest[i] -= values[i];
    }
  }

  spec(): OperatorSpec {
    return { type: 'sum', terms: this.terms.map((term) => term.spec()) };
  }

  toDense(): Float32Array {
    const w = new Float32Array(this.M * this.N);
    for (const term of this.terms) {
      const values = term.toDense();
      for (let i = 0; i < w.length; i++) w[i] += values[i];
    }
    return w;
  }
}
