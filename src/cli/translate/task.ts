import { invalid } from '../../errors.js';
import { initSync, loadSync, Translator } from '../../infer/index.js';
import { exp } from '../../math.js';
import { encodeModel } from '../../tasks/model-file.js';
import { bleu } from '../../tasks/translate/bleu.js';
import { decodeTranslationModel, type TranslationModel } from '../../tasks/translate/model.js';
import { isLanguage, SCORES, type TranslationConfig, type Vocabularies } from '../../tasks/translate/schema.js';
import {
  defaultTranslationOptions,
  type Pairs,
  type TranslationData,
  type TranslationOptions,
  TranslationTraining,
  translationLossInParts,
  translationVocabularies,
} from '../../tasks/translate/training.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import { part, type Work } from '../../work.js';
import { counted } from '../counted.js';
import { option } from '../option.js';
import { number, oneOf, type Parser, path, whole } from '../parsers.js';
import type { Measured, RunSource, Start, Task } from '../task.js';
import { medians, tenWords } from '../timing.js';
import { optimizerOf, SMALLEST_VOCABULARY, sourceOf, type TrainArguments, trainingOptions } from '../train-options.js';
import { percent, unknownTokens } from '../unknown.js';
import { commands } from './commands.js';
import { LAYOUT, type Lines, readTranslations, type TranslationCorpus, translationInputs } from './read.js';

interface TranslationArguments extends TrainArguments {
  source?: string;
  target?: string;
  words?: boolean;
  embedding?: number;
  score?: TranslationConfig['score'];
  feed?: boolean;
  tie?: boolean;
  labelSmoothing?: number;
  patience?: number;
}

export interface TranslationSource extends RunSource {
  source: string;
  target: string;
  vocab?: number;
  words?: boolean;
}

/** How a corpus is translated to be measured. */
const BEAM = 4;

const language: Parser<string> = (text, name) => {
  if (isLanguage(text)) return text;
  throw invalid(name, text, 'the end of the names of its files, such as de');
};

const encodeAll = (texts: readonly string[], vocabulary: Vocabulary) =>
  texts.map((text) => vocabulary.encodeSentence(text));

const encodePairs = ({ sources, targets }: Lines, { source, target }: Vocabularies): Pairs => ({
  sources: encodeAll(sources, source),
  targets: encodeAll(targets, target),
});

export const translationTask: Task<
  TranslationSource,
  TranslationCorpus,
  TranslationTraining,
  TranslationData,
  Vocabularies
