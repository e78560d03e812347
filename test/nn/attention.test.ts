// Attention and networks with an encoder: the battery, packing, and what is refused.

import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import { initSync, loadSync } from '../../src/infer/index.js';
import type { AttentionSpec, NetworkSpec } from '../../src/network/spec.js';
import { attend } from '../../src/nn/attention.js';
import { type Batch, Network } from '../../src/nn/network.js';
import { METHODS } from '../../src/operators/methods.js';
import { walk } from '../../src/operators/operator.js';
import { Parameter } from '../../src/operators/parameter.js';
import { Sparse } from '../../src/operators/sparse.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { layerBattery } from '../../src/testing/index.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { values } from '../support.js';

/** a = softmax(x . k), the mean of v by a, of one query. */
function attention(x: ArrayLike<number>, keys: number[][], memory: number[][]): number[] {
  const scores = keys.map((key) => key.reduce((sum, k, j) => sum + k * x[j], 0));
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return memory[0].map((_, j) => powers.reduce((sum, power, s) => sum + (power / total) * memory[s][j], 0));
}

for (const [T, S, B, N, M] of [
  [1, 1, 1, 1, 1],
  [1, 4, 2, 5, 3],
  [3, 5, 2, 4, 8],
]) {
  test(`attention passes the battery: ${T} steps to ${S}, ${B} sequences, ${N} and ${M} wide`, () => {
    const rowOf = (all: ArrayLike<number>, row: number, n: number) =>
      Array.from({ length: n }, (_, j) => all[row * n + j]);
    layerBattery(
      (runtime) => {
        const [keys, memory] = [new Parameter(runtime, [S * B, N]), new Parameter(runtime, [S * B, M])];
        const tensor = ({ shape: [rows, cols], value, grad }: Parameter) => ({ rows, cols, value, grad, runtime });
        return {
          parameters: [keys, memory],
          forward: (tape, x) => attend(tape, x, tensor(keys), tensor(memory), B).context,
          oracle: (x, [k, v]) =>
            Array.from({ length: T * B }, (_, row) => {
              const steps = (all: ArrayLike<number>, n: number) =>
                Array.from({ length: S }, (_, s) => rowOf(all, s * B + (row % B), n));
              return attention(rowOf(x, row, N), steps(k, N), steps(v, M));
            }).flat(),
        };
      },
      T * B,
      N,
    );
  });
}

const V = 11;

/** An encoder in both directions, a decoder of `layers` layers with attention. */
function pairSpec(kind: 'lstm' | 'gru', layers: number, attention: Omit<AttentionSpec, 'name' | 'kind'>): NetworkSpec {
  const units = 6;
  return {
    input: { tokens: V, width: 5 },
    layers: [
      ...Array.from({ length: layers }, (_, l) => ({ name: `${kind}.${l}`, kind, units: 2 * units })),
      { name: 'attention', kind: 'attention', ...attention },
      { name: 'head', kind: 'linear', outputs: V },
    ],
    encoder: {
      input: { tokens: 7, width: 4 },
      layers: Array.from({ length: layers }, (_, l) => ({
        name: `${kind}.${l}`,
        kind,
        units,
        direction: 'both' as const,
      })),
    },
  };
}

const SPECS: Record<string, NetworkSpec> = {
  'lstm, dot': pairSpec('lstm', 1, { outputs: 8, score: 'dot' }),
  'lstm, general, fed': pairSpec('lstm', 2, { outputs: 8, score: 'general', feed: true }),
  'gru, general': pairSpec('gru', 2, { outputs: 9, score: 'general' }),
  'gru, dot, fed': pairSpec('gru', 1, { outputs: 7, score: 'dot', feed: true }),
};

const SOURCES = [
  [1, 2, 3, 4],
  [6, 5, 0, 1],
];
const TARGETS = [
  [1, 2, 3],
  [9, 10],
];

function batchOf(network: Network, sources = SOURCES, targets = TARGETS): Batch {
  return { ...network.batch(targets), source: network.encoder!.batch(sources) };
}

