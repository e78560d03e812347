import { FileFormatError, InputError, malformed } from '../errors.js';
import type { ByteSource } from '../io/bytes.js';
import { memoryFor } from '../io/memory.js';
import { asObject, blamingTheFile, checkFormat, parseField } from '../io/model-header.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../io/safetensors.js';
import { TensorSource } from '../io/tensor-source.js';
import { checkConfig } from '../nn/config.js';
import type { Model } from '../nn/model.js';
import type { PatternOf } from '../nn/network.js';
import type { Plan } from '../operators/budget.js';
import { rowsOf } from '../operators/csr.js';
import { checkMask, type Pattern, type Sparse } from '../operators/sparse.js';
import type { TrainRecord } from '../train/records.js';
import { show } from '../values.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Fingerprint, Training, TrainingClass, TrainingOptions } from './training.js';

// A checkpoint is a safetensors file with everything that the next step of a training depends on: `value.NAME` and the
// optimiser's moments of every parameter; `mask.NAME` of every sparse matrix, or `columns.NAME` and `starts.NAME` if it is
// compressed; the carried LSTM state; and in the metadata the options, what inputs and outputs stand for, the position and the records so
// far. The random generator counts from the position and has no state of its own.

const FORMAT = 'dopant-checkpoint';
const VERSION = '2';

interface Position {
  epoch: number;
  piece: number;
  steps: number;
  lossSum: number;
  lossCount: number;
}

/** Encodes a checkpoint of a training. `run` is stored as JSON: whatever else the caller needs to resume the training. */
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
    schema: JSON.stringify(model.schema),
    position: JSON.stringify(position),
    records: JSON.stringify(records),
    corpus: JSON.stringify(training.fingerprint()),
    run: JSON.stringify(run),
  });
}

/** A checkpoint that has been read, of a training that can be resumed. */
export interface Checkpoint<Options, Data, T, Schema> {
  /** The options that the training started with. */
  options: Options;
  /** What inputs and outputs stand for. */
  schema: Schema;
  /** What the caller of encodeCheckpoint() stored with it, not checked. */
  run: unknown;
  /** Resumes the training, with its teacher if it had one. Throws InputError if the data differ. */
  resume(runtime: Runtime, data: Data, teacher?: Model): T;
}

/**
 * Decodes a checkpoint of a task.
 *
 * @throws FileFormatError for other files and damaged ones
 */
export function decodeCheckpoint<Options extends TrainingOptions, Data, T extends Training, Schema>(
  bytes: ByteSource,
  training: TrainingClass<Options, Data, T, Schema>,
): Checkpoint<Options, Data, T, Schema> {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, FORMAT, VERSION);
  if (metadata.task !== training.task) {
    throw malformed('task', metadata.task, `"${training.task}", which is what this command trains`);
  }
  const options = checkOptions(parseField(metadata, 'options'), training.sample);
  const schema = training.readSchema(asObject(parseField(metadata, 'schema'), 'schema'));
  const position = checkPosition(parseField(metadata, 'position'));
  const records = checkRecords(parseField(metadata, 'records'));
  const saved = checkFingerprint(parseField(metadata, 'corpus'));

  const resume = (runtime: Runtime, data: Data, teacher?: Model): T => {
    const now = training.fingerprint(data);
    if (JSON.stringify(saved) !== JSON.stringify(now)) {
      const [got, expected] = [now, saved].map((fingerprint) => JSON.stringify(fingerprint));
      throw new InputError(
        `data: got ${got}; expected ${expected}: the text is not the one that the checkpoint was trained on`,
      );
    }
    const source = new TensorSource(tensors);
    const patternOf: PatternOf = (name, plan) => readPattern(tensors, source, name, plan);
    const build = () => {
      const resumed = training.create(runtime, schema, options, data, { teacher, patternOf });
      checkPlace(position, resumed);
      const masks = new Map(resumed.sparse().flatMap(([name, sparse]) => maskOf(name, sparse)));
      const copies: [Pointer, Float32Array][] = [];
      for (const { name, at, size } of resumed.arrays()) {
        const data = source.floats(name, [size]);
        // Arrays of a parameter are called value.NAME and MOMENT.NAME.
        checkPruned(name, data, masks.get(name.slice(name.indexOf('.') + 1)));
        copies.push([at, data]);
      }
      source.finish();
      for (const [at, data] of copies) runtime.floats(at, data.length).set(data);
      resumed.restore(position, records);
      return resumed;
    };
    return blamingTheFile(() => runtime.within(memoryFor(bytes.byteLength), build));
  };
  return { options, schema, run: parseField(metadata, 'run'), resume };
}

