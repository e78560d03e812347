// Prepares the numbers of a file for inference: checks, sorting, packed layouts. This is WebAssembly since it runs only once,
// when a loop in JavaScript would still be interpreted. The arrays of a file are copied into memory unchanged, except that
// indices are widened to u32. CSR arrays are as in src/operators/csr.ts, with rows of blocks where there are blocks. Only
// csr_check checks anything; it must be called before the kernels that follow `starts`. No alignment required.

/**
 * to[rows][stride] = from[rows][bytes], in bytes, with zeros after each row. Works in place if `from` ends where `to` ends.
 */
export function pad_rows(from: usize, to: usize, rows: i32, bytes: i32, stride: i32): void {
  for (; rows > 0; --rows, from += bytes, to += stride) {
    memory.copy(to, from, bytes);
    memory.fill(to + bytes, 0, stride - bytes);
  }
}

/**
 * to[ceil(M/4)][ceil(row/width)][4][width] = from[M][row], in bytes, with zeros past M and row; `width` is 8 or 16. Works in
 * place if the last four rows of `from` begin where `to` ends, or later.
 */
export function pack_panels(from: usize, to: usize, M: i32, row: i32, width: i32): void {
  for (let i = 0; i < M; i += 4, from += row << 2) {
    for (let at = 0; at < row; at += width) {
      const bytes = min(width, row - at);
      for (let r = 0; r < 4; ++r, to += width) {
        const source = from + r * row + at;
        if (i + r >= M) memory.fill(to, 0, width);
        else if (bytes === 16) v128.store(to, v128.load(source));
        else if (bytes === 8 && width === 8) store<u64>(to, load<u64>(source));
        else {
          memory.fill(to, 0, width);
          for (let b = 0; b < bytes; ++b) store<u8>(to + b, load<u8>(source + b));
        }
      }
    }
  }
}

/** to[ceil(J/8)][K][8], f32, zero on entry: the columns of the transpose of from[J,K] in panels of eight. */
export function f32_pack_columns(from: usize, to: usize, J: i32, K: i32): void {
  for (let j = 0; j < J; ++j) {
    let at = to + ((((j >> 3) * K) << 5) + ((j & 7) << 2));
    for (let k = 0; k < K; ++k, from += 4, at += 32) store<f32>(at, load<f32>(from));
  }
}

/** Returns whether starts[rows + 1] ascend from 0 to count and columns[count] ascend below N in each row. */
export function csr_check(columns: usize, starts: usize, rows: i32, N: u32, count: u32): bool {
  if (load<u32>(starts) !== 0 || load<u32>(starts + (rows << 2)) !== count) return false;
  for (let i = 0; i < rows; ++i) {
    if (load<u32>(starts + (i << 2), 4) < load<u32>(starts + (i << 2))) return false;
  }
  // Only now are the starts safe to follow.
  for (; rows > 0; --rows, starts += 4) {
    let next: u32 = 0; // the lowest next column allowed
    for (let n = load<u32>(starts, 4) - load<u32>(starts); n > 0; --n, columns += 4) {
      const column = load<u32>(columns);
      if (column >= N || column < next) return false;
      next = column + 1;
    }
  }
  return true;
}

/** The number of entries of row i. */
function lengthOf(starts: usize, i: u32): u32 {
  const at = starts + ((<usize>i) << 2);
  return load<u32>(at, 4) - load<u32>(at);
}

/**
 * Writes the nonempty rows to `order`, u32, the longest first, of equally long ones the first, and returns their number. A
 * counting sort: `counts` is scratch of longest + 1 u32; no row may have more than `longest` entries.
 */
