import { invalid } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import { Op } from '../wasm/op.js';
import type { Runtime } from '../wasm/runtime.js';
import { nearestKronecker } from './decompose.js';
import { Dense, packedBytes } from './dense.js';
import { checkEntries, checkOperator, checkSides, checkVariance, type Noise, Operator } from './operator.js';
import { type Place, type Program, X, Y } from './program.js';
import type { KroneckerSpec } from './spec.js';

/** W = B (x) C: m1 n1 + m2 n2 numbers form m1 m2 x n1 n2. With more factors, C is the product of all but the first. */
export class Kronecker extends Operator {
  readonly M: number;
  readonly N: number;

  constructor(
    runtime: Runtime,
    readonly B: Dense, // [m1,n1]
    readonly C: Dense | Kronecker, // [m2,n2]
  ) {
    super(runtime);
    checkOperator(runtime, 'B', B);
    checkOperator(runtime, 'C', C);
    if (!(B instanceof Dense)) throw invalid('B', B, 'a Dense');
    if (!(C instanceof Dense || C instanceof Kronecker)) throw invalid('C', C, 'a Dense or a Kronecker');
    this.M = B.M * C.M;
    this.N = B.N * C.N;
    checkSides(this.M, this.N);
  }

  forward(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product(Op.Kron, program, from, to, accumulate);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product(Op.KronT, program, from, to, accumulate);
  }

  private product(op: Op, program: Program, from: Place, to: Place, accumulate: boolean): void {
    const { B, C } = this;
    const factors = [B.weight.value, this.valueOfC(), B.M, B.N, C.M, C.N];
    program.add(op, from, to, accumulate, ...factors, this.temp(program), this.scratch(program, 1));
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { B, C } = this;
    const [first, count] = program.partOf(2, 1);
    const add = (op: Op, other: Pointer, grad: Pointer) => {
      const memory = [this.temp(program), this.scratch(program, program.rows)];
      program.add(op, dy, x, true, other, grad, B.M, B.N, C.M, C.N, ...memory);
    };
    if (first === 0 && count > 0) add(Op.KronGradB, this.valueOfC(), B.weight.grad);
    if (first + count === 2 && count > 0) this.gradientOfC(program, (grad) => add(Op.KronGradC, B.weight.value, grad));
  }

  /** C's numbers: where they are, or formed for as long as the program lives. */
  private valueOfC(): Pointer {
    const { C, runtime } = this;
    if (!(C instanceof Kronecker)) return C.weight.value;
    const formed = runtime.alloc(4 * C.M * C.N);
    runtime.kernels.f32_kron(C.B.weight.value, C.valueOfC(), formed, C.B.M, C.B.N, C.C.M, C.C.N);
    return formed;
  }

  /** Adds what `add` adds to C's gradient, and passes it on to C's factors. */
  private gradientOfC(program: Program, add: (grad: Pointer) => void): void {
    const { C, runtime } = this;
    if (!(C instanceof Kronecker)) {
      add(C.weight.grad);
      return;
    }
    const formed = runtime.zeros(4 * C.M * C.N);
    add(formed);
    const { B, C: rest } = C;
    C.gradientOfC(program, (grad) => {
      const factors = [B.weight.value, C.valueOfC(), formed, B.weight.grad, grad];
      program.add(Op.KronGrad, X, Y, true, ...factors, B.M, B.N, rest.M, rest.N);
    });
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
    checkVariance(variance);
    this.B.initialise(Math.sqrt(variance), noise);
    this.C.initialise(Math.sqrt(variance), noise);
  }

  fit(w: ArrayLike<number>): void {
    checkEntries(w, this.M, this.N);
    const nearest = nearestKronecker(w, this.B.M, this.B.N, this.C.M, this.C.N);
    this.B.fit(nearest.B);
    this.C.fit(nearest.C);
  }

  spec(): KroneckerSpec {
    const { B, C } = this;
    return { type: 'kronecker', B: [B.M, B.N], C: C instanceof Kronecker ? C.spec() : [C.M, C.N] };
  }

  toDense(): Float32Array {
    const { M, N, B, C } = this;
    const [b, c] = [B.toDense(), C.toDense()];
    const w = new Float32Array(M * N);
    for (let i = 0; i < M; i++) {
      const [i1, i2] = [Math.floor(i / C.M), i % C.M];
      for (let j = 0; j < N; j++) w[i * N + j] = b[i1 * B.N + Math.floor(j / C.N)] * c[i2 * C.N + (j % C.N)];
    }
    return w;
  }
}
