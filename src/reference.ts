// A plain twin of every kernel, which computes the same in double precision over ordinary arrays: the specification, and the
// oracle of the tests. A twin takes the arguments of its kernel in the same order, without scratch and temporary memory.

import { philox } from './random.js';

type In = ArrayLike<number>;
type Out = { [index: number]: number; readonly length: number };

// ---- gemm.ts

function gemm(
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
  c: Out,
  M: number,
  N: number,
  K: number,
  accumulate: boolean,
): void {
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum = accumulate ? c[i * N + j] : 0;
      for (let k = 0; k < K; k++) sum += a(i, k) * b(k, j);
      c[i * N + j] = sum;
    }
  }
}

export function f32_gemm_nn(a: In, b: In, c: Out, M: number, N: number, K: number, accumulate: boolean): void {
  gemm(
    (i, k) => a[i * K + k],
    (k, j) => b[k * N + j],
    c,
    M,
    N,
    K,
    accumulate,
  );
}

export function f32_gemm_nt(a: In, b: In, c: Out, M: number, N: number, K: number, accumulate: boolean): void {
  gemm(
    (i, k) => a[i * K + k],
    (k, j) => b[j * K + k],
    c,
    M,
    N,
    K,
    accumulate,
  );
}

export function f32_gemm_tn(
  a: In,
  lda: number,
  b: In,
  c: Out,
  M: number,
  N: number,
  K: number,
  accumulate: boolean,
): void {
  gemm(
    (i, k) => a[k * lda + i],
    (k, j) => b[k * N + j],
    c,
    M,
    N,
    K,
    accumulate,
  );
}

/** Rows of B that are packed together. */
const KC = 128;

/** The index of an element in a packed B[K,N], [K/KC][ceil(N/8)][kc][8]. */
function packedAt(k: number, j: number, N: number, K: number): number {
  const k0 = k - (k % KC);
  const kc = Math.min(KC, K - k0);
  return (k0 * Math.ceil(N / 8) + (j >> 3) * kc + (k - k0)) * 8 + (j & 7);
}

/** Zero past column N. */
function pack(b: (k: number, j: number) => number, packed: Out, N: number, K: number): void {
  for (let k = 0; k < K; k++) {
    for (let j = 0; j < 8 * Math.ceil(N / 8); j++) packed[packedAt(k, j, N, K)] = j < N ? b(k, j) : 0;
  }
}

export function f32_gemm_pack_n(b: In, packed: Out, N: number, K: number): void {
  pack((k, j) => b[k * N + j], packed, N, K);
}

export function f32_gemm_pack_t(b: In, packed: Out, N: number, K: number): void {
  pack((k, j) => b[j * K + k], packed, N, K);
}

export function f32_gemm_packed(a: In, packed: In, c: Out, M: number, N: number, K: number, accumulate: boolean): void {
  gemm(
    (i, k) => a[i * K + k],
    (k, j) => packed[packedAt(k, j, N, K)],
    c,
    M,
    N,
    K,
    accumulate,
  );
}

// ---- gemv.ts

export function f32_gemv(w: In, x: In, y: Out, M: number, N: number, accumulate: boolean): void {
  f32_gemm_nt(x, w, y, 1, M, N, accumulate);
}

export function f32_gemv_t(w: In, dy: In, dx: Out, M: number, N: number, accumulate: boolean): void {
  f32_gemm_nn(dy, w, dx, 1, N, M, accumulate);
}

export function f32_ger(dy: In, x: In, dw: Out, M: number, N: number): void {
  f32_gemm_tn(dy, M, x, dw, M, N, 1, true);
}

// ---- kron.ts

/** Forms W = B (x) C: W[i1 m2 + i2, j1 n2 + j2] = B[i1,j1] C[i2,j2]. */
export function kron(b: In, c: In, m1: number, n1: number, m2: number, n2: number): Float64Array {
  const w = new Float64Array(m1 * m2 * n1 * n2);
  for (let i = 0; i < m1 * m2; i++) {
    for (let j = 0; j < n1 * n2; j++) {
      w[i * n1 * n2 + j] = b[Math.floor(i / m2) * n1 + Math.floor(j / n2)] * c[(i % m2) * n2 + (j % n2)];
    }
  }
  return w;
}

export function f32_kron_mm(
  b: In,
  c: In,
  x: In,
  y: Out,
  R: number,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
  accumulate: boolean,
): void {
  f32_gemm_nt(x, kron(b, c, m1, n1, m2, n2), y, R, m1 * m2, n1 * n2, accumulate);
}

