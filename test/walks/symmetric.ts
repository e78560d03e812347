// The operator of docs/add-an-operator.md: a symmetric matrix, written with what the library exports and nothing else.

import { type Noise, Operator, type OperatorSpec, type Place, type Program, type Runtime } from '../../src/index.js';

/** W = A + A^T for any square operator A. The diagonal of W is twice that of A. */
export class Symmetric extends Operator {
  readonly M: number;
  readonly N: number;

  /** @throws RangeError unless A is square */
  constructor(
    runtime: Runtime,
    readonly A: Operator,
  ) {
    super(runtime);
    if (A.M !== A.N) throw new RangeError(`A: got ${A.M} x ${A.N}; expected a square operator`);
    this.M = A.M;
    this.N = A.N;
  }

  /** y = A x + A^T x */
  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.A.forward(program, from, to, accumulate);
    this.A.transpose(program, from, to, true);
  }

  /** W is its own transpose. */
  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.forward(program, from, to, accumulate);
  }

  /** <dy, W x> = <dy, A x> + <x, A dy> */
  gradient(program: Program, dy: Place, x: Place): void {
    this.A.gradient(program, dy, x);
    this.A.gradient(program, x, dy);
  }

  override children() {
    return [['A', this.A] as const];
  }

  /** Off the diagonal an entry of W is the sum of two independent entries of A. */
  initialise(variance: number, noise: Noise): void {
    this.A.initialise(variance / 2, noise);
  }

  /** The nearest symmetric matrix to w is (w + w^T) / 2; A is half of that. */
  fit(w: ArrayLike<number>): void {
    const { N } = this;
    this.A.fit(Float32Array.from(w, (value, i) => (value + w[(i % N) * N + Math.floor(i / N)]) / 4));
  }

  /** How files would describe it: as the dense matrix that it stands for, see stored(). */
  spec(): OperatorSpec {
    return { type: 'dense', shape: [this.M, this.N] };
  }

  toDense(): Float32Array {
    const { N } = this;
    const a = this.A.toDense();
    return a.map((value, i) => value + a[(i % N) * N + Math.floor(i / N)]);
  }
}
