import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
import type { OperatorSpec } from './spec.js';

/** Bytes of scratch that a gemm wants whose second operand, packed, is K x N. */
export function gemmScratch(runtime: Runtime, N: number, K: number): number {
  return runtime.kernels.F32_GEMM_SCRATCH.value + 32 * Math.ceil(N / 8) * K;
}

/** W as it is: M x N free numbers. */
export class Dense implements Operator {
  readonly weight: Parameter; // [M,N]

  constructor(
    protected readonly runtime: Runtime,
    readonly M: number,
    readonly N: number,
  ) {
    this.weight = new Parameter(runtime, [M, N]);
  }

  matmul(x: Pointer, y: Pointer, R: number, accumulate = false): void {
    const { runtime, M, N, weight } = this;
    if (R === 1) {
      runtime.kernels.f32_gemv(weight.value, x, y, M, N, accumulate);
      return;
    }
    const mark = runtime.mark();
    const scratch = runtime.alloc(gemmScratch(runtime, M, N));
    runtime.kernels.f32_gemm_nt(x, weight.value, y, R, M, N, accumulate, scratch);
    runtime.release(mark);
  }

  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false): void {
    const { runtime, M, N, weight } = this;
    if (R === 1) {
      runtime.kernels.f32_gemv_t(weight.value, dy, dx, M, N, accumulate);
      return;
    }
    const mark = runtime.mark();
    const scratch = runtime.alloc(gemmScratch(runtime, N, M));
    runtime.kernels.f32_gemm_nn(dy, weight.value, dx, R, N, M, accumulate, scratch);
    runtime.release(mark);
  }

  gradParams(dy: Pointer, x: Pointer, R: number): void {
    const { runtime, M, N, weight } = this;
    if (R === 1) {
      runtime.kernels.f32_ger(dy, x, weight.grad, M, N);
      return;
    }
    const mark = runtime.mark();
    const scratch = runtime.alloc(gemmScratch(runtime, N, R));
    runtime.kernels.f32_gemm_tn(dy, x, weight.grad, M, N, R, true, scratch);
    runtime.release(mark);
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

  fit(w: ArrayLike<number>): void {
    this.weight.data.set(w);
  }

  spec(): OperatorSpec {
    return { type: 'dense', shape: [this.M, this.N] };
  }

  toDense(): Float32Array {
    return this.weight.data.slice();
  }
}