export function f32_kron_tmm(
  b: In,
  c: In,
  dy: In,
  dx: Out,
  R: number,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
  accumulate: boolean,
): void {
  f32_gemm_nn(dy, kron(b, c, m1, n1, m2, n2), dx, R, n1 * n2, m1 * m2, accumulate);
}

export function f32_kron_grad_b(
  c: In,
  dy: In,
  x: In,
  db: Out,
  R: number,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
): void {
  const none = new Float64Array(m2 * n2);
  f32_kron_grad(none, c, gradientOf(dy, x, R, m1 * m2, n1 * n2), db, none, m1, n1, m2, n2);
}

export function f32_kron_grad_c(
  b: In,
  dy: In,
  x: In,
  dc: Out,
  R: number,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
): void {
  const none = new Float64Array(m1 * n1);
  f32_kron_grad(b, none, gradientOf(dy, x, R, m1 * m2, n1 * n2), none, dc, m1, n1, m2, n2);
}

function gradientOf(dy: In, x: In, R: number, M: number, N: number): Float64Array {
  const dw = new Float64Array(M * N);
  f32_gemm_tn(dy, M, x, dw, M, N, R, false);
  return dw;
}

export function f32_kron(b: In, c: In, w: Out, m1: number, n1: number, m2: number, n2: number): void {
  kron(b, c, m1, n1, m2, n2).forEach((value, i) => {
    w[i] = value;
  });
}

export function f32_kron_grad(
  b: In,
  c: In,
  dw: In,
  db: Out,
  dc: Out,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
): void {
  for (let i = 0; i < m1 * m2; i++) {
    for (let j = 0; j < n1 * n2; j++) {
      const inB = Math.floor(i / m2) * n1 + Math.floor(j / n2);
      const inC = (i % m2) * n2 + (j % n2);
      db[inB] += dw[i * n1 * n2 + j] * c[inC];
      dc[inC] += dw[i * n1 * n2 + j] * b[inB];
    }
  }
}

// ---- sparse.ts

/** Converts a CSR matrix to a dense M x N matrix. */
export function csrToDense(values: In, columns: In, starts: In, M: number, N: number): Float64Array {
  const w = new Float64Array(M * N);
  for (let i = 0; i < M; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) w[i * N + columns[k]] += values[k];
  }
  return w;
}

/** The same for blocks of `block` rows of a column, `stride` apart. */
export function bsrToDense(
  values: In,
  columns: In,
  starts: In,
  M: number,
  N: number,
  block: number,
  stride = 1,
): Float64Array {
  const w = new Float64Array(M * N);
  for (let group = 0; group < M / block; group++) {
    const first = stride === 1 ? group * block : group;
    for (let k = starts[group]; k < starts[group + 1]; k++) {
      for (let row = 0; row < block; row++) w[(first + row * stride) * N + columns[k]] += values[k * block + row];
    }
  }
  return w;
}

export function f32_csr_mm(
  values: In,
  order: In | undefined,
  columns: In,
  starts: In,
  x: In,
  y: Out,
  R: number,
  M: number,
  N: number,
  accumulate: boolean,
): void {
  const entries = order ? Array.from(order, (at) => values[at]) : values;
  f32_gemm_nt(x, csrToDense(entries, columns, starts, M, N), y, R, M, N, accumulate);
}

export function f32_csr_grad(
  columns: In,
  starts: In,
  dy: In,
  x: In,
  dvalues: Out,
  R: number,
  M: number,
  N: number,
  first: number,
  last: number,
): void {
  for (let i = first; i < last; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) {
      for (let r = 0; r < R; r++) dvalues[k] += dy[r * M + i] * x[r * N + columns[k]];
    }
  }
}

export function f32_bsr_mm(
  values: In,
  columns: In,
  starts: In,
  x: In,
  y: Out,
  R: number,
  M: number,
  N: number,
  block: number,
  stride: number,
  accumulate: boolean,
): void {
  f32_gemm_nt(x, bsrToDense(values, columns, starts, M, N, block, stride), y, R, M, N, accumulate);
}

export function f32_bsr_tmm(
  values: In,
  columns: In,
  starts: In,
  dy: In,
  dx: Out,
  R: number,
  M: number,
  N: number,
  block: number,
  stride: number,
  accumulate: boolean,
): void {
  f32_gemm_nn(dy, bsrToDense(values, columns, starts, M, N, block, stride), dx, R, N, M, accumulate);
}

