import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import { checkDistillation, type Distillation, softmaxLoss } from '../../src/nn/loss.js';
import { dense } from '../../src/operators/factories.js';
import { Parameter } from '../../src/operators/parameter.js';
import { close, runtime, U, values } from '../support.js';

const [R, V] = [4, 9];
const logits = values(R * V, 3);
const teacher = values(R * V, 3);
const targets = Int32Array.of(2, -1, 8, 0);
const counted = targets.filter((target) => target >= 0).length;

// A head that lets its input through, so that the input's gradient is the logits'.
const identity = dense(runtime, V, V);
identity.weight.data.set(Float32Array.from({ length: V * V }, (_, i) => (i % (V + 1) === 0 ? 1 : 0)));
const bias = new Parameter(runtime, [V]);
for (const parameter of [identity.weight, bias]) parameter.prepareGradient();

/** The loss and the gradient of the logits. */
function measure(distillation?: Distillation, from = teacher, target = targets) {
  const mark = runtime.mark();
  const tape = new Tape(runtime, true);
  const [x, other] = [tape.tensor(R, V), tape.tensor(R, V)];
  runtime.floats(x.value, R * V).set(logits);
  runtime.floats(other.value, R * V).set(from);
  const ids = runtime.alloc(4 * R);
  runtime.ints(ids, R).set(target);
  const softTargets = distillation && { ...distillation, logits: other.value };
  const { sum, count } = softmaxLoss(tape, { weight: identity, bias }, x, ids, softTargets);
  tape.backward();
  const gradient = runtime.floats(x.grad, R * V).slice();
  runtime.release(mark);
  return { sum, count, gradient };
}

function softmax(row: readonly number[]): number[] {
  const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
  return row.map((value) => Math.exp(value) / total);
}

/** The mean over the rows that count, from the definition. */
function slowLoss(x: ArrayLike<number>, { weight, temperature: T }: Distillation): number {
  let sum = 0;
  for (let r = 0; r < R; r++) {
    if (targets[r] < 0) continue;
    const row = (from: ArrayLike<number>, divisor: number) =>
      softmax(Array.from({ length: V }, (_, j) => from[r * V + j] / divisor));
    const [p, s] = [row(teacher, T), row(x, T)];
    const divergence = p.reduce((total, value, j) => total + value * Math.log(value / s[j]), 0);
    sum += -(1 - weight) * Math.log(row(x, 1)[targets[r]]) + weight * T * T * divergence;
  }
  return sum / counted;
}

for (const distillation of [
  { weight: 0.5, temperature: 1 },
  { weight: 0.9, temperature: 2 },
  { weight: 1, temperature: 0.5 },
]) {
  const { weight, temperature } = distillation;
  test(`loss and gradient from the definition, weight ${weight}, temperature ${temperature}`, () => {
    const { sum, count, gradient } = measure(distillation);
    assert.is(count, counted);
    const wanted = slowLoss(logits, distillation);
    const roundings = 40 * U * (1 + 3 / temperature) * temperature ** 2;
    assert.ok(close(sum / count, wanted, V * roundings), `${sum / count}, not ${wanted}`);
    const step = 1e-5; // a central difference errs by about its square
    for (let i = 0; i < R * V; i++) {
      const moved = (by: number) => slowLoss(Float64Array.from(logits).fill(logits[i] + by, i, i + 1), distillation);
      const slope = (moved(step) - moved(-step)) / (2 * step);
      assert.ok(close(gradient[i], slope, roundings + 1e-9), `[${i}] is ${gradient[i]}, not ${slope}`);
    }
  });
}

test('a weight of 0 is the cross-entropy, bit for bit', () => {
  assert.equal(measure({ weight: 0, temperature: 2 }), measure());
});

test('nothing is to be learned from oneself', () => {
  const { sum, gradient } = measure({ weight: 1, temperature: 1.5 }, logits);
  assert.is(sum, 0);
  assert.ok(gradient.every((value) => value === 0));
});

test('with no target there is no loss and no gradient', () => {
  const { sum, count, gradient } = measure({ weight: 0.5, temperature: 1 }, teacher, new Int32Array(R).fill(-1));
  assert.equal([sum, count], [0, 0]);
  assert.ok(gradient.every((value) => value === 0));
});

test('many words and rows, block by block, are what they are row by row', () => {
  const [rows, words, inner] = [19, 40_000, 3];
  const head = { weight: dense(runtime, words, inner), bias: new Parameter(runtime, [words]) };
  head.weight.weight.data.set(values(words * inner));
  for (const parameter of [head.weight.weight, head.bias]) parameter.prepareGradient();
  const [input, opinions] = [values(rows * inner), values(rows * words)];
  const wanted = Int32Array.from({ length: rows }, (_, r) => (r % 5 === 4 ? -1 : 997 * r));
  const part = (from: number, n: number) => {
    const mark = runtime.mark();
    const tape = new Tape(runtime, true);
    const [x, other] = [tape.tensor(n, inner), tape.tensor(n, words)];
    runtime.floats(x.value, n * inner).set(input.subarray(from * inner, (from + n) * inner));
    runtime.floats(other.value, n * words).set(opinions.subarray(from * words, (from + n) * words));
    const ids = runtime.alloc(4 * n);
    runtime.ints(ids, n).set(wanted.subarray(from, from + n));
    const { sum, count } = softmaxLoss(tape, head, x, ids, { weight: 0.5, temperature: 2, logits: other.value });
    const gradient = runtime.floats(x.grad, n * inner).slice();
    runtime.release(mark);
    return { sum, count, gradient };
  };
  const whole = part(0, rows);
  let sum = 0;
  for (let r = 0; r < rows; r++) {
    const row = part(r, 1);
    sum += row.sum;
    row.gradient.forEach((value, j) => {
      const got = whole.gradient[r * inner + j] * whole.count;
      assert.ok(close(got, value, 8 * U * words * Math.abs(value) + 100 * U), `row ${r}: ${got}, not ${value}`);
    });
  }
  assert.ok(close(whole.sum, sum, 8 * U * rows * sum), `${whole.sum}, not ${sum}`);
});

test('weights and temperatures that make no loss are refused', () => {
  for (const [weight, temperature, message] of [
    [-0.1, 1, /^distill weight: got -0\.1;/],
    [1.1, 1, /^distill weight: got 1\.1;/],
    [Number.NaN, 1, /^distill weight: got NaN;/],
    [0.5, 0, /^distill temperature: got 0;/],
    [0.5, Number.POSITIVE_INFINITY, /^distill temperature: got Infinity;/],
  ] as const) {
    const refused = (error: unknown) => error instanceof InputError && message.test(error.message);
    assert.throws(() => checkDistillation({ weight, temperature }), refused);
  }
});

test.run();
