// The optimisers over several steps, as PyTorch takes them (test/fixtures/make_fixtures.py), and what they leave alone.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { Parameter } from '../../src/operators/parameter.js';
import { createOptimizer, type Optimizer, type OptimizerName } from '../../src/train/optimizers.js';
import { Runtime } from '../../src/wasm/runtime.js';
import fixtures from '../fixtures/training.json';
import { U, values } from '../support.js';

const NAMES: readonly OptimizerName[] = ['sgd', 'adam'];

function parameter(runtime: Runtime, data: ArrayLike<number>): Parameter {
  const result = new Parameter(runtime, [data.length]);
  result.data.set(Array.from(data));
  result.prepareGradient();
  return result;
}

/** A parameter's numbers and its moments, copied. */
function everything(runtime: Runtime, optimizer: Optimizer, of: Parameter): Record<string, Float32Array> {
  const arrays = { value: of.value, ...optimizer.moments(of) };
  return Object.fromEntries(Object.entries(arrays).map(([name, at]) => [name, runtime.floats(at, of.size).slice()]));
}

for (const name of NAMES) {
  test(`${name} takes the steps of PyTorch, over two parameters as over one`, () => {
    const { options, start, gradients, result } = fixtures[name];
    const runtime = new Runtime();
    const n = start.data.length;
    const cut = 5;
    const parameters = [parameter(runtime, start.data.slice(0, cut)), parameter(runtime, start.data.slice(cut))];
    const optimizer = createOptimizer(runtime, name, parameters);
    const [b1, b2] = 'betas' in options ? options.betas : [0, 0];
    // b1 and b2 are rounded to f32 too, which 1 - b1 and 1 - b2 feel the more the smaller they are.
    const relative = U * (16 + (name === 'adam' ? 1 / (1 - b1) + 1 / (1 - b2) : 0));
    const moved = new Float64Array(n);
    const [steps] = gradients.shape;
    assert.ok(steps > 1);
    for (let t = 1; t <= steps; t++) {
      const g = gradients.data.slice((t - 1) * n, t * n);
      parameters[0].gradient.set(g.slice(0, cut));
      parameters[1].gradient.set(g.slice(cut));
      optimizer.step(options.lr, 1);
      assert.is(optimizer.steps, t);
      const got = parameters.flatMap(({ data }) => [...data]);
      for (let i = 0; i < n; i++) {
        const wanted = result.data[(t - 1) * n + i];
        // A step of Adam is about lr long at most, one of gradient descent lr times the gradient.
        moved[i] += options.lr * (name === 'adam' ? 1 : Math.abs(g[i]));
        const allowed = t * U * Math.abs(start.data[i]) + (t + 1) * relative * moved[i];
        assert.ok(Math.abs(got[i] - wanted) <= allowed, `step ${t} [${i}]: ${got[i]}, not ${wanted} +- ${allowed}`);
      }
    }
  });

  test(`${name}: a frozen parameter and its moments stand still, the others go on, and it goes on afterwards`, () => {
    const runtime = new Runtime();
    const [still, other] = [parameter(runtime, values(6)), parameter(runtime, values(6))];
    const optimizer = createOptimizer(runtime, name, [still, other]);
    const step = () => {
      for (const { gradient } of [still, other]) gradient.set(values(6));
      optimizer.step(0.1, 1);
    };
    step();
    still.frozen = true;
    const before = [still, other].map((p) => everything(runtime, optimizer, p));
    step();
    assert.equal(everything(runtime, optimizer, still), before[0]);
    assert.ok(other.data.every((value, i) => value !== before[1].value[i]));
    still.frozen = false;
    step();
    assert.ok(still.data.every((value, i) => value !== before[0].value[i]));
    assert.is(optimizer.steps, 3);
  });

  test(`${name}: half the rate's scale is half the rate, and half the clip half the gradient, bit for bit`, () => {
    const n = 7;
    const [start, first, second] = [values(n), values(n), values(n)];
    const run = (rate: number, rateScale: number, clip: number, size: number) => {
      const runtime = new Runtime();
      const p = parameter(runtime, start);
      p.rateScale = rateScale;
      const optimizer = createOptimizer(runtime, name, [p]);
      for (const g of [first, second]) {
        p.gradient.set(g.map((v) => v * size));
        optimizer.step(rate, clip);
      }
      return everything(runtime, optimizer, p);
    };
    // Powers of two round nothing.
    assert.equal(run(0.1, 0.5, 1, 1), run(0.05, 1, 1, 1));
    assert.equal(run(0.1, 1, 0.5, 1), run(0.1, 1, 1, 0.5));
    assert.not.equal(run(0.1, 0.5, 1, 1), run(0.1, 1, 1, 1));
    assert.not.equal(run(0.1, 1, 1, 0.5), run(0.1, 1, 1, 1));
  });

  test(`${name}: pruned weights are and stay zero with their moments, the others go on as without a mask`, () => {
    const n = 10;
    const [start, ...gradients] = [values(n), values(n), values(n), values(n)];
    const alive = Uint8Array.from({ length: n }, (_, i) => (i % 3 === 1 ? 0 : 1));
    const run = (masked: boolean) => {
      const runtime = new Runtime();
      const p = parameter(runtime, start);
      const optimizer = createOptimizer(runtime, name, [p]);
      gradients.forEach((g, i) => {
        // Pruned after the first step, when there are moments already.
        if (masked && i === 1) {
          p.mask = runtime.alloc(n);
          runtime.bytes(p.mask, n).set(alive);
        }
        p.gradient.set(g);
        optimizer.step(0.1, 1);
      });
      return everything(runtime, optimizer, p);
    };
    const free = run(false);
    const masked = run(true);
    assert.equal(Object.keys(masked), name === 'adam' ? ['value', 'm', 'v'] : ['value']);
    for (const [key, numbers] of Object.entries(masked)) {
      assert.equal(
        numbers,
        free[key].map((v, i) => (alive[i] ? v : 0)),
        key,
      );
    }
  });

  test(`${name}: goes on from its steps and moments as if it had never stopped`, () => {
    const n = 9;
    const [start, first, second] = [values(n), values(n), values(n)];
    const runtime = new Runtime();
    const p = parameter(runtime, start);
    const optimizer = createOptimizer(runtime, name, [p]);
    p.gradient.set(first);
    optimizer.step(0.1, 1);

    const q = parameter(runtime, p.data);
    const again = createOptimizer(runtime, name, [q]);
    const moments = everything(runtime, optimizer, p);
    for (const [key, at] of Object.entries(again.moments(q))) runtime.floats(at, n).set(moments[key]);
    again.steps = optimizer.steps;
    for (const [parameter, o] of [
      [p, optimizer],
      [q, again],
    ] as const) {
      parameter.gradient.set(second);
      o.step(0.1, 1);
    }
    assert.equal(everything(runtime, again, q), everything(runtime, optimizer, p));
    assert.is(again.steps, optimizer.steps);
  });
}

test('moments start at zero, whatever the memory held before', () => {
  const runtime = new Runtime();
  const p = parameter(runtime, values(5));
  const mark = runtime.mark();
  runtime.bytes(runtime.alloc(1000), 1000).fill(255);
  runtime.release(mark);
  const { m, v } = everything(runtime, createOptimizer(runtime, 'adam', [p]), p);
  assert.equal(m, new Float32Array(5));
  assert.equal(v, new Float32Array(5));
});

test('an unknown optimiser is refused by name', () => {
  assert.throws(
    () => createOptimizer(new Runtime(), 'adagrad' as OptimizerName, []),
    (error: unknown) => error instanceof InputError && /^optimizer: got "adagrad"/.test(error.message),
  );
});

test.run();
