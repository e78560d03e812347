import { FileFormatError, InputError, malformed } from '../errors.js';
import { type Architecture, intentArchitecture, languageModelArchitecture } from '../nn/architecture.js';
import { type IntentModelConfig, LARGEST_HIDDEN, MOST_LAYERS, type ModelConfig, type ModelKind } from '../nn/config.js';
import { BLOCK_SIZES } from '../operators/csr.js';
import { METHODS, MOST_FACTORS } from '../operators/methods.js';
import { checkSpec, type OperatorSpec, shapeOf } from '../operators/spec.js';
import { Vocabulary } from '../text/vocabulary.js';
import { isObject, show } from '../values.js';
import type { ByteSource } from './bytes.js';
import { parseJson } from './json.js';
import { memoryFor } from './memory.js';
import { decodeSafetensors } from './safetensors.js';
import { TensorSource } from './tensor-source.js';

// A model file is a safetensors file. Its metadata hold `format`, `version`, and as JSON `config`, `vocabulary` and
// `operators`, which says how the tensors make up the matrices: {"lstm.0.ih": spec, ...}; those of an intent model hold
// `labels` too, a list of names.

export const MODEL_VERSION = '1';

export const formatOf = (kind: ModelKind) => `dopant-${kind}`;

/** What files of each format are, and what reads them. */
const FORMATS: Record<string, [what: string, readers: string]> = {
  'dopant-language-model': ['a language model', 'load(), decodeLanguageModel() and dopant generate'],
  'dopant-intent-model': ['an intent model', 'loadIntent(), decodeIntentModel() and dopant predict'],
  'dopant-checkpoint': ['a checkpoint', 'decodeCheckpoint() and dopant train --resume'],
};

export interface Header {
  vocabulary: Vocabulary;
  architecture: Architecture;
  /** What a matrix of this name is made of; it must be M x N. */
  spec(name: string, M: number, N: number): OperatorSpec;
  source: TensorSource;
  /** Bytes that the model may take in memory. */
  memory: number;
  /** To be called when every tensor has been taken. */
  finish(): void;
}

export interface LanguageModelHeader extends Header {
  kind: 'language-model';
  config: ModelConfig;
}

export interface IntentModelHeader extends Header {
  kind: 'intent-model';
  config: IntentModelConfig;
  labels: string[];
}

/** What a model file says of itself, checked, and its tensors, to be taken. Throws FileFormatError. */
export function readModelHeader(bytes: ByteSource): LanguageModelHeader | IntentModelHeader {
  const opened = open(bytes, 'language-model', 'intent-model');
  return opened.kind === 'intent-model' ? intentModel(opened) : languageModel(opened);
}

// The same for a model that must be of one kind: who runs only one needs to bundle no more than that.

export function readLanguageModelHeader(bytes: ByteSource): LanguageModelHeader {
  return languageModel(open(bytes, 'language-model'));
}

export function readIntentModelHeader(bytes: ByteSource): IntentModelHeader {
  return intentModel(open(bytes, 'intent-model'));
}

/** What both kinds have. */
function open(bytes: ByteSource, ...kinds: ModelKind[]) {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, kinds.map(formatOf), MODEL_VERSION);
  const kind = kinds.find((one) => formatOf(one) === metadata.format)!;
  const config = checkConfig(parseField(metadata, 'config'));
  const vocabulary = Vocabulary.fromJSON(parseField(metadata, 'vocabulary'));
  const operators = asObject(parseField(metadata, 'operators'), 'operators');
  const source = new TensorSource(tensors);
  const spec = (name: string, M: number, N: number) => {
    const checked = checkSpec(operators[name], name);
    const [rows, columns] = shapeOf(checked);
    if (rows !== M || columns !== N)
      throw malformed(`operator '${name}'`, [rows, columns], `the shape ${show([M, N])}`);
    return checked;
  };
  const memory = memoryFor(bytes.byteLength);
  return { kind, metadata, config, vocabulary, spec, source, memory, finish: () => source.finish() };
}

type Opened = ReturnType<typeof open>;

