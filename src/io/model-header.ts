import { FileFormatError, InputError, malformed } from '../errors.js';
import { checkNetwork, type NetworkSpec } from '../network/spec.js';
import { checkSpec, type OperatorSpec, shapeOf } from '../operators/spec.js';
import { isObject, show } from '../values.js';
import type { ByteSource } from './bytes.js';
import { parseJson } from './json.js';
import { memoryFor } from './memory.js';
import { decodeSafetensors } from './safetensors.js';
import { type Codings, TensorSource } from './tensor-source.js';

// A model file is a safetensors file. Its metadata hold `format`, `version`, and as JSON `network`, see network/spec.ts;
// `operators`, which says how the tensors make up the matrices: {"lstm.0.ih": spec, ...}; `task`, an object with a `name` and
// whatever else the task needs, which only the task reads; and, where tensors are quantised, `coding`, see TensorSource.

export const MODEL_FORMAT = 'dopant';
export const MODEL_VERSION = '2';

/** What files of each format are, and what reads them. */
const FORMATS: Record<string, [what: string, readers: string]> = {
  dopant: ['a model', 'load(), decodeModel() and the commands'],
  'dopant-checkpoint': ['a checkpoint', 'decodeCheckpoint() and dopant train --resume'],
};

/** What a network is for, and what its inputs and outputs mean, as JSON: only the task of this name reads the rest. */
export interface TaskData {
  /** The name of the task. */
  name: string;
  [field: string]: unknown;
}

/** What a model file says of itself, checked, and its tensors, to be taken. */
export interface Header {
  /** The network, checked. */
  network: NetworkSpec;
  /** What the task needs, not checked but for its name. */
  task: TaskData;
  /** What a matrix of this name is made of; it must be M x N. */
  spec(name: string, M: number, N: number): OperatorSpec;
  /** Its tensors. */
  source: TensorSource;
  /** Bytes that the model may take in memory. */
  memory: number;
  /** To be called when every tensor has been taken. */
  finish(): void;
}

/**
 * Reads the header of a model file.
 *
 * @throws FileFormatError for any other file, saying what is wrong with it
 */
export function readHeader(bytes: ByteSource): Header {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, MODEL_FORMAT, MODEL_VERSION);
  const network = checkNetwork(parseField(metadata, 'network'));
  const operators = asObject(parseField(metadata, 'operators'), 'operators');
  const task = asObject(parseField(metadata, 'task'), 'task');
  if (typeof task.name !== 'string') throw malformed('metadata.task.name', task.name, 'a string');
  const source = new TensorSource(tensors, metadata.coding === undefined ? undefined : readCodings(metadata));
  const spec = (name: string, M: number, N: number) => {
    const checked = checkSpec(operators[name], name);
    const [rows, columns] = shapeOf(checked);
    if (rows !== M || columns !== N)
      throw malformed(`operator '${name}'`, [rows, columns], `the shape ${show([M, N])}`);
    return checked;
  };
  const memory = memoryFor(bytes.byteLength);
  return { network, task: task as TaskData, spec, source, memory, finish: () => source.finish() };
}

/** {"NAME": [bits, group], ...}; the group is checked with the tensor. */
function readCodings(metadata: Record<string, string>): Codings {
  const codings = new Map<string, readonly [number, number]>();
  for (const [name, coding] of Object.entries(asObject(parseField(metadata, 'coding'), 'coding'))) {
    const [bits, group] = Array.isArray(coding) && coding.length === 2 ? coding : [];
    if (
      !(Number.isInteger(bits) && bits >= 2 && bits <= 8 && Number.isInteger(group) && group >= 1 && group < 2 ** 31)
    ) {
      throw malformed(`metadata.coding['${name}']`, coding, '[bits from 2 to 8, numbers that share a scale]');
    }
    codings.set(name, [bits, group]);
  }
  return codings;
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

/** Throws FileFormatError where a file is of another format, saying what it is and what reads that. */
export function checkFormat(metadata: Record<string, string>, expected: string, version: string): void {
  const { format } = metadata;
  if (format !== expected) {
    const [wanted] = FORMATS[expected];
    if (!Object.hasOwn(FORMATS, format)) throw malformed('metadata.format', format, `that of ${wanted} of dopant`);
    const [what, readers] = FORMATS[format];
    throw new FileFormatError(`got ${what}, which ${readers} read; expected ${wanted}`);
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
