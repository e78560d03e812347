// The oracle itself: what reference.ts says a gradient is, against central differences of what it says the function is.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as reference from '../src/reference.js';
import { close, U64, values } from './support.js';

const numbers = (n: number, scale = 1) => Float64Array.from(values(n, scale));
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, v, i) => sum + v * b[i], 0);

/** Where `gradient` is not that of f, a function of what is in x now. */
function wrongSlopes(f: () => number, x: Float64Array, gradient: ArrayLike<number>): string[] {
  assert.is(gradient.length, x.length);
  // With this step the error of the difference, about h^2, is as small as that of its rounding, U64 / h. Both go with
  // the third derivative and with the terms of f, which are far below a hundred times the gradient here.
  const h = Math.cbrt(U64);
  const allowed = 100 * h ** 2 * Math.max(1, ...Array.from(gradient, Math.abs));
  const wrong: string[] = [];
  for (let i = 0; i < x.length; i++) {
    const at = x[i];
    x[i] = at + h;
    const above = f();
    x[i] = at - h;
    const below = f();
    x[i] = at;
    const slope = (above - below) / (2 * h);
    if (!close(gradient[i], slope, allowed)) wrong.push(`[${i}]: the gradient is ${gradient[i]}, the slope ${slope}`);
  }
  return wrong;
}

const isGradient = (name: string, f: () => number, x: Float64Array, gradient: ArrayLike<number>) =>
  assert.equal(wrongSlopes(f, x, gradient), [], name);

test('the difference tells a wrong gradient from the right one', () => {
  const x = numbers(3);
  const gradient = x.map((v) => 2 * v);
  assert.equal(
    wrongSlopes(() => dot(x, x), x, gradient),
    [],
  );
  gradient[1] += Math.sqrt(U64);
  assert.is(wrongSlopes(() => dot(x, x), x, gradient).length, 1);
});

test('the LSTM cell', () => {
  const [R, H] = [2, 3];
  const n = R * H;
  const [a, cPrev, dh, dc] = [numbers(4 * n, 2), numbers(n), numbers(n), numbers(n)];
  const forward = () => {
    const [gates, c, tanhC, h] = [a.slice(), new Float64Array(n), new Float64Array(n), new Float64Array(n)];
    reference.f32_lstm_cell(gates, cPrev, c, tanhC, h, R, H);
    return { gates, c, tanhC, h };
  };
  const loss = () => {
    const { c, h } = forward();
    return dot(dh, h) + dot(dc, c);
  };
  const { gates, tanhC } = forward();
  const [dgates, dcPrev] = [new Float64Array(4 * n), dc.slice()];
  reference.f32_lstm_cell_grad(gates, cPrev, tanhC, dh, dcPrev, dgates, R, H);
  isGradient('gates', loss, a, dgates);
  isGradient('cPrev', loss, cPrev, dcPrev);
});

test('cross-entropy', () => {
  const [R, V, scale] = [4, 5, 0.3];
  const [x, targets] = [numbers(R * V, 4), [2, 0, -1, 4]];
  const [lse, losses, dx] = [new Float64Array(R), new Float64Array(R), new Float64Array(R * V)];
  const loss = () => {
    reference.f32_cross_entropy(x, targets, lse, losses, R, V);
    return scale * losses.reduce((sum, v) => sum + v, 0);
  };
  loss();
  reference.f32_cross_entropy_grad(x, targets, lse, dx, R, V, scale);
  isGradient('logits', loss, x, dx);
});

test('log-softmax is minus the loss of every target', () => {
  const V = 5;
  const x = numbers(V, 4);
  const [y, lse, losses] = [new Float64Array(V), new Float64Array(1), new Float64Array(1)];
  reference.f32_log_softmax(x, y, 1, V);
  for (let target = 0; target < V; target++) {
    reference.f32_cross_entropy(x, [target], lse, losses, 1, V);
    assert.is(losses[0], -y[target]);
  }
});

test('a Kronecker product', () => {
  const [R, m1, n1, m2, n2] = [3, 2, 3, 4, 2];
  const [b, c, x, dy] = [numbers(m1 * n1), numbers(m2 * n2), numbers(R * n1 * n2), numbers(R * m1 * m2)];
  const loss = () => {
    const y = new Float64Array(R * m1 * m2);
    reference.f32_kron_mm(b, c, x, y, R, m1, n1, m2, n2, false);
    return dot(dy, y);
  };
  const [db, dc, dx] = [b, c, x].map((array) => new Float64Array(array.length));
  reference.f32_kron_grad_b(c, dy, x, db, R, m1, n1, m2, n2);
  reference.f32_kron_grad_c(b, dy, x, dc, R, m1, n1, m2, n2);
  reference.f32_kron_tmm(b, c, dy, dx, R, m1, n1, m2, n2, false);
  isGradient('b', loss, b, db);
  isGradient('c', loss, c, dc);
  isGradient('x', loss, x, dx);
});

