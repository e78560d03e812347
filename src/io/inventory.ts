import { leavesOf, type Role } from '../nn/leaves.js';
import type { Network } from '../nn/network.js';
import { Dense } from '../operators/dense.js';
import { walk } from '../operators/operator.js';
import { Sparse } from '../operators/sparse.js';
import type { StoredFile } from './measure-file.js';
import { leafTensors } from './tensors.js';

/** One matrix or vector of a model, as its file stores it. */
export interface InventoryEntry {
  /** Its name in files. */
  name: string;
  /** What it is. */
  kind: 'dense' | 'sparse' | 'vector';
  /** What it is for: small files may store each role in other bits. */
  role: Role;
  /** Sides, row-major. */
  shape: number[];
  /** Numbers stored: of a sparse matrix, those that are left. */
  nnz: number;
  /** Bytes stored, indices included. */
  bytes: number;
}

/** The parts of a model, and how far its matrices are compressed, the recurrent ones and all others that are not dense. */
export interface Inventory {
  /** The method of its settings; without any, the types of its compressed matrices. */
  method: string;
  /** How many times smaller than the dense matrices. */
  compression: {
    /**
     * Parameters of the dense recurrent matrices / parameters and nonzeros stored; biases are left out on both sides. Undefined if
     * everything has been pruned.
     */
    parameters?: number;
    /** Bytes of the dense f32 recurrent matrices / bytes stored for them, indices included. */
    bytes: number;
    /**
     * Bytes of the file that the model would have with dense f32 matrices, none of them tied / bytes of its own: what a user
     * downloads. Only for a model whose file was given.
     */
    file?: number;
  };
  /** `lstm`: those stored for the recurrent matrices, of whatever cell, and for all others that are compressed. */
  parameters: { lstm: number; total: number };
  /** Vectors and tables first, then the leaves of the matrices. */
  tensors: InventoryEntry[];
}

/** A network, or a model, whose settings name its method. */
type Listed = Pick<Network, 'operators' | 'plainParameters' | 'matrices' | 'spec'> & {
  readonly config?: { method: string };
};

/**
 * Lists the matrices and vectors of a network or a model, and computes its compression. For a network,
 * whose settings nobody knows, the method is the type of its compressed matrices, such as 'sum', or all their types.
 *
 * @param file the file of the model, as measureFile() finds it: then bytes are what it stores; otherwise those of f32
 * @example takeInventory(model, measureFile(bytes)).compression; // { parameters: 25.1, bytes: 61.4, file: 24.9 }
 */
export function takeInventory(model: Listed, file?: StoredFile): Inventory {
  const bytesOf = (...names: string[]) => names.reduce((sum, name) => sum + (file!.tensors.get(name) ?? 0), 0);
  const roles = new Map(leavesOf(model).map(({ name, role }) => [name, role]));
  const leaves = new Map<string, InventoryEntry>();
  for (const [name, operator] of model.operators()) {
    for (const [path, leaf] of walk(operator, name)) {
      const isSparse = leaf instanceof Sparse;
      if (!isSparse && !(leaf instanceof Dense)) continue;
      const tensors = [...leafTensors(leaf, path)];
      const bytes = file
        ? bytesOf(...tensors.map(([tensor]) => tensor), `${path}.gaps`)
        : tensors.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
      leaves.set(path, {
        name: path,
        kind: isSparse ? 'sparse' : 'dense',
        role: roles.get(tensors[0][0])!,
        shape: [leaf.M, leaf.N],
        nnz: isSparse ? leaf.nonzeros : leaf.weight.size,
        bytes,
      });
    }
  }
  const vectors = model.plainParameters().map(
    ([name, { shape, size }]): InventoryEntry => ({
      name,
      kind: shape.length === 1 ? 'vector' : 'dense',
      role: roles.get(name)!,
      shape: [...shape],
      nnz: size,
      bytes: file ? bytesOf(name) : 4 * size,
    }),
  );
  const tensors = [...vectors, ...leaves.values()];
  const inside = new Set(
    model.matrices().flatMap(([name, operator]) => [...walk(operator, name)].map(([path]) => path)),
  );
  const recurrent = [...leaves.values()].filter(({ name }) => inside.has(name));
  const sum = (entries: InventoryEntry[], key: 'nnz' | 'bytes') =>
    entries.reduce((total, entry) => total + entry[key], 0);
  const kept = sum(recurrent, 'nnz');
  const dense = model.matrices().reduce((total, [, { M, N }]) => total + M * N, 0);
  return {
    method: model.config?.method ?? typesOf(model),
    compression: {
      ...(kept && { parameters: dense / kept }),
      // Of a matrix that is pruned to nothing, a small file holds no byte.
      bytes: (4 * dense) / Math.max(1, sum(recurrent, 'bytes')),
      ...(file && { file: file.dense / file.size }),
    },
    parameters: { lstm: kept, total: sum(tensors, 'nnz') },
    tensors,
  };
}

/** The types of the matrices of a network that are compressed. */
function typesOf(model: Listed): string {
  return [...new Set(model.matrices().map(([, operator]) => operator.spec().type))].join(', ');
}
