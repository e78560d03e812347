// Dense packed matrix times vector: y[M] (+)= W x[N], f32.
//
// W is packed into panels of four rows, [ceil(M/4)][ceil(N/4)][4 rows][4 columns], with zeros past M and N: a panel is one
// linear stream, and each piece of x is read once for four rows. x is padded with zeros to a multiple of 4. No alignment
// required.

import { addPairs, madd, put, sums4 } from './simd';

/** `blocks` is ceil(N / 4). */
export function f32_panel_mv(w: usize, x: usize, y: usize, M: i32, blocks: i32, accumulate: bool): void {
  for (let i = 0; i < M; i += 4, y += 16) {
    let s0 = i32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let t0 = s0;
    let t1 = s0;
    let t2 = s0;
    let t3 = s0;
    let at = x;
    let v: v128;
    let n = blocks;
    // Two sets of sums, used alternately, hide the latency of the additions.
    while (true) {
      v = v128.load(at);
      s0 = madd(v128.load(w), v, s0);
      s1 = madd(v128.load(w, 16), v, s1);
      s2 = madd(v128.load(w, 32), v, s2);
      s3 = madd(v128.load(w, 48), v, s3);
      w += 64;
      at += 16;
      if (--n === 0) break;
      v = v128.load(at);
      t0 = madd(v128.load(w), v, t0);
      t1 = madd(v128.load(w, 16), v, t1);
      t2 = madd(v128.load(w, 32), v, t2);
      t3 = madd(v128.load(w, 48), v, t3);
      w += 64;
      at += 16;
      if (--n === 0) break;
    }
    s0 = f32x4.add(s0, t0);
    s1 = f32x4.add(s1, t1);
    s2 = f32x4.add(s2, t2);
    s3 = f32x4.add(s3, t3);
    // The sums of the lanes of each, side by side.
    const a = f32x4.add(v128.shuffle<f32>(s0, s1, 0, 4, 1, 5), v128.shuffle<f32>(s0, s1, 2, 6, 3, 7));
    const b = f32x4.add(v128.shuffle<f32>(s2, s3, 0, 4, 1, 5), v128.shuffle<f32>(s2, s3, 2, 6, 3, 7));
    const sums = f32x4.add(v128.shuffle<f32>(a, b, 0, 1, 4, 5), v128.shuffle<f32>(a, b, 2, 3, 6, 7));
    put(y, sums, M - i, accumulate);
  }
}

/** The same for four vectors at once, whose weights are read once: y_j += W x_j, rows `rowX` and `rowY` bytes apart. */
export function f32_panel_mm4(w: usize, x: usize, rowX: usize, y: usize, rowY: usize, M: i32, blocks: i32): void {
  const panel = (<usize>blocks) << 6;
  // Two rows at a time, whose eight sums fit into registers.
  for (let i = 0; i < M; i += 2, y += 8) {
    let a0 = i32x4.splat(0);
    let a1 = a0;
    let a2 = a0;
    let a3 = a0;
    let b0 = a0;
    let b1 = a0;
    let b2 = a0;
    let b3 = a0;
    let at = x;
    let from = w + <usize>(i >> 2) * panel + ((<usize>(i & 2)) << 4);
    for (let n = blocks; n > 0; --n, from += 64, at += 16) {
      const a = v128.load(from);
      const b = v128.load(from, 16);
      let next = at;
      let v = v128.load(next);
      a0 = madd(a, v, a0);
      b0 = madd(b, v, b0);
      next += rowX;
      v = v128.load(next);
      a1 = madd(a, v, a1);
      b1 = madd(b, v, b1);
      next += rowX;
      v = v128.load(next);
      a2 = madd(a, v, a2);
      b2 = madd(b, v, b2);
      next += rowX;
      v = v128.load(next);
      a3 = madd(a, v, a3);
      b3 = madd(b, v, b3);
    }
    inline.always(addPairs(y, rowY, sums4(a0, b0, a1, b1), M - i));
    inline.always(addPairs(y + (rowY << 1), rowY, sums4(a2, b2, a3, b3), M - i));
  }
}
