import { InputError } from '../errors.js';
import { f32_gemm_nn } from '../reference.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { nearestLowRank } from './decompose.js';
import type { Noise, Operator } from './operator.js';
import type { OperatorSpec } from './spec.js';

/** W = U V, U[M,K], V[K,N]. */
export class Product implements Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    private readonly runtime: Runtime,
    readonly U: Operator,
    readonly V: Operator,
  ) {
    if (U.N !== V.M) throw new InputError(`Product: U has ${U.N} columns, V ${V.M} rows; they must be the same`);
    this.M = U.M;
    this.N = V.N;
  }

  matmul(x: Pointer, y: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const mark = this.runtime.mark();
    const inner = this.inner(R);
    this.V.matmul(x, inner, R, false, firstRow);
    this.U.matmul(inner, y, R, accumulate, firstRow);
    this.runtime.release(mark);
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const mark = this.runtime.mark();
    const inner = this.inner(R);
    this.U.tMatmul(dy, inner, R, false, firstRow);
    this.V.tMatmul(inner, dx, R, accumulate, firstRow);
    this.runtime.release(mark);
  }

  gradParams(dy: Pointer, x: Pointer, R: number, firstRow = 0): void {
    const mark = this.runtime.mark();
    const inner = this.inner(R);
    this.V.matmul(x, inner, R, false, firstRow);
    this.U.gradParams(dy, inner, R, firstRow);
    this.U.tMatmul(dy, inner, R, false, firstRow);
    this.V.gradParams(inner, x, R, firstRow);
    this.runtime.release(mark);
  }

  private inner(R: number): Pointer {
    return this.runtime.alloc(4 * R * this.U.N);
  }

  children() {
    return [['U', this.U] as const, ['V', this.V] as const];
  }

  own() {
    return [];
  }

  initialise(variance: number, noise: Noise): void {
    // An entry of W is a sum of K products.
    this.U.initialise(Math.sqrt(variance / this.U.N), noise);
    this.V.initialise(Math.sqrt(variance / this.U.N), noise);
  }

  fit(w: ArrayLike<number>): void {
    const nearest = nearestLowRank(w, this.M, this.N, this.U.N);
    this.U.fit(nearest.U);
    this.V.fit(nearest.V);
  }

  spec(): OperatorSpec {
    return { type: 'product', U: this.U.spec(), V: this.V.spec() };
  }

  toDense(): Float32Array {
    const w = new Float64Array(this.M * this.N);
    f32_gemm_nn(this.U.toDense(), this.V.toDense(), w, this.M, this.N, this.U.N, false);
    return Float32Array.from(w);
  }
}
