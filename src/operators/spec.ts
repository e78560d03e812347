import { FileFormatError } from '../errors.js';
import { isObject, show } from '../values.js';
import { BLOCK_SIZES, type BlockSize, rowsOf } from './csr.js';

/** What is needed to make the operator again, besides the numbers: this is what files hold. */
export type OperatorSpec =
  | { type: 'dense'; shape: [number, number] }
  | { type: 'int8'; shape: [number, number] } // for inference: int8 weights, a scale a row
  | { type: 'sparse'; shape: [number, number]; nonzeros: number; block?: BlockSize }
  | KroneckerSpec
  | { type: 'product'; U: OperatorSpec; V: OperatorSpec }
  | { type: 'vstack'; blocks: OperatorSpec[] }
  | { type: 'sum'; terms: OperatorSpec[] };

/** Of more than two factors, C is the product of all but the first. */
export interface KroneckerSpec {
  type: 'kronecker';
  B: [number, number];
  C: [number, number] | KroneckerSpec;
}

/** M and N of the matrix that a spec describes. Throws FileFormatError when its parts do not fit together. */
export function shapeOf(spec: OperatorSpec): [number, number] {
  switch (spec.type) {
    case 'dense':
    case 'int8':
    case 'sparse':
      return spec.shape;
    case 'kronecker': {
      const [m, n] = sidesOf(spec.C);
      return [spec.B[0] * m, spec.B[1] * n];
    }
    case 'product': {
      const [M, inner] = shapeOf(spec.U);
      const [rows, N] = shapeOf(spec.V);
      if (inner !== rows) throw new FileFormatError(`a product of matrices with ${inner} columns and ${rows} rows`);
      return [M, N];
    }
    case 'vstack': {
      const shapes = spec.blocks.map(shapeOf);
      const [, N] = shapes[0];
      if (shapes.some(([, columns]) => columns !== N)) throw new FileFormatError('stacked blocks of different widths');
      return [shapes.reduce((sum, [M]) => sum + M, 0), N];
    }
    case 'sum': {
      const [[M, N], ...others] = spec.terms.map(shapeOf);
      if (others.some(([rows, columns]) => rows !== M || columns !== N)) {
        throw new FileFormatError('a sum of matrices of different shapes');
      }
      return [M, N];
    }
  }
}

/** M and N of a Kronecker factor, or of a product of them. */
export function sidesOf(factor: KroneckerSpec['C']): [number, number] {
  return Array.isArray(factor) ? factor : shapeOf(factor);
}

const LARGEST_SIDE = 2 ** 24;
const DEEPEST = 16;

/** A spec as read from JSON, checked: so that nothing is built from it, or allocated for it, that makes no sense. */
export function checkSpec(spec: unknown, name: string, depth = 0): OperatorSpec {
  const refuse = (what: string): never => {
    throw new FileFormatError(`operator '${name}': ${what}`);
  };
  if (!isObject(spec)) return refuse('its description is not an object');
  if (depth > DEEPEST) return refuse(`it is nested more than ${DEEPEST} deep`);
  const shape = (key: string): [number, number] => {
    const sides = spec[key];
    if (!Array.isArray(sides) || sides.length !== 2) return refuse(`its ${key} is not a pair of numbers`);
    for (const side of sides) {
      if (!Number.isInteger(side) || side < 1 || side > LARGEST_SIDE) {
        return refuse(`its ${key} holds ${show(side)}; 1 to ${LARGEST_SIDE} is wanted`);
      }
    }
    return sides as [number, number];
  };
  const list = (key: string): OperatorSpec[] => {
    const parts = spec[key];
    if (!Array.isArray(parts) || parts.length < 1) return refuse(`its ${key} are not a list`);
    return parts.map((part, i) => checkSpec(part, `${name}.${i}`, depth + 1));
  };
  switch (spec.type) {
    case 'dense':
    case 'int8':
      return { type: spec.type, shape: shape('shape') };
    case 'sparse': {
      const { nonzeros, block = 1 } = spec;
      const known = BLOCK_SIZES.find((one) => one === block);
      if (!known) return refuse(`its block is ${show(block)}; ${BLOCK_SIZES.join(', ')} are known`);
      const [M, N] = shape('shape');
      if (!Number.isInteger(nonzeros) || (nonzeros as number) < 0 || (nonzeros as number) > M * N) {
        return refuse(`its nonzeros are ${show(nonzeros)}; 0 to ${M * N} is wanted`);
      }
      const { size } = rowsOf(known, M);
      if (M % size !== 0 || (nonzeros as number) % size !== 0) {
        return refuse(`its ${M} rows and ${nonzeros} nonzeros do not divide into blocks of ${size}`);
      }
      return { type: 'sparse', shape: [M, N], nonzeros: nonzeros as number, ...(known !== 1 && { block: known }) };
    }
    case 'kronecker': {
      const nested = (spec.C as KroneckerSpec | null)?.type === 'kronecker';
      const C = nested ? (checkSpec(spec.C, `${name}.C`, depth + 1) as KroneckerSpec) : shape('C');
      return { type: 'kronecker', B: shape('B'), C };
    }
    case 'product':
      return {
        type: 'product',
        U: checkSpec(spec.U, `${name}.U`, depth + 1),
        V: checkSpec(spec.V, `${name}.V`, depth + 1),
      };
    case 'vstack':
      return { type: 'vstack', blocks: list('blocks') };
    case 'sum':
      return { type: 'sum', terms: list('terms') };
    default:
      return refuse(`its type is ${show(spec.type)}; dense, int8, sparse, kronecker, product, vstack or sum is wanted`);
  }
}
