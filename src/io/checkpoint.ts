import { FileFormatError, InputError } from '../errors.js';
import type { Model, PatternOf } from '../nn/model.js';
import type { Plan } from '../operators/budget.js';
import { rowsOf } from '../operators/csr.js';
import type { Pattern } from '../operators/sparse.js';
import type { Fingerprint, Training, TrainingClass, TrainingOptions } from '../tasks/training.js';
import { Vocabulary } from '../text/vocabulary.js';
import type { TrainRecord } from '../train/records.js';
import { show } from '../values.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { ByteSource } from './bytes.js';
import { memoryFor } from './memory.js';
import { asObject, blamingTheFile, checkConfig, checkFormat, parseField } from './model-header.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from './safetensors.js';
import { TensorSource } from './tensor-source.js';

// A checkpoint is a safetensors file with all that a training's next step depends on: `value.NAME` and the optimiser's
// moments of every parameter; `mask.NAME` of every sparse matrix, or `columns.NAME` and `starts.NAME` once it is
// compressed; the carried LSTM state; and in the metadata the options, the vocabulary, the position, the records so far.
// The random generator counts from the position and has no state of its own.

const FORMAT = 'dopant-checkpoint';
const VERSION = '2';

interface Position {
  epoch: number;
  piece: number;
  steps: number;
  lossSum: number;
  lossCount: number;
}

/** `run` is the caller's: whatever else is needed to take the training up again, as JSON. */
export function encodeCheckpoint(training: Training, run: unknown): Uint8Array {
  const { task, model, options, trainer, epoch, piece, lossSum, lossCount, records } = training;
  const tensors = new Map<string, NamedTensor>();
  for (const { name, at, size } of training.arrays()) {
    tensors.set(name, { dtype: 'F32', shape: [size], data: model.runtime.floats(at, size).slice() });
  }
  for (const [name, sparse] of training.sparse()) {
    const pattern = sparse.pattern();
    if ('mask' in pattern) {
      tensors.set(`mask.${name}`, { dtype: 'U8', shape: [pattern.mask.length], data: pattern.mask });
      continue;
    }
    const { columns, starts } = pattern.blocks;
    tensors.set(`columns.${name}`, { dtype: 'U32', shape: [columns.length], data: columns });
    tensors.set(`starts.${name}`, { dtype: 'U32', shape: [starts.length], data: starts });
  }
  const position: Position = { epoch, piece, steps: trainer.stepsDone, lossSum, lossCount };
  return encodeSafetensors(tensors, {
    format: FORMAT,
    version: VERSION,
    task,
    options: JSON.stringify(options),
    vocabulary: JSON.stringify(model.vocabulary),
    position: JSON.stringify(position),
    records: JSON.stringify(records),
    corpus: JSON.stringify(training.fingerprint()),
    run: JSON.stringify(run),
  });
}

export interface Checkpoint<Options, Data, T> {
  options: Options;
  vocabulary: Vocabulary;
  run: unknown;
  /** The training as it was, with the teacher that it had, if any. Throws InputError when the data are others. */
  resume(runtime: Runtime, data: Data, teacher?: Model): T;
}

/** Throws FileFormatError for a file that is no checkpoint of this task, or a damaged one. */
export function decodeCheckpoint<Options extends TrainingOptions, Data, T extends Training>(
  bytes: ByteSource,
  training: TrainingClass<Options, Data, T>,
): Checkpoint<Options, Data, T> {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, [FORMAT], VERSION);
  if (metadata.task !== training.task) {
    throw new FileFormatError(
      `the checkpoint is one of 'dopant train' with ${show(metadata.task)}; one with '${training.task}' is wanted`,
    );
  }
  const options = checkOptions(parseField(metadata, 'options'), training.sample);
  const vocabulary = Vocabulary.fromJSON(parseField(metadata, 'vocabulary'));
  const position = checkPosition(parseField(metadata, 'position'));
  const records = checkRecords(parseField(metadata, 'records'));
  const saved = checkFingerprint(parseField(metadata, 'corpus'));

  const resume = (runtime: Runtime, data: Data, teacher?: Model): T => {
    const now = training.fingerprint(data);
    if (JSON.stringify(saved) !== JSON.stringify(now)) {
      throw new InputError(
        `data: the text is not the one that the checkpoint was trained on (${JSON.stringify(saved)} then, ${JSON.stringify(now)} now)`,
      );
    }
    const source = new TensorSource(tensors);
    const patternOf: PatternOf = (name, plan) => readPattern(tensors, source, name, plan);
    const build = () => {
      const resumed = training.create(runtime, vocabulary, options, data, { teacher, patternOf });
      checkPlace(position, resumed);
      const copies: [Pointer, Float32Array][] = [];
      for (const { name, at, size } of resumed.arrays()) copies.push([at, source.floats(name, [size])]);
      source.finish();
      for (const [at, data] of copies) runtime.floats(at, data.length).set(data);
      resumed.restore(position, records);
      return resumed;
    };
    return blamingTheFile(() => runtime.within(memoryFor(bytes.byteLength), build));
  };
  return { options, vocabulary, run: parseField(metadata, 'run'), resume };
}