for (const [name, spec] of Object.entries(SPECS)) {
  test(`${name}: gradients agree with differences, through attention and first states`, () => {
    const runtime = new Runtime();
    const network = Network.create(runtime, spec, 3);
    const targets = [2, 3, 3, 4, 5, -1];
    const parameters = network.parameters();
    for (const [, parameter] of parameters) parameter.prepareGradient();
    const loss = (recording: boolean) =>
      runtime.scoped(() => {
        const tape = new Tape(runtime, recording);
        const at = runtime.alloc(4 * targets.length);
        runtime.ints(at, targets.length).set(targets);
        const { sum, count } = network.softmaxLoss(tape, batchOf(network), {}, at);
        if (recording) tape.backward();
        return sum / count;
      });
    loss(true);
    const step = 2 ** -7;
    for (const [path, { data, gradient }] of parameters) {
      for (let i = 0; i < data.length; i += Math.ceil(data.length / 7)) {
        const before = data[i];
        // Four points: the error of the rest is of the fifth order.
        const at = (by: number) => {
          data[i] = before + by * step;
          return loss(false);
        };
        const slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step);
        data[i] = before;
        assert.ok(Math.abs(slope - gradient[i]) < 1e-4, `${path} [${i}]: ${gradient[i]}, not ${slope}`);
      }
    }
  });

  test(`${name}: packed, it steps as in training, whatever the method and whichever source comes first`, () => {
    initSync();
    for (const method of METHODS) {
      const runtime = new Runtime();
      const network = Network.create(runtime, spec, 5, {
        recipe: ({ role }) =>
          role === 'recurrent' || role === 'attention'
            ? { method, compression: method === 'dense' ? 1 : 1.5 }
            : undefined,
      });
      for (const [, operator] of network.operators()) {
        for (const [, part] of walk(operator, 'w')) {
          if (part instanceof Sparse) Sparse.prune([part], Math.round(0.4 * part.M * part.N));
        }
      }
      for (const [, { shape, data }] of network.plainParameters())
        if (shape.length === 1) data.set(values(data.length, 0.3));
      const model = loadSync(encodeModel(network, { name: 'pair' }));
      const sessions = SOURCES.map((source) => model.session(model.encode(source)));
      const inputs = TARGETS.map((target) => [...target]);
      const expected = inputs.map((target, b) =>
        runtime.scoped(() => {
          const { value, rows } = network.forward(new Tape(runtime, false), batchOf(network, [SOURCES[b]], [target]));
          return Array.from({ length: rows }, (_, t) => runtime.floats(value + 4 * t * V, V).slice());
        }),
      );
      // Sessions take turns.
      for (const [t] of [0, 1, 2].entries()) {
        for (const [b, target] of inputs.entries()) {
          if (t >= target.length) continue;
          const logits = sessions[b].step(target[t]);
          for (const [j, logit] of logits.entries()) {
            assert.ok(
              Math.abs(logit - expected[b][t][j]) < 1e-5,
              `${method} ${b} ${t} ${j}: ${logit}, not ${expected[b][t][j]}`,
            );
          }
          const weights = model.attention();
          assert.is(weights.length, SOURCES[b].length);
          assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-5);
        }
      }
      sessions[0].reset();
      assert.equal([...sessions[0].state], [...model.session(model.encode(SOURCES[0])).state]);
    }
  });

  test(`${name}: a sequence alone gives what it gives beside others`, () => {
    const runtime = new Runtime();
    const network = Network.create(runtime, spec, 5);
    const run = (batch: Batch) => {
      const { value, rows, cols } = network.forward(new Tape(runtime, false), batch);
      return runtime.floats(value, rows * cols).slice();
    };
    const both = run(batchOf(network));
    for (const [b, target] of TARGETS.entries()) {
      const alone = run(batchOf(network, [SOURCES[b]], [target]));
      for (const [i, logit] of alone.entries()) {
        const other = both[(Math.floor(i / V) * 2 + b) * V + (i % V)];
        assert.ok(Math.abs(logit - other) < 1e-5, `${b} ${i}: ${other}, not ${logit}`);
      }
    }
  });
}

interface Case {
  sizes: {
    cell: 'lstm' | 'gru';
    score: 'dot' | 'general';
    feed: boolean;
    layers: number;
    tokens: number;
    width: number;
    units: number;
    outputs: number;
  };
  parameters: Record<string, { data: number[] }>;
  gradients: Record<string, { data: number[] }>;
  sources: { data: number[]; shape: number[] };
  inputs: { data: number[]; shape: number[] };
  targets: { data: number[] };
  logits: { data: number[] };
  loss: number;
}

const cases: Case[] = JSON.parse(readFileSync('test/fixtures/attention.json', 'utf8'));

