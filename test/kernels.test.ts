// Every kernel against its twin, at sizes around the edges of its tiles and of SIMD's four lanes.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Stream } from '../src/random.js';
import {
  type Case,
  CODE_KERNELS,
  check,
  type KernelName,
  PROGRAM_KERNELS,
  runKernel,
  runTwin,
  runtime,
  twins,
  U,
  U64,
  updated,
  values,
  Workspace,
  Written,
  whole,
  written,
} from './support.js';

type Cases = () => Generator<Case>;

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const tails = [...range(1, 9), 16, 17, 33]; // n mod 4 and mod 16, each with and without whole vectors before
const bool = [false, true];
const output = (n: number, accumulate: boolean) => (accumulate ? updated(n) : written(n));

// ---- gemm.ts

/** Around the tile of 4 x 8, the K block of 256, the row block of 64 and packing's 32 rows. */
function* gemmSizes(): Generator<[M: number, N: number, K: number]> {
  for (const M of range(1, 9)) for (const N of range(1, 17)) for (const K of range(1, 9)) yield [M, N, K];
  for (const M of [3, 4, 5]) for (const N of [7, 8, 9]) for (const K of [255, 256, 257, 513]) yield [M, N, K];
  for (const M of [63, 64, 65, 129]) for (const N of [7, 17]) yield [M, N, 3];
  for (const K of [31, 32, 33]) yield [5, 21, K];
  yield [67, 21, 257];
}

/** Scratch for a gemm whose packed B is at most as large as the largest of these. */
function gemmScratch(...sizes: [N: number, K: number][]): Workspace {
  const packed = sizes.map(([N, K]) => 32 * Math.ceil(N / 8) * K);
  return new Workspace(runtime.kernels.F32_GEMM_SCRATCH.value + Math.max(0, ...packed));
}

const gemmRoundings = (K: number) => K + Math.ceil(K / 256) + 1; // products and sums, blocks, accumulate

function* gemm(): Generator<Case> {
  for (const [M, N, K] of gemmSizes()) {
    for (const accumulate of bool) {
      const [a, b, c] = [values(M * K), values(K * N), output(M * N, accumulate)];
      yield { args: [a, b, c, M, N, K, accumulate, gemmScratch([N, K])], roundings: gemmRoundings(K) };
    }
  }
}

/** A part of the columns of A, which ends where its last one does. */
function* gemmPart(): Generator<Case> {
  for (const [M, N, K] of gemmSizes()) {
    const lda = M + 3;
    for (const accumulate of bool) {
      const [a, b, c] = [values((K - 1) * lda + M), values(K * N), output(M * N, accumulate)];
      yield { args: [a, lda, b, c, M, N, K, accumulate, gemmScratch([N, K])], roundings: gemmRoundings(K) };
    }
  }
}

function* gemmPack(): Generator<Case> {
  for (const N of [...range(1, 17), 63]) {
    for (const K of [...range(1, 9), 31, 32, 33, 255, 256, 257, 290, 513])
      yield { args: [values(K * N), written(8 * Math.ceil(N / 8) * K), N, K] };
  }
}

function* gemmPacked(): Generator<Case> {
  for (const [M, N, K] of gemmSizes()) {
    const [packed] = runTwin('f32_gemm_pack_t', [values(K * N), written(8 * Math.ceil(N / 8) * K), N, K]).outputs;
    for (const accumulate of bool) {
      const [a, b, c] = [values(M * K), Float32Array.from(packed), output(M * N, accumulate)];
      yield { args: [a, b, c, M, N, K, accumulate, gemmScratch()], roundings: gemmRoundings(K) };
    }
  }
}

// ---- gemv.ts

/** y[M] = W x[N], or with W^T, dx[N] = W^T dy[M] */
const gemv = (transposed: boolean): Cases =>
  function* () {
    for (const M of tails) {
      for (const N of tails) {
        const [from, to] = transposed ? [M, N] : [N, M];
        for (const accumulate of bool) {
          yield { args: [values(M * N), values(from), output(to, accumulate), M, N, accumulate], roundings: from + 1 };
        }
      }
    }
  };

