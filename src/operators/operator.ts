import type { Pointer } from '../wasm/kernels.js';
import type { Parameter } from './parameter.js';
import type { OperatorSpec } from './spec.js';

/**
 * A weight matrix W[M,N], however it is stored. Three verbs say what training needs of it, for R rows of a batch at
 * once. `firstRow` is the place of the first row in the sequence's batch (step * batch + stream); only the masks of
 * co-matrix dropout, which must be the same forward and backward, depend on it.
 */
export interface Operator {
  readonly M: number;
  readonly N: number;

  /** y[R,M] (+)= x[R,N] W^T */
  matmul(x: Pointer, y: Pointer, R: number, accumulate?: boolean, firstRow?: number): void;
  /** dx[R,N] (+)= dy[R,M] W */
  tMatmul(dy: Pointer, dx: Pointer, R: number, accumulate?: boolean, firstRow?: number): void;
  /** dtheta += d<dy[R,M], x[R,N] W^T> / dtheta, for every parameter theta; their gradients must have been prepared */
  gradParams(dy: Pointer, x: Pointer, R: number, firstRow?: number): void;

  /** The operators it is made of, by the name they have in files; none for a leaf. */
  children(): readonly (readonly [string, Operator])[];
  /** A leaf's own parameters. */
  own(): readonly Parameter[];
  /** Fills the parameters with uniform noise such that each entry of W has this variance. */
  initialise(variance: number, noise: Noise): void;
  /** Sets the parameters so that W comes near w[M,N], row-major, in the Frobenius norm. */
  fit(w: ArrayLike<number>): void;
  spec(): OperatorSpec;
  /** W, row-major: for looking and testing, not for speed. */
  toDense(): Float32Array;
}

/** Fills a parameter with uniform noise in [-halfWidth, halfWidth). */
export type Noise = (parameter: Parameter, halfWidth: number) => void;

/** The operator and all it is made of, with their names in files, parents first. */
export function* walk(operator: Operator, name: string): Generator<[string, Operator]> {
  yield [name, operator];
  for (const [child, inner] of operator.children()) yield* walk(inner, `${name}.${child}`);
}

export function parametersOf(operator: Operator): Parameter[] {
  return [...walk(operator, '')].flatMap(([, inner]) => inner.own());
}