export function f32_bsr_grad(
  columns: In,
  starts: In,
  dy: In,
  x: In,
  dvalues: Out,
  R: number,
  M: number,
  N: number,
  block: number,
  stride: number,
  first: number,
  last: number,
): void {
  for (let group = first; group < last; group++) {
    const top = stride === 1 ? group * block : group;
    for (let k = starts[group]; k < starts[group + 1]; k++) {
      for (let row = 0; row < block; row++) {
        const i = top + row * stride;
        for (let r = 0; r < R; r++) dvalues[k * block + row] += dy[r * M + i] * x[r * N + columns[k]];
      }
    }
  }
}

// ---- activation.ts

export function f32_relu(x: In, y: Out, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.max(x[i], 0);
}

/** x, or 0 where |x| < 2^-58: see Constant.Tiny in assembly/simd.ts. */
const flush = (x: number) => (Math.abs(x) < 2 ** -58 ? 0 : x);

export function f32_relu_grad(y: In, dy: In, dx: Out, n: number): void {
  for (let i = 0; i < n; i++) if (y[i] > 0) dx[i] += dy[i];
}

export function f32_tanh_grad(y: In, dy: In, dx: Out, n: number): void {
  for (let i = 0; i < n; i++) dx[i] += flush(dy[i] * (1 - y[i] ** 2));
}

export function f32_sigmoid_grad(y: In, dy: In, dx: Out, n: number): void {
  for (let i = 0; i < n; i++) dx[i] += flush(dy[i] * y[i] * (1 - y[i]));
}

// ---- lstm.ts

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export function f32_lstm_cell(gates: Out, cPrev: In, c: Out, tanhC: Out, h: Out, R: number, H: number): void {
  for (let r = 0; r < R; r++) {
    for (let j = 0; j < H; j++) {
      const at = r * H + j;
      const gate = (n: number) => (r * 4 + n) * H + j;
      const i = sigmoid(gates[gate(0)]);
      const f = sigmoid(gates[gate(1)]);
      const g = Math.tanh(gates[gate(2)]);
      const o = sigmoid(gates[gate(3)]);
      [i, f, g, o].forEach((value, n) => {
        gates[gate(n)] = value;
      });
      c[at] = flush(f * cPrev[at] + i * g);
      tanhC[at] = Math.tanh(c[at]);
      h[at] = flush(o * tanhC[at]);
    }
  }
}

export function f32_lstm_cell_grad(
  gates: In,
  cPrev: In,
  tanhC: In,
  dh: In,
  dc: Out,
  dgates: Out,
  R: number,
  H: number,
): void {
  for (let r = 0; r < R; r++) {
    for (let j = 0; j < H; j++) {
      const at = r * H + j;
      const [i, f, g, o] = [0, 1, 2, 3].map((n) => gates[(r * 4 + n) * H + j]);
      const dcell = dc[at] + dh[at] * o * (1 - tanhC[at] ** 2);
      const da = [
        dcell * g * i * (1 - i),
        dcell * cPrev[at] * f * (1 - f),
        dcell * i * (1 - g ** 2),
        dh[at] * tanhC[at] * o * (1 - o),
      ];
      da.forEach((value, n) => {
        dgates[(r * 4 + n) * H + j] = flush(value);
      });
      dc[at] = flush(dcell * f);
    }
  }
}

// ---- gru.ts

export function f32_gru_cell(a: Out, u: In, hPrev: In, h: Out, R: number, H: number): void {
  for (let k = 0; k < R; k++) {
    for (let j = 0; j < H; j++) {
      const [r, z, n] = [0, 1, 2].map((gate) => (k * 3 + gate) * H + j);
      a[r] = sigmoid(a[r] + u[r]);
      a[z] = sigmoid(a[z] + u[z]);
      a[n] = Math.tanh(a[n] + a[r] * u[n]);
      h[k * H + j] = flush((1 - a[z]) * a[n] + a[z] * hPrev[k * H + j]);
    }
  }
}

export function f32_gru_cell_grad(a: Out, u: Out, hPrev: In, dh: In, dhPrev: Out, R: number, H: number): void {
  for (let k = 0; k < R; k++) {
    for (let j = 0; j < H; j++) {
      const at = k * H + j;
      const gates = [0, 1, 2].map((gate) => (k * 3 + gate) * H + j);
      const [r, z, n] = gates.map((gate) => a[gate]);
      const dn = flush(dh[at] * (1 - z) * (1 - n ** 2));
      const du = flush(dn * r);
      const da = [flush(du * u[gates[2]] * (1 - r)), flush(dh[at] * (hPrev[at] - n) * z * (1 - z)), dn];
      dhPrev[at] = flush(dhPrev[at] + dh[at] * z);
      gates.forEach((gate, i) => {
        a[gate] = da[i];
        u[gate] = i === 2 ? du : da[i];
      });
    }
  }
}

