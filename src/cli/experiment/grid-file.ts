import { dirname, join } from 'node:path';
import { InputError } from '../../errors.js';
import { readFileBytes } from '../../io/files.js';
import { type Grid, parseGrid } from './grid.js';

/** The grid of a file. Errors in what it says are told with its name. */
export async function readGrid(file: string): Promise<Grid> {
  const value = await readJson(file);
  return namingFile(file, () => parseGrid(value));
}

/** A file that extends another has all of its fields but the cells, and its own before them. */
async function readJson(file: string, within: readonly string[] = []): Promise<unknown> {
  const text = new TextDecoder().decode(await readFileBytes(file));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${file}: it is no JSON (${(cause as Error).message})`, { cause });
  }
  const { extends: other, ...own } = (value ?? {}) as Record<string, unknown>;
  if (typeof other !== 'string') return value;
  if (within.includes(file)) throw new InputError(`${file}: it extends itself, by way of ${within.join(', ')}`);
  const { cells: _, ...inherited } = (await readJson(join(dirname(file), other), [...within, file])) as object & {
    cells?: unknown;
  };
  return { ...inherited, ...own };
}

export function namingFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${file}: ${error.message}`, { cause: error });
  }
}
