import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import { checkDistillation, type Distillation, distil } from '../../src/nn/distillation.js';
import { crossEntropy } from '../../src/nn/loss.js';
import { close, runtime, U, values } from '../support.js';

const [R, V] = [4, 9];
const logits = values(R * V, 3);
const teacher = values(R * V, 3);
const targets = Int32Array.of(2, -1, 8, 0);
const counted = targets.filter((target) => target >= 0).length;

/** A loss and the gradient of the logits that it leaves. */
function measure(loss: typeof crossEntropy, target = targets) {
  const mark = runtime.mark();
  const tape = new Tape(runtime, true);
  const tensor = tape.tensor(R, V);
  runtime.floats(tensor.value, R * V).set(logits);
  const ids = runtime.alloc(4 * R);
  runtime.ints(ids, R).set(target);
  const { sum, count } = loss(tape, tensor, ids);
  tape.backward();
  const gradient = runtime.floats(tensor.grad, R * V).slice();
  runtime.release(mark);
  return { sum, count, gradient };
}

function distilled(distillation: Distillation, from = teacher, target = targets) {
  return measure((tape, tensor, ids) => {
    const other = tape.tensor(R, V);
    runtime.floats(other.value, R * V).set(from);
    return distil(tape, tensor, other, ids, distillation);
  }, target);
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
    const { sum, count, gradient } = distilled(distillation);
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
  assert.equal(distilled({ weight: 0, temperature: 2 }), measure(crossEntropy));
});

test('nothing is to be learned from oneself', () => {
  const { sum, gradient } = distilled({ weight: 1, temperature: 1.5 }, logits);
  assert.is(sum, 0);
  assert.ok(gradient.every((value) => value === 0));
});

test('with no target there is no loss and no gradient', () => {
  const { sum, count, gradient } = distilled({ weight: 0.5, temperature: 1 }, teacher, new Int32Array(R).fill(-1));
  assert.equal([sum, count], [0, 0]);
  assert.ok(gradient.every((value) => value === 0));
});

test('weights and temperatures that make no loss are refused', () => {
  for (const [weight, temperature, message] of [
    [-0.1, 1, /^distill: weight -0\.1;/],
    [1.1, 1, /^distill: weight 1\.1;/],
    [Number.NaN, 1, /^distill: weight NaN;/],
    [0.5, 0, /^distill: temperature 0;/],
    [0.5, Number.POSITIVE_INFINITY, /^distill: temperature Infinity;/],
  ] as const) {
    const refused = (error: unknown) => error instanceof InputError && message.test(error.message);
    assert.throws(() => checkDistillation({ weight, temperature }), refused);
  }
});

test.run();
