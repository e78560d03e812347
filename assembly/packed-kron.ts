// The matrix products of a Kronecker product times one vector, f32. With X[n1,n2] and Y[m1,m2] as they lie in x and y, Y = B X
// C^T is computed in the cheaper order:
//
//   T^T = X^T B^T,  Y = T C^T      or      T = X C^T,  Y = B T
//
// All four products have the form out[I,J] (+)= S^T W, with S[K,I], and W[K,J] in panels of eight columns; S is X, T^T, X^T
// and B^T, packed, in turn.

import { madd, put } from './simd';

/** Stores a row of a tile, or its first `cols` < 8 columns. */
function putRow(to: usize, low: v128, high: v128, cols: i32, accumulate: bool): void {
  put(to, low, cols, accumulate);
  if (cols > 4) put(to + 16, high, cols - 4, accumulate);
}

/**
 * s: rows `rowS` bytes apart; up to three floats past each row are read but not used. w: [ceil(J/8)][K][8]; columns past J, up
 * to a multiple of four, are read but not used. out: rows `row` bytes apart, panels of eight columns `panel` bytes apart, 32
 * for a plain matrix. shape: u32 I, J, K, rowS, row, panel.
 *
 * A tile has four rows and eight columns, or four in the last panel where they suffice. Scalars of S are broadcast and
 * multiplied by vectors of W. On V8 11.3, one pointer with offsets is a third faster here than one pointer per scalar.
 */
export function f32_panel8_tmm(s: usize, w: usize, out: usize, shape: usize, accumulate: bool): void {
  const I = load<i32>(shape);
  const J = load<i32>(shape, 4);
  const K = load<i32>(shape, 8);
  const rowS = <usize>load<u32>(shape, 12);
  const row = <usize>load<u32>(shape, 16);
  const panel = <usize>load<u32>(shape, 20);
  for (let i = 0; i < I; i += 4, s += 16, out += row << 2) {
    const rows = I - i;
    let b = w;
    let to = out;
    let cols = J;
    for (; cols > 4; cols -= 8, to += panel) {
      let c00 = i32x4.splat(0);
      let c01 = c00;
      let c10 = c00;
      let c11 = c00;
      let c20 = c00;
      let c21 = c00;
      let c30 = c00;
      let c31 = c00;
      let p = s;
      let k = K;
      while (true) {
        const w0 = v128.load(b);
        const w1 = v128.load(b, 16);
        let r = v128.load32_splat(p);
        c00 = madd(r, w0, c00);
        c01 = madd(r, w1, c01);
        r = v128.load32_splat(p, 4);
        c10 = madd(r, w0, c10);
        c11 = madd(r, w1, c11);
        r = v128.load32_splat(p, 8);
        c20 = madd(r, w0, c20);
        c21 = madd(r, w1, c21);
        r = v128.load32_splat(p, 12);
        c30 = madd(r, w0, c30);
        c31 = madd(r, w1, c31);
        b += 32;
        p += rowS;
        if (--k === 0) break;
      }
      if (rows < 4 || cols < 8) {
        putRow(to, c00, c01, cols, accumulate);
        if (rows > 1) putRow(to + row, c10, c11, cols, accumulate);
        if (rows > 2) putRow(to + row * 2, c20, c21, cols, accumulate);
        if (rows > 3) putRow(to + row * 3, c30, c31, cols, accumulate);
        continue;
      }
      // Most tiles are whole: no test for each vector.
      let t = to;
      if (accumulate) {
        v128.store(t, f32x4.add(c00, v128.load(t)));
        v128.store(t, f32x4.add(c01, v128.load(t, 16)), 16);
        t += row;
        v128.store(t, f32x4.add(c10, v128.load(t)));
        v128.store(t, f32x4.add(c11, v128.load(t, 16)), 16);
        t += row;
        v128.store(t, f32x4.add(c20, v128.load(t)));
        v128.store(t, f32x4.add(c21, v128.load(t, 16)), 16);
        t += row;
        v128.store(t, f32x4.add(c30, v128.load(t)));
        v128.store(t, f32x4.add(c31, v128.load(t, 16)), 16);
      } else {
        v128.store(t, c00);
        v128.store(t, c01, 16);
        t += row;
        v128.store(t, c10);
        v128.store(t, c11, 16);
        t += row;
        v128.store(t, c20);
        v128.store(t, c21, 16);
        t += row;
        v128.store(t, c30);
        v128.store(t, c31, 16);
      }
    }
    if (cols > 0) {
      let c0 = i32x4.splat(0);
      let c1 = c0;
      let c2 = c0;
      let c3 = c0;
      let d0 = c0;
      let d1 = c0;
      let d2 = c0;
      let d3 = c0;
      let p = s;
      let k = K;
      let v: v128;
      // Two sets of sums, used alternately, hide the latency of the additions.
      while (true) {
        v = v128.load(b);
        c0 = madd(v128.load32_splat(p), v, c0);
        c1 = madd(v128.load32_splat(p, 4), v, c1);
        c2 = madd(v128.load32_splat(p, 8), v, c2);
        c3 = madd(v128.load32_splat(p, 12), v, c3);
        b += 32;
        p += rowS;
        if (--k === 0) break;
        v = v128.load(b);
        d0 = madd(v128.load32_splat(p), v, d0);
        d1 = madd(v128.load32_splat(p, 4), v, d1);
        d2 = madd(v128.load32_splat(p, 8), v, d2);
        d3 = madd(v128.load32_splat(p, 12), v, d3);
        b += 32;
        p += rowS;
        if (--k === 0) break;
      }
      putRow(to, f32x4.add(c0, d0), c0, cols, accumulate);
      if (rows > 1) putRow(to + row, f32x4.add(c1, d1), c1, cols, accumulate);
      if (rows > 2) putRow(to + row * 2, f32x4.add(c2, d2), c2, cols, accumulate);
      if (rows > 3) putRow(to + row * 3, f32x4.add(c3, d3), c3, cols, accumulate);
    }
  }
}

/** to[C, ceil(R/4) 4] = from[R,C]^T; the padding of the rows of `to` to whole vectors is arbitrary. */
export function f32_transpose(from: usize, to: usize, R: i32, C: i32): void {
  const rowFrom = (<usize>C) << 2;
  const rowTo = (<usize>((R + 3) & -4)) << 2;
  for (let i = 0; i < R; i += 4, from += rowFrom << 2, to += 16) {
    // Rows past R repeat the first.
    const r1 = i + 1 < R ? rowFrom : 0;
    const r2 = i + 2 < R ? rowFrom * 2 : 0;
    const r3 = i + 3 < R ? rowFrom * 3 : 0;
    let p = from;
    let q = to;
    let n = C;
    for (; n >= 4; n -= 4, p += 16, q += rowTo << 2) {
      const a = v128.load(p);
      const b = v128.load(p + r1);
      const c = v128.load(p + r2);
      const d = v128.load(p + r3);
      const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
      const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
      const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
      const gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      v128.store(q, v128.shuffle<f64>(ab, cd, 0, 2));
      v128.store(q + rowTo, v128.shuffle<f64>(ab, cd, 1, 3));
      v128.store(q + rowTo * 2, v128.shuffle<f64>(ef, gh, 0, 2));
      v128.store(q + rowTo * 3, v128.shuffle<f64>(ef, gh, 1, 3));
    }
    for (; n > 0; --n, p += 4, q += rowTo) {
      const v = v128.load_lane<f32>(p + r1, v128.load32_zero(p), 1);
      v128.store(q, v128.load_lane<f32>(p + r3, v128.load_lane<f32>(p + r2, v, 2), 3));
    }
  }
}
