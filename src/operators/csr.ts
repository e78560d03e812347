import { InputError } from '../errors.js';

/** Compressed sparse rows: columns ascend within a row; row i is entries starts[i] to starts[i + 1]. */
export interface CsrArrays {
  values: Float32Array; // [nonzeros]
  columns: Uint32Array; // [nonzeros], below N
  starts: Uint32Array; // [M + 1]
}

/** Consecutive rows that share their columns, so that they are pruned together: 1, 4 or 8. */
export type BlockSize = 1 | 4 | 8;
export const BLOCK_SIZES: readonly BlockSize[] = [1, 4, 8];

/**
 * Kernels check nothing: an index out of range would be read or written outside the arrays. With blocks, a row is a row
 * of blocks, and values are [columns.length, block].
 */
export function checkCsr(M: number, N: number, arrays: CsrArrays, block: BlockSize = 1): void {
  const { values, columns, starts } = arrays;
  const refuse = (what: string) => {
    throw new InputError(`Sparse ${M} x ${N}: ${what}`);
  };
  checkBlock(M, N, block);
  const rows = M / block;
  const count = columns.length;
  if (count * block !== values.length) refuse(`${values.length} values but ${count} column indices`);
  if (starts.length !== rows + 1) refuse(`${starts.length} row starts where ${rows + 1} are needed`);
  if (starts[0] !== 0 || starts[rows] !== count) {
    refuse(`row starts run from ${starts[0]} to ${starts[rows]}, not from 0 to the number of values, ${count}`);
  }
  for (let i = 0; i < rows; i++) {
    if (starts[i + 1] < starts[i])
      refuse(`row start ${i + 1} is ${starts[i + 1]}, before row start ${i}, ${starts[i]}`);
  }
  // Ascending and ending where they should, all starts are within the arrays: only now can they be followed.
  for (let i = 0; i < rows; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) {
      if (columns[k] >= N) refuse(`column index ${columns[k]} in row ${i} is out of range; it must be below ${N}`);
      if (k > starts[i] && columns[k] <= columns[k - 1]) refuse(`column indices of row ${i} do not ascend`);
    }
  }
}

export function checkBlock(M: number, N: number, block: BlockSize): void {
  if (!BLOCK_SIZES.includes(block)) {
    throw new InputError(
      `block: ${block} was given; it must be ${BLOCK_SIZES.join(', ').replace(/, (\d+)$/, ' or $1')}`,
    );
  }
  if (M % block !== 0) {
    throw new InputError(`block: a matrix of ${M} x ${N} does not divide into blocks of ${block} rows`);
  }
}

/** The first row of a row of blocks. */
export function firstRow(group: number, block: BlockSize): number {
  return group * block;
}

/** CSR arrays for those of blocks, [blocks, block] values and a column a block. */
export function fromBlocks(M: number, { values, columns, starts }: CsrArrays, block: BlockSize): CsrArrays {
  if (block === 1) return { values, columns, starts };
  const result = {
    values: new Float32Array(values.length),
    columns: new Uint32Array(values.length),
    starts: new Uint32Array(M + 1),
  };
  let at = 0;
  for (let i = 0; i < M; i++) {
    const group = Math.floor(i / block);
    for (let k = starts[group]; k < starts[group + 1]; k++, at++) {
      result.values[at] = values[k * block + (i % block)];
      result.columns[at] = columns[k];
    }
    result.starts[i + 1] = at;
  }
  return result;
}

/** The arrays of blocks for CSR arrays. Throws InputError when the rows of a block do not share their columns. */
export function toBlocks(M: number, { values, columns, starts }: CsrArrays, block: BlockSize): CsrArrays {
  if (block === 1) return { values, columns, starts };
  const groups = M / block;
  const result = {
    values: new Float32Array(values.length),
    columns: new Uint32Array(values.length / block),
    starts: new Uint32Array(groups + 1),
  };
  let at = 0;
  for (let group = 0; group < groups; group++) {
    const first = group * block;
    const shared = columns.subarray(starts[first], starts[first + 1]);
    for (let i = 1; i < block; i++) {
      if (columns.subarray(starts[first + i], starts[first + i + 1]).join() !== shared.join()) {
        throw new InputError(`block: rows ${first} and ${first + i} hold different columns; a block shares them`);
      }
    }
    for (let k = 0; k < shared.length; k++, at++) {
      result.columns[at] = shared[k];
      for (let i = 0; i < block; i++) result.values[at * block + i] = values[starts[first + i] + k];
    }
    result.starts[group + 1] = at;
  }
  return result;
}
