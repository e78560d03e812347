import { rowsOf } from '../operators/csr.js';
import { Dense } from '../operators/dense.js';
import { Kronecker } from '../operators/kronecker.js';
import { type Operator, walk } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Product } from '../operators/product.js';
import { Sparse } from '../operators/sparse.js';
import type { KroneckerSpec, OperatorSpec } from '../operators/spec.js';
import { Sum } from '../operators/sum.js';
import { VStack } from '../operators/vstack.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { NamedTensor } from './safetensors.js';
import { checkFinite, rejectIndices, rejectScale, type TensorSource } from './tensor-source.js';

// Operators and parameters as named tensors. A dense leaf is `NAME.weight`; a sparse one is `NAME.values`,
// `NAME.columns` and `NAME.starts`, the integers in 16 bits where they fit; with blocks, values are [blocks, block], with
// one column each. Small files have numbers in fewer bits, and `NAME.gaps` in place of columns and starts: see
// assembly/codes.ts and small-tensors.ts.

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
      const values = readFloats(runtime, source, `${name}.values`, [spec.nonzeros]);
      const { columns, starts } = readIndices(runtime, source, name, spec);
      return new Sparse(runtime, M, N, { blocks: { values, columns, starts } }, spec.block);
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
  const values = readFloats(runtime, source, `${name}.weight`, [M, N]);
  const dense = new Dense(runtime, M, N);
  dense.weight.data.set(values);
  return dense;
}

/** The numbers of a tensor in whatever form, finite. Throws FileFormatError. */
export function readFloats(
  runtime: Runtime,
  source: TensorSource,
  name: string,
  shape: readonly number[],
): Float32Array {
  const numbers = source.numbers(name, shape);
  const { n, bits, group, data } = numbers;
  if (bits === 32) return checkFinite(name, data as Float32Array);
  return runtime.scoped(() => {
    const { kernels } = runtime;
    const to = runtime.alloc(4 * n);
    const from = stage(runtime, data);
    const finite =
      bits === 16 ? kernels.f32_from_halves(from, to, n) : kernels.f32_dequantise(from, to, n, bits, group);
    return finite ? runtime.floats(to, n).slice() : rejectScale(name, numbers);
  });
}

function readIndices(
  runtime: Runtime,
  source: TensorSource,
  name: string,
  { shape: [M, N], nonzeros, block = 1 }: Extract<OperatorSpec, { type: 'sparse' }>,
): { columns: Uint32Array; starts: Uint32Array } {
  const { size } = rowsOf(block, M);
  const [count, rows] = [nonzeros / size, M / size];
  const indices = source.indices(name, M, N, nonzeros, block);
  if (!('gaps' in indices)) {
    return { columns: new Uint32Array(indices.columns), starts: new Uint32Array(indices.starts) };
  }
  const { gaps, k } = indices;
  return runtime.scoped(() => {
    const [columns, starts] = [runtime.alloc(4 * count), runtime.alloc(4 * (rows + 1))];
    const from = stage(runtime, gaps);
    const good = runtime.kernels.rice_decode(from, gaps.length, k, count, rows, N, columns, starts);
    if (!good) rejectIndices(name, indices, count, N);
    return { columns: runtime.words(columns, count).slice(), starts: runtime.words(starts, rows + 1).slice() };
  });
}

/** Copies bytes into the runtime's memory, with room for a byte that is read after them. */
function stage(runtime: Runtime, { buffer, byteOffset, byteLength }: ArrayBufferView): Pointer {
  const at = runtime.alloc(byteLength + 1);
  runtime.bytes(at, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
  return at;
}
