// Small models to run, with random weights.

import { LanguageModel } from '../../src/nn/language-model.js';
import type { Model } from '../../src/nn/model.js';
import type { BlockSize } from '../../src/operators/csr.js';
import type { KronShape, Method } from '../../src/operators/methods.js';
import { walk } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';

export const vocabulary = buildVocabulary(
  ['the cat sat on the mat and the dog lay down by it, a b c d e f g h'],
  'word',
);

/** A model with weights from a seed, its sparse matrices pruned to a sparsity each. */
export function makeModel(
  method: Method,
  hidden: number,
  sparsity = 0.9,
  block: BlockSize = 1,
  kron?: KronShape,
): LanguageModel {
  const config = { hidden, layers: 2, method, compression: method === 'dense' ? 1 : 2, block, ...(kron && { kron }) };
  return prune(LanguageModel.create(new Runtime(), config, vocabulary, 7), sparsity);
}

/** The model, each of its sparse matrices pruned to this sparsity. */
export function prune<M extends Model>(model: M, sparsity: number): M {
  for (const [name, matrix] of model.matrices()) {
    for (const [, part] of walk(matrix, name)) {
      if (part instanceof Sparse) Sparse.prune([part], Math.round(part.M * part.N * (1 - sparsity)));
    }
  }
  return model;
}
