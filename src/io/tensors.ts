import { FileFormatError } from '../errors';
import { Dense } from '../operators/dense';
import { Kronecker } from '../operators/kronecker';
import { type Operator, type OperatorSpec, walk } from '../operators/operator';
import type { Parameter } from '../operators/parameter';
import { Product } from '../operators/product';
import { Sparse } from '../operators/sparse';
import { Sum } from '../operators/sum';
import { VStack } from '../operators/vstack';
import type { Runtime } from '../wasm/runtime';
import { type NamedTensor, show } from './safetensors';

// Operators and parameters as named tensors. A dense leaf is `NAME.weight`; a sparse one is `NAME.values`, `NAME.columns` and
// `NAME.starts`, the integers in 16 bits where they fit.

/** The tensors of a file, taken out by name with the shape they must have. What is left over at the end is refused too. */
export class TensorSource {
  private readonly rest: Map<string, NamedTensor>;

  constructor(tensors: ReadonlyMap<string, NamedTensor>) {
    this.rest = new Map(tensors);
  }

  floats(name: string, shape: readonly number[]): Float32Array {
    const tensor = this.take(name, shape);
    if (tensor.dtype !== 'F32') throw new FileFormatError(`tensor '${name}' is ${tensor.dtype}; F32 is wanted`);
    const bad = tensor.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new FileFormatError(`tensor '${name}' holds ${tensor.data[bad]} at place ${bad}; weights are finite`);
    return tensor.data;
  }

  integers(name: string, shape: readonly number[]): Uint32Array {
    const tensor = this.take(name, shape);
    if (tensor.dtype !== 'U16' && tensor.dtype !== 'U32') {
      throw new FileFormatError(`tensor '${name}' is ${tensor.dtype}; U16 or U32 is wanted`);
    }
    return Uint32Array.from(tensor.data);
  }

  flags(name: string, shape: readonly number[]): Uint8Array {
    const tensor = this.take(name, shape);
    if (tensor.dtype !== 'U8') throw new FileFormatError(`tensor '${name}' is ${tensor.dtype}; U8 is wanted`);
    const bad = tensor.data.findIndex((flag) => flag > 1);
    if (bad >= 0)
      throw new FileFormatError(`tensor '${name}' holds ${tensor.data[bad]} at place ${bad}; 0 or 1 is wanted`);
    return tensor.data;
  }

  private take(name: string, shape: readonly number[]): NamedTensor {
    const tensor = this.rest.get(name);
    if (!tensor) throw new FileFormatError(`tensor '${name}' is missing`);
    if (tensor.shape.join() !== shape.join()) {
      throw new FileFormatError(
        `tensor '${name}' has shape [${tensor.shape.join(', ')}]; [${shape.join(', ')}] is wanted`,
      );
    }
    this.rest.delete(name);
    return tensor;
  }

  /** Every tensor must have been taken. */
  finish(): void {
    const [name] = this.rest.keys();
    if (name !== undefined) throw new FileFormatError(`tensor '${name}' is not part of this model`);
  }
}

export function parameterTensor({ data, shape }: Parameter): NamedTensor {
  return { dtype: 'F32', shape, data: data.slice() };
}

/** The tensors that a file holds for one leaf; none for what is made of others. */
export function leafTensors(operator: Operator, name: string): Map<string, NamedTensor> {
  if (operator instanceof Sparse) {
    const { values, columns, starts } = operator.entries();
    return new Map<string, NamedTensor>([
      [`${name}.values`, { dtype: 'F32', shape: [values.length], data: values }],
      [`${name}.columns`, integerTensor(columns, operator.N - 1)],
      [`${name}.starts`, integerTensor(starts, values.length)],
    ]);
  }
  if (operator instanceof Dense) return new Map([[`${name}.weight`, parameterTensor(operator.weight)]]);
  return new Map();
}

function integerTensor(data: Uint32Array, largest: number): NamedTensor {
  const shape = [data.length];
  return largest < 65536 ? { dtype: 'U16', shape, data: Uint16Array.from(data) } : { dtype: 'U32', shape, data };
}

export function operatorTensors(operator: Operator, name: string): Map<string, NamedTensor> {
  return new Map([...walk(operator, name)].flatMap(([path, inner]) => [...leafTensors(inner, path)]));
}

/** The operator of a spec with the numbers of a file. Sparse matrices come compressed. Throws FileFormatError, or InputError from the constructors. */
export function loadOperator(runtime: Runtime, spec: OperatorSpec, name: string, source: TensorSource): Operator {
  const child = (inner: OperatorSpec, part: string | number) => loadOperator(runtime, inner, `${name}.${part}`, source);
  switch (spec.type) {
    case 'dense':
      return loadDense(runtime, spec.shape, name, source);
    case 'sparse': {
      const [M, N] = spec.shape;
      const values = source.floats(`${name}.values`, [spec.nonzeros]);
      const columns = source.integers(`${name}.columns`, [spec.nonzeros]);
      const starts = source.integers(`${name}.starts`, [M + 1]);
      return new Sparse(runtime, M, N, { values, columns, starts });
    }
    case 'kronecker':
      return new Kronecker(
        runtime,
        loadDense(runtime, spec.B, `${name}.B`, source),
        loadDense(runtime, spec.C, `${name}.C`, source),
      );
    case 'product':
      return new Product(runtime, child(spec.U, 'U'), child(spec.V, 'V'));
    case 'vstack':
      return new VStack(runtime, spec.blocks.map(child));
    case 'sum':
      return new Sum(runtime, spec.terms.map(child));
  }
}

function loadDense(runtime: Runtime, [M, N]: [number, number], name: string, source: TensorSource): Dense {
  const values = source.floats(`${name}.weight`, [M, N]);
  const dense = new Dense(runtime, M, N);
  dense.weight.data.set(values);
  return dense;
}

const LARGEST_SIDE = 2 ** 24;
const DEEPEST = 16;

/** A spec as read from JSON, checked: so that nothing is built from it, or allocated for it, that makes no sense. */
export function checkSpec(value: unknown, name: string, depth = 0): OperatorSpec {
  const refuse = (what: string): never => {
    throw new FileFormatError(`operator '${name}': ${what}`);
  };
  if (typeof value !== 'object' || value === null) return refuse('its description is not an object');
  if (depth > DEEPEST) return refuse(`it is nested more than ${DEEPEST} deep`);
  const spec = value as Record<string, unknown>;
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
      return { type: 'dense', shape: shape('shape') };
    case 'sparse': {
      const { nonzeros } = spec;
      const [M, N] = shape('shape');
      if (!Number.isInteger(nonzeros) || (nonzeros as number) < 0 || (nonzeros as number) > M * N) {
        return refuse(`its nonzeros are ${show(nonzeros)}; 0 to ${M * N} is wanted`);
      }
      return { type: 'sparse', shape: [M, N], nonzeros: nonzeros as number };
    }
    case 'kronecker':
      return { type: 'kronecker', B: shape('B'), C: shape('C') };
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
      return refuse(`its type is ${show(spec.type)}; dense, sparse, kronecker, product, vstack or sum is wanted`);
  }
}
