import { dirname, join } from 'node:path';
import { InputError, invalid } from '../../errors.js';
import { isObject } from '../../values.js';
import { type Grid, parseGrid } from './grid.js';
import { readJson } from './json-file.js';

/** Reads the grid of a file. Throws an InputError that names the file if it is not a grid. */
export async function readGrid(file: string): Promise<Grid> {
  const value = await readFields(file);
  return namingFile(file, () => parseGrid(value));
}

/** Reads the fields of a file. A file that extends another inherits all of its fields except the cells. */
async function readFields(file: string, within: readonly string[] = []): Promise<unknown> {
  const value = await readJson(file).catch((error: Error) => {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: it is not JSON (${error.message})`, { cause: error });
  });
  if (!isObject(value) || !Object.hasOwn(value, 'extends')) return value;
  const { extends: other, ...own } = value;
  if (typeof other !== 'string' || other === '') throw namedFile(file, invalid('extends', other, 'the path of a grid'));
  if (within.includes(file)) throw new InputError(`${file}: it extends itself, by way of ${within.join(', ')}`);
  const path = join(dirname(file), other);
  const base = await readFields(path, [...within, file]);
  if (!isObject(base)) throw namedFile(path, invalid('the file', base, 'an object'));
  const { cells: _, ...inherited } = base;
  return { ...inherited, ...own };
}

export function namingFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw namedFile(file, error);
  }
}

const namedFile = (file: string, error: InputError) => new InputError(`${file}: ${error.message}`, { cause: error });