function* ger(): Generator<Case> {
  for (const M of tails) {
    for (const N of tails) yield { args: [values(M), values(N), updated(M * N), M, N], roundings: 2 };
  }
}

// ---- kron.ts

/** Shapes of both orders of the product, forward and transposed, and the degenerate ones. */
const kronShapes: [m1: number, n1: number, m2: number, n2: number][] = [
  [1, 1, 1, 1],
  [2, 8, 8, 2],
  [8, 2, 2, 8],
  [3, 5, 9, 7],
  [9, 7, 3, 5],
  [1, 6, 5, 1],
  [6, 1, 1, 5],
  [4, 4, 8, 8],
];

/** y[R, m1 m2] = x[R, n1 n2] W^T, or with W^T, the other way round. */
const kron = (transposed: boolean): Cases =>
  function* () {
    for (const shape of kronShapes) {
      const [m1, n1, m2, n2] = shape;
      const [from, to] = transposed ? [m1 * m2, n1 * n2] : [n1 * n2, m1 * m2];
      const sizes: [number, number][] = transposed
        ? [
            [m2, m1],
            [n2, m2],
            [n2, m1],
          ]
        : [
            [n2, n1],
            [m2, n2],
            [m2, n1],
          ];
      for (const R of [1, 2, 5]) {
        for (const accumulate of bool) {
          const [x, y] = [values(R * from), output(R * to, accumulate)];
          const temp = new Workspace(4 * R * Math.max(m1 * n2, n1 * m2));
          const args = [values(m1 * n1), values(m2 * n2), x, y, R, ...shape, accumulate, temp, gemmScratch(...sizes)];
          yield { args, roundings: transposed ? m1 + m2 + 1 : n1 + n2 + 1 };
        }
      }
    }
  };

/** The gradient of B, given C, or the other way round. */
const kronGrad = (ofB: boolean): Cases =>
  function* () {
    for (const shape of kronShapes) {
      const [m1, n1, m2, n2] = shape;
      for (const R of [1, 2, 5]) {
        const [other, gradient] = ofB ? [m2 * n2, m1 * n1] : [m1 * n1, m2 * n2];
        const [dy, x] = [values(R * m1 * m2), values(R * n1 * n2)];
        const temp = new Workspace(4 * R * Math.max(m1 * n2, n1 * m2));
        const scratch = gemmScratch([n2, n1], [n2, R * m1], [n2, m2], [n1, n2]);
        yield {
          args: [values(other), dy, x, updated(gradient), R, ...shape, temp, scratch],
          roundings: (ofB ? m2 + n2 + R : n1 + R * m1) + 1,
        };
      }
    }
  };

function* kronFormed(): Generator<Case> {
  for (const shape of kronShapes) {
    const [m1, n1, m2, n2] = shape;
    yield { args: [values(m1 * n1), values(m2 * n2), output(m1 * m2 * n1 * n2, false), ...shape], roundings: 1 };
  }
}

/** The gradients of both factors of a product that was formed. */
function* kronFormedGrad(): Generator<Case> {
  for (const shape of kronShapes) {
    const [m1, n1, m2, n2] = shape;
    const [B, C] = [m1 * n1, m2 * n2];
    const args = [values(B), values(C), values(B * C), updated(B), updated(C), ...shape];
    yield { args, roundings: Math.max(B, C) + 2 };
  }
}

// ---- sparse.ts

interface SparseMatrix {
  M: number;
  N: number;
  rows: number; // of entries, or of blocks
  columns: Uint32Array;
  starts: Uint32Array;
}

/** Matrices without an entry, with every entry, and with empty, full and random rows in turn. */
function* sparseMatrices(block = 1): Generator<SparseMatrix> {
  const patterns = [() => false, () => true, (i: number) => i % 3 === 1 || (i % 3 === 2 && values(1)[0] > 0.5)];
  for (const rows of block === 1 ? [1, 2, 3, 5, 8, 17] : [1, 2, 3]) {
    for (const N of [1, 2, 3, 4, 5, 9, 17]) {
      for (const there of patterns) {
        const columns: number[] = [];
        const starts = [0];
        for (let i = 0; i < rows; i++) {
          for (let j = 0; j < N; j++) if (there(i)) columns.push(j);
          starts.push(columns.length);
        }
        yield { M: rows * block, N, rows, columns: Uint32Array.from(columns), starts: Uint32Array.from(starts) };
      }
    }
  }
}

