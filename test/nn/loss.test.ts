// The softmax head's loss and gradients against the slow twins, in one block of rows and in several.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { binaryLoss, meanSquaredLoss } from '../../src/nn/element-loss.js';
import { softmaxLoss } from '../../src/nn/loss.js';
import { dense } from '../../src/operators/factories.js';
import { Parameter } from '../../src/operators/parameter.js';
import * as reference from '../../src/reference.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { close, U, values } from '../support.js';

const N = 5;

function head(V: number) {
  const runtime = new Runtime();
  const weight = dense(runtime, V, N);
  const bias = new Parameter(runtime, [V]);
  weight.weight.data.set(values(V * N));
  bias.data.set(values(V));
  for (const parameter of [weight.weight, bias]) parameter.prepareGradient();
  return { runtime, weight, bias };
}

function place(runtime: Runtime, numbers: Float32Array | Int32Array): number {
  const at = runtime.alloc(numbers.byteLength);
  runtime.bytes(at, numbers.byteLength).set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  return at;
}

/** Loss and gradients in f64. */
function slow(
  w: Float32Array,
  bias: Float32Array,
  x: Float32Array,
  targets: Int32Array,
  start: { dx: Float32Array; dw: Float32Array; db: Float32Array },
  smoothing: number,
) {
  const V = bias.length;
  const R = targets.length;
  const logits = new Float64Array(R * V).map((_, i) => bias[i % V]);
  reference.f32_gemm_nt(x, w, logits, R, V, N, true);
  const [lse, losses] = [new Float64Array(R), new Float64Array(R)];
  reference.f32_cross_entropy(logits, targets, lse, losses, R, V);
  reference.f32_label_smoothing(logits, targets, losses, R, V, smoothing);
  const count = targets.filter((target) => target >= 0).length;
  const d = new Float64Array(R * V);
  reference.f32_cross_entropy_grad(logits, targets, lse, d, R, V, 1 / count);
  reference.f32_label_smoothing_grad(targets, d, R, V, smoothing, 1 / count);
  const [dx, dw, db] = [start.dx, start.dw, start.db].map((numbers) => Float64Array.from(numbers));
  reference.f32_gemm_nn(d, w, dx, R, N, V, true);
  reference.f32_gemm_tn(d, V, x, dw, V, N, R, true);
  reference.f32_add_rows(d, db, R, V);
  return { sum: losses.reduce((a, b) => a + b, 0), count, dx, dw, db };
}

// 8 rows are the fewest at a time; 40,000 words are more than the logits of so many may take.
for (const [R, V, smoothing] of [
  [1, 7, 0],
  [13, 9, 0],
  [13, 9, 0.1],
  [10, 40_000, 0],
  [10, 40_000, 0.3],
]) {
  test(`${R} rows, ${V} words, label smoothing ${smoothing}: loss and gradients, added to what is there`, () => {
    const { runtime, weight, bias } = head(V);
    const input = values(R * N);
    const targets = Int32Array.from(values(R), (v) => Math.floor(((v + 1) / 2) * V));
    if (R > 1) targets[R >> 1] = -1;
    const start = { dx: values(R * N), dw: values(V * N), db: values(V) };
    const tape = new Tape(runtime, true);
    const x = { rows: R, cols: N, value: place(runtime, input), grad: place(runtime, start.dx) };
    weight.weight.gradient.set(start.dw);
    bias.gradient.set(start.db);
    const at = place(runtime, targets);
    const { sum, count } = softmaxLoss(tape, { weight, bias }, x, at, undefined, undefined, smoothing);
    tape.backward();

    const wanted = slow(weight.weight.data, bias.data, input, targets, start, smoothing);
    assert.is(count, wanted.count);
    assert.ok(close(sum, wanted.sum, U * (2 * V + 20) * wanted.sum), `${sum}, not ${wanted.sum}`);
    for (const [name, got, exact] of [
      ['dx', runtime.floats(x.grad, R * N), wanted.dx],
      ['dw', weight.weight.gradient, wanted.dw],
      ['db', bias.gradient, wanted.db],
    ] as const) {
      // Terms are below 1 and few, or small and many: their absolute values add up to less than 3.
      exact.forEach((value, i) => {
        assert.ok(close(got[i], value, 3 * U * (N + R + 30)), `${name}[${i}] is ${got[i]}, not ${value}`);
      });
    }

    const silent = new Tape(runtime, false);
    const again = softmaxLoss(silent, { weight, bias }, { ...x, grad: 0 }, at, undefined, undefined, smoothing);
    assert.equal(again, { sum, count }, 'the same bits without a gradient');
  });
}

test('the gradients of losses of single numbers are normal or 0, however sure or exact the outputs are', () => {
  const runtime = new Runtime();
  const sizes = Float32Array.from({ length: 200 }, (_, i) => -i * (i % 2 ? 1 : -1));
  for (const [lossOf, outputs] of [
    [binaryLoss, sizes],
    [meanSquaredLoss, sizes.map((x) => 2 ** -Math.abs(x))],
  ] as const) {
    const tape = new Tape(runtime, true);
    const x = tape.tensor(outputs.length, 1);
    runtime.floats(x.value, outputs.length).set(outputs);
    lossOf(tape, x, new Float32Array(outputs.length));
    tape.backward();
    const denormal = runtime.floats(x.grad, outputs.length).filter((g) => g !== 0 && Math.abs(g) < 2 ** -126);
    assert.is(denormal.length, 0, `${lossOf.name}: ${denormal.length}, such as ${denormal[0]}`);
  }
});

test.run();
