// The layers on the tape pass the battery.

import { test } from 'uvu';
import { activate } from '../../src/nn/activation.js';
import { linear } from '../../src/nn/linear.js';
import { largestOverTime, meanOverTime } from '../../src/nn/pool.js';
import { windows } from '../../src/nn/window.js';
import { Dense } from '../../src/operators/dense.js';
import { Parameter } from '../../src/operators/parameter.js';
import { layerBattery } from '../../src/testing/index.js';

for (const [R, M, N] of [
  [1, 1, 1],
  [1, 5, 3],
  [4, 3, 7],
  [9, 8, 2],
]) {
  test(`linear: ${R} rows, ${M} x ${N}`, () => {
    layerBattery(
      (runtime) => {
        const [weight, bias] = [new Dense(runtime, M, N), new Parameter(runtime, [M])];
        return {
          parameters: [weight.weight, bias],
          forward: (tape, x) => linear(tape, weight, bias, x),
          oracle: (x, [w, b]) =>
            Float64Array.from({ length: R * M }, (_, at) => {
              const [r, i] = [Math.floor(at / M), at % M];
              let sum = b[i];
              for (let j = 0; j < N; j++) sum += w[i * N + j] * x[r * N + j];
              return sum;
            }),
        };
      },
      R,
      N,
    );
  });
}

const ACTIVATIONS = {
  tanh: Math.tanh,
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  relu: (x: number) => Math.max(x, 0),
};
for (const [name, f] of Object.entries(ACTIVATIONS)) {
  test(`activation: ${name}`, () => {
    layerBattery(
      () => ({
        parameters: [],
        forward: (tape, x) => activate(tape, name as keyof typeof ACTIVATIONS, x),
        oracle: (x) => x.map(f),
      }),
      5,
      7,
    );
  });
}

const LENGTHS = [4, 1, 3]; // steps of three sequences side by side
for (const over of ['mean', 'max'] as const) {
  test(`pool: ${over}`, () => {
    const [B, N] = [LENGTHS.length, 5];
    layerBattery(
      () => ({
        parameters: [],
        forward: (tape, x) => (over === 'mean' ? meanOverTime : largestOverTime)(tape, x, LENGTHS),
        oracle: (x) =>
          Float64Array.from({ length: B * N }, (_, at) => {
            const [b, j] = [Math.floor(at / N), at % N];
            const column = Array.from({ length: LENGTHS[b] }, (_, t) => x[(t * B + b) * N + j]);
            return over === 'max' ? Math.max(...column) : column.reduce((sum, v) => sum + v, 0) / column.length;
          }),
      }),
      4 * B,
      N,
    );
  });
}

test('windows of a convolution, with stride and padding', () => {
  const [T, B, I, width, stride] = [6, 2, 3, 4, 2];
  const padding = [2, 1] as const;
  layerBattery(
    () => ({
      parameters: [],
      forward: (tape, x) => windows(tape, { name: 'c', kind: 'conv', outputs: 1, width, stride, padding }, x, B),
      oracle: (x) => {
        const y: number[] = [];
        for (let first = -padding[0]; first + width <= T + padding[1]; first += stride) {
          for (let b = 0; b < B; b++) {
            for (let t = first; t < first + width; t++) {
              for (let i = 0; i < I; i++) y.push(t >= 0 && t < T ? x[(t * B + b) * I + i] : 0);
            }
          }
        }
        return y;
      },
    }),
    T * B,
    I,
  );
});

test.run();
