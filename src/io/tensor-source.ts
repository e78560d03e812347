import { FileFormatError, malformed } from '../errors.js';
import { type BlockSize, rowsOf } from '../operators/csr.js';
import type { Int8Arrays } from '../operators/int8.js';
import { show } from '../values.js';
import type { Dtype, NamedTensor } from './safetensors.js';

const NOT_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

type DataOf<D extends Dtype> = Extract<NamedTensor, { dtype: D }>['data'];

/** The arrays of a sparse matrix as files store them, with indices of 16 or 32 bits. */
export interface StoredCsr {
  values: Float32Array;
  columns: Uint16Array | Uint32Array;
  starts: Uint16Array | Uint32Array;
}

/** The tensors of a file, taken out by name, with the type and shape they must have. finish() rejects what is left over. */
export class TensorSource {
  private readonly rest: Map<string, NamedTensor>;
  private readonly magnitudes = new Map<string, number>();

  constructor(private readonly tensors: ReadonlyMap<string, NamedTensor>) {
    this.rest = new Map(tensors);
  }

  floats(name: string, shape: readonly number[]): Float32Array {
    return checkFinite(name, this.unseenFloats(name, shape));
  }

  /** Without a look at the numbers: the caller checks them, and calls rejectNotFinite() where it must. */
  unseenFloats(name: string, shape: readonly number[]): Float32Array {
    return this.take(name, shape, 'F32');
  }

  integers(name: string, shape: readonly number[]): Uint16Array | Uint32Array {
    return this.take(name, shape, 'U16', 'U32');
  }

  /** The arrays of a sparse matrix, of its blocks where it has some, without a look at the numbers. */
  unseenCsr(name: string, M: number, nonzeros: number, block: BlockSize): StoredCsr {
    const { size } = rowsOf(block, M);
    return {
      values: this.unseenFloats(`${name}.values`, [nonzeros]),
      columns: this.integers(`${name}.columns`, [nonzeros / size]),
      starts: this.integers(`${name}.starts`, [M / size + 1]),
    };
  }

  /** Weights of 8 bits, and the scale of each row. */
  int8(name: string, M: number, N: number): Int8Arrays {
    const weight = this.take(`${name}.weight`, [M, N], 'I8');
    const bad = weight.indexOf(-128);
    if (bad >= 0) throw malformed(`tensor '${name}.weight'[${bad}]`, -128, 'a number from -127 to 127');
    return { weight, scales: this.floats(`${name}.scales`, [M]) };
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

  /** Throws FileFormatError if a tensor was not taken. */
  finish(): void {
    const [name] = this.rest.keys();
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