for (const { sizes, parameters, gradients, sources, inputs, targets, logits, loss } of cases) {
  const { cell, score, feed, layers, tokens, width, units, outputs } = sizes;
  test(`${cell}, ${score}${feed ? ', fed' : ''}: logits, smoothed loss and every gradient are those of PyTorch`, () => {
    const runtime = new Runtime();
    const recurrent = (units: number, both: boolean): NetworkSpec['layers'] =>
      Array.from({ length: layers }, (_, l) => ({
        name: `${cell}.${l}`,
        kind: cell,
        units,
        ...(both && { direction: 'both' as const }),
      }));
    const network = Network.create(
      runtime,
      {
        input: { tokens, width },
        layers: [
          ...recurrent(units, false),
          { name: 'attention', kind: 'attention', outputs, score, ...(feed && { feed: true as const }) },
          { name: 'head', kind: 'linear', outputs: tokens },
        ],
        encoder: { input: { tokens, width }, layers: recurrent(units / 2, true) },
      },
      1,
    );
    const names = new Map([
      ['embedding', 'target.weight'],
      ['encoder.embedding', 'source.weight'],
      ...(score === 'general' ? ([['attention.score', 'general.weight']] as const) : []),
      ['attention.combine', 'combine.weight'],
      ['attention.bias', 'combine.bias'],
      ['head', 'head.weight'],
      ['head.bias', 'head.bias'],
    ]);
    for (let l = 0; l < layers; l++) {
      for (const part of ['ih', 'hh', 'bias_ih', 'bias_hh']) {
        const theirs = part.startsWith('b') ? part : `weight_${part}`;
        names.set(`${cell}.${l}.${part}`, `decoder.${theirs}_l${l}`);
        names.set(`encoder.${cell}.${l}.forward.${part}`, `encoder.${theirs}_l${l}`);
        names.set(`encoder.${cell}.${l}.backward.${part}`, `encoder.${theirs}_l${l}_reverse`);
      }
    }
    const found = new Map(network.parameters());
    assert.equal([...found.keys()].sort(), [...names.keys()].sort());
    for (const [name, theirs] of names) {
      network.setTensor(name, parameters[theirs].data);
      found.get(name)!.prepareGradient();
    }
    const B = inputs.shape[1];
    const sequences = ({ data }: { data: number[] }) =>
      Array.from({ length: B }, (_, b) => data.filter((_, i) => i % B === b));
    const batch = batchOf(network, sequences(sources), sequences(inputs));
    const near = (got: ArrayLike<number>, exact: number[], what: string) => {
      assert.is(got.length, exact.length, what);
      for (const [i, value] of exact.entries()) {
        assert.ok(
          Math.abs(got[i] - value) <= 1e-5 * Math.max(1, Math.abs(value)),
          `${what}[${i}]: ${got[i]}, not ${value}`,
        );
      }
    };
    const { value } = network.forward(new Tape(runtime, false), batch);
    near(runtime.floats(value, logits.data.length), logits.data, 'logits');
    const at = runtime.alloc(4 * targets.data.length);
    runtime.ints(at, targets.data.length).set(targets.data);
    const tape = new Tape(runtime, true);
    const { sum, count } = network.softmaxLoss(tape, batch, {}, at, undefined, 0.1);
    assert.ok(Math.abs(sum / count - loss) < 1e-5, `${sum / count}, not ${loss}`);
    tape.backward();
    for (const [name, theirs] of names) near(found.get(name)!.gradient, gradients[theirs].data, name);
  });
}

test('what no network with an encoder can be is refused by name', () => {
  const good = SPECS['lstm, dot'];
  const runtime = new Runtime();
  const bad: [object, RegExp][] = [
    [{ encoder: undefined }, /layer 'attention': got "attention"; expected a network with an encoder/],
    [{ encoder: { ...good.encoder!, encoder: good.encoder } }, /encoder\.encoder/],
    [
      { encoder: { ...good.encoder!, layers: [{ name: 'x', kind: 'linear', outputs: 12 }] } },
      /a recurrent layer at the end/,
    ],
    [
      { encoder: { ...good.encoder!, layers: [{ name: 'x', kind: 'gru', units: 12 }] } },
      /got "lstm of 12"; expected gru of 12/,
    ],
    [{ layers: [{ ...good.layers[0], direction: 'backward' }, good.layers[2]] }, /expected forward, beside an encoder/],
    [
      { layers: [good.layers[0], { ...good.layers[1], from: ['input'] }] },
      /got 5; expected 12 inputs for the score 'dot'/,
    ],
    [
      { layers: [good.layers[0], { ...good.layers[1], score: 'none' }] },
      /score: got "none"; expected one of dot, general/,
    ],
    [{ layers: [{ ...good.layers[0], name: 'encoder.0' }] }, /another name beside an encoder/],
    [
      { layers: [good.layers[0], { ...good.layers[1], feed: true }, { ...good.layers[2], from: ['lstm.0'] }] },
      /only 'attention', which is fed/,
    ],
  ];
  for (const [change, message] of bad) {
    assert.throws(
      () => Network.create(runtime, { ...good, ...change } as NetworkSpec, 1),
      (error: Error) => error instanceof InputError && message.test(error.message),
      String(message),
    );
  }
  const network = Network.create(runtime, good, 1);
  const tape = new Tape(runtime, false);
  const refused = (batch: Batch, message: RegExp) =>
    assert.throws(
      () => network.forward(tape, batch),
      (error: Error) => error instanceof InputError && message.test(error.message),
    );
  refused(network.batch([[1]]), /^batch\.source: got nothing/);
  refused(batchOf(network, [[1]], [[1], [2]]), /^batch\.source\.B: got 1; expected 2/);
  refused(batchOf(network, [[1, 2], [1]], [[1], [2]]), /^batch\.source\.lengths\[1\]: got 1; expected 2/);
  initSync();
  const model = loadSync(encodeModel(network, { name: 'pair' }));
  const wrong = (act: () => unknown, message: RegExp) =>
    assert.throws(act, (error: Error) => error instanceof InputError && message.test(error.message), String(message));
  wrong(() => model.encode([]), /^sequence: got 0; expected at least one token/);
  wrong(() => model.encode([7]), /^sequence\[0\]: got 7; expected an integer from 0 to 6/);
  wrong(() => model.session(), /^source: got nothing; expected what encode\(\) returns/);
  wrong(() => model.run([1]), /^run: got a model with an encoder/);
});

test.run();
