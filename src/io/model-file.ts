import { FileFormatError, InputError } from '../errors';
import { LARGEST_HIDDEN, LanguageModel, type LanguageModelConfig, MOST_LAYERS } from '../nn/language-model';
import { LstmLayer } from '../nn/lstm';
import { METHODS } from '../operators/budget';
import type { KronShape } from '../operators/factories';
import type { Operator } from '../operators/operator';
import { Parameter } from '../operators/parameter';
import { Vocabulary } from '../tasks/text';
import type { Runtime } from '../wasm/runtime';
import { decodeSafetensors, encodeSafetensors, type NamedTensor, show } from './safetensors';
import { checkSpec, loadOperator, operatorTensors, parameterTensor, TensorSource } from './tensors';

// A model file is a safetensors file. Its metadata hold `format`, `version`, and as JSON `config`, `vocabulary` and `operators`, which says how the tensors
// make up the matrices: {"lstm.0.ih": spec, ...}.

const FORMAT = 'dopant-language-model';
const VERSION = '1';

/** The bytes of a model file; the same model gives the same bytes. */
export function encodeLanguageModel(model: LanguageModel): Uint8Array {
  const tensors = new Map<string, NamedTensor>();
  for (const [name, parameter] of model.loose()) tensors.set(name, parameterTensor(parameter));
  for (const [name, operator] of model.operators()) {
    for (const [path, tensor] of operatorTensors(operator, name)) tensors.set(path, tensor);
  }
  const operators = Object.fromEntries(model.operators().map(([name, operator]) => [name, operator.spec()]));
  return encodeSafetensors(tensors, {
    format: FORMAT,
    version: VERSION,
    config: JSON.stringify(model.config),
    vocabulary: JSON.stringify(model.vocabulary),
    operators: JSON.stringify(operators),
  });
}

/**
 * The model of a file. Everything is checked before a kernel sees it: the tensors there are, their shapes, finite weights, column indices. Throws
 * FileFormatError saying what is wrong.
 */
export function decodeLanguageModel(runtime: Runtime, bytes: Uint8Array): LanguageModel {
  const { tensors, metadata } = decodeSafetensors(bytes);
  checkFormat(metadata, FORMAT, VERSION, 'a model of dopant');
  const config = checkConfig(parseField(metadata, 'config'));
  const vocabulary = Vocabulary.fromJSON(parseField(metadata, 'vocabulary'));
  const operators = asObject(parseField(metadata, 'operators'), 'operators');
  const source = new TensorSource(tensors);
  const { hidden: H } = config;
  const V = vocabulary.size;

  const parameter = (name: string, shape: readonly number[]) => {
    const values = source.floats(name, shape);
    const result = new Parameter(runtime, shape);
    result.data.set(values);
    return result;
  };
  const matrix = (name: string, M: number, N: number): Operator => {
    const operator = loadOperator(runtime, checkSpec(operators[name], name), name, source);
    if (operator.M !== M || operator.N !== N) {
      throw new FileFormatError(`operator '${name}' is ${operator.M} x ${operator.N}; ${M} x ${N} is wanted`);
    }
    return operator;
  };
  try {
    const embedding = parameter('embedding', [V, H]);
    const layers = Array.from({ length: config.layers }, (_, l) => {
      const ih = matrix(`lstm.${l}.ih`, 4 * H, H);
      const hh = matrix(`lstm.${l}.hh`, 4 * H, H);
      return new LstmLayer(ih, hh, parameter(`lstm.${l}.bias_ih`, [4 * H]), parameter(`lstm.${l}.bias_hh`, [4 * H]));
    });
    const head = { weight: matrix('head', V, H), bias: parameter('head.bias', [V]) };
    source.finish();
    return new LanguageModel(runtime, config, vocabulary, { embedding, layers, head });
  } catch (error) {
    // Constructors blame their arguments, but here those are the file's.
    if (error instanceof InputError) throw new FileFormatError(error.message, { cause: error });
    throw error;
  }
}

export function checkFormat(metadata: Record<string, string>, format: string, version: string, what: string): void {
  if (metadata.format !== format) {
    throw new FileFormatError(`the file is not ${what}: its format is ${show(metadata.format)}; '${format}' is wanted`);
  }
  if (metadata.version !== version) {
    throw new FileFormatError(
      `the file is of version ${show(metadata.version)}; this release reads version ${version}`,
    );
  }
}

export function parseField(
  metadata: Record<string, string>,
  field: string,
  reviver?: (key: string, value: unknown) => unknown,
): unknown {
  const text = metadata[field];
  if (text === undefined) throw new FileFormatError(`the file has no '${field}' in its metadata`);
  try {
    return JSON.parse(text, reviver);
  } catch (cause) {
    throw new FileFormatError(`'${field}' in the file's metadata is not JSON`, { cause });
  }
}

export function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FileFormatError(`'${what}' in the file's metadata is not an object`);
  }
  return value as Record<string, unknown>;
}

/** The configuration as read from JSON, without whatever else is there. */
export function checkConfig(value: unknown): LanguageModelConfig {
  const { hidden, layers, method, compression, kron } = asObject(value, 'config');
  const whole = (name: string, n: unknown, most: number): number => {
    if (!Number.isInteger(n) || (n as number) < 1 || (n as number) > most) {
      throw new FileFormatError(`config: ${name} is ${show(n)}; 1 to ${most} is wanted`);
    }
    return n as number;
  };
  const known = METHODS.find((name) => name === method);
  if (!known) throw new FileFormatError(`config: method is ${show(method)}; ${METHODS.join(', ')} are known`);
  if (typeof compression !== 'number' || !(compression >= 1 && Number.isFinite(compression))) {
    throw new FileFormatError(`config: compression is ${show(compression)}; at least 1 is wanted`);
  }
  if (kron !== undefined && !(Array.isArray(kron) && kron.length === 4)) {
    throw new FileFormatError(`config: kron is ${show(kron)}; four numbers are wanted`);
  }
  return {
    hidden: whole('hidden', hidden, LARGEST_HIDDEN),
    layers: whole('layers', layers, MOST_LAYERS),
    method: known,
    compression,
    ...(kron && { kron: kron.map((side) => whole('kron', side, 4 * LARGEST_HIDDEN)) as unknown as KronShape }),
  };
}
