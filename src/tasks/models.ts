// Models of the two tasks as files.

import { malformed } from '../errors.js';
import type { ByteSource } from '../io/bytes.js';
import { decodeNetwork, encodeNetwork } from '../io/model-file.js';
import { type Header, readHeader } from '../io/model-header.js';
import { IntentModel } from '../nn/intent-model.js';
import { LanguageModel } from '../nn/language-model.js';
import type { Model } from '../nn/model.js';
import type { Runtime } from '../wasm/runtime.js';
import { readIntentMeaning, readLanguageMeaning } from './meaning.js';

/** The bytes of a model file; the same model gives the same bytes. */
export function encodeModel(model: Model): Uint8Array {
  return encodeNetwork(model.network, { name: model.task, config: model.config, ...model.meaning });
}

export function encodeLanguageModel(model: LanguageModel): Uint8Array {
  return encodeModel(model);
}

export function encodeIntentModel(model: IntentModel): Uint8Array {
  return encodeModel(model);
}

/** The model of a file, for either task. Throws FileFormatError saying what is wrong. */
export function decodeModel(runtime: Runtime, bytes: ByteSource): LanguageModel | IntentModel {
  const header = readHeader(bytes);
  if (header.task.name === 'lm') return languageModel(runtime, header);
  if (header.task.name === 'intent') return intentModel(runtime, header);
  throw malformed(
    'metadata.task.name',
    header.task.name,
    "'lm' or 'intent'; decodeNetwork() reads models of other tasks",
  );
}

/** The same for a file that must hold a language model. */
export function decodeLanguageModel(runtime: Runtime, bytes: ByteSource): LanguageModel {
  return languageModel(runtime, readHeader(bytes));
}

/** The same for a file that must hold an intent model. */
export function decodeIntentModel(runtime: Runtime, bytes: ByteSource): IntentModel {
  return intentModel(runtime, readHeader(bytes));
}

function languageModel(runtime: Runtime, header: Header): LanguageModel {
  const { config, vocabulary } = readLanguageMeaning(header);
  return new LanguageModel(decodeNetwork(runtime, header), config, vocabulary);
}

function intentModel(runtime: Runtime, header: Header): IntentModel {
  const { config, vocabulary, labels } = readIntentMeaning(header);
  return new IntentModel(decodeNetwork(runtime, header), config, vocabulary, labels);
}
