import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nearestKronecker, nearestLowRank } from '../../src/operators/decompose.js';
import * as reference from '../../src/reference.js';
import { complete } from '../../src/work.js';
import { U64, values } from '../support.js';

const norm = (w: ArrayLike<number>) => Math.sqrt(reference.f32_dot(w, w, w.length));
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => norm(Float64Array.from(a, (value, i) => value - b[i]));

function multiply(a: ArrayLike<number>, b: ArrayLike<number>, M: number, N: number, K: number): Float64Array {
  const w = new Float64Array(M * N);
  reference.f32_gemm_nn(a, b, w, M, N, K, false);
  return w;
}

/** An orthogonal matrix, n x n: a reflection in a random direction. */
function reflection(n: number): Float64Array {
  const v = values(n);
  const square = reference.f32_dot(v, v, n);
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return (i === j ? 1 : 0) - (2 * v[i] * v[j]) / square;
  });
}

/** A matrix whose singular values are these, and no others. */
function withSingularValues(M: number, N: number, singular: readonly number[]): Float64Array {
  const diagonal = new Float64Array(M * N);
  for (const [i, value] of singular.entries()) diagonal[i * N + i] = value;
  return multiply(multiply(reflection(M), diagonal, M, N, M), reflection(N), M, N, N);
}

for (const [M, N] of [
  [9, 7],
  [7, 9],
  [40, 30],
  [30, 60],
]) {
  test(`the error of the nearest matrix of low rank is that of Eckart and Young, ${M} x ${N}`, () => {
    const singular = Array.from({ length: Math.min(M, N) }, (_, i) => 3 * 0.8 ** i);
    const w = withSingularValues(M, N, singular);
    for (const rank of [1, 3, Math.min(M, N)]) {
      const { U, V } = complete(nearestLowRank(w, M, N, rank));
      const least = norm(singular.slice(rank));
      const error = distance(w, multiply(U, V, M, N, rank));
      assert.ok(Math.abs(error - least) < 1e-6 * norm(w), `rank ${rank}: ${error}, not ${least}`);
      // Evenly divided: the k-th column of U is as long as the k-th row of V.
      for (let k = 0; k < rank; k++) {
        const column = norm(Float64Array.from({ length: M }, (_, i) => U[i * rank + k]));
        assert.ok(Math.abs(column - norm(V.subarray(k * N, (k + 1) * N))) < 1e-6 * norm(w));
      }
    }
  });
}

test('a matrix of rank 2 is found whatever rank is asked for, and what is left is 0', () => {
  const [M, N] = [12, 5];
  const w = multiply(values(M * 2), values(2 * N), M, N, 2);
  for (const rank of [2, 4, 7]) {
    const { U, V } = complete(nearestLowRank(w, M, N, rank));
    assert.ok(distance(w, multiply(U, V, M, N, rank)) < 1e3 * U64 * norm(w), `rank ${rank}`);
  }
  const zero = complete(nearestLowRank(new Float32Array(M * N), M, N, 2));
  assert.is(norm(zero.U) + norm(zero.V), 0);
});

test('a Kronecker product is found again, its factors with the same root mean square', () => {
  for (const [m1, n1, m2, n2] of [
    [1, 1, 1, 1],
    [3, 5, 4, 2],
    [4, 2, 3, 5],
    [1, 6, 5, 1],
    [6, 1, 1, 5],
    [16, 4, 2, 8],
  ]) {
    const w = reference.kron(values(m1 * n1), values(m2 * n2), m1, n1, m2, n2);
    const { B, C } = complete(nearestKronecker(w, m1, n1, m2, n2));
    const error = distance(w, reference.kron(B, C, m1, n1, m2, n2));
    assert.ok(error < 1e3 * U64 * norm(w), `${m1}x${n1} (x) ${m2}x${n2}: off by ${error}`);
    const [b, c] = [norm(B) / Math.sqrt(B.length), norm(C) / Math.sqrt(C.length)];
    assert.ok(Math.abs(b - c) < 1e3 * U64 * b, `${b} and ${c}`);
  }
});

test('no Kronecker product near the nearest one is nearer', () => {
  const [m1, n1, m2, n2] = [5, 3, 4, 6];
  const w = values(m1 * n1 * m2 * n2);
  const { B, C } = complete(nearestKronecker(w, m1, n1, m2, n2));
  const error = distance(w, reference.kron(B, C, m1, n1, m2, n2));
  for (const size of [1e-3, 1e-1, 1]) {
    for (let n = 0; n < 10; n++) {
      const moved = [B, C].map((factor) => {
        const noise = values(factor.length, size);
        return factor.map((value, i) => value + noise[i]);
      });
      assert.ok(distance(w, reference.kron(moved[0], moved[1], m1, n1, m2, n2)) > error);
    }
  }
});

test.run();
