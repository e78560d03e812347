import { invalid } from '../errors.js';
import type { Runtime } from '../wasm/runtime.js';
import { checkEntries, checkSides, checkVariance, type Noise, Operator } from './operator.js';
import { Parameter } from './parameter.js';
import { type Place, Program, ROWS } from './program.js';
import type { OperatorSpec } from './spec.js';

/** Bytes of a gemm's packed second operand, K x N. */
export function packedBytes(N: number, K: number): number {
  return 32 * Math.ceil(N / 8) * K;
}

/** A dense matrix W[M,N]: M N free numbers, zero at first, or those of a parameter that others use, too. */
export class Dense extends Operator {
  readonly weight: Parameter; // [M,N]

  constructor(
    runtime: Runtime,
    readonly M: number,
    readonly N: number,
    weight?: Parameter,
  ) {
    super(runtime);
    checkSides(M, N);
    if (weight && weight.shape.join() !== [M, N].join()) throw invalid('weight.shape', weight.shape, `${M} x ${N}`);
    this.weight = weight ?? new Parameter(runtime, [M, N]);
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { runtime, M, N, weight } = this;
    if (program.rows === 1) {
      program.add('f32_gemv', weight.value, from, to, M, N, accumulate);
      return;
    }
    const packed = runtime.alloc(packedBytes(M, N));
    runtime.kernels.f32_gemm_pack_t(weight.value, packed, M, N);
    program.add('f32_gemm_packed', from, packed, to, ROWS, M, N, accumulate, program.gemmWork());
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { runtime, M, N, weight } = this;
    if (program.rows === 1) {
      program.add('f32_gemv_t', weight.value, from, to, M, N, accumulate);
      return;
    }
    const packed = runtime.alloc(packedBytes(N, M));
    runtime.kernels.f32_gemm_pack_n(weight.value, packed, N, M);
    program.add('f32_gemm_packed', from, packed, to, ROWS, N, M, accumulate, program.gemmWork());
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { runtime, M, N, weight } = this;
    const [first, rows] = program.partOf(M, 4);
    if (rows === 0) return;
    const [from, dw] = [Program.column(dy, first), weight.grad + 4 * first * N];
    if (program.rows === 1) {
      program.add('f32_ger', from, x, dw, rows, N);
      return;
    }
    const scratch = program.scratch(runtime.kernels.F32_GEMM_SCRATCH.value + packedBytes(N, program.rows));
    program.add('f32_gemm_tn', from, M, x, dw, rows, N, ROWS, true, scratch);
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
