import { InputError } from '../errors.js';
import type { Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';
import { nearestLowRank } from './decompose.js';
import { checkEntries, checkOperator, checkVariance, type Noise, Operator } from './operator.js';
import type { Place, Program } from './program.js';
import type { OperatorSpec } from './spec.js';

/** W = U V, U[M,K], V[K,N]. */
export class Product extends Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    runtime: Runtime,
    readonly U: Operator,
    readonly V: Operator,
  ) {
    super(runtime);
    checkOperator(runtime, 'U', U);
    checkOperator(runtime, 'V', V);
    if (U.N !== V.M) throw new InputError(`V: got ${V.M} rows; expected ${U.N}, as many as U has columns`);
    this.M = U.M;
    this.N = V.N;
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const inner = program.temp(this.U.N);
    this.V.forward(program, from, inner, false);
    this.U.forward(program, inner, to, accumulate);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const inner = program.temp(this.U.N);
    this.U.transpose(program, from, inner, false);
    this.V.transpose(program, inner, to, accumulate);
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const inner = program.temp(this.U.N);
    this.V.forward(program, x, inner, false);
    this.U.gradient(program, dy, inner);
    this.U.transpose(program, dy, inner, false);
    this.V.gradient(program, inner, x);
  }

  override children() {
    return [['U', this.U] as const, ['V', this.V] as const];
  }

  initialise(variance: number, noise: Noise): void {
    checkVariance(variance);
    // An entry of W is a sum of K products.
    this.U.initialise(Math.sqrt(variance / this.U.N), noise);
    this.V.initialise(Math.sqrt(variance / this.U.N), noise);
  }

  fit(w: ArrayLike<number>): void {
    complete(this.fitInParts(w));
  }

  override *fitInParts(w: ArrayLike<number>): Work<void> {
    checkEntries(w, this.M, this.N);
    const nearest = yield* nearestLowRank(w, this.M, this.N, this.U.N);
    yield* this.U.fitInParts(nearest.U);
    yield* this.V.fitInParts(nearest.V);
  }

  spec(): OperatorSpec {
    return { type: 'product', U: this.U.spec(), V: this.V.spec() };
  }

  toDense(): Float32Array {
    const { M, N, U, V } = this;
    const [u, v] = [U.toDense(), V.toDense()];
    const w = new Float32Array(M * N);
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++) {
        let sum = 0;
        for (let k = 0; k < U.N; k++) sum += u[i * U.N + k] * v[k * N + j];
        w[i * N + j] = sum;
      }
    }
    return w;
  }
}
