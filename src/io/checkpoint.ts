import { FileFormatError, InputError } from '../errors.js';
import { type LanguageModel, matrixPlan } from '../nn/language-model.js';
import {
  defaultOptions,
  type EncodedCorpus,
  type LanguageModelOptions,
  LanguageModelTraining,
} from '../tasks/language-model.js';
import { Vocabulary } from '../tasks/text.js';
import type { TrainRecord } from '../train/records.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { asObject, checkConfig, checkFormat, parseField } from './model-header.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor, show } from './safetensors.js';
import { TensorSource } from './tensor-source.js';

// A checkpoint is a safetensors file with all that a training's next step depends on: `value.NAME`, `mask.NAME` and the
// optimiser's moments of every parameter, the carried LSTM state, and in the metadata the options, the vocabulary, the
// position, the records so far. The random generator counts from the position and has no state of its own.

const FORMAT = 'dopant-checkpoint';
const VERSION = '1';

interface Position {
  epoch: number;
  piece: number;
  steps: number;
  lossSum: number;
  lossCount: number;
}

interface Fingerprint {
  train: number;
  valid: number;
  hash: number;
}

/** `run` is the caller's: whatever else is needed to take the training up again, as JSON. */
export function encodeCheckpoint(training: LanguageModelTraining, run: unknown): Uint8Array {
  const { model, options, trainer, epoch, piece, lossSum, lossCount, records, corpus } = training;
  const tensors = new Map<string, NamedTensor>();
  for (const { name, at, size } of training.arrays()) {
    tensors.set(name, { dtype: 'F32', shape: [size], data: model.runtime.floats(at, size).slice() });
  }
  for (const { name, at, size } of training.masks()) {
    tensors.set(name, { dtype: 'U8', shape: [size], data: model.runtime.bytes(at, size).slice() });
  }
  const position: Position = { epoch, piece, steps: trainer.stepsDone, lossSum, lossCount };
  return encodeSafetensors(tensors, {
    format: FORMAT,
    version: VERSION,
    options: JSON.stringify(options),
    vocabulary: JSON.stringify(model.vocabulary),
    position: JSON.stringify(position),
    records: JSON.stringify(records),
    corpus: JSON.stringify(fingerprint(corpus)),
    run: JSON.stringify(run),
  });
}

export interface Checkpoint {
  options: LanguageModelOptions;
  vocabulary: Vocabulary;
  run: unknown;
  /**
   * The training as it was, with the teacher that it had, if any. Throws InputError when the corpus is another one or
   * there is no teacher.
   */
  resume(runtime: Runtime, corpus: EncodedCorpus, teacher?: LanguageModel): LanguageModelTraining;
}

/** Throws FileFormatError for a file that is no checkpoint, or a damaged one. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, FORMAT, VERSION, 'a checkpoint of dopant');
  const options = checkOptions(parseField(metadata, 'options'));
  const vocabulary = Vocabulary.fromJSON(parseField(metadata, 'vocabulary'));
  const position = checkPosition(parseField(metadata, 'position'));
  // JSON writes null for a perplexity too large for a number.
  const infinite = (_: string, value: unknown) => (value === null ? Number.POSITIVE_INFINITY : value);
  const records = checkRecords(parseField(metadata, 'records', infinite));
  const saved = checkFingerprint(parseField(metadata, 'corpus'));

  const resume = (runtime: Runtime, corpus: EncodedCorpus, teacher?: LanguageModel): LanguageModelTraining => {
    const now = fingerprint(corpus);
    if (JSON.stringify(saved) !== JSON.stringify(now)) {
      throw new InputError(
        `data: the text is not the one that the checkpoint was trained on (${JSON.stringify(saved)} then, ${JSON.stringify(now)} now)`,
      );
    }
    let training: LanguageModelTraining;
    try {
      checkSize(tensors, options, vocabulary.size);
      training = LanguageModelTraining.create(runtime, vocabulary, options, corpus, { teacher });
    } catch (error) {
      if (error instanceof InputError)
        throw new FileFormatError(`the checkpoint's options: ${error.message}`, { cause: error });
      throw error;
    }
    const { epoch, piece, steps } = position;
    const pieces = training.totalSteps / options.epochs;
    if (piece >= pieces || steps !== epoch * pieces + piece || steps > training.totalSteps) {
      throw new FileFormatError(
        `position: ${steps} steps at piece ${piece} of epoch ${epoch}; ${options.epochs} epochs have ${pieces} pieces each`,
      );
    }
    const source = new TensorSource(tensors);
    const copies: [Pointer, Float32Array | Uint8Array][] = [];
    for (const { name, at, size } of training.arrays()) copies.push([at, source.floats(name, [size])]);
    for (const { name, at, size } of training.masks()) copies.push([at, source.flags(name, [size])]);
    source.finish();
    for (const [at, data] of copies) {
      if (data instanceof Uint8Array) runtime.bytes(at, data.length).set(data);
      else runtime.floats(at, data.length).set(data);
    }
    training.restore(position, records);
    return training;
  };
  return { options, vocabulary, run: parseField(metadata, 'run'), resume };
}

function checkPosition(value: unknown): Position {
  const position = asObject(value, 'position') as unknown as Position;
  for (const key of ['epoch', 'piece', 'steps', 'lossCount'] as const) {
    if (!Number.isSafeInteger(position[key]) || position[key] < 0) {
      throw new FileFormatError(`position: ${key} is ${show(position[key])}; a whole number is wanted`);
    }
  }
  if (!Number.isFinite(position.lossSum)) throw new FileFormatError('position: lossSum is not a number');
  return position;
}

/** The types alone: what range they must be in, those who use them check. */
function checkOptions(value: unknown): LanguageModelOptions {
  const config = checkConfig(value);
  checkTypes(value, defaultOptions('word'), 'options');
  const { distillation } = value as LanguageModelOptions;
  if (distillation !== undefined) checkTypes(distillation, { weight: 0, temperature: 0 }, 'options.distillation');
  return { ...(value as LanguageModelOptions), ...config };
}

