// What a file of an intent model says of it, read without any code of training.

import { malformed } from '../../errors.js';
import type { NetworkSpec } from '../../network/spec.js';
import { checkTextConfig, type TextModelConfig } from '../../nn/config.js';
import { checkLabels } from '../../nn/labels.js';
import { lastOutputs, recurrentLayers } from '../../nn/recurrent-layers.js';
import { Vocabulary } from '../../text/vocabulary.js';
import { type Described, expectNetwork, expectTask } from '../schema.js';

export const TASK = 'intent';

/**
 * Embedding, recurrent layers that read a sentence in both directions unless told otherwise, and a softmax head over the
 * states at its ends.
 */
export function intentSpec(config: TextModelConfig, V: number, labels: number): NetworkSpec {
  const { embedding, directions = 2 } = config;
  return {
    input: { tokens: V, width: embedding },
    layers: [
      ...recurrentLayers(config, directions),
      lastOutputs(directions),
      { name: 'head', kind: 'linear', outputs: labels },
    ],
  };
}

/** The settings, the vocabulary of words, and the labels of an intent model. */
export interface IntentSchema {
  config: TextModelConfig;
  vocabulary: Vocabulary;
  labels: string[];
}

/** Throws FileFormatError for a model of another task. */
export function readIntentSchema({ task, network }: Described): IntentSchema {
  expectTask(task, TASK);
  const [config, vocabulary] = [checkTextConfig(task.config), Vocabulary.fromJSON(task.vocabulary)];
  const { level, size } = vocabulary;
  if (level !== 'word') throw malformed('vocabulary.level', level, 'word, for an intent model');
  const labels = checkLabels('metadata.labels', task.labels, malformed);
  expectNetwork(network, intentSpec(config, size, labels.length));
  return { config, vocabulary, labels };
}
