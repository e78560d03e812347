// What a file of a model of tags says of it, read without any code of training.

import { malformed } from '../../errors.js';
import type { NetworkSpec } from '../../network/spec.js';
import { checkTextConfig, type TextModelConfig } from '../../nn/config.js';
import { checkLabels } from '../../nn/labels.js';
import { recurrentLayers } from '../../nn/recurrent-layers.js';
import { Vocabulary } from '../../text/vocabulary.js';
import { type Described, expectNetwork, expectTask } from '../schema.js';

export const TASK = 'tag';

/** Embedding, recurrent layers that read in both directions unless told otherwise, and a softmax head at every word. */
export function tagSpec(config: TextModelConfig, V: number, tags: number): NetworkSpec {
  const { embedding, directions = 2 } = config;
  return {
    input: { tokens: V, width: embedding },
    layers: [...recurrentLayers(config, directions), { name: 'head', kind: 'linear', outputs: tags }],
  };
}

/** The settings, the vocabulary of words, and the tags of a model. */
export interface TagSchema {
  config: TextModelConfig;
  vocabulary: Vocabulary;
  tags: string[];
}

/** Throws FileFormatError for a model of another task. */
export function readTagSchema({ task, network }: Described): TagSchema {
  expectTask(task, TASK);
  const [config, vocabulary] = [checkTextConfig(task.config), Vocabulary.fromJSON(task.vocabulary)];
  const { level, size } = vocabulary;
  if (level !== 'word') throw malformed('vocabulary.level', level, 'word, for a model of tags');
  const tags = checkLabels('metadata.tags', task.tags, malformed);
  expectNetwork(network, tagSpec(config, size, tags.length));
  return { config, vocabulary, tags };
}
