import { createHash } from 'node:crypto';
import { FileFormatError } from '../errors.js';
import { readFileBytes } from '../io/files.js';
import { decodeLanguageModel } from '../io/model-file.js';
import type { LanguageModel } from '../nn/language-model.js';
import { Runtime } from '../wasm/runtime.js';

/** The model of a file; errors name the file. */
export async function loadModel(path: string, runtime = new Runtime()): Promise<LanguageModel> {
  return (await loadModelHashed(path, runtime)).model;
}

/** The same, with a hash of the file: what is read again later must still be the same. */
export async function loadModelHashed(path: string, runtime: Runtime): Promise<{ model: LanguageModel; hash: string }> {
  const bytes = await readFileBytes(path);
  const model = naming(path, () => decodeLanguageModel(runtime, bytes));
  return { model, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** What is wrong with the contents of a file is told with its name. */
export function naming<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FileFormatError) throw new FileFormatError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
