import type { Model } from '../nn/model.js';
import { Dense } from '../operators/dense.js';
import { Int8 } from '../operators/int8.js';
import { walk } from '../operators/operator.js';
import { Sparse } from '../operators/sparse.js';
import { leafTensors } from './tensors.js';

/** One matrix or vector of a model, as its file stores it. */
export interface InventoryEntry {
  name: string;
  kind: 'dense' | 'int8' | 'sparse' | 'vector';
  shape: number[];
  nnz: number;
  bytes: number;
}

/** The parts of a model, and how far its LSTM matrices are compressed. */
export interface Inventory {
  method: string;
  compression: {
    /**
     * Parameters of the dense LSTM matrices / parameters and nonzeros stored; biases are left out on both sides. Undefined if
     * everything has been pruned.
     */
    parameters?: number;
    /** Bytes of the dense f32 LSTM matrices / bytes stored for them, indices included. */
    bytes: number;
  };
  parameters: { lstm: number; total: number };
  tensors: InventoryEntry[];
}

/** Lists the matrices and vectors of a model, and computes its compression. */
export function takeInventory(model: Model): Inventory {
  const leaves = new Map<string, InventoryEntry>();
  for (const [name, operator] of model.operators()) {
    for (const [path, leaf] of walk(operator, name)) {
      const bytes = [...leafTensors(leaf, path).values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      const shape = [leaf.M, leaf.N];
      if (leaf instanceof Sparse) leaves.set(path, { name: path, kind: 'sparse', shape, nnz: leaf.nonzeros, bytes });
      else if (leaf instanceof Dense)
        leaves.set(path, {
          name: path,
          kind: leaf instanceof Int8 ? 'int8' : 'dense',
          shape,
          nnz: leaf.weight.size,
          bytes,
        });
    }
  }
  const vectors = model.loose().map(
    ([name, { shape, size }]): InventoryEntry => ({
      name,
      kind: shape.length === 1 ? 'vector' : 'dense',
      shape: [...shape],
      nnz: size,
      bytes: 4 * size,
    }),
  );
  const tensors = [...vectors, ...leaves.values()];
  const lstm = [...leaves.values()].filter(({ name }) => name.startsWith('lstm.'));
  const sum = (entries: InventoryEntry[], key: 'nnz' | 'bytes') =>
    entries.reduce((total, entry) => total + entry[key], 0);
  const kept = sum(lstm, 'nnz');
  const dense = model.matrices().reduce((total, [, { M, N }]) => total + M * N, 0);
  return {
    method: model.config.method,
    compression: { ...(kept && { parameters: dense / kept }), bytes: (4 * dense) / sum(lstm, 'bytes') },
    parameters: { lstm: kept, total: sum(tensors, 'nnz') },
    tensors,
  };
}
