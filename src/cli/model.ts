import { createHash } from 'node:crypto';
import { FileFormatError } from '../errors.js';
import { Runtime } from '../wasm/runtime.js';
import { readModelBytes } from './model-bytes.js';
import { decodeModel } from './tasks.js';

/** The model of a file, whatever its kind; errors name the file. */
export async function loadModel(path: string, runtime = new Runtime()) {
  return (await loadHashedModel(path, runtime)).model;
}

/** The same, with a hash of the file: what is read again later must still be the same. */
export async function loadHashedModel(path: string, runtime: Runtime) {
  const { bytes, size } = await readModelBytes(path);
  const model = naming(path, () => decodeModel(runtime, bytes));
  return { model, bytes, size, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** What is wrong with the contents of a file is told with its name. */
export function naming<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw named(path, error);
  }
}

/** The same of an error. */
export function named(path: string, error: unknown): unknown {
  if (error instanceof FileFormatError) return new FileFormatError(`${path}: ${error.message}`, { cause: error });
  return error;
}
