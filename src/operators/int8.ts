import { InputError, invalid } from '../errors.js';
import type { Runtime } from '../wasm/runtime.js';
import { Dense } from './dense.js';
import type { OperatorSpec } from './spec.js';

/** Row i of the matrix is scales[i] times row i of weight, whose numbers are -127 to 127. */
export interface Int8Arrays {
  weight: Int8Array; // [M,N]
  scales: Float32Array; // [M]
}

/** A matrix of 8-bit integers for inference; in training code it runs as the dense matrix that it stands for. */
export class Int8 extends Dense {
  constructor(
    runtime: Runtime,
    M: number,
    N: number,
    readonly arrays: Int8Arrays,
  ) {
    super(runtime, M, N);
    if (arrays.weight.length !== M * N) throw invalid('weight.length', arrays.weight.length, `${M * N}`);
    if (arrays.scales.length !== M) throw invalid('scales.length', arrays.scales.length, `${M}`);
    const { data } = this.weight;
    for (let i = 0; i < data.length; i++) data[i] = arrays.weight[i] * arrays.scales[Math.floor(i / N)];
  }

  override fit(): void {
    throw new InputError('fit(): got an 8-bit matrix; expected one that can be trained');
  }

  override spec(): OperatorSpec {
    return { type: 'int8', shape: [this.M, this.N] };
  }
}

/** Quantises each row to 8-bit integers; its largest magnitude becomes 127. */
export function quantise(values: Float32Array, M: number, N: number): Int8Arrays {
  const weight = new Int8Array(M * N);
  const scales = new Float32Array(M);
  for (let i = 0; i < M; i++) {
    const row = values.subarray(i * N, (i + 1) * N);
    const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    scales[i] = largest / 127;
    // A scale below the smallest float is 0.
    if (scales[i] > 0) weight.set(row.map((value) => Math.round(value / scales[i])).map(clamp), i * N);
  }
  return { weight, scales };
}

const clamp = (value: number) => Math.max(-127, Math.min(127, value));
