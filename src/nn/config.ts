import { checkWhole } from '../checks.js';
import { malformed } from '../errors.js';
import { BLOCK_SIZES, type BlockSize } from '../operators/csr.js';
import { type KronShape, METHODS, type Method, MOST_FACTORS } from '../operators/methods.js';
import { isObject } from '../values.js';

export interface ModelConfig {
  hidden: number;
  layers: number;
  method: Method;
  /** Of every LSTM matrix; 1 for dense. */
  compression: number;
  /** Shapes of the Kronecker factors; chosen by planMatrix() unless given. */
  kron?: KronShape;
  /** How many rows of the sparse matrices are pruned together; default 1. */
  block?: BlockSize;
}

export interface IntentModelConfig extends ModelConfig {
  /** Width of the embedding. */
  embedding: number;
}

/** The settings of the model among others. */
export function modelConfig({ hidden, layers, method, compression, kron, block }: ModelConfig): ModelConfig {
  return { hidden, layers, method, compression, ...(kron && { kron }), ...(block && { block }) };
}

/** Throws InputError for a size that no model may have. */
export function checkModelSize({ hidden, layers, embedding = hidden }: ModelConfig & { embedding?: number }): void {
  checkWhole('hidden', hidden, 1, LARGEST_HIDDEN);
  checkWhole('embedding', embedding, 1, LARGEST_HIDDEN);
  checkWhole('layers', layers, 1, MOST_LAYERS);
}

/** Larger models are neither made nor read from files, so that what is made can be read. */
export const LARGEST_HIDDEN = 2 ** 16;
export const MOST_LAYERS = 64;

/** The settings of a model as read from JSON, without whatever else is there. Throws FileFormatError. */
export function checkConfig(value: unknown): ModelConfig {
  const { hidden, layers, method, compression, kron, block } = fieldsOf(value);
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

function fieldsOf(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw malformed('config', value, 'an object');
  return value;
}

/** Those of an intent model. */
export function checkIntentConfig(value: unknown): IntentModelConfig {
  const { embedding } = fieldsOf(value);
  return { ...checkConfig(value), embedding: wholeNumber('embedding', embedding, LARGEST_HIDDEN) };
}

function wholeNumber(name: string, n: unknown, most: number): number {
  if (Number.isInteger(n) && (n as number) >= 1 && (n as number) <= most) return n as number;
  throw malformed(`config.${name}`, n, `a whole number from 1 to ${most}`);
}