// ---- softmax.ts

function logSumExp(x: In, from: number, V: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < V; j++) max = Math.max(max, x[from + j]);
  let sum = 0;
  for (let j = 0; j < V; j++) sum += Math.exp(x[from + j] - max);
  return max + Math.log(sum);
}

export function f32_share(add: number, x: Out, n: number): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < n; i++) largest = Math.max(largest, x[i]);
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.exp(x[i] - largest);
  for (let i = 0; i < n; i++) x[i] += add - (largest + Math.log(sum));
}

export function f32_log_softmax(x: In, y: Out, R: number, V: number): void {
  for (let r = 0; r < R; r++) {
    const lse = logSumExp(x, r * V, V);
    for (let j = 0; j < V; j++) y[r * V + j] = x[r * V + j] - lse;
  }
}

export function f32_cross_entropy(x: In, targets: In, lse: Out, losses: Out, R: number, V: number): void {
  for (let r = 0; r < R; r++) {
    lse[r] = logSumExp(x, r * V, V);
    losses[r] = targets[r] < 0 ? 0 : lse[r] - x[r * V + targets[r]];
  }
}

export function f32_cross_entropy_grad(
  x: In,
  targets: In,
  lse: In,
  dx: Out,
  R: number,
  V: number,
  scale: number,
): void {
  for (let r = 0; r < R; r++) {
    for (let j = 0; j < V; j++) {
      const probability = flush(Math.exp(x[r * V + j] - lse[r]));
      dx[r * V + j] = targets[r] < 0 ? 0 : scale * (probability - (targets[r] === j ? 1 : 0));
    }
  }
}

export function f32_label_smoothing(x: In, targets: In, losses: Out, R: number, V: number, smoothing: number): void {
  for (let r = 0; r < R; r++) {
    if (targets[r] < 0) continue;
    let sum = 0;
    for (let j = 0; j < V; j++) sum += x[r * V + j];
    losses[r] += smoothing * (x[r * V + targets[r]] - sum / V);
  }
}

export function f32_label_smoothing_grad(
  targets: In,
  dx: Out,
  R: number,
  V: number,
  smoothing: number,
  scale: number,
): void {
  for (let r = 0; r < R; r++) {
    for (let j = 0; j < V; j++) {
      if (targets[r] >= 0) dx[r * V + j] += scale * smoothing * ((targets[r] === j ? 1 : 0) - 1 / V);
    }
  }
}

/** A row of log(softmax(x / temperature)), at least -87 each. */
function logProbabilities(x: In, from: number, V: number, temperature: number): Float64Array {
  const scaled = Float64Array.from({ length: V }, (_, j) => x[from + j] / temperature);
  const lse = logSumExp(scaled, 0, V);
  return scaled.map((value) => Math.max(-87, value - lse));
}

export function f32_distill(
  x: In,
  t: Out,
  targets: In,
  losses: Out,
  R: number,
  V: number,
  weight: number,
  temperature: number,
  scale: number,
): void {
  for (let r = 0; r < R; r++) {
    if (targets[r] < 0) {
      for (let j = 0; j < V; j++) t[r * V + j] = 0;
      continue;
    }
    const logS = logProbabilities(x, r * V, V, temperature);
    const logP = logProbabilities(t, r * V, V, temperature);
    let divergence = 0;
    for (let j = 0; j < V; j++) {
      const p = flush(Math.exp(logP[j]));
      divergence += p * (logP[j] - logS[j]);
      t[r * V + j] = scale * weight * temperature * (flush(Math.exp(logS[j])) - p);
    }
    losses[r] = (1 - weight) * losses[r] + weight * temperature ** 2 * divergence;
  }
}

// ---- embedding.ts

export function f32_gather(table: In, ids: In, y: Out, R: number, E: number): void {
  for (let r = 0; r < R; r++) for (let j = 0; j < E; j++) y[r * E + j] = table[ids[r] * E + j];
}

export function f32_scatter_add(dy: In, ids: In, dtable: Out, R: number, E: number): void {
  for (let r = 0; r < R; r++) for (let j = 0; j < E; j++) dtable[ids[r] * E + j] += dy[r * E + j];
}

