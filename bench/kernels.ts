// Kernels at the shapes of a training step, beside the limit of 128-bit SIMD measured in the same run and, where that
// ends in time, their slow twins.

import { formatTable } from '../src/cli/table.js';
import { kron } from '../src/operators/factories.js';
import { Sparse } from '../src/operators/sparse.js';
import { uniform } from '../src/random.js';
import * as reference from '../src/reference.js';
import { Runtime } from '../src/wasm/runtime.js';
import { alternate, type Contender, median } from './harness.js';
import { peakContender } from './peak.js';

const runtime = new Runtime();
const { kernels } = runtime;

interface Case extends Contender {
  flops: number; // of one repeat
  twin?: () => void;
}

function noise(n: number): number {
  const at = runtime.alloc(4 * n);
  kernels.f32_uniform(at, n, -1, 1, 1, 0, 0);
  return at;
}

const repeatsFor = (flops: number) => Math.max(1, Math.round(2e6 / flops));

function kernelCase(name: string, flops: number, output: number, run: () => void, twin?: () => void): Case {
  const repeats = repeatsFor(flops);
  return {
    name,
    flops,
    repeats,
    run() {
      for (let i = 0; i < repeats; i++) run();
      return runtime.floats(output, 1)[0];
    },
    ...(twin && { twin }),
  };
}

const slowTn: typeof reference.f32_gemm_nn = (a, b, c, M, ...rest) => reference.f32_gemm_tn(a, M, b, c, M, ...rest);

/** A gemm; `count` is how often a dense training step of the setting below calls it. */
function gemmCase(kind: 'nn' | 'nt' | 'tn', M: number, N: number, K: number): Case {
  const a = noise(M * K);
  const b = noise(N * K);
  const c = runtime.alloc(4 * M * N);
  const scratch = runtime.alloc(kernels.F32_GEMM_SCRATCH.value + 32 * Math.ceil(N / 8) * K);
  const name = `f32_gemm_${kind}` as const;
  const flops = 2 * M * N * K;
  const copy = (at: number, n: number) => Float64Array.from(runtime.floats(at, n));
  const slow = { nn: reference.f32_gemm_nn, nt: reference.f32_gemm_nt, tn: slowTn }[kind];
  const twin = () => slow(copy(a, M * K), copy(b, N * K), new Float64Array(M * N), M, N, K, false);
  const run =
    name === 'f32_gemm_tn'
      ? () => kernels.f32_gemm_tn(a, M, b, c, M, N, K, false, scratch)
      : () => kernels[name](a, b, c, M, N, K, false, scratch);
  return kernelCase(`${name} ${M} x ${N} x ${K}`, flops, c, run, flops < 1e8 ? twin : undefined);
}

// The gemms of one dense training step: two layers of H units, batch B, T steps, V words.
const H = 200;
const B = 32;
const T = 35;
const V = 10_000;
const step: { count: number; contender: Case }[] = [
  { count: 2, contender: gemmCase('nt', T * B, 4 * H, H) }, // W_ih x
  { count: 2 * T, contender: gemmCase('nt', B, 4 * H, H) }, // W_hh h
  { count: 1, contender: gemmCase('nt', T * B, V, H) }, // head
  { count: 1, contender: gemmCase('nn', T * B, H, V) }, // its transpose
  { count: 1, contender: gemmCase('tn', V, H, T * B) }, // its gradient
  { count: 2 * T, contender: gemmCase('nn', B, H, 4 * H) }, // W_hh^T
  { count: 2, contender: gemmCase('nn', T * B, H, 4 * H) }, // W_ih^T
  { count: 4, contender: gemmCase('tn', 4 * H, H, T * B) }, // gradients of W_ih and W_hh
];

const M = 2600;
const N = 650;
const x = noise(T * N);
const y = runtime.alloc(4 * T * M);
const w = noise(M * N);
const factors = kron(runtime, [50, 26, 52, 25]);
const nonzeros = Math.round(M * N * 0.04);
const dopants = new Sparse(runtime, M, N, evenlySpread(M, N, nonzeros));
const gates = noise(4 * N);
const cell = noise(N);

const others: Case[] = [
  kernelCase(`f32_gemv ${M} x ${N}`, 2 * M * N, y, () => kernels.f32_gemv(w, x, y, M, N, false)),
  kernelCase(`Kronecker 50x26 (x) 52x25, 1 row`, 2 * (50 * 25 * 26 + 50 * 25 * 52), y, () => factors.matmul(x, y, 1)),
  kernelCase(`Kronecker 50x26 (x) 52x25, ${T} rows`, 2 * T * (50 * 25 * 26 + 50 * 25 * 52), y, () =>
    factors.matmul(x, y, T),
  ),
  kernelCase(`CSR ${M} x ${N} at 4 %, 1 row`, 2 * nonzeros, y, () => dopants.matmul(x, y, 1)),
  kernelCase(`CSR ${M} x ${N} at 4 %, ${T} rows`, 2 * T * nonzeros, y, () => dopants.matmul(x, y, T)),
  kernelCase(`f32_lstm_cell ${N} units`, 40 * N, y, () => kernels.f32_lstm_cell(gates, cell, y, y, y, 1, N)),
];

const limit: Case = peakContender('plain');

/** The table, and a line on all gemms of a step. */
export async function benchKernels(): Promise<string> {
  const cases = [limit, ...step.map(({ contender }) => contender), ...others];
  const rounds = await alternate(cases);
  const time = ({ name }: Contender) => median(rounds.get(name)!);
  const rate = (contender: Case) => contender.flops / time(contender) / 1000; // GF
  const rows = cases.map((contender) => {
    const us = time(contender);
    let twin = '';
    if (contender.twin) {
      const start = performance.now();
      contender.twin();
      twin = `${(((performance.now() - start) * 1000) / us).toFixed(0)}x`;
    }
    return [
      contender.name,
      us.toFixed(1),
      rate(contender).toFixed(1),
      `${((100 * rate(contender)) / rate(limit)).toFixed(0)} %`,
      twin,
    ];
  });
  const work = step.reduce((sum, { count, contender }) => sum + count * contender.flops, 0);
  const spent = step.reduce((sum, { count, contender }) => sum + count * time(contender), 0);
  const all = work / spent / 1000;
  return `${formatTable({ columns: ['kernel', 'us', 'GF', 'share of limit', 'faster than its twin'], rows })}

All gemms of a dense training step (2 x ${H} units, batch ${B}, BPTT ${T}, ${V} words): ${all.toFixed(1)} GF, ${((100 * all) / rate(limit)).toFixed(0)} % of the limit of ${rate(limit).toFixed(1)} GF.
`;
}

export function evenlySpread(rows: number, cols: number, count: number) {
  const places = new Set<number>();
  for (let i = 0; places.size < count; i++) places.add(Math.floor(uniform(1, 1, i) * rows * cols));
  const sorted = [...places].sort((a, b) => a - b);
  const starts = new Uint32Array(rows + 1);
  for (const place of sorted) starts[Math.floor(place / cols) + 1]++;
  for (let i = 0; i < rows; i++) starts[i + 1] += starts[i];
  return {
    values: Float32Array.from(sorted, (_, i) => uniform(1, 2, i)),
    columns: Uint32Array.from(sorted, (place) => place % cols),
    starts,
  };
}