// Batches around the four lanes and the 32 rows that are taken at a time, and of every number of vectors.
const batches = [1, 3, 4, 5, 9, 13, 20, 21, 27, 31, 32, 33];
const sparseScratch = (N: number) => new Workspace(4 * 32 * (N + 11));

function* csrMm(): Generator<Case> {
  for (const { M, N, columns, starts } of sparseMatrices()) {
    for (const order of [null, whole(columns.length, columns.length)]) {
      for (const R of batches) {
        const accumulate = (M + N + R) % 2 === 0;
        const [entries, x, y] = [values(columns.length), values(R * N), output(R * M, accumulate)];
        yield {
          args: [entries, order, columns, starts, x, y, R, M, N, accumulate, sparseScratch(N)],
          roundings: N + 1,
        };
      }
    }
  }
}

function* csrGrad(): Generator<Case> {
  for (const { M, N, columns, starts } of sparseMatrices()) {
    for (const R of batches) {
      // Of all rows, and of some.
      for (const [first, last] of [
        [0, M],
        [M >> 1, M],
        [M >> 2, M >> 1],
      ]) {
        const [dy, x, dvalues] = [values(R * M), values(R * N), updated(columns.length)];
        yield {
          args: [columns, starts, dy, x, dvalues, R, M, N, first, last, sparseScratch(N)],
          roundings: R + 1,
        };
      }
    }
  }
}

/** Blocks of either size, and of rows that follow one another or lie apart. */
function* blockMatrices(): Generator<SparseMatrix & { block: number; stride: number }> {
  for (const block of [4, 8]) {
    for (const matrix of sparseMatrices(block)) {
      for (const stride of new Set([1, matrix.rows])) yield { ...matrix, block, stride };
    }
  }
}

const bsrMm = (transposed: boolean): Cases =>
  function* () {
    for (const { M, N, columns, starts, block, stride } of blockMatrices()) {
      const [from, to] = transposed ? [M, N] : [N, M];
      for (const R of batches) {
        const accumulate = (stride + N + R) % 2 === 0;
        const [entries, x, y] = [values(block * columns.length), values(R * from), output(R * to, accumulate)];
        yield {
          args: [entries, columns, starts, x, y, R, M, N, block, stride, accumulate, sparseScratch(N)],
          roundings: from + 1,
        };
      }
    }
  };

function* bsrGrad(): Generator<Case> {
  for (const { M, N, rows, columns, starts, block, stride } of blockMatrices()) {
    for (const R of batches) {
      for (const [first, last] of [
        [0, rows],
        [rows >> 1, rows],
      ]) {
        const [dy, x, dvalues] = [values(R * M), values(R * N), updated(block * columns.length)];
        yield {
          args: [columns, starts, dy, x, dvalues, R, M, N, block, stride, first, last, sparseScratch(N)],
          roundings: R + 1,
        };
      }
    }
  }
}

// ---- lstm.ts

const GATE = 8 * U; // absolute error of a sigmoid or a tanh, see kernels/vector.test.ts

function* lstmCell(): Generator<Case> {
  for (const R of [1, 2, 3]) {
    for (const H of tails) {
      for (const inPlace of bool) {
        const gates = new Written(values(R * 4 * H, 5));
        gates.start[0] = 200;
        gates.start[R * 4 * H - 1] = -200;
        const cPrev = values(R * H, 3);
        const c = inPlace ? new Written(cPrev) : written(R * H);
        yield {
          args: [gates, inPlace ? c : cPrev, c, written(R * H), written(R * H), R, H],
          // Gates are at most 1: c = f c' + i g takes over the errors of three, its tanh adds one, h = o tanh(c)
          // another.
          bound: (i, result) => {
            const old = Math.abs(cPrev[i]);
            return result === 0 ? GATE : GATE * (1 + result + old) + 4 * U * (1 + old);
          },
        };
      }
    }
  }
}

