import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Int8, quantise } from '../../src/operators/int8.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { U, values } from '../support.js';

const M = 6;
const N = 50;
const rows = (array: ArrayLike<number>) =>
  Array.from({ length: M }, (_, i) => Array.from({ length: N }, (_, j) => array[i * N + j]));

/** Of very different sizes, one of zeros. */
const numbers = Float32Array.from(values(M * N), (v, k) => v * [1, 1e-3, 1e30, 1e-30, 0, 100][Math.floor(k / N)]);

test('each row uses the whole range, and every number is the nearest of it', () => {
  const { weight, scales } = quantise(numbers, M, N);
  for (const [i, row] of rows(numbers).entries()) {
    const quantised = rows(weight)[i];
    const largest = Math.max(...row.map(Math.abs));
    assert.is(Math.max(...quantised.map(Math.abs)), largest === 0 ? 0 : 127);
    assert.ok(Math.abs(scales[i] - largest / 127) <= U * scales[i]);
    for (const [j, number] of row.entries()) {
      const error = Math.abs(number - quantised[j] * scales[i]);
      assert.ok(error <= scales[i] * (0.5 + 127 * 4 * U), `[${i}, ${j}]: ${error}, a step is ${scales[i]}`);
    }
  }
});

test('numbers below the smallest scale become 0', () => {
  const { weight, scales } = quantise(Float32Array.of(1e-45, -1e-45), 1, 2);
  assert.equal([...weight, ...scales], [0, 0, 0]);
});

test('the matrix is its integers times its scales', () => {
  const arrays = quantise(numbers, M, N);
  const dense = new Int8(new Runtime(), M, N, arrays).toDense();
  for (const [k, number] of dense.entries()) {
    assert.is(number, Math.fround(arrays.weight[k] * arrays.scales[Math.floor(k / N)]));
  }
});

test.run();
