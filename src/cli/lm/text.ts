import { invalid } from '../../errors.js';
import { sampleTexts } from '../../text/split.js';
import type { Level, Rule } from '../../text/tokens.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import type { Input } from '../outputs.js';
import type { RunSource } from '../task.js';
import { type Corpus, isTextFile } from './corpus.js';

/** What a language model is trained on. */
export interface TextSource extends RunSource {
  level: Level;
  /** At word level, how text becomes tokens; chosen by the text where it is left out. */
  rule?: Rule;
  vocab?: number;
  /** Tokens are pieces of words. */
  subwords?: boolean;
  maxTokens?: number;
}

/** One stream of tokens from many texts, with a line break between two. */
export function encodeTexts(texts: readonly string[], vocabulary: Vocabulary): Int32Array {
  return vocabulary.encode(texts.join('\n'));
}

/** Throws InputError for a text without a token to predict. */
export function checkLength(ids: Int32Array, split: string): void {
  if (ids.length < 2) {
    throw invalid(`${split} text`, ids.length, 'at least 2 tokens: one to read and one to predict');
  }
}

/** What readCorpus reads. */
export const textInputs = (data: string): Input[] =>
  data === 'sotu' ? [] : [{ option: '--data', path: data, reads: isTextFile }];

export const ruleOf = (corpus: Corpus, { level, rule }: TextSource) =>
  level === 'char' ? level : (rule ?? corpus.rule ?? level);

export const trainingTexts = (corpus: Corpus, source: TextSource) =>
  source.maxTokens === undefined ? corpus.train : sampleTexts(corpus.train, ruleOf(corpus, source), source.maxTokens);