function* lstmCellGrad(): Generator<Case> {
  for (const R of [1, 2, 3]) {
    for (const H of tails) {
      for (const inPlace of bool) {
        const n = R * H;
        const cPrev = values(n, 3);
        const forward = [new Written(values(4 * n, 3)), cPrev, written(n), written(n), written(n), R, H];
        const [gates, , tanhC] = runTwin('f32_lstm_cell', forward).outputs.map((array) => Float32Array.from(array));
        const [dh, dc] = [values(n), updated(n)];
        const dgates = inPlace ? new Written(gates) : written(4 * n);
        const [first, ...rest] = inPlace ? [dgates, dgates, dc] : [gates, dc, dgates];
        yield {
          args: [first, cPrev, tanhC, dh, dc, dgates, R, H],
          // Every factor but cPrev is at most 1, and no result is more than twelve roundings away.
          bound: (i, result) => {
            const unit = rest[result] === dc ? i : Math.floor(i / (4 * H)) * H + (i % H);
            return 12 * U * (Math.abs(dc.start[unit]) + Math.abs(dh[unit])) * Math.max(1, Math.abs(cPrev[unit]));
          },
        };
      }
    }
  }
}

// ---- gru.ts

function* gruCell(): Generator<Case> {
  for (const R of [1, 2, 3]) {
    for (const H of tails) {
      const a = new Written(values(R * 3 * H, 5));
      a.start[0] = 200;
      a.start[R * 3 * H - 1] = -200;
      const [u, hPrev] = [values(R * 3 * H, 3), values(R * H)];
      yield {
        args: [a, u, hPrev, written(R * H), R, H],
        // n takes over the error of r times u_n, at most 3 and of slope 1; h those of z and n.
        bound: () => 8 * GATE,
      };
    }
  }
}

function* gruCellGrad(): Generator<Case> {
  for (const R of [1, 2, 3]) {
    for (const H of tails) {
      const n = R * H;
      const [uStart, hPrev] = [values(3 * n, 3), values(n)];
      const forward = [new Written(values(3 * n, 3)), uStart, hPrev, written(n), R, H];
      const [gates] = runTwin('f32_gru_cell', forward).outputs.map((array) => Float32Array.from(array));
      const [dh, dhPrev] = [values(n), updated(n)];
      const [a, u] = [new Written(gates), new Written(uStart)];
      yield {
        args: [a, u, hPrev, dh, dhPrev, R, H],
        // Gates and their slopes are at most 1, u_n is at most 3, h' - n at most 2.
        bound: (i, result) => {
          const unit = result === 2 ? i : Math.floor(i / (3 * H)) * H + (i % H);
          return 40 * U * (Math.abs(dhPrev.start[unit]) + Math.abs(dh[unit]));
        },
      };
    }
  }
}

// ---- softmax.ts

/** Rows of logits, some of them far from 0 or without hope, and targets, of which every third is none. */
function* logits(): Generator<{ R: number; V: number; x: Float32Array; targets: Int32Array }> {
  for (const R of [1, 2, 3, 4]) {
    for (const V of tails) {
      const x = values(R * V, 10).map((v, at) => v + [0, 100, -1000, 0][Math.floor(at / V)]);
      const targets = Int32Array.from(whole(R, V), (target, r) => (r % 3 === 1 ? -1 : target));
      if (V > 1) x[(targets[0] + 1) % V] = Number.NEGATIVE_INFINITY;
      yield { R, V, x, targets };
    }
  }
}

// One rounding in x - max is |x - max| e^(x - max) < 1 of the sum, each of V terms has four more (e^x) and up to V
// additions; its logarithm is at most V, and rounded as often as it has parts.
const lseBound = (lse: number, V: number) => U * (4 + 3 * V + Math.abs(lse));

function* logSoftmax(): Generator<Case> {
  for (const { R, V, x } of logits()) {
    const lse = rowwiseLse(x, R, V);
    for (const inPlace of bool) {
      const y = inPlace ? new Written(x) : written(R * V);
      yield {
        args: [inPlace ? y : x, y, R, V],
        bound: (i, _, [exact]) => lseBound(lse[Math.floor(i / V)], V) + U * Math.abs(exact[i]),
      };
    }
  }
}

