/** Reads labelled sentences in the layout of ATIS and Snips: folders train, valid and, optionally, test. */

import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { Intents } from '../../infer/index.js';
import { exp } from '../../math.js';
import { decodeIntentModel, type IntentModel } from '../../tasks/intent/model.js';
import {
  defaultIntentOptions,
  type Examples,
  evaluateIntentsInParts,
  type IntentData,
  type IntentOptions,
  IntentTraining,
} from '../../tasks/intent/training.js';
import { buildVocabulary } from '../../text/build-vocabulary.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import type { Work } from '../../work.js';
import { counted } from '../counted.js';
import { type LinePair, layoutOf, lineInputs, readLineSplits } from '../line-splits.js';
import { option } from '../option.js';
import { path, whole } from '../parsers.js';
import { type Measured, type RunSource, type Start, type Task, vocabularyOf } from '../task.js';
import { medians, tenWords } from '../timing.js';
import { optimizerOf, SMALLEST_VOCABULARY, sourceOf, type TrainArguments, trainingOptions } from '../train-options.js';
import { percent, type Unknown, unknownLabels, unknownTokens } from '../unknown.js';
import { predictor } from './predict.js';

interface IntentArguments extends TrainArguments {
  embedding?: number;
}

export interface IntentSource extends RunSource {
  vocab?: number;
}

/** The intent of sentence i is intents[i]. */
interface Split {
  sentences: string[];
  intents: string[];
}

export interface IntentCorpus {
  name: string;
  train: Split;
  valid: Split;
  test: Split | undefined;
}

const LINES = { files: ['seq.in', 'label'], wanted: 'one intent per sentence' } as const;

/** Reads labelled sentences. Throws InputError, naming the path that cannot be used, and why. */
export async function readIntents(data: string): Promise<IntentCorpus> {
  const { name, train, valid, test } = await readLineSplits(data, LINES);
  const split = (folder: string, [sentences, intents]: LinePair): Split => {
    const blank = intents.indexOf('');
    if (blank < 0) return { sentences, intents };
    throw new InputError(
      `--data: got an empty line ${blank + 1} in ${join(data, folder, 'label')}; expected an intent`,
    );
  };
  return { name, train: split('train', train), valid: split('valid', valid), test: test && split('test', test) };
}

export function encodeExamples({ sentences, intents }: Split, vocabulary: Vocabulary): Examples {
  return { sentences: sentences.map((sentence) => vocabulary.encodeSentence(sentence)), intents };
}

/** Words seen once are left to `<unk>`, so that the model learns what to do with words it never saw. */
const LEAST_SEEN = 2;

export const intentTask: Task<IntentSource, IntentCorpus, IntentTraining, IntentData, Vocabulary> = {
  training: IntentTraining,
  about: 'train a model that classifies the intent of a sentence with a compressed bidirectional LSTM or GRU',
  wanted: layoutOf(LINES),
  options: () => [
    option(
      '--data <path>',
      'folder with the folders train, valid and optionally test, each with the files seq.in (one sentence per line) and label (its intent)',
      path,
    ),
    option(
      '--vocab <n>',
      'most frequent words kept (default: all that occur twice or more, at most 10000)',
      whole(SMALLEST_VOCABULARY),
    ),
    option('--embedding <n>', 'size of the word embeddings (default: 64)', whole(1)),
  ],
  defaults: {
    hidden: '64 per direction',
    layers: '1',
    directions: '2',
    compression: '10',
    lr: 'adam 0.006; sgd 0.5',
    dropout: '0.3',
    batch: '16',
    epochs: '8',
    freeRate: 'adam 0.3,1; sgd 1,0',
  },
  examples: [
    'dopant train intent --data atis --out intents.safetensors',
    'dopant train intent --data snips --method dense --checkpoint run1     (Ctrl-C stops it; to continue:)',
    'dopant train intent --resume run1',
  ],
  start(given: IntentArguments): Start<IntentSource, IntentOptions> {
    const { vocab, embedding } = given;
    const defaults = defaultIntentOptions(optimizerOf(given));
    return {
      source: { ...sourceOf(given, layoutOf(LINES)), ...(vocab && { vocab }) },
      options: { ...trainingOptions(given, defaults, 2), embedding: embedding ?? defaults.embedding },
    };
  },
  isSource: ({ vocab }) => vocab === undefined || Number.isSafeInteger(vocab),
  read: ({ data }) => readIntents(data),
  readFor: (_, data) => readIntents(data),
  inputs: (data) => lineInputs(data, LINES),
  schema: ({ train }, { vocab }, like) =>
    vocabularyOf(like) ?? buildVocabulary(train.sentences, 'prose', vocab, vocab === undefined ? LEAST_SEEN : 1),
  encode: ({ train, valid }, _, vocabulary) => ({
    train: encodeExamples(train, vocabulary),
    valid: encodeExamples(valid, vocabulary),
  }),
  describe: ({ model: { vocabulary, labels } }, { name, train, test }) =>
    `${name}: ${train.sentences.length} training sentences, ${labels.length} intents, vocabulary ${vocabulary.size}${test ? '' : '; no test folder: valid will be evaluated'}`,
  describeModel: ({ labels, config: { layers, directions } }) =>
    `intent model, ${labels.length} intents, ${counted(layers, directions === 1 ? 'layer' : 'bidirectional layer')}`,
  unknown: ({ model: { labels }, data: { train, valid } }) => ({
    train: { tokens: unknownTokens(train.sentences) },
    valid: unknownOf(valid, labels),
  }),
  measurement(model, corpus, split) {
    const found = corpus[split];
    if (!found) return undefined;
    const examples = encodeExamples(found, model.vocabulary);
    const unknown = unknownOf(examples, model.labels);
    return {
      unknown,
      size: `${examples.sentences.length} sentences`,
      measureInParts: () => measure(model, examples, unknown),
    };
  },
  testName: 'folder test',
  decode: decodeIntentModel,
  time(model) {
    const intents = new Intents(model);
    const sentence = tenWords(intents.vocabulary.tokens);
    return { sentence: medians([() => intents.classify(sentence)])[0] };
  },
  predictor,
};

function* measure(model: IntentModel, examples: Examples, unknown: Required<Unknown>): Work<Measured> {
  const { loss, accuracy, exact, examples: count } = yield* evaluateIntentsInParts(model, examples);
  return {
    quality: { ...(loss !== undefined && { perplexity: exp(loss) }), accuracy, exact },
    json: { accuracy, exact, examples: count, unknown: unknown.tokens, unknownLabels: unknown.labels },
    text: `accuracy ${percent(accuracy, 2)}, exact ${percent(exact, 2)}, ${count} sentences; unknown: ${percent(unknown.tokens)} of the tokens, ${percent(unknown.labels)} of the labels`,
  };
}

/** What a model with these labels cannot know of examples. */
export const unknownOf = ({ sentences, intents }: Examples, labels: readonly string[]): Required<Unknown> => ({
  tokens: unknownTokens(sentences),
  labels: unknownLabels(intents, labels),
});
