import { FileFormatError, malformed } from '../errors.js';
import { type BlockSize, checkBlock, rowsOf } from '../operators/csr.js';
import type { Int8Arrays } from '../operators/int8.js';
import { show } from '../values.js';
import type { NamedTensor } from './safetensors.js';

const NOT_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

/**
 * The tensors of a file, taken out by name with the shape they must have. What is left over at the end is refused too.
 */
export class TensorSource {
  private readonly rest: Map<string, NamedTensor>;
  private readonly magnitudes = new Map<string, number>();

  constructor(private readonly tensors: ReadonlyMap<string, NamedTensor>) {
    this.rest = new Map(tensors);
  }

  floats(name: string, shape: readonly number[]): Float32Array {
    return checkFinite(name, this.unseenFloats(name, shape));
  }

  /** Without a look at the numbers: whoever takes them does that, and calls refuseNotFinite() where it must. */
  unseenFloats(name: string, shape: readonly number[]): Float32Array {
    const tensor = this.take(name, shape);
    if (tensor.dtype !== 'F32') throw new FileFormatError(`tensor '${name}' is ${tensor.dtype}; F32 is wanted`);
    return tensor.data;
  }

  integers(name: string, shape: readonly number[]): Uint16Array | Uint32Array {
    const tensor = this.take(name, shape);
    if (tensor.dtype !== 'U16' && tensor.dtype !== 'U32') {
      throw new FileFormatError(`tensor '${name}' is ${tensor.dtype}; U16 or U32 is wanted`);
    }
    return tensor.data;
  }

  /** The arrays of a sparse matrix, of its blocks where it has some, without a look at the numbers: whoever takes them does that. */
  unseenCsr(name: string, M: number, N: number, nonzeros: number, block: BlockSize) {
    checkBlock(M, N, block);
    const { size } = rowsOf(block, M);
    return {
      values: this.unseenFloats(`${name}.values`, [nonzeros]),
      columns: this.integers(`${name}.columns`, [nonzeros / size]),
      starts: this.integers(`${name}.starts`, [M / size + 1]),
    };
  }

  /** Weights of 8 bits and what one step of them stands for in each row. */
  int8(name: string, M: number, N: number): Int8Arrays {
    const weight = this.take(`${name}.weight`, [M, N]);
    if (weight.dtype !== 'I8') throw new FileFormatError(`tensor '${name}.weight' is ${weight.dtype}; I8 is wanted`);
    const scales = this.floats(`${name}.scales`, [M]);
    const bad = weight.data.indexOf(-128);
    if (bad >= 0) {
      throw new FileFormatError(`tensor '${name}.weight' holds -128 at place ${bad}; -127 to 127 is wanted`);
    }
    return { weight: weight.data, scales };
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

  /** Saves largest() the search, where a kernel has done it. */
  noteLargest(name: string, largest: number): void {
    this.magnitudes.set(name, largest);
  }

  take(name: string, shape: readonly number[]): NamedTensor {
    const tensor = this.rest.get(name);
    if (!tensor) throw new FileFormatError(`tensor '${name}' is missing`);
    if (tensor.shape.length !== shape.length || tensor.shape.some((side, i) => side !== shape[i])) {
      throw malformed(`tensor '${name}'`, tensor.shape, `the shape ${show(shape)}`);
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

export function checkFinite(name: string, data: Float32Array): Float32Array {
  // The host searches at full speed at once; a loop of ours would still be interpreted when a model is loaded first.
  if (NOT_FINITE.some((bad) => data.includes(bad))) refuseNotFinite(name, data);
  return data;
}

/** Throws FileFormatError naming the first number that is not finite. */
export function refuseNotFinite(name: string, data: Float32Array): never {
  const place = data.findIndex((value) => !Number.isFinite(value));
  throw new FileFormatError(`tensor '${name}' holds ${data[place]} at place ${place}; weights are finite`);
}