function* shares(): Generator<Case> {
  for (const { R, V, x } of logits()) {
    if (R > 1) continue;
    const lse = rowwiseLse(x, 1, V)[0];
    yield {
      args: [0.75, new Written(x), V],
      bound: (i, _, [exact]) => lseBound(lse, V) + 2 * U * (1 + Math.abs(lse) + Math.abs(exact[i])),
    };
  }
}

const rowwiseLse = (x: Float32Array, R: number, V: number) =>
  runTwin('f32_cross_entropy', [x, new Int32Array(R), written(R), written(R), R, V]).outputs[0];

function* crossEntropy(): Generator<Case> {
  for (const { R, V, x, targets } of logits()) {
    yield {
      args: [x, targets, written(R), written(R), R, V],
      bound: (r, result, [lse, losses]) => {
        if (result === 1 && targets[r] < 0) return 0;
        return lseBound(lse[r], V) + (result === 1 ? U * losses[r] : 0);
      },
    };
  }
}

function* crossEntropyGrad(): Generator<Case> {
  for (const { R, V, x, targets } of logits()) {
    const lse = Float32Array.from(rowwiseLse(x, R, V));
    for (const inPlace of bool) {
      const dx = inPlace ? new Written(x) : written(R * V);
      const scale = Math.fround(1 / 7);
      yield {
        args: [inPlace ? dx : x, targets, lse, dx, R, V, scale],
        // The probability, at most 1, is e^x with the four roundings of that; x - lse, the scale and the 1 have one
        // each.
        bound: (i) => (targets[Math.floor(i / V)] < 0 ? 0 : 8 * U * scale),
      };
    }
  }
}

function* labelSmoothing(): Generator<Case> {
  for (const { R, V, x, targets } of logits()) {
    const largest = Math.max(...x.map(Math.abs));
    yield { args: [x, targets, updated(R), R, V, 0.1], bound: () => 4 * U * (1 + largest) };
  }
}

function* labelSmoothingGrad(): Generator<Case> {
  for (const { R, V, targets } of logits()) {
    yield { args: [targets, updated(R * V), R, V, 0.1, 0.3], bound: () => 4 * U };
  }
}

// ---- attention.ts

const ATTENTION_SIZES = [
  [1, 1, 1, 1, 1],
  [1, 5, 1, 4, 6],
  [3, 4, 2, 5, 3],
  [2, 9, 3, 8, 17],
];

function* attention(): Generator<Case> {
  for (const [T, S, B, N, M] of ATTENTION_SIZES) {
    const [x, keys, memory] = [values(T * B * N), values(S * B * N), values(S * B * M)];
    const outputs = [written(T * B * S), written(T * B * M)];
    // An error of a score is one of the same size, relative to it, in every weight.
    yield { args: [x, keys, memory, ...outputs, T, S, B, N, M], bound: () => 8 * (N + S + 8) * U };
  }
}

function* attentionGrad(): Generator<Case> {
  for (const [T, S, B, N, M] of ATTENTION_SIZES) {
    const weights = values(T * B * S).map((v) => Math.abs(v) / S);
    const inputs = [values(T * B * N), values(S * B * N), values(S * B * M), weights, values(T * B * M)];
    const outputs = [updated(T * B * N), updated(S * B * N), updated(S * B * M), new Workspace(4 * S)];
    yield { args: [...inputs, ...outputs, T, S, B, N, M], bound: () => 8 * (M + S + T + 8) * U };
  }
}

function* distill(): Generator<Case> {
  for (const { R, V, x, targets } of logits()) {
    for (const temperature of [0.5, 1, 3]) {
      const t = values(R * V, 10);
      if (V > 2) t[(targets[0] + 2) % V] = Number.NEGATIVE_INFINITY;
      const weight = 0.75;
      const scale = Math.fround(1 / 7);
      // What a logarithm of a probability errs by: its logit and the inverse of the temperature are rounded, then the
      // logarithm of the sum as above, and the difference.
      const errors = [x, t].map((rows) =>
        Math.max(...rows.filter(Number.isFinite).map((value) => Math.abs(value) / temperature)),
      );
      const error = errors.reduce((sum, largest) => sum + U * (4 * largest + 8 + 4 * V), 0);
      yield {
        args: [x, new Written(t), targets, new Written(values(R, 5).map(Math.abs)), R, V, weight, temperature, scale],
        bound: (i, output, [, losses]) => {
          if (output === 0) return targets[Math.floor(i / V)] < 0 ? 0 : scale * weight * temperature * (error + 8 * U);
          // p (log p - log s), summed: no logarithm is larger than 87.
          return targets[i] < 0 ? 0 : temperature ** 2 * (error + U * 87 * (V + 8)) + 4 * U * losses[i];
        },
      };
    }
  }
}

