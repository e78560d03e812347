import { checkNumber, checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { seedWords } from '../random.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';
import { STRUCTURE_SHARE } from './methods.js';
import { checkEntries, checkOperator, checkVariance, type Noise, Operator } from './operator.js';
import { FIRST_ROW, floatWord, type Place, type Program, ROWS } from './program.js';
import type { OperatorSpec } from './spec.js';

/**
 * Co-matrix row dropout (CMR): in training, y = sum of mask_i . (W_i x), where mask_i are independent, rescaled Bernoulli
 * masks over the rows of y. Masks depend only on the fields below and on the row's place in the sequence.
 */
export interface CoMatrixDropout {
  rates: readonly number[]; // one per term, >= 0 and < 1
  seed: number;
  step: number; // of training
  stream: number; // of the first term; those of the others follow it
  period: number; // 0: a new mask for every row; the batch size: one mask per stream, kept for the whole sequence
}

/**
 * Accumulates how the terms share the work over all rows that are multiplied while it is set: at `gram`, f64[terms, terms],
 * <W_i x, W_j x>, and at `rows`, f64, the number of rows.
 */
export interface Probe {
  gram: Pointer;
  rows: Pointer;
}

/** W = W_0 + W_1 + ...; a doped matrix is Sum(structure, Sparse). */
export class Sum extends Operator {
  readonly M: number;
  readonly N: number;
  private masks: CoMatrixDropout | undefined;
  probe: Probe | undefined;
  /** The share of W's initial variance that all terms but the last have together. */
  structureShare = STRUCTURE_SHARE;
  /** Which terms take part; switching one off shows what the others do alone. For evaluation only. */
  readonly active: boolean[];

  constructor(
    runtime: Runtime,
    readonly terms: readonly Operator[],
  ) {
    super(runtime);
    if (!Array.isArray(terms) || terms.length === 0) throw invalid('terms', terms, 'a list of at least one operator');
    const first = terms[0];
    for (const [i, term] of terms.entries()) {
      checkOperator(runtime, `terms[${i}]`, term);
      if (term.M !== first.M || term.N !== first.N) {
        throw new InputError(
          `terms[${i}]: got ${term.M} x ${term.N}; expected ${first.M} x ${first.N}, the shape of the first term`,
        );
      }
    }
    this.M = first.M;
    this.N = first.N;
    this.active = terms.map(() => true);
  }

  /** The masks of training, if there are any. */
  get dropout(): CoMatrixDropout | undefined {
    return this.masks;
  }

  /** Throws InputError unless there is a rate for each term, and every number is in its range. */
  set dropout(masks: CoMatrixDropout | undefined) {
    if (masks) checkMasks(masks, this.terms.length);
    this.masks = masks;
  }

  /** Whether term i is the dopants: the last one of several. All others are the structure. */
  isDopants(i: number): boolean {
    return i > 0 && i === this.terms.length - 1;
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { M, dropout, probe } = this;
    if (probe) this.observe(program, probe, from);
    const product = dropout && program.temp(M);
    let add = accumulate;
    this.terms.forEach((term, i) => {
      if (!this.active[i]) return;
      term.forward(program, from, product ?? to, product === undefined && add);
      if (dropout && product !== undefined) this.mask(program, dropout, i, product, to, add);
      add = true;
    });
    if (!add) program.add('f32_zero', to, ROWS, M);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.backward(program, from, (term, dy, i) => term.transpose(program, dy, to, accumulate || i > 0));
  }

  gradient(program: Program, dy: Place, x: Place): void {
    this.backward(program, dy, (term, masked) => term.gradient(program, masked, x));
  }

  /** Visits each term with the dy that reaches it through its mask. */
  private backward(program: Program, dy: Place, visit: (term: Operator, dy: Place, i: number) => void): void {
    const { M, dropout } = this;
    const masked = dropout && program.temp(M);
    this.terms.forEach((term, i) => {
      if (dropout && masked !== undefined) this.mask(program, dropout, i, dy, masked, false);
      visit(term, masked ?? dy, i);
    });
  }

  private mask(
    program: Program,
    { rates, seed, step, stream, period }: CoMatrixDropout,
    term: number,
    from: Place,
    to: Place,
    accumulate: boolean,
  ): void {
    const rate = floatWord(rates[term]);
    const [low, high] = seedWords(seed);
    const key = [low, high, step, stream + term] as const;
    program.add('f32_dropout', from, to, ROWS, this.M, FIRST_ROW, period, rate, ...key, accumulate);
  }

  private observe(program: Program, { gram, rows }: Probe, from: Place): void {
    const { terms, M } = this;
    program.add('f64_add', ROWS, rows);
    const products = terms.map((term) => {
      const product = program.temp(M);
      term.forward(program, from, product, false);
      return product;
    });
    products.forEach((a, i) => {
      products.forEach((b, j) => {
        program.add('f32_dot_add', a, b, gram + 8 * (i * terms.length + j), ROWS, M);
      });
    });
  }

  override children() {
    return this.terms.map((term, i) => [String(i), term] as const);
  }

  initialise(variance: number, noise: Noise): void {
    checkVariance(variance);
    const { structureShare: share } = this;
    const others = this.terms.slice(0, -1);
    for (const term of others) term.initialise((variance * share) / others.length, noise);
    this.terms.at(-1)!.initialise(others.length ? variance * (1 - share) : variance, noise);
  }

  fit(w: ArrayLike<number>): void {
    complete(this.fitInParts(w));
  }

  /** Fits the first term to w, the next one to what is left, and so on. */
  override *fitInParts(w: ArrayLike<number>): Work<void> {
    checkEntries(w, this.M, this.N);
    const rest = Float64Array.from(w);
    for (const term of this.terms) {
      yield* term.fitInParts(rest);
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

function checkMasks({ rates, seed, step, stream, period }: CoMatrixDropout, terms: number): void {
  if (rates?.length !== terms) throw invalid('rates', rates, `${terms} rates, one for each term`);
  for (const rate of rates) checkNumber('rates', rate, rate >= 0 && rate < 1, 'numbers >= 0 and < 1');
  checkWhole('seed', seed, 0);
  checkWhole('step', step, 0);
  checkWhole('stream', stream, 0);
  checkWhole('period', period, 0);
}