export function csr_longest_first(starts: usize, rows: u32, order: usize, counts: usize, longest: u32): u32 {
  memory.fill(counts, 0, (<usize>longest + 1) << 2);
  for (let i: u32 = 0; i < rows; ++i) {
    const at = counts + ((<usize>lengthOf(starts, i)) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  let held: u32 = 0;
  for (let length = longest; length > 0; --length) {
    const at = counts + ((<usize>length) << 2);
    const count = load<u32>(at);
    store<u32>(at, held);
    held += count;
  }
  for (let i: u32 = 0; i < rows; ++i) {
    const length = lengthOf(starts, i);
    if (length === 0) continue;
    const at = counts + ((<usize>length) << 2);
    const place = load<u32>(at);
    store<u32>(order + ((<usize>place) << 2), i);
    store<u32>(at, place + 1);
  }
  return held;
}

/** The number of pairs of entries in slices of `rows` rows, each as long as its first row: see packed-sparse.ts. */
export function csr_pairs(starts: usize, order: usize, held: u32, rows: u32): u32 {
  let pairs: u32 = 0;
  for (let i: u32 = 0; i < held; i += rows) {
    pairs += (lengthOf(starts, load<u32>(order + ((<usize>i) << 2))) + 1) >> 1;
  }
  return pairs;
}

/** SELL-4 as in packed-sparse.ts; `stream` is zero on entry. */
export function f32_sell_pack(
  values: usize,
  columns: usize,
  starts: usize,
  order: usize,
  held: u32,
  slices: usize,
  stream: usize,
): void {
  for (let i: u32 = 0; i < held; i += 4, slices += 20) {
    const first = load<u32>(order);
    const pairs = (lengthOf(starts, first) + 1) >> 1;
    store<u32>(slices, pairs);
    for (let r: u32 = 0; r < 4; ++r, order += 4) {
      const to = slices + ((<usize>r) << 2);
      if (i + r >= held) {
        store<u32>(to, first << 2, 4);
        continue;
      }
      const row = load<u32>(order);
      store<u32>(to, row << 2, 4);
      let entry = (<usize>load<u32>(starts + ((<usize>row) << 2))) << 2;
      const length = lengthOf(starts, row);
      for (let k: u32 = 0; k < length; ++k, entry += 4) {
        const pair = stream + <usize>(k >> 1) * 48;
        const lane = <usize>(((k & 1) << 2) + r);
        store<u16>(pair + (lane << 1), <u16>(load<u32>(columns + entry) << 2));
        store<f32>(pair + (lane << 2), load<f32>(values + entry), 16);
      }
    }
    stream += <usize>pairs * 48;
  }
}

/** Blocks of `size` rows as in packed-sparse.ts; `offsets` and `to` are zero on entry. */
export function f32_block_pack(
  values: usize,
  columns: usize,
  starts: usize,
  order: usize,
  held: u32,
  rows: usize,
  offsets: usize,
  to: usize,
  size: u32,
): void {
  const block = (<usize>size) << 2;
  for (; held > 0; --held, order += 4, rows += 8) {
    const row = load<u32>(order);
    const length = <usize>lengthOf(starts, row);
    const padded = (length + 1) & -2;
    const first = <usize>load<u32>(starts + ((<usize>row) << 2));
    store<u32>(rows, <u32>(padded >> 1));
    store<u32>(rows, (row * size) << 2, 4);
    for (let k: usize = 0; k < length; ++k) {
      store<u16>(offsets + (k << 1), <u16>(load<u32>(columns + ((first + k) << 2)) << 2));
    }
    memory.copy(to, values + first * block, length * block);
    offsets += padded << 1;
    to += padded * block;
  }
}

/** The same matrix, dense, in the panels of packed-dense.ts, [ceil(M/4)][blocks][4][4], zero on entry. */
export function csr_to_panels(
  values: usize,
  columns: usize,
  starts: usize,
  rows: u32,
  size: u32,
  to: usize,
  blocks: u32,
): void {
  for (let i: u32 = 0; i < rows; ++i) {
    for (let n = lengthOf(starts, i); n > 0; --n, columns += 4) {
      const column = load<u32>(columns);
      for (let r = i * size; r < (i + 1) * size; ++r, values += 4) {
        const place = ((r >> 2) * blocks + (column >> 2)) * 16 + ((r & 3) << 2) + (column & 3);
        store<f32>(to + ((<usize>place) << 2), load<f32>(values));
      }
    }
  }
}
