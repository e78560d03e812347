// dopant/infer: runs trained models. It contains no training code and needs nothing of Node.

// First, so that the kernels come first in a bundle: gzip, which looks back 32 kB, then sees all of the code at once.
export { type InitOptions, init, initSync, kernelBytes } from './engine.js';

import { type ByteSource, toBytes } from '../io/bytes.js';
import { init, initSync } from './engine.js';
import { Model } from './model.js';
import { type ModelSource, naming, readSource } from './source.js';

export { FileFormatError, InputError } from '../errors.js';
export type { ByteSource } from '../io/bytes.js';
export type { TaskData } from '../io/model-header.js';
export type { NetworkSpec } from '../network/spec.js';
export { Vocabulary } from '../text/vocabulary.js';
export { hasRelaxedSimd, type SimdChoice } from '../wasm/simd.js';
export { type Classification, type ClassifyOptions, Intents } from './intents.js';
export { type GeneratedToken, type GenerateOptions, LanguageModel, type Suggestion } from './language-model.js';
export type { Model, Source } from './model.js';
export { Series, type SeriesAnswer } from './series.js';
export type { Session } from './session.js';
export type { ModelSource } from './source.js';
export { type Slot, type Tagged, Tagger } from './tagger.js';
export {
  type AsyncTranslateOptions,
  type TranslatedToken,
  type TranslateOptions,
  type Translation,
  Translator,
} from './translator.js';

/**
 * Loads a model of any kind: a network with what its numbers mean. LanguageModel and Intents give models of their tasks an
 * interface of text.
 *
 * @throws InputError for a source that cannot be read, FileFormatError for one that is not a model; both name it
 * @example
 * const model = await load('/models/voice.safetensors'); // or a file's bytes, a URL, a File, fetch(url)
 * const session = model.session();
 * const [score] = session.step(frame);
 */
export async function load(source: ModelSource | PromiseLike<ModelSource>): Promise<Model> {
  const [{ name, bytes }] = await Promise.all([readSource(source), init()]);
  return naming(name, () => new Model(bytes));
}

/** Loads a model from its bytes, synchronously. Throws FileFormatError for other bytes. */
export function loadSync(bytes: ByteSource): Model {
  initSync();
  return new Model(toBytes(bytes));
}