// ---- vector.ts

export function f32_add(x: In, y: Out, n: number): void {
  for (let i = 0; i < n; i++) y[i] += x[i];
}

export function f32_scale(a: number, x: In, y: Out, n: number): void {
  for (let i = 0; i < n; i++) y[i] = a * x[i];
}

export function f32_exp(x: In, y: Out, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.exp(Math.min(88, Math.max(-87, x[i])));
}

export function f32_sigmoid(x: In, y: Out, n: number): void {
  for (let i = 0; i < n; i++) y[i] = sigmoid(x[i]);
}

export function f32_tanh(x: In, y: Out, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.tanh(x[i]);
}

export function f32_dot(x: In, y: In, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

export function f32_dot_add(x: In, y: In, sum: Out, R: number, N: number): void {
  sum[0] += f32_dot(x, y, R * N);
}

export function f64_add(a: number, sum: Out): void {
  sum[0] += a;
}

export function f32_sum(x: In, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i];
  return sum;
}

export function f32_sum_squares(x: In, n: number): number {
  return f32_dot(x, x, n);
}

export function f32_zero(y: Out, R: number, N: number): void {
  for (let i = 0; i < R * N; i++) y[i] = 0;
}

export function f32_set_rows(x: In, y: Out, R: number, N: number): void {
  for (let r = 0; r < R; r++) for (let j = 0; j < N; j++) y[r * N + j] = x[j];
}

export function f32_add_rows(x: In, y: Out, R: number, N: number): void {
  for (let r = 0; r < R; r++) for (let j = 0; j < N; j++) y[j] += x[r * N + j];
}

export function f32_mask(mask: In, x: Out, n: number): void {
  for (let i = 0; i < n; i++) if (!mask[i]) x[i] = 0;
}

export function f32_shrink(x: Out, n: number, a: number): void {
  for (let i = 0; i < n; i++) x[i] = Math.sign(x[i]) * Math.max(Math.abs(x[i]) - a, 0);
}

export function f32_copy_columns(
  x: In,
  ldx: number,
  y: Out,
  ldy: number,
  R: number,
  N: number,
  accumulate: boolean,
): void {
  for (let r = 0; r < R; r++) {
    for (let j = 0; j < N; j++) y[r * ldy + j] = x[r * ldx + j] + (accumulate ? y[r * ldy + j] : 0);
  }
}

// ---- random.ts

/** The random word of an element: see assembly/random.ts. */
function word(column: number, row: number, step: number, stream: number, seedLow: number, seedHigh: number): number {
  const block = Math.floor(column / 16);
  return philox([block * 4 + (column % 4), row, step, stream], [seedLow, seedHigh])[Math.floor(column / 4) % 4];
}

export function u32_random(y: Out, n: number, seedLow: number, seedHigh: number, stream: number): void {
  for (let i = 0; i < n; i++) y[i] = word(i, 0, 0, stream, seedLow, seedHigh);
}

export function f32_uniform(
  y: Out,
  n: number,
  low: number,
  high: number,
  seedLow: number,
  seedHigh: number,
  stream: number,
): void {
  for (let i = 0; i < n; i++) {
    y[i] = low + (high - low) * ((word(i, 0, 0, stream, seedLow, seedHigh) >>> 8) / 2 ** 24);
  }
}

export function f32_dropout(
  x: In,
  y: Out,
  R: number,
  N: number,
  firstRow: number,
  period: number,
  rate: number,
  seedLow: number,
  seedHigh: number,
  step: number,
  stream: number,
  accumulate: boolean,
): void {
  for (let r = 0; r < R; r++) {
    const row = period ? (firstRow + r) % period : firstRow + r;
    for (let j = 0; j < N; j++) {
      const keep = word(j, row, step, stream, seedLow, seedHigh) >>> 8 >= Math.floor(rate * 2 ** 24);
      const value = keep ? x[r * N + j] / (1 - rate) : 0;
      y[r * N + j] = accumulate ? y[r * N + j] + value : value;
    }
  }
}

// ---- attention.ts

