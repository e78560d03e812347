// Reads series of frames from .jsonl and .npz files.

import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import { readFileBytes } from '../../io/files.js';
import { parseJson } from '../../io/json.js';
import type { SeriesExamples, SeriesTarget } from '../../tasks/series/training.js';
import { isObject, show } from '../../values.js';
import { isFolder, readText } from '../text-files.js';

export interface SeriesCorpus {
  name: string;
  /** Numbers of a frame. */
  frames: number;
  train: SeriesExamples;
  valid: SeriesExamples;
  test: SeriesExamples | undefined;
}

export const LAYOUT =
  'a folder with train.jsonl, valid.jsonl and, optionally, test.jsonl; each line {"x": [[numbers of a frame], ...], "y": a label, a number, or a list of one for each step}; or .npz files with the arrays x and y';

/** Reads series. Throws InputError, naming the file and line that cannot be used, and why. */
export async function readSeries(data: string): Promise<SeriesCorpus> {
  if (!(await isFolder(data, LAYOUT))) throw new InputError(`--data: got ${data}, a file; expected ${LAYOUT}`);
  const names = new Set(await readdir(data));
  const size = { frames: 0 };
  const read = (split: string): Promise<SeriesExamples> => {
    const [lines, arrays] = [`${split}.jsonl`, `${split}.npz`];
    if (names.has(lines) && names.has(arrays)) {
      throw new InputError(`--data: got both ${lines} and ${arrays} in ${data}; expected one of them`);
    }
    return readExamples(join(data, names.has(arrays) ? arrays : lines), size);
  };
  const train = await read('train');
  const valid = await read('valid');
  const hasTest = names.has('test.jsonl') || names.has('test.npz');
  const test = hasTest ? await read('test') : undefined;
  return { name: basename(resolve(data)), frames: size.frames, train, valid, test };
}

/**
 * The sequences of a file, which `option` names; for --data, each must have an answer. `size` holds the numbers of a frame, or 0
 * before the first.
 */
export async function readExamples(
  path: string,
  size: { frames: number },
  option: '--data' | '<input>' = '--data',
): Promise<SeriesExamples> {
  if (!path.endsWith('.npz')) return readLines(path, size, option);
  const bytes = await readFileBytes(path).catch((cause: Error) => {
    throw new InputError(`${option}: ${cause.message}`, { cause });
  });
  // Few need it.
  const { examplesOfNpz } = await import('./npz.js');
  return examplesOfNpz(path, bytes, size, option === '--data');
}

async function readLines(
  path: string,
  size: { frames: number },
  option: '--data' | '<input>',
): Promise<SeriesExamples> {
  const lines = (await readText(path, option)).split('\n');
  if (lines.at(-1)?.trim() === '') lines.pop();
  if (lines.length === 0) throw new InputError(`${path}: got no lines; expected at least one series`);
  const sequences: Float32Array[] = [];
  const targets: SeriesTarget[] = [];
  for (const [i, line] of lines.entries()) {
    const wrong = (what: string, got: unknown, expected: string) =>
      new InputError(`${path}, line ${i + 1}: got ${show(got)} for ${what}; expected ${expected}`);
    let parsed: unknown;
    try {
      parsed = parseJson(line);
    } catch {
      throw wrong('a series', line.slice(0, 60), 'JSON, such as {"x": [[1, 2], [3, 4]], "y": "label"}');
    }
    const { x, y } = isObject(parsed) ? parsed : {};
    if (!Array.isArray(x) || x.length === 0) throw wrong('x', x, 'a list of frames, at least one');
    for (const [t, frame] of x.entries()) {
      if (!Array.isArray(frame) || frame.length === 0) throw wrong(`x[${t}]`, frame, 'a list of numbers');
      size.frames ||= frame.length;
      if (frame.length !== size.frames)
        throw wrong(`x[${t}]`, frame.length, `${size.frames} numbers, as in other frames`);
      const bad = frame.findIndex((number) => typeof number !== 'number' || !Number.isFinite(Math.fround(number)));
      if (bad >= 0) throw wrong(`x[${t}][${bad}]`, frame[bad], 'a finite number');
    }
    sequences.push(Float32Array.from(x.flat()));
    if (option === '--data') targets.push(checkAnswer(y, x.length, wrong));
  }
  return { sequences, targets };
}

function checkAnswer(
  y: unknown,
  steps: number,
  wrong: (what: string, got: unknown, expected: string) => InputError,
): SeriesTarget {
  const isAnswer = (one: unknown) => (typeof one === 'string' && one !== '') || Number.isFinite(one);
  if (!Array.isArray(y)) {
    if (!isAnswer(y)) throw wrong('y', y, 'a label, a number, or a list of one for each step');
    return y as string | number;
  }
  if (y.length !== steps) throw wrong('y', y.length, `one label or number for each of ${steps} steps`);
  const bad = y.findIndex((one) => !isAnswer(one) || typeof one !== typeof y[0]);
  if (bad >= 0) throw wrong(`y[${bad}]`, y[bad], 'labels only, or numbers only');
  return y;
}
