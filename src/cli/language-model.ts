import { invalid } from '../errors.js';
import { type EncodedCorpus, LanguageModelTraining } from '../tasks/language-model.js';
import { buildVocabulary } from '../text/build-vocabulary.js';
import { sampleTexts } from '../text/split.js';
import { isRule, type Level, type Rule } from '../text/tokens.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { type Corpus, isTextFile, readCorpus } from './corpus.js';
import type { Input } from './outputs.js';
import type { Task } from './training.js';
import { unknownTokens } from './unknown.js';

/** What a language model is trained on. */
export interface TextSource {
  data: string;
  level: Level;
  /** At word level, how text becomes tokens; chosen by the text where it is left out. */
  rule?: Rule;
  vocab?: number;
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

const ruleOf = (corpus: Corpus, { level, rule }: TextSource) =>
  level === 'char' ? level : (rule ?? corpus.rule ?? level);

const trainingTexts = (corpus: Corpus, source: TextSource) =>
  source.maxTokens === undefined ? corpus.train : sampleTexts(corpus.train, ruleOf(corpus, source), source.maxTokens);

export const languageModelTask: Task<TextSource, Corpus, LanguageModelTraining, EncodedCorpus> = {
  training: LanguageModelTraining,
  wanted: "a text file, a folder, or 'sotu'",
  isSource: ({ level, rule, vocab, maxTokens }) => {
    const whole = (field: unknown) => field === undefined || Number.isSafeInteger(field);
    const known = rule === undefined || (rule !== 'char' && isRule(rule));
    return (level === 'word' || level === 'char') && known && whole(vocab) && whole(maxTokens);
  },
  read: ({ data, level }) => readCorpus(data, level),
  inputs: textInputs,
  vocabulary: (corpus, source) => buildVocabulary(trainingTexts(corpus, source), ruleOf(corpus, source), source.vocab),
  encode(corpus, source, vocabulary) {
    const train = encodeTexts(trainingTexts(corpus, source), vocabulary);
    return { train: train.slice(0, source.maxTokens), valid: encodeTexts(corpus.valid, vocabulary) };
  },
  describe: ({ corpus: { train }, model: { vocabulary } }, { name }) =>
    `${name}: ${train.length} training tokens, vocabulary ${vocabulary.size}`,
  unknown: ({ corpus: { train, valid } }) => ({
    train: { tokens: unknownTokens([train]) },
    valid: { tokens: unknownTokens([valid]) },
  }),
  test(training, corpus) {
    const ids = encodeTexts(corpus.test, training.model.vocabulary);
    checkLength(ids, 'test');
    return {
      unknown: { tokens: unknownTokens([ids]) },
      *measure() {
        return { perplexity: yield* training.perplexityInParts(ids) };
      },
    };
  },
};