function readPattern(
  tensors: ReadonlyMap<string, NamedTensor>,
  source: TensorSource,
  name: string,
  { M, N, block }: Plan,
): Pattern {
  if (tensors.has(`mask.${name}`)) {
    const mask = source.take(`mask.${name}`, [M * N], 'U8');
    checkMask(mask, M, N, rowsOf(block, M), `tensor 'mask.${name}'`);
    return { mask };
  }
  const groups = M / rowsOf(block, M).size;
  const starts = new Uint32Array(source.take(`starts.${name}`, [groups + 1], 'U16', 'U32'));
  return {
    blocks: { starts, columns: new Uint32Array(source.take(`columns.${name}`, [starts[groups]], 'U16', 'U32')) },
  };
}

/** The mask of a matrix, if it has one, with the name of the matrix. */
function maskOf(name: string, sparse: Sparse): [string, Uint8Array][] {
  const pattern = sparse.pattern();
  return 'mask' in pattern ? [[name, pattern.mask]] : [];
}

/** Pruned weights must be 0, since products use the whole matrix, and so must their moments. */
function checkPruned(name: string, data: Float32Array, mask: Uint8Array | undefined): void {
  const bad = mask?.findIndex((alive, i) => !alive && data[i] !== 0) ?? -1;
  if (bad >= 0) throw malformed(`tensor '${name}'`, data[bad], `0 at place ${bad}, which the mask says is pruned`);
}

/** The position must be one that this training reaches. */
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
      throw new FileFormatError(`position: got ${key} ${show(position[key])}; expected a whole number >= 0`);
    }
  }
  if (!Number.isFinite(position.lossSum)) {
    throw new FileFormatError(`position: got lossSum ${show(position.lossSum)}; expected a finite number`);
  }
  return position;
}

/** Checks types only: the code that uses an option checks its range. */
function checkOptions<Options extends TrainingOptions>(value: unknown, sample: Options): Options {
  const config = checkConfig(value);
  checkTypes(value, sample, 'options');
  const { distillation, bits } = value as Options;
  if (distillation !== undefined) checkTypes(distillation, { weight: 0, temperature: 0 }, 'options.distillation');
  if (bits !== undefined) checkTypes(bits, 0, 'options.bits');
  return { ...(value as Options), ...config };
}

/** A number that may be infinite, which JSON writes as null, such as the perplexity of a model that pruning has ruined. */
const MAYBE_INFINITE = Number.POSITIVE_INFINITY;

/** A record of every kind. */
const RECORDS = {
  step: { step: 0, epoch: 0, loss: 0, learningRate: 0, sparsity: 0 },
  valid: { step: 0, epoch: 0 },
  prune: { step: 0, sparsity: 0, before: MAYBE_INFINITE, after: MAYBE_INFINITE },
  cma: {
    step: 0,
    sparsity: 0,
    both: MAYBE_INFINITE,
    structureOnly: MAYBE_INFINITE,
    dopantsOnly: MAYBE_INFINITE,
    matrices: [{ name: '', structureNorm: MAYBE_INFINITE, dopantsNorm: MAYBE_INFINITE, cosine: 0 }],
  },
};

function checkRecords(value: unknown): TrainRecord[] {
  if (!Array.isArray(value)) throw malformed('records', value, 'a list');
  for (const [i, record] of value.entries()) {
    const name = `records.${i}`;
    const { kind, perplexity, accuracy, exact, f1, mse } = asObject(record, name);
    const sample = Object.entries(RECORDS).find(([known]) => known === kind)?.[1];
    if (!sample) throw malformed(`${name}.kind`, kind, `one of ${Object.keys(RECORDS).join(', ')}`);
    checkTypes(record, sample, name);
    for (const [key, share] of Object.entries({ perplexity, accuracy, exact, f1, mse })) {
      if (share !== undefined) checkTypes(share, 0, `${name}.${key}`);
    }
  }
  return value;
}

/**
 * Checks that a value from JSON has all fields of the sample, with the same types. The first element of a list is the sample
 * for all its elements. Numbers must be finite; null becomes Infinity if the sample is Infinity.
 */
function checkTypes(value: unknown, sample: unknown, name: string): void {
  if (Array.isArray(sample)) {
    if (!Array.isArray(value)) throw malformed(name, value, 'a list');
    for (const [i, element] of value.entries()) checkTypes(element, sample[0], `${name}.${i}`);
  } else if (typeof sample === 'object' && sample !== null) {
    const object = asObject(value, name);
    for (const [key, inner] of Object.entries(sample)) {
      if (object[key] === null && inner === MAYBE_INFINITE) object[key] = inner;
      else checkTypes(object[key], inner, `${name}.${key}`);
    }
  } else if (typeof value !== typeof sample) throw malformed(name, value, `a ${typeof sample}`);
  else if (typeof value === 'number' && !Number.isFinite(value)) throw malformed(name, value, 'a finite number');
}

function checkFingerprint(value: unknown): Fingerprint {
  checkTypes(value, { train: 0, valid: 0, hash: 0 }, 'corpus');
  const { train, valid, hash } = value as Fingerprint;
  return { train, valid, hash };
}
