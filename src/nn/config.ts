import { checkWhole } from '../checks.js';
import { invalid, malformed } from '../errors.js';
import { checkCutoffs, LARGEST_WIDTH, MOST_LAYERS, MOST_TOKENS } from '../network/spec.js';
import { BLOCK_SIZES, type BlockSize } from '../operators/csr.js';
import { type KronShape, METHODS, type Method, MOST_FACTORS } from '../operators/methods.js';
import { isObject } from '../values.js';

/** Kinds of recurrent layers. */
export const CELLS = ['lstm', 'gru'] as const;
/** A kind of recurrent layer. */
export type Cell = (typeof CELLS)[number];

/** The settings of a model: its size, and how its matrices are made. */
export interface ModelConfig {
  /** Units of a recurrent layer. */
  hidden: number;
  /** Recurrent layers, one upon the other. */
  layers: number;
  /** Kind of the recurrent layers; default 'lstm'. */
  cell?: Cell;
  /** 1: they read forward; 2: in both directions. The default is the task's. */
  directions?: 1 | 2;
  /** How the matrices are made. */
  method: Method;
  /** Parameters of each dense recurrent matrix over those kept; 1 for dense. */
  compression: number;
  /** Shapes of the Kronecker factors; chosen by planMatrix() unless given. */
  kron?: KronShape;
  /** Which matrices are compressed: those of recurrent layers, the default, or those of linear and conv layers, too. */
  matrices?: 'all';
  /** The compression of those of linear and conv layers; that of the recurrent ones unless given. */
  linearCompression?: number;
  /** Width of the embedding of a language model; as many as units unless given. */
  embedding?: number;
  /** How many rows of the sparse matrices are pruned together; default 1. */
  block?: BlockSize;
  /** Of a language model: its head is its embedding. */
  tied?: true;
  /** Of a language model: its head is an adaptive softmax with these cutoffs. */
  cutoffs?: readonly number[];
}

/** The settings of a model that reads words. */
export interface TextModelConfig extends ModelConfig {
  /** Width of the embedding. */
  embedding: number;
}

/** The settings of the model among others. */
export function modelConfig(config: ModelConfig): ModelConfig {
  const { hidden, layers, embedding, cell, directions, method, compression, matrices, kron, block, tied, cutoffs } =
    config;
  const { linearCompression } = config;
  return {
    hidden,
    layers,
    ...(cell && { cell }),
    ...(directions && { directions }),
    method,
    compression,
    ...(matrices && { matrices }),
    ...(linearCompression && { linearCompression }),
    ...(embedding && { embedding }),
    ...(kron && { kron }),
    ...(block && { block }),
    ...(tied && { tied }),
    ...(cutoffs && { cutoffs }),
  };
}

/** Throws InputError for a size, a cell, directions or blocks that no model may have. */
export function checkModelSize(config: ModelConfig): void {
  const { hidden, layers, embedding = hidden, cell = 'lstm', directions = 1, block, matrices } = config;
  if (block === 'gates' && (cell !== 'lstm' || matrices === 'all')) {
    const what = cell === 'lstm' ? 'matrices of linear layers, which have no gates' : 'a GRU, which has three gates';
    throw invalid('block', block, `1, 4 or 8 for ${what}; those of the four gates are for LSTM layers`);
  }
  if (!CELLS.includes(cell)) throw invalid('cell', cell, CELLS.join(' or '));
  if (directions !== 1 && directions !== 2) throw invalid('directions', directions, '1 or 2');
  checkWhole('hidden', hidden, 1, LARGEST_WIDTH);
  checkWhole('embedding', embedding, 1, LARGEST_WIDTH);
  checkWhole('layers', layers, 1, MOST_RECURRENT);
}

/** Recurrent layers, with room for others beside them. More are neither made nor read from files, so that what is made can be read. */
const MOST_RECURRENT = MOST_LAYERS / 2;

/** The settings of a model as read from JSON, without whatever else is there. Throws FileFormatError. */
export function checkConfig(value: unknown): ModelConfig {
  const { hidden, layers, cell, directions, method, compression, matrices, kron, block, tied, cutoffs } =
    fieldsOf(value);
  const known = METHODS.find((name) => name === method);
  if (!known) throw malformed('config.method', method, `one of ${METHODS.join(', ')}`);
  const { linearCompression, embedding } = fieldsOf(value);
  if (matrices !== undefined && matrices !== 'all') throw malformed('config.matrices', matrices, "'all', or nothing");
  const isFactors = Array.isArray(kron) && kron.length > 3 && kron.length % 2 === 0 && kron.length <= 2 * MOST_FACTORS;
  if (kron !== undefined && !isFactors)
    throw malformed('config.kron', kron, `the sides of 2 to ${MOST_FACTORS} factors`);
  const size = block === undefined ? undefined : BLOCK_SIZES.find((known) => known === block);
  if (block !== undefined && !size) throw malformed('config.block', block, `one of ${BLOCK_SIZES.join(', ')}`);
  if (tied !== undefined && tied !== true) throw malformed('config.tied', tied, 'true, or nothing');
  const kind = CELLS.find((known) => known === cell);
  if (cell !== undefined && !kind) throw malformed('config.cell', cell, CELLS.join(' or '));
  if (directions !== undefined && directions !== 1 && directions !== 2) {
    throw malformed('config.directions', directions, '1 or 2');
  }
  return {
    hidden: wholeNumber('hidden', hidden, LARGEST_WIDTH),
    layers: wholeNumber('layers', layers, MOST_RECURRENT),
    ...(kind && { cell: kind }),
    ...(directions && { directions }),
    method: known,
    compression: ratio('compression', compression),
    ...(matrices === 'all' && { matrices }),
    ...(linearCompression !== undefined && { linearCompression: ratio('linearCompression', linearCompression) }),
    ...(embedding !== undefined && { embedding: wholeNumber('embedding', embedding, LARGEST_WIDTH) }),
    ...(isFactors && { kron: kron.map((side) => wholeNumber('kron', side, 4 * LARGEST_WIDTH)) }),
    ...(size && { block: size }),
    ...(tied === true && { tied }),
    ...(cutoffs !== undefined && { cutoffs: checkCutoffs(cutoffs, MOST_TOKENS, 'config.cutoffs') }),
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw malformed('config', value, 'an object');
  return value;
}

/** Those of a model of words. */
export function checkTextConfig(value: unknown): TextModelConfig {
  const { embedding } = fieldsOf(value);
  return { ...checkConfig(value), embedding: wholeNumber('embedding', embedding, LARGEST_WIDTH) };
}

function ratio(name: string, x: unknown): number {
  if (typeof x === 'number' && x >= 1 && Number.isFinite(x)) return x;
  throw malformed(`config.${name}`, x, 'a number >= 1');
}

function wholeNumber(name: string, n: unknown, most: number): number {
  if (Number.isInteger(n) && (n as number) >= 1 && (n as number) <= most) return n as number;
  throw malformed(`config.${name}`, n, `a whole number from 1 to ${most}`);
}
