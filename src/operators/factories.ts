import type { Runtime } from '../wasm/runtime.js';
import type { BlockSize } from './csr.js';
import { Dense } from './dense.js';
import { Kronecker } from './kronecker.js';
import type { KronShape } from './methods.js';
import type { Operator } from './operator.js';
import { Product } from './product.js';
import { type Pattern, Sparse } from './sparse.js';
import { Sum } from './sum.js';
import { VStack } from './vstack.js';

export function dense(runtime: Runtime, M: number, N: number): Dense {
  return new Dense(runtime, M, N);
}

/** B (x) C, B m1 x n1, C m2 x n2, or of more factors. */
export function kron(runtime: Runtime, [m1, n1, ...rest]: KronShape): Kronecker {
  const [m2, n2] = rest;
  const C = rest.length > 2 ? kron(runtime, rest) : new Dense(runtime, m2, n2);
  return new Kronecker(runtime, new Dense(runtime, m1, n1), C);
}

/** Low-rank matrix factorisation, W = U V. */
export function lmf(runtime: Runtime, M: number, N: number, rank: number): Product {
  return new Product(runtime, new Dense(runtime, M, rank), new Dense(runtime, rank, N));
}

/** Hybrid matrix decomposition: the first `rows` rows are free, the others of low rank. */
export function hmd(runtime: Runtime, M: number, N: number, rows: number, rank: number): VStack {
  return new VStack(runtime, [new Dense(runtime, rows, N), lmf(runtime, M - rows, N, rank)]);
}

/** Structure plus dopants, which start dense, or with a pattern, and are pruned in training. */
export function doped(runtime: Runtime, structure: Operator, block: BlockSize = 1, pattern?: Pattern): Sum {
  return new Sum(runtime, [structure, new Sparse(runtime, structure.M, structure.N, pattern, block)]);
}
