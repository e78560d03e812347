import { FileFormatError, InputError } from '../errors';
import type { EncodedCorpus, LanguageModelOptions } from '../tasks/language-model';
import { LanguageModelTraining } from '../tasks/language-model';
import { Vocabulary } from '../tasks/text';
import type { TrainRecord } from '../train/records';
import type { Pointer } from '../wasm/kernels';
import type { Runtime } from '../wasm/runtime';
import { asObject, checkFormat, parseField } from './model-file';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from './safetensors';
import { TensorSource } from './tensors';

// A checkpoint is a safetensors file with all that a training's next step depends on: `value.NAME`, `mask.NAME` and the optimiser's moments of every parameter,
// the carried LSTM state, and in the metadata the options, the vocabulary, the position, the records so far. The random generator counts from the position
// and has no state of its own.

const FORMAT = 'dopant-checkpoint';
const VERSION = '1';

interface Position {
  epoch: number;
  piece: number;
  steps: number;
  lossSum: number;
  lossCount: number;
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
  /** The training as it was. Throws InputError when the corpus is another one. */
  resume(runtime: Runtime, corpus: EncodedCorpus): LanguageModelTraining;
}

/** Throws FileFormatError for a file that is no checkpoint, or a damaged one. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, FORMAT, VERSION, 'a checkpoint of dopant');
  const options = asObject(parseField(metadata, 'options'), 'options') as unknown as LanguageModelOptions;
  const vocabulary = Vocabulary.fromJSON(parseField(metadata, 'vocabulary'));
  const position = checkPosition(parseField(metadata, 'position'));
  const records = parseField(metadata, 'records');
  if (!Array.isArray(records)) throw new FileFormatError("'records' in the file's metadata is not a list");
  const saved = parseField(metadata, 'corpus');

  const resume = (runtime: Runtime, corpus: EncodedCorpus): LanguageModelTraining => {
    const now = fingerprint(corpus);
    if (JSON.stringify(saved) !== JSON.stringify(now)) {
      throw new InputError(
        `data: the text is not the one that the checkpoint was trained on (${JSON.stringify(saved)} then, ${JSON.stringify(now)} now)`,
      );
    }
    let training: LanguageModelTraining;
    try {
      training = LanguageModelTraining.create(runtime, vocabulary, options, corpus);
    } catch (error) {
      if (error instanceof InputError)
        throw new FileFormatError(`the checkpoint's options: ${error.message}`, { cause: error });
      throw error;
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
    training.restore(position, records as TrainRecord[]);
    return training;
  };
  return { options, vocabulary, run: parseField(metadata, 'run'), resume };
}

function checkPosition(value: unknown): Position {
  const position = asObject(value, 'position') as unknown as Position;
  for (const key of ['epoch', 'piece', 'steps', 'lossCount'] as const) {
    if (!Number.isSafeInteger(position[key]) || position[key] < 0) {
      throw new FileFormatError(`position: ${key} is ${JSON.stringify(position[key])}; a whole number is wanted`);
    }
  }
  if (!Number.isFinite(position.lossSum)) throw new FileFormatError('position: lossSum is not a number');
  return position;
}

/** Lengths and a 32-bit FNV-1a hash of the tokens. */
function fingerprint({ train, valid }: EncodedCorpus): { train: number; valid: number; hash: number } {
  let hash = 0x811c9dc5;
  for (const ids of [train, valid]) {
    for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193);
  }
  return { train: train.length, valid: valid.length, hash: hash >>> 0 };
}