export function f32_attention(
  x: In,
  keys: In,
  values: In,
  weights: Out,
  context: Out,
  T: number,
  S: number,
  B: number,
  N: number,
  M: number,
): void {
  for (let r = 0; r < T * B; r++) {
    const b = r % B;
    const scores = Array.from({ length: S }, (_, s) => {
      let score = 0;
      for (let j = 0; j < N; j++) score += x[r * N + j] * keys[(s * B + b) * N + j];
      return score;
    });
    const largest = Math.max(...scores);
    const powers = scores.map((score) => flush(Math.exp(score - largest)));
    const total = powers.reduce((sum, power) => sum + power, 0);
    for (let j = 0; j < M; j++) context[r * M + j] = 0;
    for (const [s, power] of powers.entries()) {
      weights[r * S + s] = power / total;
      for (let j = 0; j < M; j++) context[r * M + j] += (power / total) * values[(s * B + b) * M + j];
    }
  }
}

export function f32_attention_grad(
  x: In,
  keys: In,
  values: In,
  weights: In,
  dcontext: In,
  dx: Out,
  dkeys: Out,
  dvalues: Out,
  T: number,
  S: number,
  B: number,
  N: number,
  M: number,
): void {
  for (let r = 0; r < T * B; r++) {
    const b = r % B;
    const slopes = Array.from({ length: S }, (_, s) => {
      let slope = 0;
      for (let j = 0; j < M; j++) {
        slope += dcontext[r * M + j] * values[(s * B + b) * M + j];
        dvalues[(s * B + b) * M + j] += weights[r * S + s] * dcontext[r * M + j];
      }
      return slope;
    });
    const mean = slopes.reduce((sum, slope, s) => sum + weights[r * S + s] * slope, 0);
    for (const [s, slope] of slopes.entries()) {
      const dscore = weights[r * S + s] * (slope - mean);
      for (let j = 0; j < N; j++) {
        dx[r * N + j] += dscore * keys[(s * B + b) * N + j];
        dkeys[(s * B + b) * N + j] += dscore * x[r * N + j];
      }
    }
  }
}

// ---- optim.ts

export function f32_sgd(w: Out, g: In, mask: In | undefined, n: number, rate: number, clip: number): void {
  for (let i = 0; i < n; i++) w[i] = mask && !mask[i] ? 0 : w[i] - rate * clip * flush(g[i]);
}

export function f32_adam(
  w: Out,
  g: In,
  m: Out,
  v: Out,
  mask: In | undefined,
  n: number,
  rate1: number,
  b1: number,
  b2: number,
  root2: number,
  epsilon: number,
  clip: number,
): void {
  for (let i = 0; i < n; i++) {
    const grad = flush(clip * g[i]);
    m[i] = flush(b1 * m[i] + (1 - b1) * grad);
    v[i] = b2 * v[i] + (1 - b2) * grad ** 2;
    if (v[i] < 2 ** -126) v[i] = 0;
    w[i] -= (rate1 * m[i]) / (Math.sqrt(v[i]) * root2 + epsilon);
    if (mask && !mask[i]) w[i] = m[i] = v[i] = 0;
  }
}

// ---- flush.ts

export function f32_flush(x: Out, n: number): void {
  for (let i = 0; i < n; i++) x[i] = flush(x[i]);
}

// ---- largest.ts

/** NaN counts as larger than all numbers. */
export function f32_largest(x: In, n: number): number {
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(x[i]));
  return largest;
}

// ---- packed-kron.ts

const fourOf = (n: number) => 4 * Math.ceil(n / 4);

/** The padding of the rows of `to` is arbitrary. */
export function f32_transpose(from: In, to: Out, R: number, C: number): void {
  for (let i = 0; i < R; i++) for (let j = 0; j < C; j++) to[j * fourOf(R) + i] = from[i * C + j];
}

// ---- packing.ts: `from` and `to` of the first two are bytes

export function pad_rows(from: In, to: Out, rows: number, bytes: number, stride: number): void {
  for (let i = 0; i < rows; i++) {
    for (let b = 0; b < stride; b++) to[i * stride + b] = b < bytes ? from[i * bytes + b] : 0;
  }
}

export function pack_panels(from: In, to: Out, M: number, row: number, width: number): void {
  const blocks = Math.ceil(row / width);
  for (let i = 0; i < fourOf(M); i++) {
    for (let b = 0; b < blocks * width; b++) {
      const at = (((i >> 2) * blocks + Math.floor(b / width)) * 4 + (i & 3)) * width + (b % width);
      to[at] = i < M && b < row ? from[i * row + b] : 0;
    }
  }
}

export function f32_pack_columns(from: In, to: Out, J: number, K: number): void {
  for (let j = 0; j < J; j++) for (let k = 0; k < K; k++) to[((j >> 3) * K + k) * 8 + (j & 7)] = from[j * K + k];
}

