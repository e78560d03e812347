// Nearest matrices of low rank and nearest Kronecker products, in f64 and with nothing but sums, products and square
// roots: the same bits everywhere.

import { uniform } from '../random.js';

/** W[M,N] near U[M,rank] V[rank,N], row-major; each singular value is divided evenly between the two. */
export interface LowRank {
  U: Float64Array;
  V: Float64Array;
}

// Columns iterated beyond the rank asked for: the error shrinks as a power of the ratio between the last singular value
// wanted and the first one left out.
const OVERSAMPLING = 8;
const MOST_ITERATIONS = 100;
const CONVERGED = 1e-9; // change of the energy caught, as a share of it

/**
 * The nearest matrix of a rank in the Frobenius norm, by subspace iteration and a Jacobi SVD of the projection (Halko,
 * Martinsson and Tropp, 2011, algorithms 4.4 and 5.1). Where the rank exceeds the sides, the rest is 0.
 */
export function nearestLowRank(w: ArrayLike<number>, M: number, N: number, rank: number): LowRank {
  const width = Math.min(M, N, rank + OVERSAMPLING);
  // Columns as arrays of their own: W ~ sum over k of q[k] z[k]^T, q orthonormal.
  let z = columns(width, N, (k, j) => uniform(1, k, j) - 0.5);
  let q: Float64Array[] = [];
  let energy = 0;
  for (let i = 0; i < MOST_ITERATIONS; i++) {
    q = orthonormal(z.map((column) => multiply(w, M, N, column)));
    z = q.map((column) => multiplyTransposed(w, M, N, column));
    const before = energy;
    energy = z.reduce((sum, column) => sum + dot(column, column), 0);
    if (energy - before <= CONVERGED * energy) break;
  }
  rotate(z, q);
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
 * The nearest Kronecker product B[m1,n1] (x) C[m2,n2] in the Frobenius norm: a block of W for every entry of B is a row
 * of a rearranged matrix, in which Kronecker products are those of rank 1 (Van Loan and Pitsianis, 1993). B and C come
 * with the same root mean square.
 */
export function nearestKronecker(
  w: ArrayLike<number>,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
): { B: Float64Array; C: Float64Array } {
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
  const { U, V } = nearestLowRank(rearranged, m1 * n1, m2 * n2, 1);
  const balance = Math.sqrt(Math.sqrt((m1 * n1) / (m2 * n2)));
  return { B: U.map((value) => value * balance), C: V.map((value) => value / balance) };
}

function columns(count: number, length: number, entry: (column: number, row: number) => number): Float64Array[] {
  return Array.from({ length: count }, (_, k) => Float64Array.from({ length }, (_, i) => entry(k, i)));
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

/** Gram and Schmidt, twice, which is enough (Giraud et al., 2005); a column that depends on those before becomes 0. */
function orthonormal(vectors: Float64Array[]): Float64Array[] {
  const done: Float64Array[] = [];
  for (const vector of vectors) {
    const before = Math.sqrt(dot(vector, vector));
    for (let pass = 0; pass < 2; pass++) {
      for (const earlier of done) {
        const along = dot(earlier, vector);
        for (let i = 0; i < vector.length; i++) vector[i] -= along * earlier[i];
      }
    }
    const norm = Math.sqrt(dot(vector, vector));
    const scale = norm > 1e-12 * before ? 1 / norm : 0;
    done.push(vector.map((value) => value * scale));
  }
  return done;
}

/**
 * Makes the columns z orthogonal by rotating pairs of them, q with them, so that the sum of q z^T stays (one-sided
 * Jacobi: Hestenes, 1958).
 */
function rotate(z: Float64Array[], q: Float64Array[]): void {
  let turned = true;
  for (let sweep = 0; turned && sweep < 30; sweep++) {
    turned = false;
    for (let a = 0; a < z.length; a++) {
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
