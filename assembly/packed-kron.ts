// One of the two matrix products that a Kronecker product comes to for one vector, f32. Y = B X C^T, X[n1,n2] and
// Y[m1,m2] as they lie in x and y, is, in the cheaper order, either
//
//   T^T = X^T B^T,  Y = T C^T      or      T = X C^T,  Y = B T
//
// and all four are this: out[I,J] (+)= S[I,K] W[K,J], W in panels of eight columns, S and out with strides.
//
// Tiles of four rows and eight columns, four at the end where that is enough; a scalar of S meets vectors of W.

import { madd, put } from './simd';

/** Where a tile's row goes: whole, or the `cols` < 8 first of it. */
function putRow(to: usize, low: v128, high: v128, cols: i32, accumulate: bool): void {
  put(to, low, cols, accumulate);
  put(to + 16, high, cols - 4, accumulate);
}

/**
 * w: [ceil(J/8)][K][8], read as far as the four columns that J ends in. shape: u32 I, J, K, then byte strides: rows of S,
 * columns of S, rows of out, panels of out (32 where it is a plain matrix). Nothing past S is read.
 */
export function f32_panel8_mm(w: usize, s: usize, out: usize, shape: usize, accumulate: bool): void {
  const I = load<i32>(shape);
  const J = load<i32>(shape, 4);
  const K = load<i32>(shape, 8);
  const rowS = <usize>load<u32>(shape, 12);
  const columnS = <usize>load<u32>(shape, 16);
  const row = <usize>load<u32>(shape, 20);
  const panel = <usize>load<u32>(shape, 24);
  for (let i = 0; i < I; i += 4, s += rowS << 2, out += row << 2) {
    const rows = I - i;
    const s1 = rows > 1 ? rowS : 0;
    const s2 = rows > 2 ? rowS << 1 : 0;
    const s3 = rows > 3 ? rowS * 3 : 0;
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
      let p0 = s;
      let p1 = s + s1;
      let p2 = s + s2;
      let p3 = s + s3;
      let k = K;
      while (true) {
        const w0 = v128.load(b);
        const w1 = v128.load(b, 16);
        let r = v128.load32_splat(p0);
        c00 = madd(r, w0, c00);
        c01 = madd(r, w1, c01);
        r = v128.load32_splat(p1);
        c10 = madd(r, w0, c10);
        c11 = madd(r, w1, c11);
        r = v128.load32_splat(p2);
        c20 = madd(r, w0, c20);
        c21 = madd(r, w1, c21);
        r = v128.load32_splat(p3);
        c30 = madd(r, w0, c30);
        c31 = madd(r, w1, c31);
        b += 32;
        p0 += columnS;
        p1 += columnS;
        p2 += columnS;
        p3 += columnS;
        if (--k === 0) break;
      }
      putRow(to, c00, c01, cols, accumulate);
      if (rows > 1) putRow(to + row, c10, c11, cols, accumulate);
      if (rows > 2) putRow(to + row * 2, c20, c21, cols, accumulate);
      if (rows > 3) putRow(to + row * 3, c30, c31, cols, accumulate);
    }
    if (cols > 0) {
      let c0 = i32x4.splat(0);
      let c1 = c0;
      let c2 = c0;
      let c3 = c0;
      let p0 = s;
      let p1 = s + s1;
      let p2 = s + s2;
      let p3 = s + s3;
      let k = K;
      while (true) {
        const v = v128.load(b);
        c0 = madd(v128.load32_splat(p0), v, c0);
        c1 = madd(v128.load32_splat(p1), v, c1);
        c2 = madd(v128.load32_splat(p2), v, c2);
        c3 = madd(v128.load32_splat(p3), v, c3);
        b += 32;
        p0 += columnS;
        p1 += columnS;
        p2 += columnS;
        p3 += columnS;
        if (--k === 0) break;
      }
      put(to, c0, cols, accumulate);
      if (rows > 1) put(to + row, c1, cols, accumulate);
      if (rows > 2) put(to + row * 2, c2, cols, accumulate);
      if (rows > 3) put(to + row * 3, c3, cols, accumulate);
    }
  }
}
