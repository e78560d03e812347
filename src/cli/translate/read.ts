/** Reads texts and their translations: two files of as many lines for each split. */

import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import type { Input } from '../outputs.js';
import { isFolder, readText, unreadable } from '../text-files.js';

/** Line i of `sources` has the translation targets[i]. */
export interface Lines {
  sources: string[];
  targets: string[];
}

export interface TranslationCorpus {
  name: string;
  train: Lines;
  valid: Lines;
  /** Undefined where there is none. */
  test: Lines | undefined;
  /** What the files of the test split are called, without their languages. */
  testName: string | undefined;
}

export const LAYOUT =
  'a folder with train.LANGUAGE, val.LANGUAGE or valid.LANGUAGE, and optionally test.LANGUAGE, for both languages, one text per line';

/**
 * Reads a folder with the files train.SOURCE and train.TARGET, val.* or valid.*, and optionally test.*; of several files whose names
 * begin with `test`, the first in the order of their names.
 *
 * @throws InputError naming the path that cannot be used, and why
 */
export async function readTranslations(data: string, languages: readonly [string, string]): Promise<TranslationCorpus> {
  if (!(await isFolder(data, LAYOUT))) throw new InputError(`--data: got ${data}, a file; expected ${LAYOUT}`);
  const names = await readdir(data).catch((error) => {
    throw unreadable(data, error);
  });
  const [source, target] = languages;
  const splits = names
    .filter((name) => name.endsWith(`.${source}`))
    .map((name) => name.slice(0, -source.length - 1))
    .filter((split) => names.includes(`${split}.${target}`))
    .sort();
  const find = (...wanted: string[]) => wanted.find((name) => splits.includes(name));
  const [train, valid] = [find('train'), find('val', 'valid')];
  if (!train || !valid) {
    const missing = train ? 'val or valid' : 'train';
    throw new InputError(
      `--data: got ${data} without ${missing} in both .${source} and .${target}; expected ${LAYOUT}`,
    );
  }
  const test = find('test') ?? splits.find((split) => split.startsWith('test'));
  const read = (split: string) => readLines(data, split, languages);
  return {
    name: basename(resolve(data)),
    train: withoutEmpty(await read(train), join(data, train)),
    valid: withoutEmpty(await read(valid), join(data, valid)),
    test: test === undefined ? undefined : await read(test),
    testName: test,
  };
}

/** The files that readTranslations() reads. */
export const translationInputs = (data: string): Input[] => [
  { option: '--data', path: data, reads: (name) => /^(train|val|valid|test.*)\./.test(name) },
];

async function readLines(data: string, split: string, languages: readonly [string, string]): Promise<Lines> {
  const [sources, targets] = await Promise.all(
    languages.map(async (language) => linesOf(await readText(join(data, `${split}.${language}`)))),
  );
  if (sources.length === targets.length) return { sources, targets };
  throw new InputError(
    `--data: got ${sources.length} lines in ${join(data, split)}.${languages[0]} and ${targets.length} in that of ${languages[1]}; expected a translation of each line`,
  );
}

function linesOf(text: string): string[] {
  const lines = text.split('\n').map((line) => line.trim());
  // The last line break ends the last line; it begins no other.
  if (text.endsWith('\n')) lines.pop();
  return lines;
}

/** Nothing is learnt from a line that is empty on one side. */
function withoutEmpty({ sources, targets }: Lines, path: string): Lines {
  const full = [...sources.keys()].filter((i) => sources[i] !== '' && targets[i] !== '');
  if (full.length === 0)
    throw new InputError(`--data: got only empty lines in ${path}; expected texts and their translations`);
  return { sources: full.map((i) => sources[i]), targets: full.map((i) => targets[i]) };
}
