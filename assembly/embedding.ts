// Looks up rows of a table[V,E], f32. ids: i32[R], each in [0, V), which the caller has checked.

import { loadPart, storePart } from './simd';

/** y[r] = table[ids[r]] */
export function f32_gather(table: usize, ids: usize, y: usize, R: i32, E: i32): void {
  const row = (<usize>E) << 2;
  for (let r = 0; r < R; ++r, ids += 4, y += row) memory.copy(y, table + <usize>load<u32>(ids) * row, row);
}

/** dtable[ids[r]] += dy[r], for r in ascending order. */
export function f32_scatter_add(dy: usize, ids: usize, dtable: usize, R: i32, E: i32): void {
  const row = (<usize>E) << 2;
  const whole = (<usize>E >> 2) << 4;
  const rest = E & 3;
  for (let r = 0; r < R; ++r, ids += 4, dy += row) {
    const to = dtable + <usize>load<u32>(ids) * row;
    for (let at: usize = 0; at < whole; at += 16) {
      v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(dy + at)));
    }
    if (rest) storePart(to + whole, f32x4.add(loadPart(to + whole, rest), loadPart(dy + whole, rest)), rest);
  }
}
