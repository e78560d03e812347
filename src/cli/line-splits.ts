/** Reads data in the layout of ATIS and Snips: folders train, valid and, optionally, test, in each two files of as many lines. */

import { basename, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { normalise } from '../text/tokens.js';
import type { Input } from './outputs.js';
import { isFolder, readText } from './text-files.js';

/** The lines of the two files: line i of one belongs to line i of the other. */
export type LinePair = [string[], string[]];

export interface LineSplits {
  name: string;
  train: LinePair;
  valid: LinePair;
  test: LinePair | undefined;
}

/** Names of the two files, and what a line of the second is, for messages: "one intent per sentence". */
export interface LineFiles {
  files: readonly [string, string];
  wanted: string;
}

const SPLITS = ['train', 'valid', 'test'];

export const layoutOf = ({ files: [a, b] }: LineFiles): string =>
  `a folder with the folders train, valid and, optionally, test, each with the files ${a} and ${b}`;

/** Throws InputError, naming the path that cannot be used, and why. */
export async function readLineSplits(data: string, kind: LineFiles): Promise<LineSplits> {
  const layout = layoutOf(kind);
  if (!(await isFolder(data, layout))) throw new InputError(`--data: got ${data}, a file; expected ${layout}`);
  const [train, valid, test] = await Promise.all(SPLITS.map((split) => readSplit(join(data, split), kind)));
  for (const [split, found] of Object.entries({ train, valid })) {
    if (!found) throw new InputError(`--data: got ${data} without a folder ${split}; expected ${layout}`);
  }
  return { name: basename(resolve(data)), train: train!, valid: valid!, test };
}

/** The files that readLineSplits() reads, by the folders that it looks for them in. */
export const lineInputs = (data: string, { files }: LineFiles): Input[] =>
  SPLITS.map((split) => ({ option: '--data', path: join(data, split), reads: (name) => files.includes(name) }));

/** Undefined where there is no such folder. */
async function readSplit(folder: string, { files, wanted }: LineFiles): Promise<LinePair | undefined> {
  if (!(await isFolder(folder, folder).catch(() => false))) return undefined;
  const [first, second] = await Promise.all(files.map(async (file) => linesOf(await readText(join(folder, file)))));
  if (first.length !== second.length) {
    throw new InputError(
      `--data: got ${first.length} lines in ${files[0]} and ${second.length} in ${files[1]} of ${folder}; expected ${wanted}`,
    );
  }
  return [first, second];
}

function linesOf(text: string): string[] {
  // Labels of one spelling are one, in whatever form their characters are stored.
  const lines = text.split('\n').map((line) => normalise(line).trim());
  // The last line break ends the last line; it begins no other.
  if (text.endsWith('\n')) lines.pop();
  return lines;
}
