import { Dense } from '../operators/dense.js';
import { Int8 } from '../operators/int8.js';
import { Kronecker } from '../operators/kronecker.js';
import { type Operator, walk } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Product } from '../operators/product.js';
import { Sparse } from '../operators/sparse.js';
import type { KroneckerSpec, OperatorSpec } from '../operators/spec.js';
import { Sum } from '../operators/sum.js';
import { VStack } from '../operators/vstack.js';
import type { Runtime } from '../wasm/runtime.js';
import type { NamedTensor } from './safetensors.js';
import { checkFinite, type TensorSource } from './tensor-source.js';

// Operators and parameters as named tensors. A dense leaf is `NAME.weight`; a sparse one is `NAME.values`,
// `NAME.columns` and `NAME.starts`, the integers in 16 bits where they fit; with blocks, values are [blocks, block], with
// one column each. An int8 one is `NAME.weight`, I8, and `NAME.scales`, one for each row.

export function parameterTensor({ data, shape }: Parameter): NamedTensor {
  return { dtype: 'F32', shape, data: data.slice() };
}

/** The tensors that a file holds for one operator; none for an operator composed of others, which have their own. */
export function leafTensors(operator: Operator, name: string): Map<string, NamedTensor> {
  if (operator instanceof Sparse) {
    const { values, columns, starts } = operator.blocks();
    return new Map<string, NamedTensor>([
      [`${name}.values`, { dtype: 'F32', shape: [values.length], data: values }],
      [`${name}.columns`, integerTensor(columns, operator.N - 1)],
      [`${name}.starts`, integerTensor(starts, columns.length)],
    ]);
  }
  if (operator instanceof Int8) {
    const { M, N, arrays } = operator;
    return new Map<string, NamedTensor>([
      [`${name}.weight`, { dtype: 'I8', shape: [M, N], data: arrays.weight }],
      [`${name}.scales`, { dtype: 'F32', shape: [M], data: arrays.scales }],
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

/**
 * Builds the operator of a spec from the tensors of a file. Sparse matrices are compressed. Throws FileFormatError, or
 * InputError from the constructors.
 */
export function loadOperator(runtime: Runtime, spec: OperatorSpec, name: string, source: TensorSource): Operator {
  const child = (inner: OperatorSpec, part: string | number) => loadOperator(runtime, inner, `${name}.${part}`, source);
  switch (spec.type) {
    case 'dense':
      return loadDense(runtime, spec.shape, name, source);
    case 'sparse': {
      const [M, N] = spec.shape;
      const { values, columns, starts } = source.unseenCsr(name, M, spec.nonzeros, spec.block ?? 1);
      checkFinite(`${name}.values`, values);
      const blocks = { values, columns: new Uint32Array(columns), starts: new Uint32Array(starts) };
      return new Sparse(runtime, M, N, { blocks }, spec.block);
    }
    case 'int8': {
      const [M, N] = spec.shape;
      return new Int8(runtime, M, N, source.int8(name, M, N));
    }
    case 'kronecker':
      return loadKronecker(runtime, spec, name, source);
    case 'product':
      return new Product(runtime, child(spec.U, 'U'), child(spec.V, 'V'));
    case 'vstack':
      return new VStack(runtime, spec.blocks.map(child));
    case 'sum':
      return new Sum(runtime, spec.terms.map(child));
  }
}

function loadKronecker(runtime: Runtime, { B, C }: KroneckerSpec, name: string, source: TensorSource): Kronecker {
  const load = Array.isArray(C)
    ? loadDense(runtime, C, `${name}.C`, source)
    : loadKronecker(runtime, C, `${name}.C`, source);
  return new Kronecker(runtime, loadDense(runtime, B, `${name}.B`, source), load);
}

function loadDense(runtime: Runtime, [M, N]: [number, number], name: string, source: TensorSource): Dense {
  const values = source.floats(`${name}.weight`, [M, N]);
  const dense = new Dense(runtime, M, N);
  dense.weight.data.set(values);
  return dense;
}
