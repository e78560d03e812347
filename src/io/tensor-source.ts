import { FileFormatError, malformed } from '../errors.js';
import { type BlockSize, rowsOf } from '../operators/csr.js';
import { show } from '../values.js';
import { riceParameter } from './rice.js';
import type { Dtype, NamedTensor } from './safetensors.js';

const NOT_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

type DataOf<D extends Dtype> = Extract<NamedTensor, { dtype: D }>['data'];

/** Numbers as a file stores them. */
export interface StoredNumbers {
  n: number;
  /** Of each: 32 of f32, 16 of f16, 8 or fewer where they are quantised, see assembly/codes.ts. */
  bits: number;
  /** Consecutive numbers that share a scale, where they are quantised. */
  group: number;
  data: Float32Array | Uint16Array | Uint8Array;
}

/** How quantised tensors are stored, by name: bits of a number, and numbers that share a scale. */
export type Codings = ReadonlyMap<string, readonly [bits: number, group: number]>;

/** Indices of a sparse matrix as files store them: CSR arrays of 16 or 32 bits; or its places, Rice-coded with k. */
export type StoredIndices =
  | { columns: Uint16Array | Uint32Array; starts: Uint16Array | Uint32Array }
  | { gaps: Uint8Array; k: number };

/** The tensors of a file, taken out by name, with the type and shape they must have. finish() rejects what is left over. */
export class TensorSource {
  private readonly rest: Map<string, NamedTensor>;
  private readonly magnitudes = new Map<string, number>();

  constructor(
    private readonly tensors: ReadonlyMap<string, NamedTensor>,
    private readonly codings: Codings = new Map(),
  ) {
    this.rest = new Map(tensors);
  }

  floats(name: string, shape: readonly number[]): Float32Array {
    return checkFinite(name, this.take(name, shape, 'F32'));
  }

  /** Numbers in whatever form, without a look at them: the caller decodes and checks them. */
  numbers(name: string, shape: readonly number[]): StoredNumbers {
    const n = shape.reduce((product, side) => product * side, 1);
    const coding = this.codings.get(name);
    if (!coding) {
      const data = this.take(name, shape, 'F32', 'F16');
      return { n, bits: 8 * data.BYTES_PER_ELEMENT, group: 1, data };
    }
    const [bits, group] = coding;
    const bytes = 2 * Math.ceil(n / group) + Math.ceil((n * bits) / 8);
    return { n, bits, group, data: this.take(name, [bytes], 'U8') };
  }

  /** Where the entries, or blocks, of a sparse matrix are, not checked. */
  indices(name: string, M: number, N: number, nonzeros: number, block: BlockSize): StoredIndices {
    const { size } = rowsOf(block, M);
    const count = nonzeros / size;
    const gaps = this.tensors.get(`${name}.gaps`);
    if (gaps) {
      return { gaps: this.take(`${name}.gaps`, [gaps.data.length], 'U8'), k: riceParameter(count, (M / size) * N) };
    }
    return {
      columns: this.take(`${name}.columns`, [count], 'U16', 'U32'),
      starts: this.take(`${name}.starts`, [M / size + 1], 'U16', 'U32'),
    };
  }

  /** The largest magnitude in a tensor that was taken; 0 where it is empty. */
  largest(name: string): number {
    const known = this.magnitudes.get(name);
    if (known !== undefined) return known;
    const data = this.tensors.get(name)?.data ?? [Number.NaN];
    let largest = 0;
    for (let i = 0; i < data.length; i++) largest = Math.max(largest, Math.abs(data[i]));
    this.noteLargest(name, largest);
    return largest;
  }

  /** Saves largest() the search if a kernel has done it. */
  noteLargest(name: string, largest: number): void {
    this.magnitudes.set(name, largest);
  }

  /** The numbers of a tensor of this shape and one of these types. */
  take<D extends Dtype>(name: string, shape: readonly number[], ...dtypes: readonly D[]): DataOf<D> {
    const tensor = this.rest.get(name);
    const isWanted =
      tensor?.shape.length === shape.length &&
      shape.every((side, i) => side === tensor.shape[i]) &&
      dtypes.some((dtype) => dtype === tensor.dtype);
    if (!isWanted) {
      const found = tensor ? `${tensor.dtype} of shape ${show(tensor.shape)}` : 'nothing';
      const expected = `${dtypes.join(' or ')} of shape ${show(shape)}`;
      throw new FileFormatError(`tensor '${name}': got ${found}; expected ${expected}`);
    }
    this.rest.delete(name);
    return tensor.data as DataOf<D>;
  }

  /** Throws FileFormatError if a tensor was not taken, and for a coding of a tensor that there is not. */
  finish(): void {
    const [name] = [...this.rest.keys(), ...[...this.codings.keys()].filter((name) => !this.tensors.has(name))];
    if (name !== undefined) throw malformed('tensors', name, 'none but those of the model');
  }
}

export function checkFinite(name: string, data: Float32Array): Float32Array {
  // The host's search is compiled; a loop here would still be interpreted when the first model is loaded.
  if (NOT_FINITE.some((bad) => data.includes(bad))) rejectNotFinite(name, data);
  return data;
}

/** Throws FileFormatError naming the first number that is not finite. */
export function rejectNotFinite(name: string, data: Float32Array): never {
  const place = data.findIndex((value) => !Number.isFinite(value));
  throw malformed(`tensor '${name}'[${place}]`, data[place], 'a finite number');
}

/** Throws FileFormatError for quantised numbers with a scale, and for f16 with a number, that is not finite. */
export function rejectScale(name: string, { bits }: StoredNumbers): never {
  throw new FileFormatError(
    `tensor '${name}': got a ${bits === 16 ? 'number' : 'scale'} that is not finite; expected finite ones`,
  );
}

/** Throws FileFormatError for indices that are not those of `count` entries in rows of N. */
export function rejectIndices(name: string, stored: StoredIndices, count: number, N: number): never {
  const expected =
    'gaps' in stored
      ? `the gaps between ${count} entries in range, and nothing else`
      : `starts from 0 to ${count} and, in each row, ascending columns below ${N}`;
  throw new FileFormatError(`'${name}': got indices out of order or range; expected ${expected}`);
}
