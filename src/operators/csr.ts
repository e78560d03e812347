import { InputError } from '../errors.js';

/** Compressed sparse rows: columns ascend within a row; row i is entries starts[i] to starts[i + 1]. */
export interface CsrArrays {
  values: Float32Array; // [nonzeros]
  columns: Uint32Array; // [nonzeros], below N
  starts: Uint32Array; // [M + 1]
}

/** Kernels check nothing: an index out of range would be read or written outside the arrays. */
export function checkCsr(M: number, N: number, { values, columns, starts }: CsrArrays): void {
  const refuse = (what: string) => {
    throw new InputError(`Sparse ${M} x ${N}: ${what}`);
  };
  if (columns.length !== values.length) refuse(`${values.length} values but ${columns.length} column indices`);
  if (starts.length !== M + 1) refuse(`${starts.length} row starts where ${M + 1} are needed`);
  if (starts[0] !== 0 || starts[M] !== values.length) {
    refuse(`row starts run from ${starts[0]} to ${starts[M]}, not from 0 to the number of values, ${values.length}`);
  }
  for (let i = 0; i < M; i++) {
    if (starts[i + 1] < starts[i])
      refuse(`row start ${i + 1} is ${starts[i + 1]}, before row start ${i}, ${starts[i]}`);
  }
  // Ascending and ending where they should, all starts are within the arrays: only now can they be followed.
  for (let i = 0; i < M; i++) {
    for (let k = starts[i]; k < starts[i + 1]; k++) {
      if (columns[k] >= N) refuse(`column index ${columns[k]} in row ${i} is out of range; it must be below ${N}`);
      if (k > starts[i] && columns[k] <= columns[k - 1]) refuse(`column indices of row ${i} do not ascend`);
    }
  }
}