test('its formula: Y = B X C^T', () => {
  const [m1, n1, m2, n2] = [2, 3, 4, 5];
  const [b, c, x] = [numbers(m1 * n1), numbers(m2 * n2), numbers(n1 * n2)];
  const [bx, y, bxc] = [new Float64Array(m1 * n2), new Float64Array(m1 * m2), new Float64Array(m1 * m2)];
  reference.f32_gemm_nn(b, x, bx, m1, n2, n1, false);
  reference.f32_gemm_nt(bx, c, bxc, m1, m2, n2, false);
  reference.f32_kron_mm(b, c, x, y, 1, m1, n1, m2, n2, false);
  y.forEach((value, i) => {
    assert.ok(close(value, bxc[i], 2 * (n1 + n2) * U64 * n1 * n2), `[${i}]`); // no term is above one
  });
});

test('a sparse matrix', () => {
  const [R, M, N] = [3, 4, 5];
  const [columns, starts] = [
    [1, 4, 0, 1, 2, 3, 4, 2],
    [0, 2, 2, 7, 8],
  ];
  const [entries, x, dy] = [numbers(columns.length), numbers(R * N), numbers(R * M)];
  const loss = () => {
    const y = new Float64Array(R * M);
    reference.f32_csr_mm(entries, undefined, columns, starts, x, y, R, M, N, false);
    return dot(dy, y);
  };
  const dentries = new Float64Array(entries.length);
  reference.f32_csr_grad(columns, starts, dy, x, dentries, R, M, N, 0, M);
  isGradient('values', loss, entries, dentries);
});

test('a sparse matrix of blocks', () => {
  const [R, M, N, block] = [3, 8, 5, 4];
  const [columns, starts] = [
    [1, 4, 2],
    [0, 2, 3],
  ];
  for (const stride of [1, 2]) {
    const [entries, x, dy] = [numbers(block * columns.length), numbers(R * N), numbers(R * M)];
    const loss = () => {
      const y = new Float64Array(R * M);
      reference.f32_bsr_mm(entries, columns, starts, x, y, R, M, N, block, stride, false);
      return dot(dy, y);
    };
    const [dentries, dx] = [new Float64Array(entries.length), new Float64Array(R * N)];
    reference.f32_bsr_grad(columns, starts, dy, x, dentries, R, M, N, block, stride, 0, M / block);
    reference.f32_bsr_tmm(entries, columns, starts, dy, dx, R, M, N, block, stride, false);
    isGradient('values', loss, entries, dentries);
    isGradient('x', loss, x, dx);
  }
});

test('a dense matrix', () => {
  const [M, N] = [3, 4];
  const [w, x, dy] = [numbers(M * N), numbers(N), numbers(M)];
  const loss = () => {
    const y = new Float64Array(M);
    reference.f32_gemv(w, x, y, M, N, false);
    return dot(dy, y);
  };
  const [dw, dx] = [new Float64Array(M * N), new Float64Array(N)];
  reference.f32_ger(dy, x, dw, M, N);
  reference.f32_gemv_t(w, dy, dx, M, N, false);
  isGradient('w', loss, w, dw);
  isGradient('x', loss, x, dx);
});

test('an embedding', () => {
  const [V, R, E] = [4, 5, 3];
  const [table, ids, dy] = [numbers(V * E), [2, 0, 2, 3, 2], numbers(R * E)];
  const loss = () => {
    const y = new Float64Array(R * E);
    reference.f32_gather(table, ids, y, R, E);
    return dot(dy, y);
  };
  const dtable = new Float64Array(V * E);
  reference.f32_scatter_add(dy, ids, dtable, R, E);
  isGradient('table', loss, table, dtable);
});

test('a bias', () => {
  const [R, N] = [4, 3];
  const [bias, dy] = [numbers(N), numbers(R * N)];
  const loss = () => {
    const y = new Float64Array(R * N);
    reference.f32_set_rows(bias, y, R, N);
    return dot(dy, y);
  };
  const dbias = new Float64Array(N);
  reference.f32_add_rows(dy, dbias, R, N);
  isGradient('bias', loss, bias, dbias);
});

test('dropout', () => {
  const [R, N] = [3, 20];
  const [x, dy] = [numbers(R * N), numbers(R * N)];
  const drop = (from: Float64Array) => {
    const to = new Float64Array(R * N);
    reference.f32_dropout(from, to, R, N, 0, 0, 0.5, 1, 2, 3, 4, false);
    return to;
  };
  isGradient('x', () => dot(dy, drop(x)), x, drop(dy));
});

test.run();
