import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape, type Tensor } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import { LstmLayer, lstm } from '../../src/nn/lstm.js';
import { dense, doped, kron } from '../../src/operators/factories.js';
import { type Operator, parametersOf } from '../../src/operators/operator.js';
import { Parameter } from '../../src/operators/parameter.js';
import { uniform } from '../../src/random.js';
import * as reference from '../../src/reference.js';
import { Runtime } from '../../src/wasm/runtime.js';

interface Array2 {
  shape: number[];
  data: number[];
}

/** Made with PyTorch and onnxruntime by test/fixtures/make_fixtures.py. */
const fixture = JSON.parse(readFileSync('test/fixtures/lstm.json', 'utf8')) as {
  sizes: { layers: number; input: number; hidden: number; steps: number; batch: number };
  parameters: Record<string, Array2>;
  gradients: Record<string, Array2>;
  onnxruntime: Record<'y' | 'hn' | 'cn', Array2>;
} & Record<'x' | 'h0' | 'c0' | 'y' | 'hn' | 'cn' | 'dy' | 'dhn' | 'dcn', Array2>;

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.is(actual.length, expected.length, `${what}: length`);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    assert.ok(difference <= tolerance, `${what}[${i}]: ${actual[i]}, not ${expected[i]}`);
  }
}

function tensor(runtime: Runtime, rows: number, cols: number, values: ArrayLike<number>): Tensor {
  const value = runtime.alloc(4 * rows * cols);
  runtime.floats(value, rows * cols).set(Array.from(values));
  return { rows, cols, value, grad: 0 };
}

function fixtureLayer(runtime: Runtime, l: number): LstmLayer {
  const matrix = (name: string) => {
    const { shape, data } = fixture.parameters[name];
    const operator = dense(runtime, shape[0], shape[1]);
    operator.weight.data.set(data);
    return operator;
  };
  const bias = (name: string) => {
    const parameter = new Parameter(runtime, fixture.parameters[name].shape);
    parameter.data.set(fixture.parameters[name].data);
    return parameter;
  };
  return new LstmLayer(
    matrix(`weight_ih_l${l}`),
    matrix(`weight_hh_l${l}`),
    bias(`bias_ih_l${l}`),
    bias(`bias_hh_l${l}`),
  );
}

function layerParameters({ ih, hh, biasIh, biasHh }: LstmLayer): Parameter[] {
  return [...parametersOf(ih), ...parametersOf(hh), biasIh, biasHh];
}

test('two layers agree with PyTorch, forward and every gradient, and with onnxruntime forward', () => {
  const { input, hidden: H, steps: T, batch: B } = fixture.sizes;
  const runtime = new Runtime();
  const layers = [fixtureLayer(runtime, 0), fixtureLayer(runtime, 1)];
  for (const parameter of layers.flatMap(layerParameters)) parameter.prepareGradient();
  const n = B * H;
  const x = tensor(runtime, T * B, input, fixture.x.data);
  const before = [0, 1].map((l) => ({
    h: tensor(runtime, B, H, fixture.h0.data.slice(l * n, (l + 1) * n)),
    c: tensor(runtime, B, H, fixture.c0.data.slice(l * n, (l + 1) * n)),
  }));
  const tape = new Tape(runtime, true);
  const first = lstm(tape, layers[0], x, before[0]);
  const second = lstm(tape, layers[1], first.y, before[1]);

  const values = ({ value, rows, cols }: Tensor) => runtime.floats(value, rows * cols);
  const both = (key: 'h' | 'c') => [...values(first[key]), ...values(second[key])];
  for (const outside of [fixture, fixture.onnxruntime]) {
    close(values(second.y), outside.y.data, 1e-5, 'y');
    close(both('h'), outside.hn.data, 1e-5, 'hn');
    close(both('c'), outside.cn.data, 1e-5, 'cn');
  }

  const seed = (to: Tensor, gradient: number[]) => {
    const grad = tape.gradient(to);
    runtime.floats(grad, to.rows * to.cols).set(gradient);
  };
  seed(second.y, fixture.dy.data);
  [first, second].forEach(({ h, c }, l) => {
    seed(h, fixture.dhn.data.slice(l * n, (l + 1) * n));
    seed(c, fixture.dcn.data.slice(l * n, (l + 1) * n));
  });
  tape.backward();

  const gradient = ({ grad, rows, cols }: Tensor) => runtime.floats(grad, rows * cols);
  const names = (l: number) => [`weight_ih_l${l}`, `weight_hh_l${l}`, `bias_ih_l${l}`, `bias_hh_l${l}`];
  layers.forEach((layer, l) => {
    layerParameters(layer).forEach((parameter, i) => {
      close(parameter.gradient, fixture.gradients[names(l)[i]].data, 1e-5, `gradient of ${names(l)[i]}`);
    });
  });
  close(gradient(x), fixture.gradients.x.data, 1e-5, 'gradient of x');
  close([...gradient(before[0].h), ...gradient(before[1].h)], fixture.gradients.h0.data, 1e-5, 'gradient of h0');
  close([...gradient(before[0].c), ...gradient(before[1].c)], fixture.gradients.c0.data, 1e-5, 'gradient of c0');
});

