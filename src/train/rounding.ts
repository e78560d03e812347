import type { Tensor } from '../autograd/tape.js';
import { isTied } from '../network/spec.js';
import { type Leaf, leavesOf, type StoredBits } from '../nn/leaves.js';
import type { Network } from '../nn/network.js';
import { packCodes, quantise } from '../nn/quantise.js';
import { packedBytes } from '../operators/dense.js';

// Rounds dense matrices so that their products, rather than their numbers, change little: the error of a column is made up for
// by the columns after it, given the second moments of what the matrix is multiplied with. Source: GPTQ (Frantar et al., 2022).

/** Vectors of each input that are looked at: more change little. */
const MOST_VECTORS = 8192;

/** Of the mean of the diagonal, what is added to it, so that the moments can be inverted. */
const DAMPING = 0.01;

/** Second moments of what the matrices of a network are multiplied with, by their names: sums of x x^T. */
export class InputMoments {
  private readonly sums = new Map<string, { sum: Float64Array; vectors: number }>();

  /** Looks at what `network` computes from here on until stop() is called. */
  constructor(private readonly network: Network) {
    network.onInput = (name, x) => this.add(name, x);
  }

  stop(): void {
    this.network.onInput = undefined;
  }

  /** f64[N,N]; undefined where nothing was seen. */
  of(name: string): Float64Array | undefined {
    return this.sums.get(name)?.sum;
  }

  private add(name: string, { rows, cols: N, value }: Tensor): void {
    const { runtime } = this.network;
    const seen = this.sums.get(name) ?? { sum: new Float64Array(N * N), vectors: 0 };
    this.sums.set(name, seen);
    const K = Math.min(rows, MOST_VECTORS - seen.vectors);
    if (K <= 0) return;
    runtime.scoped(() => {
      const product = runtime.alloc(4 * N * N);
      const scratch = runtime.alloc(runtime.kernels.F32_GEMM_SCRATCH.value + packedBytes(N, K));
      runtime.kernels.f32_gemm_tn(value, N, value, product, N, N, K, false, scratch);
      const sums = runtime.floats(product, N * N);
      for (let i = 0; i < sums.length; i++) seen.sum[i] += sums[i];
    });
    seen.vectors += K;
  }
}

/**
 * Codes of the dense matrices that `bits` stores in 4 or 3 bits, by the names of their tensors, for storeTensors(). What has no
 * moments is left to it.
 */
export function roundWithMoments(network: Network, bits: StoredBits, moments: InputMoments): Map<string, Uint8Array> {
  const rounded = new Map<string, Uint8Array>();
  const tied = network.spec.layers.find(isTied)?.name;
  for (const leaf of leavesOf(network)) {
    const { name, role, parameter } = leaf;
    const wanted = bits[role] ?? 32;
    const matrix = name === 'embedding' ? tied : name.replace(/\.weight$/, '');
    const sums = wanted <= 4 && parameter.shape.length === 2 && matrix !== undefined ? moments.of(matrix) : undefined;
    if (sums && leaf.group === parameter.shape[1]) rounded.set(name, roundRows(network, leaf, wanted, sums));
  }
  return rounded;
}

function roundRows(network: Network, { parameter }: Leaf, bits: number, sums: Float64Array): Uint8Array {
  const [M, N] = parameter.shape;
  const values = parameter.data.slice();
  const stored = quantise(network.runtime, values, bits, N);
  const scales = new Uint16Array(stored.slice(0, 2 * M).buffer);
  const steps = stepsOf(network, scales);
  const factor = inverseFactor(sums, N);
  const codes = new Int8Array(M * N);
  const least = -(1 << (bits - 1));
  const row = new Float64Array(N);
  for (let i = 0; i < M; i++) {
    row.set(values.subarray(i * N, (i + 1) * N));
    const step = steps[i];
    for (let j = 0; j < N; j++) {
      const code = step === 0 ? 0 : Math.max(least, Math.min(-1 - least, Math.round(row[j] / step)));
      codes[i * N + j] = code;
      const error = (row[j] - code * step) / factor[j * N + j];
      for (let k = j + 1; k < N; k++) row[k] -= error * factor[j * N + k];
    }
  }
  return packCodes(scales, codes, bits);
}

/** Scales as numbers. */
function stepsOf({ runtime }: Network, scales: Uint16Array): Float32Array {
  const n = scales.length;
  return runtime.scoped(() => {
    const from = runtime.alloc(2 * n);
    runtime.bytes(from, 2 * n).set(new Uint8Array(scales.buffer, scales.byteOffset, 2 * n));
    const to = runtime.alloc(4 * n);
    runtime.kernels.f32_from_halves(from, to, n);
    return runtime.floats(to, n).slice();
  });
}

/** The upper triangle U with U^T U = H^-1, of damped moments H. */
function inverseFactor(sums: Float64Array, N: number): Float64Array {
  const H = sums.slice();
  let trace = 0;
  for (let i = 0; i < N; i++) trace += H[i * N + i];
  // Without any input, every rounding is as good.
  const damping = trace > 0 ? (DAMPING * trace) / N : 1;
  for (let i = 0; i < N; i++) H[i * N + i] += damping;
  const lower = cholesky(H, N);
  const inverse = new Float64Array(N * N);
  for (let c = 0; c < N; c++) {
    // Column c of the inverse: L (L^T x) = e_c.
    const x = new Float64Array(N);
    for (let i = c; i < N; i++) {
      let sum = i === c ? 1 : 0;
      for (let k = c; k < i; k++) sum -= lower[i * N + k] * x[k];
      x[i] = sum / lower[i * N + i];
    }
    for (let i = N - 1; i >= 0; i--) {
      let sum = x[i];
      for (let k = i + 1; k < N; k++) sum -= lower[k * N + i] * x[k];
      x[i] = sum / lower[i * N + i];
    }
    for (let i = 0; i < N; i++) inverse[i * N + c] = x[i];
  }
  const factor = cholesky(inverse, N);
  const upper = new Float64Array(N * N);
  for (let i = 0; i < N; i++) for (let j = 0; j <= i; j++) upper[j * N + i] = factor[i * N + j];
  return upper;
}

/** The lower triangle L with L L^T = A, A positive definite. */
function cholesky(A: Float64Array, N: number): Float64Array {
  const L = new Float64Array(N * N);
  for (let i = 0; i < N; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = A[i * N + j];
      for (let k = 0; k < j; k++) sum -= L[i * N + k] * L[j * N + k];
      // Rounding may take what is damped least below zero.
      L[i * N + j] = i === j ? Math.sqrt(Math.max(sum, 1e-30)) : sum / L[j * N + j];
    }
  }
  return L;
}
