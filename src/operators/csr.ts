import { InputError, invalid } from '../errors.js';

/** Compressed sparse rows: columns ascend within a row; row i is entries starts[i] to starts[i + 1]. */
export interface CsrArrays {
  values: Float32Array; // [nonzeros]
  columns: Uint32Array; // [nonzeros], below N
  starts: Uint32Array; // [M + 1]
}

/** CSR arrays of blocks: a row is a row of blocks; each block has a column and `block` values. */
export interface BlockArrays {
  values?: Float32Array; // [blocks, block]
  columns: Uint32Array; // [blocks], below N
  starts: Uint32Array; // [M / block + 1]
}

/**
 * How many consecutive rows share their columns and are pruned together; or 'gates', the four gates of a unit, whose rows
 * are a quarter of all rows apart.
 */
export type BlockSize = 1 | 4 | 8 | 'gates';
export const BLOCK_SIZES: readonly BlockSize[] = [1, 4, 8, 'gates'];

/** How many rows a block has, and how far apart they are. */
export interface BlockRows {
  size: 1 | 4 | 8;
  stride: number;
}

export function rowsOf(block: BlockSize, M: number): BlockRows {
  return block === 'gates' ? { size: 4, stride: M / 4 } : { size: block, stride: 1 };
}

/** The first row of a row of blocks. */
export function firstRowOfGroup(group: number, { size, stride }: BlockRows): number {
  return stride === 1 ? group * size : group;
}

/**
 * Throws InputError for arrays that are not those of an M x N matrix. Kernels check nothing: they would read or write outside
 * the arrays. With blocks, a row is a row of blocks, and values are [columns.length, block].
 */
export function checkCsr(M: number, N: number, arrays: BlockArrays, block: BlockSize = 1): void {
  checkBlock(M, N, block);
  const { size } = rowsOf(block, M);
  const rows = M / size;
  const { values, columns, starts } = arrays;
  for (const [name, array] of Object.entries({ values: values ?? new Float32Array(0), columns, starts })) {
    if (!ArrayBuffer.isView(array)) throw invalid(name, array, 'a typed array');
  }
  const count = columns.length;
  if (values && count * size !== values.length) throw invalid('values.length', values.length, `${count * size}`);
  if (starts.length !== rows + 1) throw invalid('starts.length', starts.length, `${rows + 1}`);
  if (starts[0] !== 0) throw invalid('starts[0]', starts[0], '0');
  for (let i = 1; i <= rows; i++) {
    if (!(starts[i] >= starts[i - 1])) {
      throw invalid(`starts[${i}]`, starts[i], `at least ${starts[i - 1]}, the one before`);
    }
  }
  if (starts[rows] !== count) throw invalid(`starts[${rows}]`, starts[rows], `${count}, the number of columns`);
  // The starts ascend from 0 to the number of columns, so all are within the arrays and can be followed.
  for (let i = 0; i < rows; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) {
      const column = columns[k];
      if (column >>> 0 !== column || column >= N)
        throw invalid(`columns[${k}]`, column, `a whole number from 0 to ${N - 1}`);
      if (k > starts[i] && column <= columns[k - 1])
        throw invalid(`columns[${k}]`, column, 'columns ascending in a row');
    }
  }
}

/** Throws InputError for a block size that is unknown or does not divide the rows. */
export function checkBlock(M: number, N: number, block: BlockSize): void {
  if (!BLOCK_SIZES.includes(block)) {
    throw invalid('block', block, `one of ${BLOCK_SIZES.join(', ')}`);
  }
  const { size } = rowsOf(block, M);
  if (M % size !== 0) {
    throw invalid('block', block, `a size that divides the ${M} rows of a matrix of ${M} x ${N}`);
  }
}

/** Converts CSR arrays of blocks to those of single entries. */
export function fromBlocks(M: number, { values, columns, starts }: CsrArrays, block: BlockSize): CsrArrays {
  if (block === 1) return { values, columns, starts };
  const rows = rowsOf(block, M);
  const { size, stride } = rows;
  const groups = M / size;
  const result = {
    values: new Float32Array(values.length),
    columns: new Uint32Array(values.length),
    starts: new Uint32Array(M + 1),
  };
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < size; row++) {
      result.starts[firstRowOfGroup(group, rows) + row * stride + 1] = starts[group + 1] - starts[group];
    }
  }
  for (let i = 0; i < M; i++) result.starts[i + 1] += result.starts[i];
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < size; row++) {
      let at = result.starts[firstRowOfGroup(group, rows) + row * stride];
      for (let k = starts[group]; k < starts[group + 1]; k++, at++) {
        result.values[at] = values[k * size + row];
        result.columns[at] = columns[k];
      }
    }
  }
  return result;
}

/** Converts CSR arrays to those of blocks. Throws InputError if the rows of a block do not share their columns. */
export function toBlocks(M: number, { values, columns, starts }: CsrArrays, block: BlockSize): CsrArrays {
  if (block === 1) return { values, columns, starts };
  const rows = rowsOf(block, M);
  const { size, stride } = rows;
  const groups = M / size;
  const result = {
    values: new Float32Array(values.length),
    columns: new Uint32Array(values.length / size),
    starts: new Uint32Array(groups + 1),
  };
  let at = 0;
  for (let group = 0; group < groups; group++) {
    const first = firstRowOfGroup(group, rows);
    const shared = columns.subarray(starts[first], starts[first + 1]);
    for (let i = first + stride; i < first + size * stride; i += stride) {
      if (columns.subarray(starts[i], starts[i + 1]).join() !== shared.join()) {
        throw new InputError(
          `block: got different columns in rows ${first} and ${i}; expected the same in all rows of a block`,
        );
      }
    }
    for (let k = 0; k < shared.length; k++, at++) {
      result.columns[at] = shared[k];
      for (let row = 0; row < size; row++) result.values[at * size + row] = values[starts[first + row * stride] + k];
    }
    result.starts[group + 1] = at;
  }
  return result;
}

/** The index of each value, [blocks, size], in W, row-major with N columns. */
export function placesOf(N: number, rows: BlockRows, columns: Uint32Array, starts: Uint32Array): Uint32Array {
  const { size, stride } = rows;
  const places = new Uint32Array(columns.length * size);
  for (let group = 0; group < starts.length - 1; group++) {
    const first = firstRowOfGroup(group, rows);
    for (let k = starts[group]; k < starts[group + 1]; k++) {
      for (let row = 0; row < size; row++) places[k * size + row] = (first + row * stride) * N + columns[k];
    }
  }
  return places;
}