/** Loss <dy, y> of a layer over a sequence, in double precision, from the dense matrices. */
function slowLoss(
  { ih, hh, bias, x, h0, c0, dy }: Record<'ih' | 'hh' | 'bias' | 'x' | 'h0' | 'c0' | 'dy', Float64Array>,
  T: number,
  B: number,
  I: number,
  H: number,
): number {
  let h = Float64Array.from(h0);
  const c = Float64Array.from(c0);
  let loss = 0;
  for (let t = 0; t < T; t++) {
    const gates = new Float64Array(B * 4 * H);
    reference.f32_set_rows(bias, gates, B, 4 * H);
    reference.f32_gemm_nt(x.subarray(t * B * I, (t + 1) * B * I), ih, gates, B, 4 * H, I, true);
    reference.f32_gemm_nt(h, hh, gates, B, 4 * H, H, true);
    const next = new Float64Array(B * H);
    reference.f32_lstm_cell(gates, c, c, new Float64Array(B * H), next, B, H);
    h = next;
    loss += reference.f32_dot(h, dy.subarray(t * B * H, (t + 1) * B * H), B * H);
  }
  return loss;
}

test('the backward of a doped layer agrees with central differences in f64', () => {
  const T = 4;
  const B = 3;
  const I = 6;
  const H = 5;
  const runtime = new Runtime();
  const ih = doped(runtime, kron(runtime, [5, 2, 4, 3]));
  const hh = doped(runtime, kron(runtime, [4, 5, 5, 1]));
  const layer = new LstmLayer(ih, hh, new Parameter(runtime, [4 * H]), new Parameter(runtime, [4 * H]));
  let draws = 0;
  const noise = (n: number) => Float64Array.from({ length: n }, () => Math.fround(uniform(5, 0, draws++) - 0.5));
  for (const parameter of layerParameters(layer)) {
    parameter.data.set(noise(parameter.size));
    parameter.prepareGradient();
  }
  const inputs = { x: noise(T * B * I), h0: noise(B * H), c0: noise(B * H), dy: noise(T * B * H) };
  const x = tensor(runtime, T * B, I, inputs.x);
  const state = { h: tensor(runtime, B, H, inputs.h0), c: tensor(runtime, B, H, inputs.c0) };
  const tape = new Tape(runtime, true);
  const { y } = lstm(tape, layer, x, state);
  const dy = tape.gradient(y);
  runtime.floats(dy, T * B * H).set(inputs.dy);
  tape.backward();

  const slow = (changed: Partial<Record<'ih' | 'hh' | 'bias' | 'x' | 'h0' | 'c0', Float64Array>>) => {
    const bias = Float64Array.from(layer.biasIh.data, (value, i) => value + layer.biasHh.data[i]);
    const dense = (operator: Operator) => Float64Array.from(operator.toDense());
    return slowLoss({ ih: dense(ih), hh: dense(hh), bias, ...inputs, ...changed }, T, B, I, H);
  };
  const epsilon = 1e-5;
  const difference = (values: Float64Array, i: number, loss: (values: Float64Array) => number) => {
    const at = (delta: number) => loss(values.map((value, j) => (i === j ? value + delta : value)));
    return (at(epsilon) - at(-epsilon)) / (2 * epsilon);
  };
  const check = (name: string, gradient: Float32Array, values: Float64Array, loss: (v: Float64Array) => number) => {
    gradient.forEach((actual, i) => {
      const expected = difference(values, i, loss);
      assert.ok(Math.abs(actual - expected) < 2e-5, `${name}[${i}]: ${actual}, not ${expected}`);
    });
  };
  check('x', runtime.floats(x.grad, T * B * I), inputs.x, (v) => slow({ x: v }));
  check('h0', runtime.floats(state.h.grad, B * H), inputs.h0, (v) => slow({ h0: v }));
  check('c0', runtime.floats(state.c.grad, B * H), inputs.c0, (v) => slow({ c0: v }));
  const bias = Float64Array.from(layer.biasIh.data, (value, i) => value + layer.biasHh.data[i]);
  check('bias_ih', layer.biasIh.gradient, bias, (v) => slow({ bias: v }));
  check('bias_hh', layer.biasHh.gradient, bias, (v) => slow({ bias: v }));
  // A dopant's gradient is that of its place in the dense matrix.
  const dopants = (operator: typeof ih) => parametersOf(operator.terms[1])[0].gradient;
  check('dopants of W_ih', dopants(ih), Float64Array.from(ih.toDense()), (v) => slow({ ih: v }));
  check('dopants of W_hh', dopants(hh), Float64Array.from(hh.toDense()), (v) => slow({ hh: v }));
});

test('a sequence in two pieces with carried state gives what it gives in one', () => {
  const runtime = new Runtime();
  const { input: I, hidden: H, steps: T, batch: B } = fixture.sizes;
  const layer = fixtureLayer(runtime, 0);
  const run = (from: number, to: number, state: { h: Tensor; c: Tensor }) => {
    const x = tensor(runtime, (to - from) * B, I, fixture.x.data.slice(from * B * I, to * B * I));
    return lstm(new Tape(runtime, false), layer, x, state);
  };
  const start = {
    h: tensor(runtime, B, H, new Float32Array(B * H)),
    c: tensor(runtime, B, H, new Float32Array(B * H)),
  };
  const whole = run(0, T, start);
  const first = run(0, 4, start);
  const rest = run(4, T, { h: first.h, c: first.c });
  const pieces = [first.y, rest.y].flatMap(({ value, rows }) => [...runtime.floats(value, rows * H)]);
  assert.equal(pieces, [...runtime.floats(whole.y.value, T * B * H)]);
});

test('matrices of the wrong shape are refused by name', () => {
  const runtime = new Runtime();
  const bias = () => new Parameter(runtime, [12]);
  assert.throws(
    () => new LstmLayer(dense(runtime, 12, 5), dense(runtime, 12, 4), bias(), bias()),
    (error: Error) => error instanceof InputError && error.message === 'hh: got 12 x 4; expected 16 x 4',
  );
});

test.run();
