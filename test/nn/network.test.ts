import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import { decodeNetwork, encodeNetwork } from '../../src/io/model-file.js';
import { readHeader } from '../../src/io/model-header.js';
import { checkNetwork, type LayerSpec, type NetworkSpec, resolveLayers, tensorsOf } from '../../src/network/spec.js';
import { Network } from '../../src/nn/network.js';
import { METHODS } from '../../src/operators/methods.js';
import { Sum } from '../../src/operators/sum.js';
import { uniform } from '../../src/random.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { slowNetwork, type Tensors } from './network-oracle.js';

let drawn = 0;
const draw = () => uniform(11, 0, drawn++);
const below = (n: number) => Math.floor(draw() * n);
const pick = <T>(list: readonly T[]): T => list[below(list.length)];

/** A network of one kind of layer between others, of sizes from 1 up. */
function randomSpec(middle: LayerSpec): NetworkSpec {
  const input = draw() < 0.5 ? { tokens: 1 + below(7), width: 1 + below(5) } : { frames: 1 + below(5) };
  const layers: LayerSpec[] = [
    { name: 'first', kind: 'linear', outputs: 1 + below(5), ...(draw() < 0.5 && { activation: 'tanh' }) },
    middle,
  ];
  if (draw() < 0.5) layers.push({ name: 'last', kind: 'linear', outputs: 1 + below(4) });
  return checkNetwork({ input, layers });
}

const KINDS: Record<string, () => LayerSpec> = {
  lstm: () => ({ name: 'middle', kind: 'lstm', units: 1 + below(6), direction: pick(['forward', 'backward', 'both']) }),
  gru: () => ({ name: 'middle', kind: 'gru', units: 1 + below(6), direction: pick(['forward', 'backward', 'both']) }),
  linear: () => ({
    name: 'middle',
    kind: 'linear',
    outputs: 1 + below(6),
    activation: pick(['tanh', 'sigmoid', 'relu']),
  }),
  conv: () => {
    const width = 1 + below(4);
    return {
      name: 'middle',
      kind: 'conv',
      outputs: 1 + below(5),
      width,
      stride: 1 + below(3),
      padding: [below(width), below(width)],
      activation: pick(['tanh', 'sigmoid', 'relu']),
    };
  },
  pool: () => ({ name: 'middle', kind: 'pool', over: pick(['last', 'mean', 'max']) }),
};

function randomSequence({ input }: NetworkSpec, T: number): number[] {
  if ('tokens' in input) return Array.from({ length: T }, () => below(input.tokens));
  return Array.from({ length: T * input.frames }, () => Math.fround(2 * draw() - 1));
}

const tensorsIn = (network: Network): Tensors =>
  new Map(tensorsOf(network.spec).map(({ name }) => [name, Float64Array.from(network.tensor(name))]));

/** Biases start at zero, which would hide what they do. */
function randomiseVectors(network: Network): void {
  for (const [name, { size }] of network.plainParameters()) {
    network.setTensor(
      name,
      Float32Array.from({ length: size }, () => 2 * draw() - 1),
    );
  }
}

