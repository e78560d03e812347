import { kron } from '../reference.js';
import type { KroneckerProduct, Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { nearestKronecker } from './decompose.js';
import { type Dense, gemmScratch } from './dense.js';
import type { Noise, Operator } from './operator.js';
import type { OperatorSpec } from './spec.js';

/** W = B (x) C: m1 n1 + m2 n2 numbers stand for m1 m2 x n1 n2. */
export class Kronecker implements Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    private readonly runtime: Runtime,
    readonly B: Dense, // [m1,n1]
    readonly C: Dense, // [m2,n2]
  ) {
    this.M = B.M * C.M;
    this.N = B.N * C.N;
  }

  matmul(x: Pointer, y: Pointer, R: number, accumulate = false): void {
    this.product(this.runtime.kernels.f32_kron_mm, x, y, R, accumulate);
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false): void {
    this.product(this.runtime.kernels.f32_kron_tmm, dy, dx, R, accumulate);
  }

  private product(kernel: KroneckerProduct, from: Pointer, to: Pointer, R: number, accumulate: boolean): void {
    const { runtime, B, C } = this;
    const mark = runtime.mark();
    const temp = this.temp(R);
    const scratch = this.scratch(1);
    kernel(B.weight.value, C.weight.value, from, to, R, B.M, B.N, C.M, C.N, accumulate, temp, scratch);
    runtime.release(mark);
  }

  gradParams(dy: Pointer, x: Pointer, R: number): void {
    const { runtime, B, C } = this;
    const { value: b, grad: db } = B.weight;
    const { value: c, grad: dc } = C.weight;
    const mark = runtime.mark();
    const temp = this.temp(R);
    runtime.kernels.f32_kron_grad(b, c, dy, x, db, dc, R, B.M, B.N, C.M, C.N, temp, this.scratch(R));
    runtime.release(mark);
  }

  private temp(R: number): Pointer {
    const { runtime, B, C } = this;
    return runtime.alloc(4 * R * Math.max(B.M * C.N, B.N * C.M));
  }

  /** The largest packed operand: no side of any of the products is longer than these. */
  private scratch(R: number): Pointer {
    const { runtime, B, C } = this;
    const N = Math.max(C.M, C.N, B.N);
    return runtime.alloc(gemmScratch(runtime, N, Math.max(R * B.M, B.N, C.M, C.N)));
  }

  children() {
    return [['B', this.B] as const, ['C', this.C] as const];
  }

  own() {
    return [];
  }

  initialise(variance: number, noise: Noise): void {
    this.B.initialise(Math.sqrt(variance), noise);
    this.C.initialise(Math.sqrt(variance), noise);
  }

  fit(w: ArrayLike<number>): void {
    const nearest = nearestKronecker(w, this.B.M, this.B.N, this.C.M, this.C.N);
    this.B.fit(nearest.B);
    this.C.fit(nearest.C);
  }

  spec(): OperatorSpec {
    return { type: 'kronecker', B: [this.B.M, this.B.N], C: [this.C.M, this.C.N] };
  }

  toDense(): Float32Array {
    const { B, C } = this;
    return Float32Array.from(kron(B.weight.data, C.weight.data, B.M, B.N, C.M, C.N));
  }
}
