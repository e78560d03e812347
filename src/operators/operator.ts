import { checkNumber, checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';
import type { Work } from '../work.js';
import { LARGEST_SIDE } from './methods.js';
import type { Parameter } from './parameter.js';
import { type Place, Program, X, Y } from './program.js';
import type { OperatorSpec } from './spec.js';

/**
 * A weight matrix W[M,N], however it is stored. Training needs three products of it, for R rows of a batch at once:
 * matmul, tMatmul and gradParams. An operator implements them by adding instructions to a program, so that a whole sequence
 * of products is one call. `firstRow` is the place of the first row in the sequence's batch (step * batch + stream); only
 * the masks of co-matrix dropout, which must be the same forward and backward, depend on it.
 */
export abstract class Operator {
  abstract readonly M: number;
  abstract readonly N: number;

  constructor(readonly runtime: Runtime) {
    checkRuntime(runtime);
  }

  /**
   * y[R,M] (+)= x[R,N] W^T
   *
   * @throws InputError for arrays that do not lie in the runtime's memory
   */
  matmul(x: Pointer, y: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const { runtime, M, N } = this;
    checkRows(R, firstRow);
    runtime.check('x', x, R * N);
    runtime.check('y', y, R * M);
    runtime.scoped(() => {
      const program = Program.product(runtime, R);
      this.forward(program, X, Y, accumulate);
      program.run(x, N, y, M, firstRow);
    });
  }

  /**
   * dx[R,N] (+)= dy[R,M] W
   *
   * @throws InputError for arrays that do not lie in the runtime's memory
   */
  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate = false, firstRow = 0): void {
    const { runtime, M, N } = this;
    checkRows(R, firstRow);
    runtime.check('dy', dy, R * M);
    runtime.check('dx', dx, R * N);
    runtime.scoped(() => {
      const program = Program.product(runtime, R);
      this.transpose(program, X, Y, accumulate);
      program.run(dy, M, dx, N, firstRow);
    });
  }

  /**
   * dtheta += d<dy[R,M], x[R,N] W^T> / dtheta, for every parameter theta
   *
   * @throws InputError for arrays that do not lie in the runtime's memory, and for a gradient that was not prepared
   */
  gradParams(dy: Pointer, x: Pointer, R: number, firstRow = 0): void {
    const { runtime, M, N } = this;
    checkRows(R, firstRow);
    runtime.check('dy', dy, R * M);
    runtime.check('x', x, R * N);
    Program.gradient(runtime, R, (program) => this.gradient(program, X, Y), dy, x, firstRow);
  }

  /** Adds to[R,M] (+)= from[R,N] W^T. */
  abstract forward(program: Program, from: Place, to: Place, accumulate: boolean): void;
  /** Adds to[R,N] (+)= from[R,M] W. */
  abstract transpose(program: Program, from: Place, to: Place, accumulate: boolean): void;
  /** Adds dtheta += d<dy[R,M], x[R,N] W^T> / dtheta, for the program's part of the parameters. */
  abstract gradient(program: Program, dy: Place, x: Place): void;

  /** The operators that it is composed of, by their names in files; none for a leaf. */
  children(): readonly (readonly [string, Operator])[] {
    return [];
  }

  /** A leaf's own parameters. */
  own(): readonly Parameter[] {
    return [];
  }

  /** Fills the parameters with uniform noise so that each entry of W has this variance. Throws InputError unless it is >= 0. */
  abstract initialise(variance: number, noise: Noise): void;
  /** Sets the parameters so that W is near w[M,N], row-major, in the Frobenius norm. Throws InputError for another length. */
  abstract fit(w: ArrayLike<number>): void;
  /** The same as work in parts: a large matrix takes minutes to decompose. */
  *fitInParts(w: ArrayLike<number>): Work<void> {
    this.fit(w);
    yield 1;
  }
  abstract spec(): OperatorSpec;
  /** A copy of W, row-major: for inspection and tests, not for speed. */
  abstract toDense(): Float32Array;
}

function checkRows(R: number, firstRow: number): void {
  checkWhole('R', R, 0, LARGEST_ROW);
  checkWhole('firstRow', firstRow, 0, LARGEST_ROW);
}

const LARGEST_ROW = 2 ** 31 - 1; // kernels take i32

/** Throws InputError unless these are the sides of a matrix. */
export function checkSides(M: number, N: number): void {
  checkWhole('M', M, 1, LARGEST_SIDE);
  checkWhole('N', N, 1, LARGEST_SIDE);
}

/** Throws InputError unless this is an operator of the runtime. */
export function checkOperator(runtime: Runtime, name: string, operator: Operator): void {
  if (!(operator instanceof Operator)) throw invalid(name, operator, 'an operator');
  if (operator.runtime !== runtime) {
    throw new InputError(`${name}: got an operator of another runtime; expected one of the same runtime`);
  }
}

/** Throws InputError unless these are as many numbers as a matrix of M x N has. */
export function checkEntries(w: ArrayLike<number>, M: number, N: number, name = 'w'): void {
  if (w?.length !== M * N) throw invalid(`${name}.length`, w?.length, `${M * N}, for a matrix of ${M} x ${N}`);
}

/** Throws InputError unless noise can have this variance. */
export function checkVariance(variance: number): void {
  checkNumber('variance', variance, variance >= 0, 'a number >= 0');
}

/** Fills a parameter with uniform noise in [-halfWidth, halfWidth). */
export type Noise = (parameter: Parameter, halfWidth: number) => void;

/** The operator and everything it is composed of, with their names in files, parents first. */
export function* walk(operator: Operator, name: string): Generator<[string, Operator]> {
  yield [name, operator];
  for (const [child, inner] of operator.children()) yield* walk(inner, `${name}.${child}`);
}

/** All parameters of an operator and of what it is composed of. */
export function parametersOf(operator: Operator): Parameter[] {
  return [...walk(operator, '')].flatMap(([, inner]) => inner.own());
}