/** A record of every kind. */
const RECORDS = {
  step: { step: 0, epoch: 0, loss: 0, learningRate: 0, sparsity: 0 },
  valid: { step: 0, epoch: 0, perplexity: 0 },
  prune: { step: 0, sparsity: 0, before: 0, after: 0 },
  cma: {
    step: 0,
    sparsity: 0,
    both: 0,
    structureOnly: 0,
    dopantsOnly: 0,
    matrices: [{ name: '', structureNorm: 0, dopantsNorm: 0, cosine: 0 }],
  },
};

function checkRecords(value: unknown): TrainRecord[] {
  if (!Array.isArray(value)) throw new FileFormatError("'records' in the file's metadata is not a list");
  for (const [i, record] of value.entries()) {
    const { kind } = asObject(record, `records.${i}`);
    const sample = Object.entries(RECORDS).find(([name]) => name === kind)?.[1];
    if (!sample) throw new FileFormatError(`records.${i}: kind is ${show(kind)}; ${Object.keys(RECORDS)} are known`);
    checkTypes(record, sample, `records.${i}`);
  }
  return value;
}

/**
 * A value from JSON must have all that the sample has, of the same types; of a list, every element all that the
 * sample's first has.
 */
function checkTypes(value: unknown, sample: unknown, name: string): void {
  if (Array.isArray(sample)) {
    if (!Array.isArray(value)) throw new FileFormatError(`'${name}' in the file's metadata is not a list`);
    for (const [i, element] of value.entries()) checkTypes(element, sample[0], `${name}.${i}`);
  } else if (typeof sample === 'object' && sample !== null) {
    const object = asObject(value, name);
    for (const [key, inner] of Object.entries(sample)) checkTypes(object[key], inner, `${name}.${key}`);
  } else if (typeof value !== typeof sample) {
    throw new FileFormatError(`'${name}' in the file's metadata is ${show(value)}; a ${typeof sample} is wanted`);
  }
}

/** The parameters must be as many as the options call for, before room is made for so many. */
function checkSize(tensors: ReadonlyMap<string, NamedTensor>, options: LanguageModelOptions, V: number): void {
  const { hidden: H, layers } = options;
  const { M, N, parameters, nonzeros } = matrixPlan(options);
  // The sparse matrices are whole while they are trained.
  const matrix = nonzeros === undefined ? parameters : parameters - nonzeros + M * N;
  const wanted = 2 * V * H + V + layers * (2 * matrix + 8 * H);
  let held = 0;
  for (const [name, { data }] of tensors) if (name.startsWith('value.')) held += data.length;
  if (held !== wanted) {
    throw new FileFormatError(`the file has ${held} parameters, but its options call for ${wanted}`);
  }
}

function checkFingerprint(value: unknown): Fingerprint {
  checkTypes(value, { train: 0, valid: 0, hash: 0 }, 'corpus');
  const { train, valid, hash } = value as Fingerprint;
  return { train, valid, hash };
}

/** Lengths and a 32-bit FNV-1a hash of the tokens. */
function fingerprint({ train, valid }: EncodedCorpus): Fingerprint {
  let hash = 0x811c9dc5;
  for (const ids of [train, valid]) {
    for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193);
  }
  return { train: train.length, valid: valid.length, hash: hash >>> 0 };
}
