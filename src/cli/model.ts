import { FileFormatError } from '../errors';
import { readFileBytes } from '../io/files';
import { decodeLanguageModel } from '../io/model-file';
import type { LanguageModel } from '../nn/language-model';
import { Runtime } from '../wasm/runtime';

/** The model of a file; errors name the file. */
export async function loadModel(path: string): Promise<LanguageModel> {
  const bytes = await readFileBytes(path);
  try {
    return decodeLanguageModel(new Runtime(), bytes);
  } catch (error) {
    if (error instanceof FileFormatError) throw new FileFormatError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
