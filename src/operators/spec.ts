import { malformed } from '../errors.js';
import { isObject } from '../values.js';
import { BLOCK_SIZES, type BlockSize, rowsOf } from './csr.js';
import { LARGEST_SIDE, mostFormed } from './methods.js';

/** How an operator is composed, without its numbers: what files store of it. */
export type OperatorSpec =
  | { type: 'dense'; shape: [number, number] }
  | { type: 'sparse'; shape: [number, number]; nonzeros: number; block?: BlockSize }
  | KroneckerSpec
  | { type: 'product'; U: OperatorSpec; V: OperatorSpec }
  | { type: 'vstack'; blocks: OperatorSpec[] }
  | { type: 'sum'; terms: OperatorSpec[] };

/** With more than two factors, C is the product of all but the first. */
export interface KroneckerSpec {
  type: 'kronecker';
  B: [number, number];
  C: [number, number] | KroneckerSpec;
}

/** The sides M and N of the matrix that a checked spec describes. */
export function shapeOf(spec: OperatorSpec): [number, number] {
  switch (spec.type) {
    case 'dense':
    case 'sparse':
      return spec.shape;
    case 'kronecker': {
      const [m, n] = sidesOf(spec.C);
      return [spec.B[0] * m, spec.B[1] * n];
    }
    case 'product':
      return [shapeOf(spec.U)[0], shapeOf(spec.V)[1]];
    case 'vstack': {
      const shapes = spec.blocks.map(shapeOf);
      return [shapes.reduce((sum, [M]) => sum + M, 0), shapes[0][1]];
    }
    case 'sum':
      return shapeOf(spec.terms[0]);
  }
}

/** The sides of a Kronecker factor, or of a product of several. */
export function sidesOf(factor: KroneckerSpec['C']): [number, number] {
  return Array.isArray(factor) ? factor : shapeOf(factor);
}

/** Numbers that training forms of Kronecker factors: every product of those from the second, third, ... to the last. */
function formedSize({ C }: KroneckerSpec): number {
  if (Array.isArray(C)) return 0;
  const [m, n] = shapeOf(C);
  return m * n + formedSize(C);
}

const DEEPEST = 16;
const LARGEST_FREE_RANK = 4096;

/**
 * Checks a spec read from JSON: its parts must fit together, and no matrix, nor anything computed on the way, may be larger than
 * the limits above.
 *
 * @throws FileFormatError naming the operator and the field
 */
export function checkSpec(spec: unknown, name: string, depth = 0): OperatorSpec {
  const where = `operator '${name}'`;
  if (!isObject(spec)) throw malformed(where, spec, 'an object');
  if (depth > DEEPEST) throw malformed(where, spec, `nesting at most ${DEEPEST} deep`);
  const checked = checkParts(spec, name, depth);
  const shape = shapeOf(checked);
  if (shape.some((side) => side > LARGEST_SIDE)) throw malformed(where, shape, `sides of at most ${LARGEST_SIDE}`);
  return checked;
}

function checkParts(spec: Record<string, unknown>, name: string, depth: number): OperatorSpec {
  const where = `operator '${name}'`;
  const shape = (key: string): [number, number] => {
    const sides = spec[key];
    const isSide = (side: unknown) =>
      Number.isInteger(side) && (side as number) >= 1 && (side as number) <= LARGEST_SIDE;
    if (Array.isArray(sides) && sides.length === 2 && sides.every(isSide)) return sides as [number, number];
    throw malformed(`${where}.${key}`, sides, `two whole numbers from 1 to ${LARGEST_SIDE}`);
  };
  const part = (inner: unknown, key: string | number) => checkSpec(inner, `${name}.${key}`, depth + 1);
  /** A list of operators that must agree in what `alike` compares. */
  const parts = (key: string, measure: (shape: [number, number]) => unknown, what: string): OperatorSpec[] => {
    const given = spec[key];
    if (!Array.isArray(given) || given.length < 1) throw malformed(`${where}.${key}`, given, 'a list of operators');
    const all = given.map(part);
    const first = shapeOf(all[0]);
    const other = all.map(shapeOf).find((shape) => measure(shape) !== measure(first));
    if (other) throw malformed(`${where}.${key}`, [first, other].map(inWords), `as many ${what} in each`);
    return all;
  };
  switch (spec.type) {
    case 'dense':
      return { type: spec.type, shape: shape('shape') };
    case 'sparse': {
      const { nonzeros, block = 1 } = spec;
      const known = BLOCK_SIZES.find((one) => one === block);
      if (!known) throw malformed(`${where}.block`, block, `one of ${BLOCK_SIZES.join(', ')}`);
      const [M, N] = shape('shape');
      const { size } = rowsOf(known, M);
      if (M % size !== 0) throw malformed(`${where}.shape`, [M, N], `a multiple of ${size} rows, for its blocks`);
      const isCount = Number.isInteger(nonzeros) && (nonzeros as number) >= 0 && (nonzeros as number) <= M * N;
      if (!isCount || (nonzeros as number) % size !== 0) {
        throw malformed(`${where}.nonzeros`, nonzeros, `a multiple of ${size} from 0 to ${M * N}`);
      }
      return { type: 'sparse', shape: [M, N], nonzeros: nonzeros as number, ...(known !== 1 && { block: known }) };
    }
    case 'kronecker': {
      const nested = isObject(spec.C) && spec.C.type === 'kronecker';
      const C = nested ? (part(spec.C, 'C') as KroneckerSpec) : shape('C');
      const checked: KroneckerSpec = { type: 'kronecker', B: shape('B'), C };
      const [formed, most] = [formedSize(checked), mostFormed(...shapeOf(checked))];
      if (formed <= most) return checked;
      throw malformed(`${where}.C`, formed, `factors whose products have at most ${most} numbers`);
    }
    case 'product': {
      const [U, V] = [part(spec.U, 'U'), part(spec.V, 'V')];
      const [columns, rows] = [shapeOf(U)[1], shapeOf(V)[0]];
      if (columns !== rows) throw malformed(`${where}.V`, rows, `${columns} rows, as many as U has columns`);
      // A rank above the longer side adds nothing but memory. A small excess does no harm.
      const most = LARGEST_FREE_RANK + Math.max(shapeOf(U)[0], shapeOf(V)[1]);
      if (rows > most) throw malformed(`${where}.V`, rows, `at most ${most} rows`);
      return { type: 'product', U, V };
    }
    case 'vstack':
      return { type: 'vstack', blocks: parts('blocks', ([, N]) => N, 'columns') };
    case 'sum':
      return { type: 'sum', terms: parts('terms', inWords, 'rows and columns') };
    default:
      throw malformed(`${where}.type`, spec.type, 'dense, sparse, kronecker, product, vstack or sum');
  }
}

const inWords = ([M, N]: [number, number]) => `${M} x ${N}`;
