// y[m1 m2] (+)= (B (x) C) x[n1 n2] for one vector, f32: Y = (B X) C^T or B (X C^T), X[n1,n2] and Y[m1,m2] as they lie
// in x and y.
//
// Both products are tiles of four rows and eight columns, four at the end where that is enough, whose left operand is a
// scalar a row. Packed: B as [ceil(m1/4)][n1][4 rows][4 times], each element repeated for SIMD; C^T as panels
// [ceil(m2/8)][n2][8], zero past m2. Rows past m1 repeat zeros. The vector between the two products, `temp`, is what the
// first tile writes and the second reads.

import { madd, put } from './simd';

/** Where a tile's row goes: whole, or the `cols` < 8 first of it. */
function putRow(to: usize, low: v128, high: v128, cols: i32, accumulate: bool): void {
  put(to, low, cols, accumulate);
  put(to + 16, high, cols - 4, accumulate);
}

/**
 * out[m1,n] (+)= B in[n1,n]: B packed with repeats, `in` row-major; reads up to 7 floats past each row of `in`, and
 * past the last.
 */
function left(b: usize, input: usize, out: usize, m1: i32, n1: i32, n: i32, accumulate: bool): void {
  const row = (<usize>n) << 2;
  for (let i = 0; i < m1; i += 4) {
    const rows = m1 - i;
    let j = 0;
    for (; j + 4 < n; j += 8) {
      let c00 = i32x4.splat(0);
      let c01 = c00;
      let c10 = c00;
      let c11 = c00;
      let c20 = c00;
      let c21 = c00;
      let c30 = c00;
      let c31 = c00;
      let a = b;
      let p = input + ((<usize>j) << 2);
      let k = n1;
      while (true) {
        const x0 = v128.load(p);
        const x1 = v128.load(p, 16);
        let r = v128.load(a);
        c00 = madd(r, x0, c00);
        c01 = madd(r, x1, c01);
        r = v128.load(a, 16);
        c10 = madd(r, x0, c10);
        c11 = madd(r, x1, c11);
        r = v128.load(a, 32);
        c20 = madd(r, x0, c20);
        c21 = madd(r, x1, c21);
        r = v128.load(a, 48);
        c30 = madd(r, x0, c30);
        c31 = madd(r, x1, c31);
        a += 64;
        p += row;
        if (--k === 0) break;
      }
      const to = out + <usize>i * row + ((<usize>j) << 2);
      const cols = n - j;
      putRow(to, c00, c01, cols, accumulate);
      if (rows > 1) putRow(to + row, c10, c11, cols, accumulate);
      if (rows > 2) putRow(to + row * 2, c20, c21, cols, accumulate);
      if (rows > 3) putRow(to + row * 3, c30, c31, cols, accumulate);
    }
    if (j < n) {
      let c0 = i32x4.splat(0);
      let c1 = c0;
      let c2 = c0;
      let c3 = c0;
      let a = b;
      let p = input + ((<usize>j) << 2);
      let k = n1;
      while (true) {
        const x = v128.load(p);
        c0 = madd(v128.load(a), x, c0);
        c1 = madd(v128.load(a, 16), x, c1);
        c2 = madd(v128.load(a, 32), x, c2);
        c3 = madd(v128.load(a, 48), x, c3);
        a += 64;
        p += row;
        if (--k === 0) break;
      }
      const to = out + <usize>i * row + ((<usize>j) << 2);
      const cols = n - j;
      put(to, c0, cols, accumulate);
      if (rows > 1) put(to + row, c1, cols, accumulate);
      if (rows > 2) put(to + row * 2, c2, cols, accumulate);
      if (rows > 3) put(to + row * 3, c3, cols, accumulate);
    }
    b += (<usize>n1) << 6;
  }
}

/** out[m,m2] (+)= in[m,n2] C^T: C^T packed in panels, `in` row-major. */
function right(c: usize, input: usize, out: usize, m: i32, m2: i32, n2: i32, accumulate: bool): void {
  const rowIn = (<usize>n2) << 2;
  const rowOut = (<usize>m2) << 2;
  for (let i = 0; i < m; i += 4) {
    const rows = m - i;
    const first = input + <usize>i * rowIn;
    const step1 = rows > 1 ? rowIn : 0;
    const step2 = rows > 2 ? rowIn : 0;
    const step3 = rows > 3 ? rowIn : 0;
    let panel = c;
    let j = 0;
    for (; j + 4 < m2; j += 8) {
      let c00 = i32x4.splat(0);
      let c01 = c00;
      let c10 = c00;
      let c11 = c00;
      let c20 = c00;
      let c21 = c00;
      let c30 = c00;
      let c31 = c00;
      let p0 = first;
      let p1 = p0 + step1;
      let p2 = p1 + step2;
      let p3 = p2 + step3;
      let k = n2;
      while (true) {
        const w0 = v128.load(panel);
        const w1 = v128.load(panel, 16);
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
        panel += 32;
        p0 += 4;
        p1 += 4;
        p2 += 4;
        p3 += 4;
        if (--k === 0) break;
      }
      const to = out + <usize>i * rowOut + ((<usize>j) << 2);
      const cols = m2 - j;
      putRow(to, c00, c01, cols, accumulate);
      if (rows > 1) putRow(to + rowOut, c10, c11, cols, accumulate);
      if (rows > 2) putRow(to + rowOut * 2, c20, c21, cols, accumulate);
      if (rows > 3) putRow(to + rowOut * 3, c30, c31, cols, accumulate);
    }
    if (j < m2) {
      let c0 = i32x4.splat(0);
      let c1 = c0;
      let c2 = c0;
      let c3 = c0;
      let p0 = first;
      let p1 = p0 + step1;
      let p2 = p1 + step2;
      let p3 = p2 + step3;
      let k = n2;
      while (true) {
        const w = v128.load(panel);
        c0 = madd(v128.load32_splat(p0), w, c0);
        c1 = madd(v128.load32_splat(p1), w, c1);
        c2 = madd(v128.load32_splat(p2), w, c2);
        c3 = madd(v128.load32_splat(p3), w, c3);
        panel += 32;
        p0 += 4;
        p1 += 4;
        p2 += 4;
        p3 += 4;
        if (--k === 0) break;
      }
      const to = out + <usize>i * rowOut + ((<usize>j) << 2);
      const cols = m2 - j;
      put(to, c0, cols, accumulate);
      if (rows > 1) put(to + rowOut, c1, cols, accumulate);
      if (rows > 2) put(to + rowOut * 2, c2, cols, accumulate);
      if (rows > 3) put(to + rowOut * 3, c3, cols, accumulate);
    }
  }
}

/** x and temp: up to 7 floats past their ends are read, and not used. temp: max(m1 n2, n1 m2) floats. */
export function f32_kron_mv(
  b: usize,
  c: usize,
  x: usize,
  y: usize,
  m1: i32,
  n1: i32,
  m2: i32,
  n2: i32,
  accumulate: bool,
  temp: usize,
): void {
  if (m1 * n2 * (n1 + m2) <= n1 * m2 * (n2 + m1)) {
    left(b, x, temp, m1, n1, n2, false);
    right(c, temp, y, m1, m2, n2, accumulate);
  } else {
    right(c, x, temp, n1, m2, n2, false);
    left(b, temp, y, m1, n1, m2, accumulate);
  }
}
