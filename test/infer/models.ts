// Small models to run, with random weights.

import { loadSync, type Model as PackedModel } from '../../src/infer/index.js';
import { encodeNetwork } from '../../src/io/model-file.js';
import type { Model } from '../../src/nn/model.js';
import { Network } from '../../src/nn/network.js';
import type { BlockSize } from '../../src/operators/csr.js';
import type { KronShape, Method } from '../../src/operators/methods.js';
import { walk } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
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

/** The file of two LSTM layers over frames of `hidden` numbers, the layers of makeModel(). */
export function framesFile(method: Method, hidden: number): Uint8Array {
  const { network, runtime } = makeModel(method, hidden);
  const layers = [0, 1].map((l) => ({ name: `lstm.${l}`, kind: 'lstm' as const, units: hidden }));
  const biases = network.plainParameters().filter(([name]) => name.startsWith('lstm.'));
  const spec = { input: { frames: hidden }, layers };
  return encodeNetwork(new Network(runtime, spec, new Map(biases), new Map(network.matrices())), { name: 'frames' });
}

export const makeFrames = (method: Method, hidden: number): PackedModel => loadSync(framesFile(method, hidden));
