import { leavesOf, type StoredBits } from '../nn/leaves.js';
import type { Network } from '../nn/network.js';
import { bitsFor, quantise, toHalves, valuesOf } from '../nn/quantise.js';
import { walk } from '../operators/operator.js';
import { Sparse } from '../operators/sparse.js';
import { riceEncode } from './rice.js';
import type { NamedTensor } from './safetensors.js';

// How small files store the tensors of a network: each role in its own number of bits.

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
  for (const leaf of leavesOf(network)) {
    const { name, role, parameter, places } = leaf;
    const values = valuesOf(leaf);
    const wanted = bitsFor(values, bits[role] ?? 32);
    const shape = places ? [values.length] : parameter.shape;
    if (wanted === 32) {
      tensors.set(name, { dtype: 'F32', shape, data: values });
    } else if (wanted === 16) {
      tensors.set(name, { dtype: 'F16', shape, data: toHalves(runtime, values) });
    } else {
      const group = Math.min(leaf.group, values.length);
      const data = rounded?.get(name) ?? quantise(runtime, values, wanted, group);
      tensors.set(name, { dtype: 'U8', shape: [data.length], data });
      codings[name] = [wanted, group];
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
