/** Reads labelled sentences in the layout of ATIS and Snips: folders train, valid and, optionally, test. */

import { basename, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { type Examples, type IntentData, IntentTraining } from '../tasks/intent.js';
import { buildVocabulary } from '../text/build-vocabulary.js';
import { normalise } from '../text/tokens.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { isFolder, readText } from './corpus.js';
import type { RunSource, Task } from './training.js';
import { type Unknown, unknownLabels, unknownTokens } from './unknown.js';

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

const SPLITS = ['train', 'valid', 'test'];
const FILES = ['seq.in', 'label'];
const LAYOUT = 'a folder with the folders train, valid and, optionally, test, each with the files seq.in and label';

/** Reads labelled sentences. Throws InputError, naming the path that cannot be used, and why. */
export async function readIntents(data: string): Promise<IntentCorpus> {
  if (!(await isFolder(data, LAYOUT))) throw new InputError(`--data: got ${data}, a file; expected ${LAYOUT}`);
  const [train, valid, test] = await Promise.all(SPLITS.map((split) => readSplit(data, split)));
  for (const [split, found] of Object.entries({ train, valid })) {
    if (!found) throw new InputError(`--data: got ${data} without a folder ${split}; expected ${LAYOUT}`);
  }
  return { name: basename(resolve(data)), train: train!, valid: valid!, test };
}

/** Undefined where there is no such folder. */
async function readSplit(data: string, split: string): Promise<Split | undefined> {
  const folder = join(data, split);
  if (!(await isFolder(folder).catch(() => false))) return undefined;
  const [sentences, intents] = await Promise.all(
    FILES.map(async (file) => linesOf(await readText(join(folder, file)))),
  );
  if (sentences.length !== intents.length) {
    throw new InputError(
      `--data: got ${sentences.length} lines in seq.in and ${intents.length} in label of ${folder}; expected one intent per sentence`,
    );
  }
  const blank = intents.indexOf('');
  if (blank >= 0) {
    throw new InputError(`--data: got an empty line ${blank + 1} in ${join(folder, 'label')}; expected an intent`);
  }
  return { sentences, intents };
}

function linesOf(text: string): string[] {
  // Labels of one spelling are one, in whatever form their characters are stored.
  const lines = text.split('\n').map((line) => normalise(line).trim());
  // The last line break ends the last line; it begins no other.
  if (text.endsWith('\n')) lines.pop();
  return lines;
}

export function encodeExamples({ sentences, intents }: Split, vocabulary: Vocabulary): Examples {
  return { sentences: sentences.map((sentence) => vocabulary.encodeSentence(sentence)), intents };
}

/** Words seen once are left to `<unk>`, so that the model learns what to do with words it never saw. */
const LEAST_SEEN = 2;

export const intentTask: Task<IntentSource, IntentCorpus, IntentTraining, IntentData> = {
  training: IntentTraining,
  wanted: LAYOUT,
  isSource: ({ vocab }) => vocab === undefined || Number.isSafeInteger(vocab),
  read: ({ data }) => readIntents(data),
  inputs: (data) =>
    SPLITS.map((split) => ({ option: '--data', path: join(data, split), reads: (name) => FILES.includes(name) })),
  vocabulary: ({ train }, { vocab }) =>
    buildVocabulary(train.sentences, 'prose', vocab, vocab === undefined ? LEAST_SEEN : 1),
  encode: ({ train, valid }, _, vocabulary) => ({
    train: encodeExamples(train, vocabulary),
    valid: encodeExamples(valid, vocabulary),
  }),
  describe: ({ model: { vocabulary, labels } }, { name, train, test }) =>
    `${name}: ${train.sentences.length} training sentences, ${labels.length} intents, vocabulary ${vocabulary.size}${test ? '' : '; no test folder: valid will be evaluated'}`,
  unknown: ({ model: { labels }, data: { train, valid } }) => ({
    train: { tokens: unknownTokens(train.sentences) },
    valid: unknownOf(valid, labels),
  }),
  test(training, { test }) {
    const examples = test && encodeExamples(test, training.model.vocabulary);
    return (
      examples && {
        unknown: unknownOf(examples, training.model.labels),
        measure: () => training.qualityInParts(examples),
      }
    );
  },
};

/** What a model with these labels cannot know of examples. */
export const unknownOf = ({ sentences, intents }: Examples, labels: readonly string[]): Required<Unknown> => ({
  tokens: unknownTokens(sentences),
  labels: unknownLabels(intents, labels),
});
