// What a file of a language model says of it, read without any code of training.

import type { LayerSpec, NetworkSpec } from '../../network/spec.js';
import { checkConfig, type ModelConfig } from '../../nn/config.js';
import { recurrentLayers } from '../../nn/recurrent-layers.js';
import { Vocabulary } from '../../text/vocabulary.js';
import { type Described, expectNetwork, expectTask } from '../schema.js';

export const TASK = 'lm';

/** Embedding, recurrent layers that read forward, and softmax head, whole or adaptive. */
export function languageModelSpec(config: ModelConfig, V: number): NetworkSpec {
  const { hidden, embedding = hidden, tied, cutoffs } = config;
  const head: LayerSpec = cutoffs
    ? { name: 'head', kind: 'adaptive', outputs: V, cutoffs }
    : { name: 'head', kind: 'linear', outputs: V, ...(tied && { tied }) };
  return { input: { tokens: V, width: embedding }, layers: [...recurrentLayers(config, 1), head] };
}

/** The settings and the vocabulary of a language model. */
export interface LanguageSchema {
  config: ModelConfig;
  vocabulary: Vocabulary;
}

/** Throws FileFormatError for a model of another task. */
export function readLanguageSchema({ task, network }: Described): LanguageSchema {
  expectTask(task, TASK);
  const [config, vocabulary] = [checkConfig(task.config), Vocabulary.fromJSON(task.vocabulary)];
  expectNetwork(network, languageModelSpec(config, vocabulary.size));
  return { config, vocabulary };
}
