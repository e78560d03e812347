import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import { checkEntries, checkSides, checkVariance, type Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
import { type Place, Program } from './program.js';
import type { OperatorSpec } from './spec.js';

/** Bytes of a gemm's packed second operand, K x N. */
export function packedBytes(N: number, K: number): number {
  return 32 * Math.ceil(N / 8) * K;
}

/** A dense matrix W[M,N]: M N free numbers, zero at first. */
export class Dense extends Operator {
  readonly weight: Parameter; // [M,N]

  constructor(
    runtime: Runtime,
    readonly M: number,
    readonly N: number,
  ) {
    super(runtime);
    checkSides(M, N);
    this.weight = new Parameter(runtime, [M, N]);
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { runtime, M, N, weight } = this;
    if (program.rows === 1) {
      program.add(Op.Gemv, from, to, accumulate, weight.value, M, N);
      return;
    }
    const packed = runtime.alloc(packedBytes(M, N));
    runtime.kernels.f32_gemm_pack_t(weight.value, packed, M, N);
    program.add(Op.Gemm, from, to, accumulate, packed, M, N, program.gemmWork());
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { runtime, M, N, weight } = this;
    if (program.rows === 1) {
      program.add(Op.GemvT, from, to, accumulate, weight.value, M, N);
      return;
    }
    const packed = runtime.alloc(packedBytes(N, M));
    runtime.kernels.f32_gemm_pack_n(weight.value, packed, N, M);
    program.add(Op.Gemm, from, to, accumulate, packed, N, M, program.gemmWork());
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { runtime, M, N, weight } = this;
    const [first, rows] = program.partOf(M, 4);
    if (rows === 0) return;
    const [from, dw] = [Program.column(dy, first), weight.grad + 4 * first * N];
    if (program.rows === 1) {
      program.add(Op.GerGrad, from, x, true, dw, rows, N);
      return;
    }
    const scratch = program.scratch(runtime.kernels.F32_GEMM_SCRATCH.value + packedBytes(N, program.rows));
    program.add(Op.GemmGrad, from, x, true, dw, rows, N, M, scratch);
  }

  override own() {
    return [this.weight];
  }

  initialise(variance: number, noise: Noise): void {
    checkVariance(variance);
    noise(this.weight, Math.sqrt(3 * variance));
  }

  fit(w: ArrayLike<number>): void {
    checkEntries(w, this.M, this.N);
    this.weight.data.set(w);
  }

  spec(): OperatorSpec {
    return { type: 'dense', shape: [this.M, this.N] };
  }

  toDense(): Float32Array {
    return this.weight.data.slice();
  }
}
