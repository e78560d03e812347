import type { Network } from '../nn/network.js';
import { Dense } from '../operators/dense.js';
import { walk } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Sparse } from '../operators/sparse.js';
import type { Runtime } from '../wasm/runtime.js';
import { riceEncode } from './rice.js';
import type { NamedTensor } from './safetensors.js';

// How small files store the tensors of a network: each role in its own number of bits.

/** What a tensor is for: files may store each role in other bits. */
export const ROLES = ['embedding', 'head', 'factors', 'dopants', 'dense', 'vectors'] as const;
/**
 * What a tensor is for: the embedding; the matrix of the last layer, unless it is compressed; the structure of compressed
 * matrices; their sparse part; other dense matrices; biases.
 */
export type Role = (typeof ROLES)[number];

/** Bits that a number may have in files. */
export const BITS = [32, 16, 8, 4, 3] as const;
/** Bits of a number in files: f32, f16, or codes with scales of f16. */
export type Bits = (typeof BITS)[number];

/** Bits of a number in files for each role; 32 where nothing is said. */
export type StoredBits = { readonly [role in Role]?: Bits };

/** Numbers of a network that files store together. */
export interface Leaf {
  /** The name of their tensor. */
  name: string;
  role: Role;
  parameter: Parameter;
  /** Of the numbers in memory, those that are stored, in order; all where it is left out. */
  places?: Uint32Array;
  /** Consecutive numbers that share a scale where they are quantised. */
  group: number;
}

/** Numbers that share a scale where rows are not used one by one: 0.25 bits more for each. */
const GROUP = 64;

/** The largest number that f16 stores, with room for rounding. */
const LARGEST_STORED = 65000;

/** All numbers of a network that are stored, by the names of their tensors. */
export function leavesOf(network: Network): Leaf[] {
  const last = network.spec.layers[network.spec.layers.length - 1];
  const leaves: Leaf[] = network.plainParameters().map(([name, parameter]) => {
    const isTable = parameter.shape.length === 2;
    const group = isTable ? parameter.shape[1] : GROUP;
    return { name, role: isTable ? 'embedding' : 'vectors', parameter, group };
  });
  for (const [name, operator] of network.operators()) {
    for (const [path, leaf] of walk(operator, name)) {
      if (leaf instanceof Sparse) {
        const places = leaf.stored();
        leaves.push({ name: `${path}.values`, role: 'dopants', parameter: leaf.weight, places, group: GROUP });
      } else if (leaf instanceof Dense) {
        const whole = leaf === operator;
        const role = !whole ? 'factors' : name === last.name && last.kind === 'linear' ? 'head' : 'dense';
        leaves.push({ name: `${path}.weight`, role, parameter: leaf.weight, group: whole ? leaf.N : GROUP });
      }
    }
  }
  return leaves;
}

/** Tensors in few bits, and the `coding` of their file. */
export interface Stored {
  tensors: Map<string, NamedTensor>;
  codings: Record<string, [bits: number, group: number]>;
}

/**
 * Stores the tensors of a network in few bits, every number as the nearest that its bits can be; `rounded` are codes that were
 * chosen otherwise, see packCodes().
 */
export function storeTensors(network: Network, bits: StoredBits, rounded?: ReadonlyMap<string, Uint8Array>): Stored {
  const { runtime } = network;
  const tensors = new Map<string, NamedTensor>();
  const codings: Stored['codings'] = {};
  for (const { name, role, parameter, places, group } of leavesOf(network)) {
    const all = parameter.data;
    const values = places ? Float32Array.from(places, (place) => all[place]) : all.slice();
    const wanted = bits[role] ?? 32;
    const shape = places ? [values.length] : parameter.shape;
    if (wanted === 32 || values.length === 0 || values.some((value) => Math.abs(value) > LARGEST_STORED)) {
      tensors.set(name, { dtype: 'F32', shape, data: values });
    } else if (wanted === 16) {
      tensors.set(name, { dtype: 'F16', shape, data: toHalves(runtime, values) });
    } else {
      const shared = Math.min(group, values.length);
      const data = rounded?.get(name) ?? quantise(runtime, values, wanted, shared);
      tensors.set(name, { dtype: 'U8', shape: [data.length], data });
      codings[name] = [wanted, shared];
    }
  }
  for (const [name, operator] of network.operators()) {
    for (const [path, leaf] of walk(operator, name)) {
      if (leaf instanceof Sparse) tensors.set(`${path}.gaps`, gapsOf(leaf));
    }
  }
  return { tensors, codings };
}

function gapsOf(sparse: Sparse): NamedTensor {
  const { columns, starts } = sparse.blocks();
  const data = riceEncode(columns, starts, sparse.N);
  return { dtype: 'U8', shape: [data.length], data };
}

/** The form of assembly/codes.ts: scales and codes. */
export function quantise(runtime: Runtime, values: Float32Array, bits: number, group: number): Uint8Array {
  const n = values.length;
  const bytes = quantisedBytes(n, bits, group);
  return runtime.scoped(() => {
    const from = runtime.alloc(4 * n);
    runtime.floats(from, n).set(values);
    const to = runtime.zeros(bytes + 1);
    runtime.kernels.f32_quantise(from, to, n, bits, group);
    return runtime.bytes(to, bytes).slice();
  });
}

/** Bytes of n numbers of so many bits, with a scale for each group. */
export const quantisedBytes = (n: number, bits: number, group: number): number =>
  2 * Math.ceil(n / group) + Math.ceil((n * bits) / 8);

/** The same form from scales, f16, and codes from -2^(bits-1) on. */
export function packCodes(scales: Uint16Array, codes: ArrayLike<number>, bits: number): Uint8Array {
  const bytes = new Uint8Array(2 * scales.length + Math.ceil((codes.length * bits) / 8));
  for (const [i, scale] of scales.entries()) {
    bytes[2 * i] = scale & 255;
    bytes[2 * i + 1] = scale >> 8;
  }
  for (let i = 0; i < codes.length; i++) {
    const at = i * bits;
    const place = 2 * scales.length + (at >> 3);
    const code = (codes[i] + (1 << (bits - 1))) << (at & 7);
    bytes[place] |= code & 255;
    if (code > 255) bytes[place + 1] |= code >> 8;
  }
  return bytes;
}

function toHalves(runtime: Runtime, values: Float32Array): Uint16Array {
  const n = values.length;
  return runtime.scoped(() => {
    const from = runtime.alloc(4 * n);
    runtime.floats(from, n).set(values);
    const to = runtime.alloc(2 * n);
    runtime.kernels.f32_to_halves(from, to, n);
    return new Uint16Array(runtime.bytes(to, 2 * n).slice().buffer);
  });
}
