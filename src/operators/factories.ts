import { checkWhole } from '../checks.js';
import { invalid } from '../errors.js';
import type { Runtime } from '../wasm/runtime.js';
import type { BlockSize } from './csr.js';
import { Dense } from './dense.js';
import { isFormable } from './kron-search.js';
import { Kronecker } from './kronecker.js';
import { type KronShape, LARGEST_SIDE, MOST_FACTORS } from './methods.js';
import { checkOperator, checkSides, type Operator } from './operator.js';
import { Product } from './product.js';
import { type Pattern, Sparse } from './sparse.js';
import { Sum } from './sum.js';
import { VStack } from './vstack.js';

/** A dense matrix of M x N. */
export function dense(runtime: Runtime, M: number, N: number): Dense {
  return new Dense(runtime, M, N);
}

/**
 * The Kronecker product B (x) C, or one of more factors.
 *
 * @param shape m1, n1, m2, n2 of B[m1,n1] and C[m2,n2], and so on
 * @throws InputError for a shape that is not two to 16 pairs of whole numbers >= 1
 * @example kron(runtime, [8, 4, 25, 50]) // 200 x 200 from 1282 parameters
 */
export function kron(runtime: Runtime, shape: KronShape): Kronecker {
  checkKronShape(shape);
  const [m1, n1, ...rest] = shape;
  const [m2, n2] = rest;
  const C = rest.length > 2 ? kron(runtime, rest) : new Dense(runtime, m2, n2);
  return new Kronecker(runtime, new Dense(runtime, m1, n1), C);
}

function checkKronShape(shape: KronShape): void {
  if (!Array.isArray(shape) || shape.length < 4 || shape.length > 2 * MOST_FACTORS || shape.length % 2 !== 0) {
    throw invalid('shape', shape, `2 to ${MOST_FACTORS} pairs of sides, such as [m1, n1, m2, n2]`);
  }
  for (const side of shape) checkWhole('shape', side, 1, LARGEST_SIDE);
  const [M, N] = [0, 1].map((first) =>
    shape.reduce((product, side, i) => (i % 2 === first ? product * side : product), 1),
  );
  checkSides(M, N);
  if (!isFormable(shape)) throw invalid('shape', shape, 'smaller products of all factors but the first');
}

/**
 * Low-rank matrix factorisation: W = U V, U[M,rank], V[rank,N].
 *
 * @throws InputError unless the sides and the rank are whole numbers >= 1
 */
export function lmf(runtime: Runtime, M: number, N: number, rank: number): Product {
  checkSides(M, N);
  checkWhole('rank', rank, 1, LARGEST_SIDE);
  return new Product(runtime, new Dense(runtime, M, rank), new Dense(runtime, rank, N));
}

/**
 * Hybrid matrix decomposition: the first `rows` rows are dense, the others have low rank.
 *
 * @throws InputError unless the sides and the rank are whole numbers >= 1, and `rows` is one from 1 to M - 1
 */
export function hmd(runtime: Runtime, M: number, N: number, rows: number, rank: number): VStack {
  checkSides(M, N);
  checkWhole('rows', rows, 1, M - 1);
  checkWhole('rank', rank, 1, LARGEST_SIDE);
  return new VStack(runtime, [new Dense(runtime, rows, N), lmf(runtime, M - rows, N, rank)]);
}

/**
 * A doped matrix: a structure plus dopants, which are pruned in training.
 *
 * @param block how many rows share the dopants' columns
 * @param pattern which dopants there are at first; all unless given
 */
export function doped(runtime: Runtime, structure: Operator, block: BlockSize = 1, pattern?: Pattern): Sum {
  checkOperator(runtime, 'structure', structure);
  return new Sum(runtime, [structure, new Sparse(runtime, structure.M, structure.N, pattern, block)]);
}