function languageModel({ metadata, ...shared }: Opened): LanguageModelHeader {
  const architecture = languageModelArchitecture(shared.config, shared.vocabulary.size);
  return { ...shared, kind: 'language-model', architecture };
}

function intentModel({ metadata, config, ...shared }: Opened): IntentModelHeader {
  const { level, size } = shared.vocabulary;
  if (level !== 'word') throw malformed('vocabulary.level', level, 'word, for an intent model');
  const given = asObject(parseField(metadata, 'config'), 'config');
  const full = { ...config, embedding: wholeNumber('embedding', given.embedding, LARGEST_HIDDEN) };
  const labels = checkLabels(parseField(metadata, 'labels'));
  const architecture = intentArchitecture(full, size, labels.length);
  return { ...shared, kind: 'intent-model', config: full, labels, architecture };
}

function checkLabels(value: unknown): string[] {
  if (!Array.isArray(value) || value.length < 2) throw malformed('metadata.labels', value, 'at least two names');
  const seen = new Set<string>();
  for (const [i, label] of value.entries()) {
    if (typeof label !== 'string' || label === '' || seen.size === seen.add(label).size) {
      throw malformed(`metadata.labels[${i}]`, label, 'a name that no other has');
    }
  }
  return value;
}

/** Constructors blame their arguments, but in here those are the file's. */
export function blamingTheFile<T>(build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (error instanceof InputError) throw new FileFormatError(error.message, { cause: error });
    throw error;
  }
}

/** Throws FileFormatError where a file is of none of these formats, saying what it is and what reads that. */
export function checkFormat(metadata: Record<string, string>, formats: readonly string[], version: string): void {
  const { format } = metadata;
  if (!formats.includes(format)) {
    const expected = formats.map((one) => FORMATS[one][0]).join(' or ');
    if (!Object.hasOwn(FORMATS, format)) throw malformed('metadata.format', format, `that of ${expected} of dopant`);
    const [what, readers] = FORMATS[format];
    throw new FileFormatError(`got ${what}, which ${readers} read; expected ${expected}`);
  }
  if (metadata.version !== version) {
    throw malformed('metadata.version', metadata.version, `${version}, which this release reads`);
  }
}

export function parseField(metadata: Record<string, string>, field: string): unknown {
  try {
    return parseJson(metadata[field] ?? '');
  } catch {
    throw malformed(`metadata.${field}`, metadata[field], 'JSON');
  }
}

export function asObject(value: unknown, field: string): Record<string, unknown> {
  if (!isObject(value)) throw malformed(`metadata.${field}`, value, 'an object');
  return value;
}

/** The configuration as read from JSON, without whatever else is there. */
export function checkConfig(value: unknown): ModelConfig {
  const { hidden, layers, method, compression, kron, block } = asObject(value, 'config');
  const known = METHODS.find((name) => name === method);
  if (!known) throw malformed('config.method', method, `one of ${METHODS.join(', ')}`);
  if (typeof compression !== 'number' || !(compression >= 1 && Number.isFinite(compression))) {
    throw malformed('config.compression', compression, 'a number >= 1');
  }
  const isFactors = Array.isArray(kron) && kron.length > 3 && kron.length % 2 === 0 && kron.length <= 2 * MOST_FACTORS;
  if (kron !== undefined && !isFactors)
    throw malformed('config.kron', kron, `the sides of 2 to ${MOST_FACTORS} factors`);
  const size = block === undefined ? undefined : BLOCK_SIZES.find((known) => known === block);
  if (block !== undefined && !size) throw malformed('config.block', block, `one of ${BLOCK_SIZES.join(', ')}`);
  return {
    hidden: wholeNumber('hidden', hidden, LARGEST_HIDDEN),
    layers: wholeNumber('layers', layers, MOST_LAYERS),
    method: known,
    compression,
    ...(isFactors && { kron: kron.map((side) => wholeNumber('kron', side, 4 * LARGEST_HIDDEN)) }),
    ...(size && { block: size }),
  };
}

function wholeNumber(name: string, n: unknown, most: number): number {
  if (Number.isInteger(n) && (n as number) >= 1 && (n as number) <= most) return n as number;
  throw malformed(`config.${name}`, n, `a whole number from 1 to ${most}`);
}
