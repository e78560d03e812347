import { kron } from '../reference.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import { nearestKronecker } from './decompose.js';
import { type Dense, packedBytes } from './dense.js';
import { type Noise, Operator } from './operator.js';
import type { Place, Program } from './program.js';
import type { OperatorSpec } from './spec.js';

/** W = B (x) C: m1 n1 + m2 n2 numbers stand for m1 m2 x n1 n2. */
export class Kronecker extends Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    runtime: Runtime,
    readonly B: Dense, // [m1,n1]
    readonly C: Dense, // [m2,n2]
  ) {
    super(runtime);
    this.M = B.M * C.M;
    this.N = B.N * C.N;
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product(Op.Kron, program, from, to, accumulate);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product(Op.KronT, program, from, to, accumulate);
  }

  private product(op: Op, program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { B, C } = this;
    const factors = [B.weight.value, C.weight.value, B.M, B.N, C.M, C.N];
    program.add(op, from, to, accumulate, ...factors, this.temp(program), this.scratch(program, 1));
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { B, C } = this;
    const [first, count] = program.partOf(2, 1);
    const factors = [
      [Op.KronGradB, C.weight.value, B.weight.grad],
      [Op.KronGradC, B.weight.value, C.weight.grad],
    ];
    for (const [op, other, grad] of factors.slice(first, first + count)) {
      const memory = [this.temp(program), this.scratch(program, program.rows)];
      program.add(op, dy, x, true, other, grad, B.M, B.N, C.M, C.N, ...memory);
    }
  }

  private temp(program: Program): Place {
    const { B, C } = this;
    return program.temp(Math.max(B.M * C.N, B.N * C.M));
  }

  /** The largest packed operand: no side of any of the products is longer than these. */
  private scratch(program: Program, R: number): Place {
    const { B, C, runtime } = this;
    const N = Math.max(C.M, C.N, B.N);
    const K = Math.max(R * B.M, B.N, C.M, C.N);
    return program.scratch(runtime.kernels.F32_GEMM_SCRATCH.value + packedBytes(N, K));
  }

  override children() {
    return [['B', this.B] as const, ['C', this.C] as const];
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