// ---- embedding.ts

function* rows(): Generator<{ R: number; E: number; V: number; ids: Uint32Array }> {
  for (const V of [1, 3, 7]) for (const R of range(1, 5)) for (const E of tails) yield { R, E, V, ids: whole(R, V) };
}

function* gather(): Generator<Case> {
  for (const { R, E, V, ids } of rows()) yield { args: [values(V * E), ids, written(R * E), R, E] };
}

function* scatterAdd(): Generator<Case> {
  for (const { R, E, V, ids } of rows()) yield { args: [values(R * E), ids, updated(V * E), R, E], roundings: R };
}

// ---- vector.ts

const vector = (make: (n: number) => Case): Cases =>
  function* () {
    for (const n of [0, ...tails]) yield make(n);
  };

function* someRows(): Generator<[R: number, N: number]> {
  for (const R of range(1, 5)) for (const N of tails) yield [R, N];
}

const anyMask = (n: number) => Uint8Array.from(values(n), (v) => (v < 0 ? 0 : 1 + 254 * v)); // alive is what is not 0

function* copyColumns(): Generator<Case> {
  for (const [R, N] of someRows()) {
    for (const [moreX, moreY] of [
      [0, 0],
      [3, 0],
      [0, 5],
      [4, 1],
    ]) {
      for (const accumulate of bool) {
        const [ldx, ldy] = [N + moreX, N + moreY];
        const sizes = [R * ldx - moreX, R * ldy - moreY]; // the last row ends with its block
        yield {
          args: [values(sizes[0]), ldx, updated(sizes[1]), ldy, R, N, accumulate],
          roundings: accumulate ? 1 : 0,
        };
      }
    }
  }
}

// ---- random.ts

const keys: [low: number, high: number][] = [
  [0, 0],
  [1, 2],
  [0xffffffff, 0x80000001],
];

function* random(): Generator<Case> {
  for (const key of keys) {
    for (const n of range(0, 35)) yield { args: [new Written(new Uint32Array(n)), n, ...key, Stream.sampling] };
  }
}

function* uniforms(): Generator<Case> {
  for (const [low, high] of [
    [0, 1],
    [-0.1, 0.1],
    [-3, 100],
  ]) {
    for (const n of range(0, 35)) {
      // high - low, its product with the word, and the sum
      const bound = () => 3 * U * (Math.abs(low) + Math.abs(high));
      yield { args: [written(n), n, low, high, ...keys[n % 3], Stream.initialisation], bound };
    }
  }
}

function* dropout(): Generator<Case> {
  for (const N of [...range(1, 9), 15, 16, 17, 33]) {
    for (const [R, firstRow, period] of [
      [1, 0, 0],
      [5, 7, 0],
      [5, 0, 2],
      [3, 4, 3],
    ]) {
      for (const rate of [0, 0.25, 0.999]) {
        for (const accumulate of bool) {
          for (const inPlace of bool) {
            const y = inPlace ? updated(R * N) : output(R * N, accumulate);
            const place = [...keys[R % 3], 0xfffffffe, Stream.dropout];
            yield {
              args: [inPlace ? y : values(R * N), y, R, N, firstRow, period, rate, ...place, accumulate],
              roundings: 4,
            };
          }
        }
      }
    }
  }
}

// ---- optim.ts

function* parameters(): Generator<{ n: number; mask: Uint8Array | null; clip: number; w: Written; g: Float32Array }> {
  for (const n of [0, ...tails]) {
    for (const masked of bool) {
      for (const clip of [1, 0.3]) yield { n, mask: masked ? anyMask(n) : null, clip, w: updated(n), g: values(n) };
    }
  }
}