/** Steps that every sequence gives, or undefined where one is too short for a convolution. */
function outputSteps(spec: NetworkSpec, tensors: Tensors, sequences: readonly number[][]) {
  const outputs = sequences.map((sequence) => slowNetwork(spec, tensors, sequence));
  return outputs.some((steps) => steps.length === 0) ? undefined : outputs;
}

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind}: outputs and every gradient agree with the oracle, for sequences of different lengths side by side`, () => {
    let checks = 0;
    for (let round = 0; round < 25; round++) {
      const spec = randomSpec(make());
      const runtime = new Runtime();
      const network = Network.create(runtime, spec, round);
      randomiseVectors(network);
      for (const [, parameter] of network.parameters()) parameter.prepareGradient();
      const B = 1 + below(3);
      const sequences = Array.from({ length: B }, () => randomSequence(spec, 1 + below(6)));
      const tensors = tensorsIn(network);
      const expected = outputSteps(spec, tensors, sequences);
      if (!expected) continue;
      const tape = new Tape(runtime, true);
      const y = network.forward(tape, network.batch(sequences));
      const N = y.cols;
      const at = (t: number, b: number, j: number) => (t * B + b) * N + j;
      const actual = runtime.floats(y.value, y.rows * N).slice();
      const dy = new Map<string, number>();
      const grad = tape.gradient(y);
      for (const [b, steps] of expected.entries()) {
        for (const [t, step] of steps.entries()) {
          for (const [j, value] of step.entries()) {
            assert.ok(
              Math.abs(actual[at(t, b, j)] - value) < 1e-5,
              `${kind} ${JSON.stringify(spec)}: ${actual[at(t, b, j)]}, not ${value}`,
            );
            const d = Math.fround(2 * draw() - 1);
            dy.set(`${b} ${t} ${j}`, d);
            runtime.floats(grad, y.rows * N)[at(t, b, j)] = d;
          }
        }
      }
      tape.backward();
      const loss = (changed: Tensors) =>
        sequences.reduce((sum, sequence, b) => {
          for (const [t, step] of slowNetwork(spec, changed, sequence).entries()) {
            for (const [j, value] of step.entries()) sum += value * dy.get(`${b} ${t} ${j}`)!;
          }
          return sum;
        }, 0);
      for (const [name, parameter] of network.parameters()) {
        const tensor = tensors.get(name)!;
        const i = below(tensor.length);
        const moved = (by: number) => loss(new Map([...tensors, [name, tensor.map((v, k) => (k === i ? v + by : v))]]));
        const slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        const found = parameter.gradient[i];
        // A step of 1e-6 may cross a corner of relu or max: rare, and then both sides differ.
        const corner = Math.abs(moved(1e-6) + moved(-1e-6) - 2 * loss(tensors)) > 1e-9;
        if (corner) continue;
        assert.ok(
          Math.abs(found - slope) < 2e-4 * Math.max(1, Math.abs(slope)),
          `${kind} ${name}[${i}] of ${JSON.stringify(spec)}: ${found}, not ${slope}`,
        );
        checks++;
      }
    }
    assert.ok(checks > 50, `${checks}`);
  });
}

test('every method makes every matrix: recurrent, linear and convolution', () => {
  const spec = checkNetwork({
    input: { frames: 8 },
    layers: [
      { name: 'conv', kind: 'conv', outputs: 16, width: 3, activation: 'relu' },
      { name: 'gru', kind: 'gru', units: 16 },
      { name: 'lstm', kind: 'lstm', units: 16, direction: 'both' },
      { name: 'out', kind: 'linear', outputs: 8 },
    ],
  });
  for (const method of METHODS) {
    const runtime = new Runtime();
    const network = Network.create(runtime, spec, 1, { recipe: () => ({ method, compression: 2 }) });
    const sequences = [randomSequence(spec, 5), randomSequence(spec, 2)];
    const expected = sequences.map((sequence) => slowNetwork(spec, tensorsIn(network), sequence));
    const y = network.forward(new Tape(runtime, false), network.batch(sequences));
    const actual = runtime.floats(y.value, y.rows * y.cols);
    for (const [b, steps] of expected.entries()) {
      for (const [t, step] of steps.entries()) {
        for (const [j, value] of step.entries()) {
          assert.ok(Math.abs(actual[(t * 2 + b) * y.cols + j] - value) < 1e-5, method);
        }
      }
    }
    const dopedMatrices = network.operators().filter(([, operator]) => operator instanceof Sum).length;
    assert.is(dopedMatrices, method.startsWith('doped-') ? 8 : 0);
  }
});

test('a language model as a spec has the bits of the one before', () => {
  const runtime = new Runtime();
  const vocabulary = buildVocabulary(['the cat sat on the mat. the dog lay on the rug.'], 'word');
  const config = { hidden: 16, layers: 2, method: 'doped-kron', compression: 4 } as const;
  const model = LanguageModel.create(runtime, config, vocabulary, 7);
  const spec: NetworkSpec = {
    input: { tokens: vocabulary.size, width: 16 },
    layers: [
      { name: 'lstm.0', kind: 'lstm', units: 16 },
      { name: 'lstm.1', kind: 'lstm', units: 16 },
      { name: 'head', kind: 'linear', outputs: vocabulary.size },
    ],
  };
  const network = Network.create(runtime, spec, 7, {
    recipe: ({ role }) => (role === 'recurrent' ? config : undefined),
  });
  assert.equal(
    network.parameters().map(([name]) => name),
    model.parameters().map(([name]) => name),
  );
  for (const [i, [name, parameter]] of network.parameters().entries()) {
    assert.equal([...parameter.data], [...model.parameters()[i][1].data], name);
  }
  const ids = runtime.zeros(4 * 6);
  runtime.ints(ids, 6).set([1, 2, 3, 4, 5, 6]);
  const drop = { rate: 0.3, seed: 5, step: 2 };
  const old = model.forward(new Tape(runtime, false), ids, 3, 2, model.newState(2), drop);
  const state = network.newState(2);
  const batch = { T: 3, B: 2, input: ids };
  const now = network.forward(new Tape(runtime, false), batch, state, drop);
  assert.equal(
    [...runtime.floats(now.value, now.rows * now.cols)],
    [...runtime.floats(old.value, old.rows * old.cols)],
  );
});

const FRAMES = { frames: 3 };
const BAD: [unknown, string][] = [
  [null, 'network'],
  [{ layers: [] }, 'network.input'],
  [{ input: {}, layers: [] }, 'network.input.tokens'],
  [{ input: { frames: 0 }, layers: [] }, 'network.input.frames'],
  [{ input: FRAMES, layers: [] }, 'network.layers'],
  [{ input: FRAMES, layers: [null] }, 'network.layers.0'],
  [{ input: FRAMES, layers: [{ name: 'input', kind: 'lstm', units: 1 }] }, 'network.layers.0.name'],
  [{ input: FRAMES, layers: [{ name: 'a', kind: 'constructor' }] }, 'network.layers.0.kind'],
  [{ input: FRAMES, layers: [{ name: 'a', kind: 'lstm', units: 1.5 }] }, 'network.layers.0.units'],
  [{ input: FRAMES, layers: [{ name: 'a', kind: 'lstm', units: 2, direction: 'up' }] }, 'network.layers.0.direction'],
  [{ input: FRAMES, layers: [{ name: 'a', kind: 'lstm', units: 2, outputs: 3 }] }, 'network.layers.0'],
  [{ input: FRAMES, layers: [{ name: 'a', kind: 'linear', outputs: 2, from: ['b'] }] }, 'network.layers.0.from.0'],
  [
    { input: FRAMES, layers: [{ name: 'a', kind: 'conv', outputs: 2, width: 2, padding: [2, 0] }] },
    'network.layers.0.padding.0',
  ],
  [
    {
      input: FRAMES,
      layers: [
        { name: 'a', kind: 'pool', over: 'last' },
        { name: 'b', kind: 'gru', units: 2 },
      ],
    },
    "layer 'b'",
  ],
  [
    {
      input: FRAMES,
      layers: [
        { name: 'a', kind: 'conv', outputs: 2, width: 2, stride: 2 },
        { name: 'b', kind: 'linear', outputs: 2, from: ['a', 'input'] },
      ],
    },
    "layer 'b'",
  ],
  [{ input: { frames: 3 }, layers: [{ name: 'ends', kind: 'pool', over: 'ends' }] }, "layer 'ends'"],
  [{ input: { frames: 3 }, layers: [{ name: 'a'.repeat(65), kind: 'pool', over: 'max' }] }, 'network.layers.0.name'],
  [{ input: { frames: 3 }, layers: [{ name: 'a', kind: 'lstm', units: 2 ** 16 + 1 }] }, 'network.layers.0.units'],
  [
    {
      input: { frames: 3 },
      layers: [
        { name: 'a', kind: 'linear', outputs: 2 ** 16 + 1 },
        { name: 'b', kind: 'pool', over: 'max' },
      ],
    },
    "layer 'b'",
  ],
];

test('a softmax may be over more tokens than layers are wide, above as many layers as a model may have', () => {
  const tokens = 2 ** 16 + 2;
  const layers: LayerSpec[] = Array.from({ length: 64 }, (_, l) => ({ name: `lstm.${l}`, kind: 'lstm', units: 1 }));
  const spec: NetworkSpec = {
    input: { tokens, width: 1 },
    layers: [...layers, { name: 'head', kind: 'linear', outputs: tokens }],
  };
  const bytes = encodeNetwork(Network.create(new Runtime(), spec, 1), { name: 'other' });
  assert.equal(decodeNetwork(new Runtime(), readHeader(bytes)).spec, spec);
});

test('a spec that is none is rejected by the name of what is wrong', () => {
  for (const [spec, name] of BAD) {
    assert.throws(
      () => Network.create(new Runtime(), spec as NetworkSpec, 1),
      (error: Error) => error instanceof InputError && error.message.startsWith(`${name}: got`),
      name,
    );
  }
});

test('sizes follow from the spec', () => {
  const spec = checkNetwork({
    input: { tokens: 10, width: 4 },
    layers: [
      { name: 'a', kind: 'gru', units: 3, direction: 'both' },
      { name: 'b', kind: 'linear', outputs: 2, from: ['a', 'input'] },
    ],
  });
  assert.equal(
    resolveLayers(spec).map(({ inputs, outputs }) => [inputs, outputs]),
    [
      [4, 6],
      [10, 2],
    ],
  );
  assert.equal(
    tensorsOf(spec).map(({ name, shape }) => `${name} ${shape.join('x')}`),
    [
      'embedding 10x4',
      'a.forward.bias_ih 9',
      'a.forward.bias_hh 9',
      'a.backward.bias_ih 9',
      'a.backward.bias_hh 9',
      'b.bias 2',
      'a.forward.ih 9x4',
      'a.forward.hh 9x3',
      'a.backward.ih 9x4',
      'a.backward.hh 9x3',
      'b 2x10',
    ],
  );
});

interface Recorded {
  shape: number[];
  data: number[];
}
const fixture = (name: string) => JSON.parse(readFileSync(`test/fixtures/${name}.json`, 'utf8'));

function near(actual: ArrayLike<number>, { data }: Recorded, what: string): void {
  assert.is(actual.length, data.length, what);
  for (let i = 0; i < data.length; i++) {
    assert.ok(
      Math.abs(actual[i] - data[i]) < 1e-5 * Math.max(1, Math.abs(data[i])),
      `${what}[${i}]: ${actual[i]}, not ${data[i]}`,
    );
  }
}

/** Outputs and all gradients of <y, dy>, against what PyTorch has; `names` are PyTorch's names of our tensors. */
function agree(
  spec: NetworkSpec,
  names: Record<string, string>,
  parameters: Record<string, Recorded>,
  given: Record<string, Recorded>,
  gradients: Record<string, Recorded>,
) {
  const runtime = new Runtime();
  const network = Network.create(runtime, checkNetwork(spec), 1);
  for (const [name, theirs] of Object.entries(names)) network.setTensor(name, parameters[theirs].data);
  for (const [, parameter] of network.parameters()) parameter.prepareGradient();
  const [T, B, I] = given.x.shape;
  const input = runtime.alloc(4 * T * B * I);
  runtime.floats(input, T * B * I).set(given.x.data);
  const tape = new Tape(runtime, true);
  const y = network.forward(tape, { T, B, input });
  near(runtime.floats(y.value, y.rows * y.cols), given.y, 'y');
  const grad = tape.gradient(y);
  runtime.floats(grad, y.rows * y.cols).set(given.dy.data);
  tape.backward();
  const found = new Map(network.parameters());
  for (const [name, theirs] of Object.entries(names)) near(found.get(name)!.gradient, gradients[theirs], name);
}

test('a GRU of two layers in both directions agrees with PyTorch, forward and every gradient', () => {
  const { sizes, parameters, gradients, x, y, dy } = fixture('gru');
  const spec: NetworkSpec = {
    input: { frames: sizes.input },
    layers: [0, 1].map((l) => ({ name: `gru.${l}`, kind: 'gru', units: sizes.hidden, direction: 'both' })),
  };
  const names = Object.fromEntries(
    [0, 1].flatMap((l) =>
      ['forward', 'backward'].flatMap((direction) =>
        [
          ['ih', 'weight_ih'],
          ['hh', 'weight_hh'],
          ['bias_ih', 'bias_ih'],
          ['bias_hh', 'bias_hh'],
        ].map(([ours, theirs]) => [
          `gru.${l}.${direction}.${ours}`,
          `${theirs}_l${l}${direction === 'backward' ? '_reverse' : ''}`,
        ]),
      ),
    ),
  );
  agree(spec, names, parameters, { x, y, dy }, gradients);
});

test('a convolution with stride and padding agrees with PyTorch, forward and every gradient', () => {
  const { sizes, weight, bias, gradients, x, y, dy } = fixture('conv');
  const { input, outputs, width, stride, padding } = sizes;
  const spec: NetworkSpec = {
    input: { frames: input },
    layers: [{ name: 'conv', kind: 'conv', outputs, width, stride, padding: [padding, padding] }],
  };
  agree(spec, { conv: 'weight', 'conv.bias': 'bias' }, { weight, bias }, { x, y, dy }, gradients);
});

test('an adaptive softmax agrees with PyTorch: loss, log-probabilities and every gradient', () => {
  const { sizes, parameters, gradients, x, targets, loss, log_probabilities } = fixture('adaptive');
  const { size, classes, cutoffs } = sizes;
  const runtime = new Runtime();
  const spec: NetworkSpec = {
    input: { frames: 4 },
    layers: [
      { name: 'below', kind: 'linear', outputs: size },
      { name: 'head', kind: 'adaptive', outputs: classes, cutoffs },
    ],
  };
  const network = Network.create(runtime, checkNetwork(spec), 1);
  const names: Record<string, string> = {
    below: 'below.weight',
    'below.bias': 'below.bias',
    'head.0': 'softmax.head.weight',
    'head.0.bias': 'softmax.head.bias',
    'head.1.down': 'softmax.tail.0.0.weight',
    'head.1': 'softmax.tail.0.1.weight',
    'head.2.down': 'softmax.tail.1.0.weight',
    'head.2': 'softmax.tail.1.1.weight',
  };
  for (const [name, theirs] of Object.entries(names)) network.setTensor(name, parameters[theirs].data);
  for (const [, parameter] of network.parameters()) parameter.prepareGradient();
  const R = x.shape[0];
  const [input, wanted] = [runtime.alloc(4 * x.data.length), runtime.alloc(4 * R)];
  runtime.floats(input, x.data.length).set(x.data);
  runtime.ints(wanted, R).set(targets.data ?? targets);
  const batch = { T: R, B: 1, input };
  const tape = new Tape(runtime, true);
  const { sum, count } = network.softmaxLoss(tape, batch, {}, wanted);
  tape.backward();
  assert.is(count, R);
  assert.ok(Math.abs(sum / count - loss) < 1e-5, `${sum / count}, not ${loss}`);
  const found = new Map(network.parameters());
  for (const [name, theirs] of Object.entries(names)) near(found.get(name)!.gradient, gradients[theirs], name);
  const y = network.forward(new Tape(runtime, false), batch);
  const logits = runtime.floats(y.value, R * classes);
  for (let r = 0; r < R; r++) {
    const row = logits.subarray(r * classes, (r + 1) * classes);
    const lse = Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0));
    for (const [j, logit] of row.entries()) {
      const exact = log_probabilities.data[r * classes + j];
      // Rounding follows the size of the logits, up to 100 here.
      assert.ok(
        Math.abs(logit - lse - exact) < 1e-5 * Math.max(1, Math.abs(exact)),
        `row ${r}, output ${j}: ${logit - lse}, not ${exact}`,
      );
    }
  }
});

test('rows without a target, and clusters without a row, count for nothing', () => {
  const runtime = new Runtime();
  const spec: NetworkSpec = {
    input: { frames: 3 },
    layers: [{ name: 'head', kind: 'adaptive', outputs: 12, cutoffs: [4, 8] }],
  };
  const network = Network.create(runtime, spec, 1);
  for (const [, parameter] of network.parameters()) parameter.prepareGradient();
  const batch = network.batch([[0.1, 0.2, 0.3, 1, 2, 3, -1, 0, 1]]);
  const lossOf = (targets: number[]) => {
    const at = runtime.alloc(12);
    runtime.ints(at, 3).set(targets);
    const tape = new Tape(runtime, true);
    const result = network.softmaxLoss(tape, batch, {}, at);
    tape.backward();
    return result;
  };
  const whole = lossOf([1, 9, 2]);
  const part = lossOf([1, -1, 2]);
  assert.is(part.count, 2);
  assert.ok(part.sum < whole.sum);
  assert.ok(
    network
      .parameters()
      .find(([name]) => name === 'head.1')![1]
      .gradient.every((value) => value === 0),
  );
  assert.equal(lossOf([-1, -1, -1]), { sum: 0, count: 0 });
  assert.throws(() => lossOf([1, 12, 2]), /targets\[1\]: got 12/);
  const cut = (cutoffs: unknown) => ({ ...spec, layers: [{ ...spec.layers[0], cutoffs }] });
  for (const cutoffs of [[], [0], [4, 4], [8, 4], [12], [1.5], 'x', undefined, [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    assert.throws(() => checkNetwork(cut(cutoffs)), /network\.layers\.0\.cutoffs: got /);
  }
});

test.run();