export function csr_check(columns: In, starts: In, rows: number, N: number, count: number): boolean {
  if (starts[0] !== 0 || starts[rows] !== count) return false;
  for (let i = 0; i < rows; i++) if (starts[i + 1] < starts[i]) return false;
  for (let i = 0; i < rows; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) {
      if (columns[k] >= N || (k > starts[i] && columns[k] <= columns[k - 1])) return false;
    }
  }
  return true;
}

const lengthOf = (starts: In, i: number) => starts[i + 1] - starts[i];
const pairsOf = (starts: In, i: number) => Math.ceil(lengthOf(starts, i) / 2);

export function csr_longest_first(starts: In, rows: number, order: Out): number {
  const held = Array.from({ length: rows }, (_, i) => i).filter((i) => lengthOf(starts, i) > 0);
  held.sort((a, b) => lengthOf(starts, b) - lengthOf(starts, a) || a - b);
  held.forEach((row, i) => {
    order[i] = row;
  });
  return held.length;
}

export function csr_pairs(starts: In, order: In, held: number, rows: number): number {
  let pairs = 0;
  for (let i = 0; i < held; i += rows) pairs += pairsOf(starts, order[i]);
  return pairs;
}

/** `stream` is bytes. */
export function f32_sell_pack(
  values: In,
  columns: In,
  starts: In,
  order: In,
  held: number,
  slices: Out,
  stream: Uint8Array,
): void {
  const view = new DataView(stream.buffer, stream.byteOffset);
  let pair = 0;
  for (let s = 0; 4 * s < held; s++) {
    slices[5 * s] = pairsOf(starts, order[4 * s]);
    for (let r = 0; r < 4; r++) {
      const there = 4 * s + r < held;
      const row = order[4 * s + r];
      slices[5 * s + 1 + r] = 4 * (there ? row : order[4 * s]);
      for (let k = 0; there && k < lengthOf(starts, row); k++) {
        const at = 48 * (pair + (k >> 1));
        const lane = 4 * (k & 1) + r;
        view.setUint16(at + 2 * lane, 4 * columns[starts[row] + k], true);
        view.setFloat32(at + 16 + 4 * lane, values[starts[row] + k], true);
      }
    }
    pair += slices[5 * s];
  }
}

export function f32_block_pack(
  values: In,
  columns: In,
  starts: In,
  order: In,
  held: number,
  rows: Out,
  offsets: Out,
  to: Out,
  size: number,
): void {
  let at = 0;
  for (let i = 0; i < held; i++) {
    const row = order[i];
    rows[2 * i] = pairsOf(starts, row);
    rows[2 * i + 1] = 4 * size * row;
    for (let k = 0; k < lengthOf(starts, row); k++) {
      offsets[at + k] = 4 * columns[starts[row] + k];
      for (let r = 0; r < size; r++) to[(at + k) * size + r] = values[(starts[row] + k) * size + r];
    }
    at += 2 * pairsOf(starts, row);
  }
}

export function csr_to_panels(
  values: In,
  columns: In,
  starts: In,
  rows: number,
  size: number,
  to: Out,
  blocks: number,
): void {
  for (let i = 0; i < rows * size; i++) {
    const group = Math.floor(i / size);
    for (let k = starts[group]; k < starts[group + 1]; k++) {
      const j = columns[k];
      to[((i >> 2) * blocks + (j >> 2)) * 16 + (i & 3) * 4 + (j & 3)] = values[k * size + (i % size)];
    }
  }
}

// ---- codes.ts, quantise.ts: `from` and `to` of coded numbers are bytes, of halves u16

function numberOfHalf(half: number): number {
  const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, (half & 1023) / 1024];
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
}

/** The half nearest to x, ties to the even one: by trying. */
function halfOfNumber(x: number): number {
  let [low, high] = [0, 0x7c00]; // positive halves are in the order of their numbers; that of infinity stands for 65536
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numberOfHalf(middle) <= Math.abs(x)) low = middle;
    else high = middle;
  }
  const [below, above] = [Math.abs(x) - numberOfHalf(low), numberOfHalf(high) - Math.abs(x)];
  const nearest = Math.abs(x) >= 65536 || above < below || (above === below && high % 2 === 0) ? high : low;
  return nearest | (x < 0 || Object.is(x, -0) ? 0x8000 : 0);
}

export function f32_from_halves(from: In, to: Out, n: number): boolean {
  for (let i = 0; i < n; i++) to[i] = numberOfHalf(from[i]);
  return Array.from({ length: n }, (_, i) => from[i] & 0x7fff).every((half) => half < 0x7c00);
}