function readPattern(
  tensors: ReadonlyMap<string, NamedTensor>,
  source: TensorSource,
  name: string,
  { M, N, block }: Plan,
): Pattern {
  if (tensors.has(`mask.${name}`)) return { mask: readMask(source, `mask.${name}`, M * N) };
  const groups = M / rowsOf(block, M).size;
  const starts = new Uint32Array(source.integers(`starts.${name}`, [groups + 1]));
  return { blocks: { starts, columns: new Uint32Array(source.integers(`columns.${name}`, [starts[groups]])) } };
}

function readMask(source: TensorSource, name: string, size: number): Uint8Array {
  const tensor = source.take(name, [size]);
  if (tensor.dtype !== 'U8') throw new FileFormatError(`tensor '${name}' is ${tensor.dtype}; U8 is wanted`);
  const bad = tensor.data.findIndex((flag) => flag > 1);
  if (bad >= 0) {
    throw new FileFormatError(`tensor '${name}' holds ${tensor.data[bad]} at place ${bad}; 0 or 1 is wanted`);
  }
  return tensor.data;
}

/** A position must be one that this training comes to. */
function checkPlace({ epoch, piece, steps }: Position, { pieces, totalSteps, options }: Training): void {
  if (piece < pieces && steps === epoch * pieces + piece && steps <= totalSteps) return;
  throw new FileFormatError(
    `position: got ${steps} steps at piece ${piece} of epoch ${epoch}; expected one of ${options.epochs} epochs of ${pieces} pieces`,
  );
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
function checkOptions<Options extends TrainingOptions>(value: unknown, sample: Options): Options {
  const config = checkConfig(value);
  checkTypes(value, sample, 'options');
  const { distillation } = value as Options;
  if (distillation !== undefined) checkTypes(distillation, { weight: 0, temperature: 0 }, 'options.distillation');
  return { ...(value as Options), ...config };
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
    // JSON writes null for a perplexity too large for a number.
    checkTypes(record, sample, `records.${i}`, Number.POSITIVE_INFINITY);
  }
  return value;
}

/**
 * A value from JSON must have all that the sample has, of the same types; of a list, every element all that the
 * sample's first has. With `missing`, a number may be null, and becomes that.
 */
function checkTypes(value: unknown, sample: unknown, name: string, missing?: number): void {
  if (Array.isArray(sample)) {
    if (!Array.isArray(value)) throw new FileFormatError(`'${name}' in the file's metadata is not a list`);
    for (const [i, element] of value.entries()) checkTypes(element, sample[0], `${name}.${i}`, missing);
  } else if (typeof sample === 'object' && sample !== null) {
    const object = asObject(value, name);
    for (const [key, inner] of Object.entries(sample)) {
      if (missing !== undefined && object[key] === null && typeof inner === 'number') object[key] = missing;
      checkTypes(object[key], inner, `${name}.${key}`, missing);
    }
  } else if (typeof value !== typeof sample) {
    throw new FileFormatError(`'${name}' in the file's metadata is ${show(value)}; a ${typeof sample} is wanted`);
  }
}

function checkFingerprint(value: unknown): Fingerprint {
  checkTypes(value, { train: 0, valid: 0, hash: 0 }, 'corpus');
  const { train, valid, hash } = value as Fingerprint;
  return { train, valid, hash };
}
