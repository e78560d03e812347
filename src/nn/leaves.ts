import { invalid } from '../errors.js';
import { directionsOf, ENCODER, type LayerSpec, type NetworkSpec, recurrentOf } from '../network/spec.js';
import { Dense } from '../operators/dense.js';
import { walk } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Sparse } from '../operators/sparse.js';
import type { Network } from './network.js';

/** What a tensor is for: files may store each role in other bits. */
export const ROLES = ['embedding', 'head', 'factors', 'dopants', 'dense', 'vectors'] as const;
/**
 * What a tensor is for: the embedding; the matrix of the last layer, unless it is compressed; the structure of compressed
 * matrices; their sparse part; other dense matrices; biases.
 */
export type Role = (typeof ROLES)[number];

/** Bits that a number may have in files. */
export const BITS = [32, 16, 8, 4, 3, 2] as const;
/** Bits of a number in files: f32, f16, or codes with scales of f16. */
export type Bits = (typeof BITS)[number];

/** Bits of a number in files for each role; 32 where nothing is said. */
export type StoredBits = { readonly [role in Role]?: Bits };

/** Bits of a number in a small file. */
export type FewBits = 8 | 4 | 3 | 2;

/** Throws InputError for anything else. */
export function checkFewBits(bits: unknown): void {
  if (![8, 4, 3, 2].some((known) => known === bits)) throw invalid('bits', bits, '8, 4, 3 or 2');
}

/** Factors, few numbers that each stand in many places, get at least this many: with 4, characters lost 10 %. */
const FEWEST_OF_FACTORS = 8;

/**
 * The bits of all roles where a model shall have so many: factors have at least 8, biases are f16.
 *
 * @throws InputError for other numbers than 8, 4, 3 and 2
 * @example encodeModel(model, bitsOfAll(4))
 */
export function bitsOfAll(bits: FewBits): StoredBits {
  checkFewBits(bits);
  const factors = Math.max(bits, FEWEST_OF_FACTORS) as Bits;
  return { embedding: bits, head: bits, factors, dopants: bits, dense: bits, vectors: 16 };
}

/** Numbers of a network that files store together. */
export interface Leaf {
  /** The name of their tensor. */
  name: string;
  role: Role;
  parameter: Parameter;
  /** Of the numbers in memory, those that are stored, in order; all where it is left out. */
  places?: Uint32Array;
  /** What is added to them: an LSTM adds its two biases, and a small file has them in one. */
  plus?: Parameter;
  /** Whether they were added to others, and zeros take their place. */
  added?: true;
  /** Consecutive numbers that share a scale where they are quantised. */
  group: number;
}

/** Numbers that share a scale where rows are not used one by one: 0.25 bits more for each. */
const GROUP = 64;

/** Whether a matrix is that of the last layer, or one of its clusters. */
const isHead = (name: string, { kind, name: last }: LayerSpec) =>
  (kind === 'linear' && name === last) || (kind === 'adaptive' && name.startsWith(`${last}.`));

/** All numbers of a network that are stored, by the names of their tensors. */
export function leavesOf(network: Pick<Network, 'spec' | 'plainParameters' | 'operators'>): Leaf[] {
  const last = network.spec.layers[network.spec.layers.length - 1];
  const plain = new Map(network.plainParameters());
  const lstmsOf = (spec: NetworkSpec) =>
    recurrentOf(spec).flatMap((layer) => (layer.kind === 'lstm' ? directionsOf(layer).map(({ name }) => name) : []));
  const { encoder } = network.spec;
  const lstms = [...lstmsOf(network.spec), ...(encoder ? lstmsOf(encoder).map((name) => ENCODER + name) : [])];
  const pairs = new Map(lstms.map((name) => [`${name}.bias_ih`, `${name}.bias_hh`]));
  const added = new Set(pairs.values());
  const leaves: Leaf[] = [...plain].map(([name, parameter]) => {
    if (parameter.shape.length === 2) return { name, role: 'embedding', parameter, group: parameter.shape[1] };
    const vector: Leaf = { name, role: 'vectors', parameter, group: GROUP };
    if (pairs.has(name)) return { ...vector, plus: plain.get(pairs.get(name)!)! };
    return added.has(name) ? { ...vector, added: true } : vector;
  });
  for (const [name, operator] of network.operators()) {
    for (const [path, leaf] of walk(operator, name)) {
      if (leaf instanceof Sparse) {
        const places = leaf.stored();
        leaves.push({ name: `${path}.values`, role: 'dopants', parameter: leaf.weight, places, group: GROUP });
      } else if (leaf instanceof Dense) {
        const whole = leaf === operator;
        const role = !whole ? 'factors' : isHead(name, last) ? 'head' : 'dense';
        leaves.push({ name: `${path}.weight`, role, parameter: leaf.weight, group: whole ? leaf.N : GROUP });
      }
    }
  }
  return leaves;
}
