import { invalid } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';
import { nearestKronecker } from './decompose.js';
import { Dense, packedBytes } from './dense.js';
import { checkEntries, checkOperator, checkSides, checkVariance, type Noise, Operator } from './operator.js';
import { type Place, type Program, ROWS } from './program.js';
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
    this.product('f32_kron_mm', program, from, to, accumulate);
  }

  transpose(program: Program, from: Place, to: Place, accumulate: boolean): void {
    this.product('f32_kron_tmm', program, from, to, accumulate);
  }

  private product(
    kernel: 'f32_kron_mm' | 'f32_kron_tmm',
    program: Program,
    from: Place,
    to: Place,
    accumulate: boolean,
  ): void {
    const { B, C } = this;
    const memory = kernel === 'f32_kron_mm' ? memoryOf(B.M, B.N, C.M, C.N) : memoryOf(B.N, B.M, C.N, C.M);
    const shape = [B.M, B.N, C.M, C.N] as const;
    const places = this.places(program, memory);
    program.add(kernel, B.weight.value, this.valueOfC(), from, to, ROWS, ...shape, accumulate, ...places);
  }

  gradient(program: Program, dy: Place, x: Place): void {
    const { B, C } = this;
    const [first, count] = program.partOf(2, 1);
    const add = (kernel: 'f32_kron_grad_b' | 'f32_kron_grad_c', other: Pointer, grad: Pointer, packed: number) => {
      const places = this.places(program, { temp: B.M * C.N, packed });
      program.add(kernel, other, dy, x, grad, ROWS, B.M, B.N, C.M, C.N, ...places);
    };
    if (first === 0 && count > 0) {
      add('f32_kron_grad_b', this.valueOfC(), B.weight.grad, Math.max(packedBytes(C.N, C.M), packedBytes(B.N, C.N)));
    }
    if (first + count === 2 && count > 0) {
      const packed = Math.max(packedBytes(C.N, B.N), packedBytes(C.N, program.rows * B.M));
      this.gradientOfC(program, (grad) => add('f32_kron_grad_c', B.weight.value, grad, packed));
    }
  }

  /** The address of C's numbers; a C of several factors is formed in memory that lives as long as the program. */
  private valueOfC(): Pointer {
    const { C, runtime } = this;
    if (!(C instanceof Kronecker)) return C.weight.value;
    const formed = runtime.alloc(4 * C.M * C.N);
    runtime.kernels.f32_kron(C.B.weight.value, C.valueOfC(), formed, C.B.M, C.B.N, C.C.M, C.C.N);
    return formed;
  }

  /** Accumulates C's gradient with `add`, and passes it on to C's factors. */
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
      const factors = [B.weight.value, C.valueOfC(), formed, B.weight.grad, grad] as const;
      program.add('f32_kron_grad', ...factors, B.M, B.N, rest.M, rest.N);
    });
  }

  private places(program: Program, { temp, packed }: Memory): [temp: Place, scratch: Place] {
    return [program.temp(temp), program.scratch(this.runtime.kernels.F32_GEMM_SCRATCH.value + packed)];
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
    complete(this.fitInParts(w));
  }

  override *fitInParts(w: ArrayLike<number>): Work<void> {
    checkEntries(w, this.M, this.N);
    const nearest = yield* nearestKronecker(w, this.B.M, this.B.N, this.C.M, this.C.N);
    yield* this.B.fitInParts(nearest.B);
    yield* this.C.fitInParts(nearest.C);
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

/** What a product needs: floats per row between its two steps, and bytes of the larger packed operand. */
interface Memory {
  temp: number;
  packed: number;
}

/** For (B X) C^T or B (X C^T), whichever assembly/kron.ts chooses. */
function memoryOf(m1: number, n1: number, m2: number, n2: number): Memory {
  const c = packedBytes(m2, n2);
  return m1 * n2 * (n1 + m2) <= n1 * m2 * (n2 + m1)
    ? { temp: m1 * n2, packed: Math.max(packedBytes(n2, n1), c) }
    : { temp: n1 * m2, packed: Math.max(c, packedBytes(m2, n1)) };
}
