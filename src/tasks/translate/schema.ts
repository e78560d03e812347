// What a file of a model of translation says of it, read without any code of training.

import { malformed } from '../../errors.js';
import type { AttentionSpec, NetworkSpec } from '../../network/spec.js';
import { checkTextConfig, type TextModelConfig } from '../../nn/config.js';
import { recurrentLayers } from '../../nn/recurrent-layers.js';
import { Vocabulary } from '../../text/vocabulary.js';
import { isObject } from '../../values.js';
import { type Described, expectNetwork, expectTask } from '../schema.js';

export const TASK = 'translate';

/** Scores of attention. */
export const SCORES = ['general', 'dot'] as const;

/** The settings of a model of translation. */
export interface TranslationConfig extends TextModelConfig {
  /** How attention compares a step of the decoder with one of the encoder, see AttentionSpec. */
  score: AttentionSpec['score'];
  /** Input feeding, see AttentionSpec. */
  feed?: true;
}

/**
 * An encoder of recurrent layers, which read in both directions unless told otherwise, with `hidden` outputs; a decoder of as many
 * layers of `hidden` units, attention, and a softmax head.
 */
export function translationSpec(config: TranslationConfig, source: number, target: number): NetworkSpec {
  const { hidden, embedding, directions = 2, score, feed, tied } = config;
  return {
    input: { tokens: target, width: embedding },
    layers: [
      ...recurrentLayers(config, 1),
      // A head that is the embedding reads as many numbers as that is wide.
      { name: 'attention', kind: 'attention', outputs: tied ? embedding : hidden, score, ...(feed && { feed }) },
      { name: 'head', kind: 'linear', outputs: target, ...(tied && { tied }) },
    ],
    encoder: {
      input: { tokens: source, width: embedding },
      layers: recurrentLayers({ ...config, hidden: hidden / directions }, directions),
    },
  };
}

/** What a model of translation reads and writes. */
export interface Vocabularies {
  source: Vocabulary;
  target: Vocabulary;
  /** The names of the two languages, as in the names of the files that it was trained on. */
  languages: readonly [source: string, target: string];
}

/** The settings and the vocabularies of a model of translation. */
export interface TranslationSchema extends Vocabularies {
  config: TranslationConfig;
}

/** A name of a language is a part of the names of files. */
const LANGUAGE = /^[\w-]{1,35}$/;

/** Whether something is the name of a language. */
export const isLanguage = (name: unknown): name is string => typeof name === 'string' && LANGUAGE.test(name);

/** The vocabularies as JSON has them. Throws FileFormatError. */
export function readVocabularies({ source, target, languages }: Record<string, unknown>): Vocabularies {
  const vocabularies = { source: Vocabulary.fromJSON(source), target: Vocabulary.fromJSON(target) };
  for (const [name, { level }] of Object.entries(vocabularies)) {
    if (level !== 'word') throw malformed(`${name}.level`, level, 'word, for a model of translation');
  }
  if (!Array.isArray(languages) || languages.length !== 2 || !languages.every(isLanguage)) {
    throw malformed('languages', languages, 'the names of two languages');
  }
  return { ...vocabularies, languages: [languages[0], languages[1]] };
}

/** The settings as JSON has them. Throws FileFormatError. */
export function checkTranslationConfig(value: unknown): TranslationConfig {
  const config = checkTextConfig(value);
  const { score, feed } = isObject(value) ? value : {};
  const known = SCORES.find((one) => one === score);
  if (!known) throw malformed('config.score', score, `one of ${SCORES.join(', ')}`);
  if (feed !== undefined && feed !== true) throw malformed('config.feed', feed, 'true, or nothing');
  if (config.hidden % (config.directions ?? 2)) {
    throw malformed('config.hidden', config.hidden, 'an even number, half of it for each direction of the encoder');
  }
  return { ...config, score: known, ...(feed && { feed }) };
}

/** Throws FileFormatError for a model of another task. */
export function readTranslationSchema({ task, network }: Described): TranslationSchema {
  expectTask(task, TASK);
  const config = checkTranslationConfig(task.config);
  const vocabularies = readVocabularies(task);
  const { source, target } = vocabularies;
  expectNetwork(network, translationSpec(config, source.size, target.size));
  return { config, ...vocabularies };
}