> = {
  training: TranslationTraining,
  about: 'train a model that translates, an encoder and a decoder with attention, of compressed LSTMs or GRUs',
  wanted: LAYOUT,
  options: () => [
    option(
      '--data <path>',
      'folder with the files train.SOURCE and train.TARGET, val.* or valid.*, and optionally test.*: a text per line, its translation in the same line of the other file',
      path,
    ),
    option('--source <language>', 'the language to read: the end of the names of its files, such as de', language),
    option('--target <language>', 'the language to write, such as en', language),
    option(
      '--vocab <n>',
      'most tokens of each language: pieces of words (default: 4000), or words with --words (default: 10000)',
      whole(SMALLEST_VOCABULARY),
    ),
    option('--words', 'read and write words that are frequent enough, instead of pieces of words'),
    option('--embedding <n>', 'width of the embeddings (default: 256)', whole(1)),
    option(
      '--score <name>',
      'how attention compares steps: general, with a matrix, or dot (default: general)',
      oneOf(SCORES),
    ),
    option('--feed', 'input feeding: the decoder also reads what attention gave at the step before'),
    option('--tie', 'use the embedding of the decoder as the softmax head, too'),
    option('--label-smoothing <x>', 'share of a target that all tokens have alike (default: 0.1)', number),
    option(
      '--patience <n>',
      'early stopping: end once the validation perplexity has not improved for n passes after the pruning, and keep the model of the best pass; 0 for all epochs and the last model (default: 0)',
      whole(0),
    ),
  ],
  defaults: {
    hidden: '256, of which each direction of the encoder has half',
    layers: '1 in the encoder and 1 in the decoder',
    directions: '2, of the encoder',
    compression: '10',
    lr: 'adam 0.01; sgd 1',
    dropout: '0.1',
    batch: '64',
    epochs: '10',
    freeRate: 'adam 0.3,1; sgd 1,0',
    schedule: 'linear with adam, decay with sgd',
  },
  examples: [
    'dopant train translate --data multi30k --source de --target en --out de-en.safetensors',
    'dopant train translate --data multi30k --source de --target en --vocab 3000 --tie --checkpoint run1',
    'dopant translate de-en.safetensors "ein mann liest ein buch ."',
  ],
  start(given: TranslationArguments): Start<TranslationSource, TranslationOptions> {
    const { source, target, vocab, words, embedding, score, feed, tie, labelSmoothing, patience } = given;
    const defaults = defaultTranslationOptions(optimizerOf(given));
    const where = sourceOf(given, LAYOUT);
    if (source === undefined) throw invalid('--source', source, 'the language to read, such as de');
    if (target === undefined) throw invalid('--target', target, 'the language to write, such as en');
    if (source === target) throw invalid('--target', target, 'another language than --source');
    return {
      source: { ...where, source, target, ...(vocab && { vocab }), ...(words && { words }) },
      options: {
        ...trainingOptions(given, defaults, 2),
        embedding: embedding ?? defaults.embedding,
        score: score ?? defaults.score,
        ...(feed && { feed: true as const }),
        ...(tie && { tied: true as const }),
        labelSmoothing: labelSmoothing ?? defaults.labelSmoothing,
        patience: patience ?? defaults.patience,
      },
    };
  },
  isSource: ({ source, target, vocab, words }) =>
    isLanguage(source) &&
    isLanguage(target) &&
    (vocab === undefined || Number.isSafeInteger(vocab)) &&
    (words === undefined || typeof words === 'boolean'),
  read: ({ data, source, target }) => readTranslations(data, [source, target]),
  readFor: ({ vocabularies }, data) => readTranslations(data, vocabularies.languages),
  inputs: translationInputs,
  schema: ({ train }, { source, target, vocab, words }, like) =>
    (like as TranslationModel | undefined)?.vocabularies ??
    translationVocabularies(train.sources, train.targets, [source, target], { subwords: !words, size: vocab }),
  encode: ({ train, valid }, _, vocabularies) => ({
    train: encodePairs(train, vocabularies),
    valid: encodePairs(valid, vocabularies),
  }),
  describe: ({ model: { vocabularies } }, { name, train, test }) => {
    const { languages, source, target } = vocabularies;
    return `${name}: ${train.sources.length} training texts, ${languages.join(' to ')}, vocabularies ${source.size} and ${target.size}${test ? '' : '; no test files: valid will be evaluated'}`;
  },
  describeModel: ({ vocabularies: { languages }, config: { layers } }) =>
    `model of translation, ${languages.join(' to ')}, ${counted(layers, 'layer')} each`,
  unknown: ({ data: { train, valid } }) => ({
    train: { tokens: unknownTokens([...train.sources, ...train.targets]) },
    valid: { tokens: unknownTokens([...valid.sources, ...valid.targets]) },
  }),
  measurement(model, corpus, split) {
    const lines = corpus[split];
    if (!lines) return undefined;
    const pairs = encodePairs(lines, model.vocabularies);
    const unknown = unknownTokens([...pairs.sources, ...pairs.targets]);
    return {
      unknown: { tokens: unknown },
      size: `${lines.sources.length} texts`,
      measureInParts: () => measure(model, lines, pairs, unknown),
    };
  },
  testName: 'test files',
  decode: decodeTranslationModel,
  time(model) {
    const translator = new Translator(model);
    const text = tenWords(translator.source.tokens.slice(2));
    return { sentence: medians([() => translator.translate(text)], 10)[0] };
  },
  commands,
};

/** Parts of a measurement, about: perplexity is the first, translating the others. */
const PARTS = 5;

/** The perplexity of the lines that have a translation. */
function* perplexityOf(model: TranslationModel, { targets }: Lines, pairs: Pairs): Work<number> {
  const full = [...targets.keys()].filter((i) => targets[i] !== '');
  const of = (all: readonly Int32Array[]) => full.map((i) => all[i]);
  return exp(yield* translationLossInParts(model, { sources: of(pairs.sources), targets: of(pairs.targets) }));
}

function* measure(model: TranslationModel, lines: Lines, pairs: Pairs, unknown: number): Work<Measured> {
  const { sources, targets } = lines;
  const perplexity = yield* part(perplexityOf(model, lines, pairs), 0, PARTS);
  // Plain SIMD: the same figures on every machine.
  initSync({ simd: 'plain' });
  const translator = new Translator(loadSync(encodeModel(model)));
  const translations: string[] = [];
  for (const [i, source] of sources.entries()) {
    translations.push(translator.translate(source, { beam: BEAM }).text);
    yield (1 + ((PARTS - 1) * (i + 1)) / sources.length) / PARTS;
  }
  const { score } = bleu(translations, targets, { tokenise: 'none', lowercase: true });
  const { score: bleu13a } = bleu(translations, targets);
  return {
    quality: { perplexity, bleu: score },
    json: { bleu: score, bleu13a, perplexity, examples: sources.length, unknown },
    text: `BLEU ${score.toFixed(2)} (lower case, words as they are; ${bleu13a.toFixed(2)} as sacrebleu counts by default), perplexity ${perplexity.toFixed(2)}, ${sources.length} texts, ${percent(unknown)} of their tokens unknown`,
  };
}
