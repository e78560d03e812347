// Products with W = B (x) C, B[m1,n1], C[m2,n2], W[m1 m2, n1 n2], without forming W. With X[n1,n2] a row of x and Y[m1,m2] a
// row of y, Y = B X C^T, dX = B^T dY C, dB = dY C X^T, dC = dY^T B X. C is applied to all R rows at once (its index runs
// fastest, so [R,n1,n2] is a matrix of R n1 rows), B to one row of the batch after another. Each product is computed in the
// cheaper order. R, m1, n1, m2, n2 >= 1; R = 1 is a matrix times a vector. `scratch` is the scratch of the largest gemm, see
// gemm.ts. `temp` holds the intermediate product: R m1 n2 or R n1 m2 floats, for gradients R m1 n2. The caller must know
// which: see src/operators/kronecker.ts.
//
// With more than two factors, C is itself a Kronecker product: it is formed, since it is small, and its gradient passed on.

import { f32_gemm_nn, f32_gemm_nt, f32_gemm_tn } from './gemm';

/** The multiplications of an order whose intermediate product has a b numbers. In f64, which no sizes overflow. */
function cost(a: i32, b: i32, c: i32, d: i32): f64 {
  return <f64>a * <f64>b * (<f64>c + <f64>d);
}

/** y[R, m1 m2] (+)= x[R, n1 n2] W^T */
export function f32_kron_mm(
  b: usize,
  c: usize,
  x: usize,
  y: usize,
  R: i32,
  m1: i32,
  n1: i32,
  m2: i32,
  n2: i32,
  accumulate: bool,
  temp: usize,
  scratch: usize,
): void {
  if (cost(m1, n2, n1, m2) <= cost(n1, m2, n2, m1)) {
    // (B X) C^T
    for (let r = 0; r < R; ++r) {
      f32_gemm_nn(
        b,
        x + ((<usize>(r * n1 * n2)) << 2),
        temp + ((<usize>(r * m1 * n2)) << 2),
        m1,
        n2,
        n1,
        false,
        scratch,
      );
    }
    f32_gemm_nt(temp, c, y, R * m1, m2, n2, accumulate, scratch);
  } else {
    // B (X C^T)
    f32_gemm_nt(x, c, temp, R * n1, m2, n2, false, scratch);
    for (let r = 0; r < R; ++r) {
      f32_gemm_nn(
        b,
        temp + ((<usize>(r * n1 * m2)) << 2),
        y + ((<usize>(r * m1 * m2)) << 2),
        m1,
        m2,
        n1,
        accumulate,
        scratch,
      );
    }
  }
}

/** dx[R, n1 n2] (+)= dy[R, m1 m2] W */
export function f32_kron_tmm(
  b: usize,
  c: usize,
  dy: usize,
  dx: usize,
  R: i32,
  m1: i32,
  n1: i32,
  m2: i32,
  n2: i32,
  accumulate: bool,
  temp: usize,
  scratch: usize,
): void {
  if (cost(n1, m2, m1, n2) <= cost(m1, n2, m2, n1)) {
    // (B^T dY) C
    for (let r = 0; r < R; ++r) {
      f32_gemm_tn(
        b,
        n1,
        dy + ((<usize>(r * m1 * m2)) << 2),
        temp + ((<usize>(r * n1 * m2)) << 2),
        n1,
        m2,
        m1,
        false,
        scratch,
      );
    }
    f32_gemm_nn(temp, c, dx, R * n1, n2, m2, accumulate, scratch);
  } else {
    // B^T (dY C)
    f32_gemm_nn(dy, c, temp, R * m1, n2, m2, false, scratch);
    for (let r = 0; r < R; ++r) {
      f32_gemm_tn(
        b,
        n1,
        temp + ((<usize>(r * m1 * n2)) << 2),
        dx + ((<usize>(r * n1 * n2)) << 2),
        n1,
        n2,
        m1,
        accumulate,
        scratch,
      );
    }
  }
}

/** dC[m2,n2] += sum over rows of dY^T B X */
export function f32_kron_grad_c(
  b: usize,
  dy: usize,
  x: usize,
  dc: usize,
  R: i32,
  m1: i32,
  n1: i32,
  m2: i32,
  n2: i32,
  temp: usize,
  scratch: usize,
): void {
  // temp = B X, [R m1, n2]
  for (let r = 0; r < R; ++r) {
    f32_gemm_nn(b, x + ((<usize>(r * n1 * n2)) << 2), temp + ((<usize>(r * m1 * n2)) << 2), m1, n2, n1, false, scratch);
  }
  f32_gemm_tn(dy, m2, temp, dc, m2, n2, R * m1, true, scratch);
}

/** dB[m1,n1] += sum over rows of dY C X^T */
export function f32_kron_grad_b(
  c: usize,
  dy: usize,
  x: usize,
  db: usize,
  R: i32,
  m1: i32,
  n1: i32,
  m2: i32,
  n2: i32,
  temp: usize,
  scratch: usize,
): void {
  // temp = dY C, [R m1, n2]
  f32_gemm_nn(dy, c, temp, R * m1, n2, m2, false, scratch);
  for (let r = 0; r < R; ++r) {
    f32_gemm_nt(temp + ((<usize>(r * m1 * n2)) << 2), x + ((<usize>(r * n1 * n2)) << 2), db, m1, n1, n2, true, scratch);
  }
}

/** w[m1 m2, n1 n2] = B (x) C */
export function f32_kron(b: usize, c: usize, w: usize, m1: i32, n1: i32, m2: i32, n2: i32): void {
  for (let i1 = 0; i1 < m1; ++i1) {
    for (let i2 = 0; i2 < m2; ++i2) {
      for (let j1 = 0; j1 < n1; ++j1) {
        const scale = load<f32>(b + ((<usize>(i1 * n1 + j1)) << 2));
        for (let j2 = 0; j2 < n2; ++j2) {
          store<f32>(w, scale * load<f32>(c + ((<usize>(i2 * n2 + j2)) << 2)));
          w += 4;
        }
      }
    }
  }
}

/** Adds to dB[m1,n1] and dC[m2,n2], given dw[m1 m2, n1 n2], the gradient of a B (x) C that was formed. */
export function f32_kron_grad(
  b: usize,
  c: usize,
  dw: usize,
  db: usize,
  dc: usize,
  m1: i32,
  n1: i32,
  m2: i32,
  n2: i32,
): void {
  for (let i1 = 0; i1 < m1; ++i1) {
    for (let i2 = 0; i2 < m2; ++i2) {
      for (let j1 = 0; j1 < n1; ++j1) {
        const inB = (<usize>(i1 * n1 + j1)) << 2;
        const scale = load<f32>(b + inB);
        let sum: f32 = 0;
        for (let j2 = 0; j2 < n2; ++j2) {
          const inC = (<usize>(i2 * n2 + j2)) << 2;
          const gradient = load<f32>(dw);
          sum += gradient * load<f32>(c + inC);
          store<f32>(dc + inC, load<f32>(dc + inC) + gradient * scale);
          dw += 4;
        }
        store<f32>(db + inB, load<f32>(db + inB) + sum);
      }
    }
  }
}
