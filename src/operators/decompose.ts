// Nearest low-rank matrices and nearest Kronecker products, in f64, from sums, products and square roots only: the same bits
// everywhere.

import { uniform } from '../random.js';
import type { Work } from '../work.js';

/** W[M,N] ~ U[M,rank] V[rank,N], row-major; each singular value is divided evenly between the two. */
export interface LowRank {
  U: Float64Array;
  V: Float64Array;
}

// Krylov directions for each singular value needed, and in addition. The largest values converge first; where they hardly
// differ, it hardly matters which are kept.
const STEPS = { each: 4, besides: 40 };

/**
 * The nearest matrix of a given rank in the Frobenius norm: a Krylov space of W W^T, reorthogonalised, and a Jacobi SVD of W
 * projected on it (Golub and Kahan, 1965; Simon and Zha, 2000). If the rank exceeds the sides, the rest is 0.
 */
export function* nearestLowRank(w: ArrayLike<number>, M: number, N: number, rank: number): Work<LowRank> {
  // W ~ sum over k of q[k] z[k]^T, q orthonormal, z[k] = W^T q[k].
  const q: Float64Array[] = [];
  const z: Float64Array[] = [];
  const steps = Math.min(M, N, STEPS.each * rank + STEPS.besides);
  const noise = () => Float64Array.from({ length: N }, (_, j) => uniform(1, q.length, j) - 0.5);
  while (q.length < steps) {
    // When the space is exhausted, for instance by repeated singular values, a random direction starts the next one.
    const next =
      (q.length && direction(multiply(w, M, N, z[q.length - 1]), q)) || direction(multiply(w, M, N, noise()), q);
    if (!next) break;
    q.push(next);
    z.push(multiplyTransposed(w, M, N, next));
    yield q.length / (2 * steps);
  }
  yield* rotate(z, q);
  const order = z.map((column, k) => ({ k, square: dot(column, column) })).sort((a, b) => b.square - a.square);
  const U = new Float64Array(M * rank);
  const V = new Float64Array(rank * N);
  for (const [r, { k, square }] of order.slice(0, rank).entries()) {
    const root = Math.sqrt(Math.sqrt(square));
    if (root === 0) continue;
    for (let i = 0; i < M; i++) U[i * rank + r] = q[k][i] * root;
    for (let j = 0; j < N; j++) V[r * N + j] = z[k][j] / root;
  }
  return { U, V };
}

/**
 * The nearest Kronecker product B[m1,n1] (x) C[m2,n2] in the Frobenius norm: with each block of W as a row of a rearranged
 * matrix, Kronecker products are the matrices of rank 1 (Van Loan and Pitsianis, 1993). B and C have the same root mean
 * square.
 */
export function* nearestKronecker(
  w: ArrayLike<number>,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
): Work<{ B: Float64Array; C: Float64Array }> {
  const rearranged = new Float64Array(m1 * n1 * m2 * n2);
  let at = 0;
  for (let i1 = 0; i1 < m1; i1++) {
    for (let j1 = 0; j1 < n1; j1++) {
      for (let i2 = 0; i2 < m2; i2++) {
        const from = (i1 * m2 + i2) * n1 * n2 + j1 * n2;
        for (let j2 = 0; j2 < n2; j2++) rearranged[at++] = w[from + j2];
      }
    }
  }
  const { U, V } = yield* nearestLowRank(rearranged, m1 * n1, m2 * n2, 1);
  const balance = Math.sqrt(Math.sqrt((m1 * n1) / (m2 * n2)));
  return { B: U.map((value) => value * balance), C: V.map((value) => value / balance) };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** W x */
function multiply(w: ArrayLike<number>, M: number, N: number, x: Float64Array): Float64Array {
  const y = new Float64Array(M);
  for (let i = 0; i < M; i++) {
    let sum = 0;
    for (let j = 0; j < N; j++) sum += w[i * N + j] * x[j];
    y[i] = sum;
  }
  return y;
}

/** W^T y */
function multiplyTransposed(w: ArrayLike<number>, M: number, N: number, y: Float64Array): Float64Array {
  const x = new Float64Array(N);
  for (let i = 0; i < M; i++) for (let j = 0; j < N; j++) x[j] += w[i * N + j] * y[i];
  return x;
}

/** The part of a vector orthogonal to the known ones, normalised: Gram-Schmidt, twice (Giraud et al., 2005). */
function direction(vector: Float64Array, known: readonly Float64Array[]): Float64Array | undefined {
  const length = Math.sqrt(dot(vector, vector));
  for (let pass = 0; pass < 2; pass++) {
    for (const other of known) {
      const along = dot(other, vector);
      for (let i = 0; i < vector.length; i++) vector[i] -= along * other[i];
    }
  }
  const left = Math.sqrt(dot(vector, vector));
  return left > 1e-12 * length ? vector.map((value) => value / left) : undefined;
}

/** Makes the columns z orthogonal by rotations that leave the sum of q z^T unchanged (one-sided Jacobi: Hestenes, 1958). */
function* rotate(z: Float64Array[], q: Float64Array[]): Work<void> {
  let turned = true;
  for (let sweep = 0; turned && sweep < 30; sweep++) {
    turned = false;
    for (let a = 0; a < z.length; a++) {
      yield 0.5;
      for (let b = a + 1; b < z.length; b++) {
        const [aa, bb, ab] = [dot(z[a], z[a]), dot(z[b], z[b]), dot(z[a], z[b])];
        if (Math.abs(ab) <= 1e-15 * Math.sqrt(aa * bb)) continue;
        turned = true;
        const tau = (bb - aa) / (2 * ab);
        const tangent = (tau < 0 ? -1 : 1) / (Math.abs(tau) + Math.sqrt(1 + tau * tau));
        const cosine = 1 / Math.sqrt(1 + tangent * tangent);
        for (const [u, v] of [
          [z[a], z[b]],
          [q[a], q[b]],
        ]) {
          for (let i = 0; i < u.length; i++) {
            const before = u[i];
            u[i] = cosine * (before - tangent * v[i]);
            v[i] = cosine * (v[i] + tangent * before);
          }
        }
      }
    }
  }
}