export function f32_to_halves(from: In, to: Out, n: number): void {
  for (let i = 0; i < n; i++) to[i] = halfOfNumber(from[i]);
}

/** A number of `bits` bits in a stream whose first bits are the lowest of its bytes. */
function bitsAt(bytes: In, first: number, bits: number): number {
  let value = 0;
  for (let b = 0; b < bits; b++) value += ((bytes[(first + b) >> 3] >> ((first + b) & 7)) & 1) * 2 ** b;
  return value;
}

export function i8_from_codes(codes: In, to: Out, n: number, bits: number): void {
  for (let i = 0; i < n; i++) to[i] = bitsAt(codes, i * bits, bits) - 2 ** (bits - 1);
}

export function f32_dequantise(from: In, to: Out, n: number, bits: number, group: number): boolean {
  const groups = Math.ceil(n / group);
  const halves = Array.from({ length: groups }, (_, g) => from[2 * g] + 256 * from[2 * g + 1]);
  for (let i = 0; i < n; i++) {
    const scale = numberOfHalf(halves[Math.floor(i / group)]);
    to[i] = scale * (bitsAt(from, 16 * groups + i * bits, bits) - 2 ** (bits - 1));
  }
  return halves.every((half) => (half & 0x7c00) !== 0x7c00);
}

/** In single precision, as the kernel: errors decide which scale is taken. */
export function f32_quantise(from: In, to: Out, n: number, bits: number, group: number): void {
  const { fround } = Math;
  const least = -(2 ** (bits - 1));
  const codeOf = (x: number, scale: number) =>
    scale === 0 ? 0 : Math.min(-1 - least, Math.max(least, even(fround(x * fround(1 / scale)))));
  const groups = Math.ceil(n / group);
  for (let g = 0; g < groups; g++) {
    const numbers = Array.from({ length: Math.min(group, n - g * group) }, (_, i) => from[g * group + i]);
    const extreme = numbers.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
    const full = fround(extreme / least);
    const halves = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => halfOfNumber(fround(full * fround(1 - i / 16))));
    const errorOf = (half: number) => {
      const scale = numberOfHalf(half);
      return numbers.reduce((sum, x) => {
        const error = fround(x - fround(scale * codeOf(x, scale)));
        return fround(sum + fround(error * error));
      }, 0);
    };
    const tried = bits > 7 || numberOfHalf(halves[0]) === 0 ? halves.slice(0, 1) : halves;
    const best = tried.reduce((best, half) =>
      numberOfHalf(half) !== 0 && errorOf(half) < errorOf(best) ? half : best,
    );
    to[2 * g] = best & 255;
    to[2 * g + 1] = best >> 8;
    for (const [i, x] of numbers.entries()) {
      const code = codeOf(x, numberOfHalf(best)) - least;
      for (let b = 0; b < bits; b++) {
        const at = 16 * groups + (g * group + i) * bits + b;
        to[at >> 3] |= ((code >> b) & 1) << (at & 7);
      }
    }
  }
}

/** The nearest integer, ties to the even one. */
const even = (x: number) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

export function rice_decode(
  from: In,
  bytes: number,
  k: number,
  count: number,
  rows: number,
  N: number,
  columns: Out,
  starts: Out,
): boolean {
  let at = 0;
  let place = -1;
  const places: number[] = [];
  for (let i = 0; i < count; i++) {
    let high = 0;
    while (at < 8 * bytes && bitsAt(from, at, 1)) {
      high++;
      at++;
    }
    at++;
    if (at + k > 8 * bytes) return false;
    place += 1 + high * 2 ** k + bitsAt(from, at, k);
    at += k;
    if (place >= rows * N) return false;
    places.push(place);
  }
  for (let i = 0; i <= rows; i++) starts[i] = places.filter((one) => one < i * N).length;
  for (const [i, one] of places.entries()) columns[i] = one % N;
  for (; at % 8 !== 0; at++) if (bitsAt(from, at, 1)) return false;
  return at === 8 * bytes;
}

// ---- packed-int8.ts

/** `w` is the bytes of panels of eight columns. */
export function int8_panel_row(w: In, scales: In, row: number, blocks: number, x: Out): void {
  for (let j = 0; j < 8 * blocks; j++) {
    const byte = w[(Math.floor(row / 4) * blocks + Math.floor(j / 8)) * 32 + (row % 4) * 8 + (j % 8)];
    x[j] = scales[row] * (byte > 127 ? byte - 256 : byte);
  }
}
