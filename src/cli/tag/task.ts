import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { Tagger } from '../../infer/index.js';
import { exp } from '../../math.js';
import { decodeTagModel, type TagModel } from '../../tasks/tag/model.js';
import {
  defaultTagOptions,
  encodeWords,
  evaluateTagsInParts,
  type TagData,
  type TaggedTexts,
  type TagOptions,
  TagTraining,
  tagVocabulary,
} from '../../tasks/tag/training.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import { splitWords } from '../../text/words.js';
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

interface TagArguments extends TrainArguments {
  embedding?: number;
}

export interface TagSource extends RunSource {
  vocab?: number;
}

/** Text i, in words with spaces between, has the tags tags[i], one for each word. */
interface Split {
  texts: string[];
  tags: string[][];
}

export interface TagCorpus {
  name: string;
  train: Split;
  valid: Split;
  test: Split | undefined;
}

const LINES = { files: ['seq.in', 'seq.out'], wanted: 'the tags of one text per line' } as const;

/** Reads tagged texts. Throws InputError, naming the path that cannot be used, and why. */
export async function readTags(data: string): Promise<TagCorpus> {
  const { name, train, valid, test } = await readLineSplits(data, LINES);
  const split = (folder: string, [texts, lines]: LinePair): Split => {
    const tags = lines.map(splitWords);
    for (const [i, text] of texts.entries()) {
      const words = splitWords(text).length;
      if (words > 0 && words === tags[i].length) continue;
      throw new InputError(
        `--data: got ${words} words in line ${i + 1} of ${join(data, folder, 'seq.in')} and ${tags[i].length} tags in that of seq.out; expected a tag for each word, and at least one`,
      );
    }
    return { texts, tags };
  };
  return { name, train: split('train', train), valid: split('valid', valid), test: test && split('test', test) };
}

export const encodeTagged = ({ texts, tags }: Split, vocabulary: Vocabulary): TaggedTexts => ({
  sentences: texts.map((text) => encodeWords(text, vocabulary)),
  tags,
});

export const tagTask: Task<TagSource, TagCorpus, TagTraining, TagData, Vocabulary> = {
  training: TagTraining,
  about:
    'train a model that tags each word of a text, such as the slots of a query, with a compressed bidirectional LSTM or GRU',
  wanted: layoutOf(LINES),
  options: () => [
    option(
      '--data <path>',
      'folder with the folders train, valid and optionally test, each with the files seq.in (one text per line, words with spaces between) and seq.out (the tags of its words, such as O, B-city, I-city)',
      path,
    ),
    option(
      '--vocab <n>',
      'most frequent words kept (default: all that occur twice or more, at most 10000)',
      whole(SMALLEST_VOCABULARY),
    ),
    option('--embedding <n>', 'size of the word embeddings (default: 100)', whole(1)),
  ],
  defaults: {
    hidden: '100 per direction',
    layers: '1',
    directions: '2',
    compression: '10',
    lr: 'adam 0.008; sgd 0.5',
    dropout: '0.4',
    batch: '16',
    epochs: '12',
    freeRate: 'adam 0.3,1; sgd 1,0',
  },
  examples: [
    'dopant train tag --data atis --out slots.safetensors',
    'dopant train tag --data snips --method dense --checkpoint run1     (Ctrl-C stops it; to continue:)',
    'dopant train tag --resume run1',
  ],
  start(given: TagArguments): Start<TagSource, TagOptions> {
    const { vocab, embedding } = given;
    const defaults = defaultTagOptions(optimizerOf(given));
    return {
      source: { ...sourceOf(given, layoutOf(LINES)), ...(vocab && { vocab }) },
      options: { ...trainingOptions(given, defaults, 2), embedding: embedding ?? defaults.embedding },
    };
  },
  isSource: ({ vocab }) => vocab === undefined || Number.isSafeInteger(vocab),
  read: ({ data }) => readTags(data),
  readFor: (_, data) => readTags(data),
  inputs: (data) => lineInputs(data, LINES),
  schema: ({ train }, { vocab }, like) => vocabularyOf(like) ?? tagVocabulary(train.texts, vocab),
  encode: ({ train, valid }, _, vocabulary) => ({
    train: encodeTagged(train, vocabulary),
    valid: encodeTagged(valid, vocabulary),
  }),
  describe: ({ model: { vocabulary, tags } }, { name, train, test }) =>
    `${name}: ${train.texts.length} training texts, ${tags.length} tags, vocabulary ${vocabulary.size}${test ? '' : '; no test folder: valid will be evaluated'}`,
  describeModel: ({ tags, config: { layers, directions } }) =>
    `model of ${tags.length} tags, ${counted(layers, directions === 1 ? 'layer' : 'bidirectional layer')}`,
  unknown: ({ model: { tags }, data: { train, valid } }) => ({
    train: { tokens: unknownTokens(train.sentences) },
    valid: unknownOfTags(valid, tags),
  }),
  measurement(model, corpus, split) {
    const found = corpus[split];
    if (!found) return undefined;
    const texts = encodeTagged(found, model.vocabulary);
    const unknown = unknownOfTags(texts, model.tags);
    return { unknown, size: `${texts.sentences.length} texts`, measureInParts: () => measure(model, texts, unknown) };
  },
  testName: 'folder test',
  decode: decodeTagModel,
  time(model) {
    const tagger = new Tagger(model);
    const text = tenWords(tagger.vocabulary.tokens);
    return { sentence: medians([() => tagger.tag(text)])[0] };
  },
  predictor,
};

function* measure(model: TagModel, texts: TaggedTexts, unknown: Required<Unknown>): Work<Measured> {
  const { loss, f1, accuracy, examples } = yield* evaluateTagsInParts(model, texts);
  return {
    quality: { ...(loss !== undefined && { perplexity: exp(loss) }), f1, accuracy },
    json: { f1, accuracy, examples, unknown: unknown.tokens, unknownLabels: unknown.labels },
    text: `F1 ${percent(f1, 2)}, accuracy ${percent(accuracy, 2)}, ${examples} texts; unknown: ${percent(unknown.tokens)} of the tokens, ${percent(unknown.labels)} of the tags`,
  };
}

/** What a model with these tags cannot know of texts. */
export const unknownOfTags = ({ sentences, tags }: TaggedTexts, known: readonly string[]): Required<Unknown> => ({
  tokens: unknownTokens(sentences),
  labels: unknownLabels(tags.flat(), known),
});