function* sgd(): Generator<Case> {
  const rate = 0.7;
  for (const { n, mask, clip, w, g } of parameters()) {
    const bound = (i: number) => (mask?.[i] === 0 ? 0 : 3 * U * (Math.abs(w.start[i]) + Math.abs(rate * clip * g[i])));
    yield { args: [w, g, mask, n, rate, clip], bound };
  }
}

function* adam(): Generator<Case> {
  const [rate1, b1, b2, root2, epsilon] = [0.1, 0.9, 0.999, 1.7, 1e-8];
  for (const { n, mask, clip, w, g } of parameters()) {
    const [m, v] = [updated(n), new Written(values(n).map(Math.abs))];
    if (n > 0) m.start[0] = v.start[0] = g[0] = 0; // nothing but epsilon in the denominator
    yield {
      args: [w, g, m, v, mask, n, rate1, b1, b2, root2, epsilon, clip],
      bound: (i, result, exact) => {
        if (mask?.[i] === 0) return 0;
        const mean = b1 * Math.abs(m.start[i]) + (1 - b1) * Math.abs(clip * g[i]); // the size of m's terms
        if (result === 1) return 4 * U * mean;
        if (result === 2) return 6 * U * exact[2][i];
        // rate m / size: m's four roundings, half of v's six, and six in between
        return U * Math.abs(exact[0][i]) + (13 * U * rate1 * mean) / (Math.sqrt(exact[2][i]) * root2 + epsilon);
      },
    };
  }
}

// ---- all

const cases: Record<KernelName, Cases> = {
  f32_gemm_nn: gemm,
  f32_gemm_nt: gemm,
  f32_gemm_tn: gemmPart,
  f32_gemm_pack_n: gemmPack,
  f32_gemm_pack_t: gemmPack,
  f32_gemm_packed: gemmPacked,
  f32_gemv: gemv(false),
  f32_gemv_t: gemv(true),
  f32_ger: ger,
  f32_kron_mm: kron(false),
  f32_kron_tmm: kron(true),
  f32_kron_grad_b: kronGrad(true),
  f32_kron_grad_c: kronGrad(false),
  f32_kron: kronFormed,
  f32_kron_grad: kronFormedGrad,
  f32_csr_mm: csrMm,
  f32_csr_grad: csrGrad,
  f32_bsr_mm: bsrMm(false),
  f32_bsr_tmm: bsrMm(true),
  f32_bsr_grad: bsrGrad,
  f32_lstm_cell: lstmCell,
  f32_lstm_cell_grad: lstmCellGrad,
  f32_gru_cell: gruCell,
  f32_gru_cell_grad: gruCellGrad,
  f32_log_softmax: logSoftmax,
  f32_cross_entropy: crossEntropy,
  f32_cross_entropy_grad: crossEntropyGrad,
  f32_distill: distill,
  f32_label_smoothing: labelSmoothing,
  f32_label_smoothing_grad: labelSmoothingGrad,
  f32_attention: attention,
  f32_attention_grad: attentionGrad,
  f32_gather: gather,
  f32_scatter_add: scatterAdd,
  f32_relu: vector((n) => ({ args: [values(n), written(n), n], roundings: 0 })),
  f32_relu_grad: vector((n) => ({ args: [values(n), values(n), updated(n), n], roundings: 1 })),
  f32_tanh_grad: vector((n) => ({ args: [values(n), values(n), updated(n), n], bound: () => 8 * U })),
  f32_sigmoid_grad: vector((n) => ({ args: [values(n), values(n), updated(n), n], bound: () => 12 * U })),
  f32_add: vector((n) => ({ args: [values(n), updated(n), n], roundings: 1 })),
  f32_scale: vector((n) => ({ args: [-0.3, values(n), written(n), n], roundings: 1 })),
  f32_share: shares,
  f32_exp: vector((n) => ({ args: [values(n, 100), written(n), n], bound: (i, _, [y]) => 4 * U * y[i] })),
  f32_sigmoid: vector((n) => ({ args: [values(n, 10), written(n), n], bound: () => GATE })),
  f32_tanh: vector((n) => ({ args: [values(n, 5), written(n), n], bound: () => GATE })),
  f32_dot: vector((n) => ({ args: [values(n), values(n), n], roundings: 2 * n, unit: U64 })),
  *f32_dot_add() {
    for (const [R, N] of someRows()) {
      const sum = new Written(Float64Array.of(0.3));
      yield { args: [values(R * N), values(R * N), sum, R, N], roundings: 2 * R * N + 1, unit: U64 };
    }
  },
  *f64_add() {
    for (const a of [0, 1, 2 ** 31 - 1]) yield { args: [a, new Written(Float64Array.of(2 ** 31))] };
  },
  f32_sum: vector((n) => ({ args: [values(n), n], roundings: 2 * n, unit: U64 })),
  f32_sum_squares: vector((n) => ({ args: [values(n), n], roundings: 2 * n, unit: U64 })),
  *f32_zero() {
    for (const [R, N] of someRows()) yield { args: [written(R * N), R, N] };
  },
  *f32_set_rows() {
    for (const [R, N] of someRows()) yield { args: [values(N), written(R * N), R, N] };
  },
  *f32_add_rows() {
    for (const [R, N] of someRows()) yield { args: [values(R * N), updated(N), R, N], roundings: R };
  },
  f32_mask: vector((n) => ({ args: [anyMask(n), updated(n), n] })),
  f32_shrink: vector((n) => ({ args: [updated(n), n, 0.3] })),
  f32_copy_columns: copyColumns,
  u32_random: random,
  f32_uniform: uniforms,
  f32_dropout: dropout,
  f32_sgd: sgd,
  f32_adam: adam,
};

