import type { BlockSize } from '../operators/csr.js';
import type { KronShape, Method } from '../operators/methods.js';

export type ModelKind = 'language-model' | 'intent-model';

export interface ModelConfig {
  hidden: number;
  layers: number;
  method: Method;
  /** Asked of every LSTM matrix; 1 for dense. */
  compression: number;
  /** Kronecker factor shapes by hand; the budget solver chooses where there are none. */
  kron?: KronShape;
  /** Consecutive rows of the sparse matrices that are pruned together; 1 where nothing is said. */
  block?: BlockSize;
}

export interface IntentModelConfig extends ModelConfig {
  /** Numbers that stand for a word. */
  embedding: number;
}

/** The settings of the model among others. */
export function modelConfig({ hidden, layers, method, compression, kron, block }: ModelConfig): ModelConfig {
  return { hidden, layers, method, compression, ...(kron && { kron }), ...(block && { block }) };
}

/** Larger models are neither made nor read from files, so that what is made can be read. */
export const LARGEST_HIDDEN = 2 ** 16;
export const MOST_LAYERS = 64;
