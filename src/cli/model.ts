import { FileFormatError } from '../errors.js';
import { readFileBytes } from '../io/files.js';
import { decodeLanguageModel } from '../io/model-file.js';
import type { LanguageModel } from '../nn/language-model.js';
import { Runtime } from '../wasm/runtime.js';

/** The model of a file; errors name the file. */
export async function loadModel(path: string): Promise<LanguageModel> {
  const bytes = await readFileBytes(path);
  return naming(path, () => decodeLanguageModel(new Runtime(), bytes));
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