test('every kernel has a twin and cases here', () => {
  const kernels = Object.entries(runtime.kernels)
    .filter(([name, value]) => typeof value === 'function' && name !== 'heapBase' && !name.startsWith('__'))
    .map(([name]) => name)
    .filter((name) => ![...PROGRAM_KERNELS, ...CODE_KERNELS].some((other) => other === name));
  assert.ok(kernels.length > 0);
  for (const name of kernels) {
    assert.type(twins[name as KernelName], 'function', `${name} has no twin in src/reference.ts`);
    assert.ok(Object.hasOwn(cases, name), `${name} has no cases in test/kernels.test.ts`);
  }
  assert.equal(Object.keys(cases).sort(), kernels.sort());
});

test('rows of a product have the same bits whatever other rows are computed with them', () => {
  const [M, N, K] = [70, 13, 300];
  const [a, at, b] = [values(M * K), values(K * M), values(K * N)];
  const packed = Float32Array.from(runTwin('f32_gemm_pack_n', [b, written(8 * Math.ceil(N / 8) * K), N, K]).outputs[0]);
  const part: Record<string, (from: number, rows: number) => ReturnType<typeof runKernel>> = {};
  for (const [name, right] of [
    ['f32_gemm_nn', b],
    ['f32_gemm_nt', b],
    ['f32_gemm_packed', packed],
  ] as const) {
    part[name] = (from, rows) => {
      const left = a.subarray(from * K, (from + rows) * K);
      return runKernel(name, [left, right, written(rows * N), rows, N, K, false, gemmScratch([N, K])]);
    };
  }
  part.f32_gemm_tn = (from, rows) => {
    const left = at.subarray(from, (K - 1) * M + from + rows);
    return runKernel('f32_gemm_tn', [left, M, b, written(rows * N), rows, N, K, false, gemmScratch([N, K])]);
  };
  for (const [name, run] of Object.entries(part)) {
    const whole = Array.from(run(0, M).outputs[0]);
    for (const cut of [1, 2, 3, 5, 35, 64, 65, 69]) {
      const parts = [...Array.from(run(0, cut).outputs[0]), ...Array.from(run(cut, M - cut).outputs[0])];
      assert.equal(parts, whole, `${name}, cut at row ${cut}`);
    }
  }
});

for (const [name, generate] of Object.entries(cases) as [KernelName, Cases][]) {
  test(name, () => {
    let ran = 0;
    for (const one of generate()) {
      check(name, one);
      ran++;
    }
    assert.ok(ran > 0);
  });
}

test.run();
