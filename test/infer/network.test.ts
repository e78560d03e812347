// Networks of every kind, packed, against their training form: whole sequences and step by step.

import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError, initSync, loadSync } from '../../src/infer/index.js';
import { encodeNetwork } from '../../src/io/model-file.js';
import { type LayerSpec, type NetworkSpec, tensorsOf, whyNotCausal } from '../../src/network/spec.js';
import { Network } from '../../src/nn/network.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { uniform } from '../../src/random.js';
import { Runtime } from '../../src/wasm/runtime.js';

initSync({ simd: 'plain' });

/** A network whose matrices are all made by one method, with weights and biases from a seed. */
function makeNetwork(spec: NetworkSpec, seed: number, method: Method = 'dense', compression = 1): Network {
  const network = Network.create(new Runtime({ simd: 'plain' }), spec, seed, {
    recipe: () => ({ method, compression }),
  });
  for (const { name, shape, role } of tensorsOf(spec)) {
    if (role !== 'vector') continue;
    network.setTensor(
      name,
      Float32Array.from({ length: shape[0] }, (_, i) => uniform(seed, 1, i) - 0.5),
    );
  }
  return network;
}

function makeSequence({ input }: NetworkSpec, T: number, seed: number): number[] {
  if ('tokens' in input) return Array.from({ length: T }, (_, t) => Math.floor(uniform(seed, 2, t) * input.tokens));
  return Array.from({ length: T * input.frames }, (_, i) => Math.fround(2 * uniform(seed, 2, i) - 1));
}

/** The outputs of the training form. */
function slowly(network: Network, sequence: readonly number[]): number[][] {
  const { runtime } = network;
  return runtime.scoped(() => {
    const { value, rows, cols } = network.forward(new Tape(runtime, false), network.batch([sequence]));
    return Array.from({ length: rows }, (_, t) => [...runtime.floats(value + 4 * t * cols, cols)]);
  });
}

function assertNear(actual: readonly ArrayLike<number>[], expected: readonly number[][], what: string): void {
  assert.is(actual.length, expected.length, what);
  for (const [t, row] of expected.entries()) {
    for (const [j, value] of row.entries()) {
      const size = Math.max(1, Math.abs(value));
      assert.ok(Math.abs(actual[t][j] - value) <= 1e-5 * size, `${what}, ${t}, ${j}: ${actual[t][j]}, not ${value}`);
    }
  }
}

function check(spec: NetworkSpec, T: number, seed: number, method?: Method, compression?: number): void {
  const network = makeNetwork(spec, seed, method, compression);
  const model = loadSync(encodeNetwork(network, { name: 'test' }));
  const what = `${method} ${JSON.stringify(spec)} over ${T} steps`;
  const sequence = makeSequence(spec, T, seed);
  const expected = slowly(network, sequence);
  assertNear(model.run(sequence), expected, what);
  if (whyNotCausal(spec)) {
    assert.throws(
      () => model.session(),
      (error: unknown) => error instanceof InputError && error.message.includes('cannot be stepped'),
    );
    return;
  }
  const width = 'frames' in spec.input ? spec.input.frames : 1;
  const session = model.session();
  const steps: number[][] = [];
  for (let t = 0; t < T; t++) {
    const input = 'frames' in spec.input ? sequence.slice(width * t, width * (t + 1)) : sequence[t];
    steps.push([...session.step(input)]);
    // Neither a sequence nor another session in between leaves a trace.
    if (t === 1) model.run(sequence);
    if (t === 2) model.session().step(input);
    const { state } = session;
    if (t === 3) session.state = state;
  }
  assertNear(expected.length === T ? steps : steps.slice(-1), expected, `${what}, step by step`);
}

const size = fc.integer({ min: 1, max: 9 });
const layer = fc.oneof(
  fc.record({
    kind: fc.constantFrom('lstm' as const, 'gru' as const),
    units: size,
    direction: fc.constantFrom('forward' as const, 'forward' as const, 'backward' as const, 'both' as const),
  }),
  fc.record({
    kind: fc.constant('linear' as const),
    outputs: size,
    activation: fc.constantFrom('tanh' as const, 'sigmoid' as const, 'relu' as const),
  }),
  fc.record({ kind: fc.constant('conv' as const), outputs: size, width: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant('conv' as const),
    outputs: size,
    width: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
    activation: fc.constantFrom('tanh' as const, 'relu' as const),
  }),
);
const input = fc.oneof(
  size.map((frames) => ({ frames })),
  fc.record({ tokens: size, width: size }),
);
const end = fc.option(fc.constantFrom('last' as const, 'mean' as const, 'max' as const), { nil: undefined });

test('any stack of layers, over tokens or frames, runs as in training', () => {
  fc.assert(
    fc.property(
      input,
      fc.array(layer, { minLength: 1, maxLength: 4 }),
      end,
      fc.integer({ min: 4, max: 12 }),
      fc.nat(99),
      (input, layers, over, T, seed) => {
        const named = layers.map((one, l) => ({ name: `layer.${l}`, ...one })) as LayerSpec[];
        if (over) named.push({ name: 'pool', kind: 'pool', over });
        named.push({ name: 'head', kind: 'linear', outputs: 3 });
        check({ input, layers: named }, T, seed);
      },
    ),
    { numRuns: 150 },
  );
});

for (const kind of ['lstm', 'gru'] as const) {
  for (const method of METHODS) {
    test(`a ${kind} network of ${method} matrices, read side by side, runs as in training over 1,000 steps`, () => {
      const layers: LayerSpec[] = [
        { name: 'below', kind, units: 12 },
        { name: 'window', kind: 'conv', outputs: 8, width: 3, activation: 'tanh', from: ['below', 'input'] },
        { name: 'above', kind, units: 12, from: ['window', 'below'] },
        { name: 'head', kind: 'linear', outputs: 6, from: ['above', 'input'] },
      ];
      check({ input: { frames: 6 }, layers }, 1000, 3, method, method === 'dense' ? 1 : 1.5);
    });
  }
  test(`both directions of a stack of ${kind} layers, with both ends`, () => {
    const layers: LayerSpec[] = [
      { name: 'a', kind, units: 7, direction: 'both' },
      { name: 'b', kind, units: 5, direction: 'both' },
      { name: 'ends', kind: 'pool', over: 'ends' },
      { name: 'head', kind: 'linear', outputs: 4 },
    ];
    for (const T of [1, 2, 30]) check({ input: { tokens: 9, width: 6 }, layers }, T, T);
  });
}

test('sequences that cannot be run are rejected by name', () => {
  const conv: LayerSpec = { name: 'conv', kind: 'conv', outputs: 2, width: 4, padding: [0, 0] };
  const model = loadSync(encodeNetwork(makeNetwork({ input: { frames: 2 }, layers: [conv] }, 1), { name: 'test' }));
  const rejected = (sequence: unknown, message: RegExp) =>
    assert.throws(
      () => model.run(sequence as number[]),
      (error: Error) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  rejected([], /^sequence: got 0; expected a multiple of 2 numbers/);
  rejected([1, 2, 3], /^sequence: got 3; expected a multiple of 2 numbers/);
  rejected(undefined, /^sequence: got /);
  rejected([1, Number.NaN], /^sequence\[1\]: got NaN/);
  rejected([1, 2, 3, 4], /^sequence: got 2; expected at least 4 steps, for layer 'conv'/);
  rejected([[1, 2], [3]], /^sequence\[1\]: got 1 numbers; expected 2/);
  rejected([[1, 2], 3], /^sequence\[1\]: got 3; expected 2 numbers/);
  rejected(
    [
      [1, 2],
      [3, Number.NaN],
    ],
    /^sequence\[1\]\[1\]: got NaN/,
  );
  rejected(
    [
      [1, 2],
      [3, '4'],
    ],
    /^sequence\[1\]\[1\]: got "4"/,
  );
  assert.is(model.run(new Float32Array(8)).length, 1);
  const frames = [[1, 2], new Float32Array([3, 4]), [5, 6], [7, 8]];
  assert.equal(model.run(frames), model.run([1, 2, 3, 4, 5, 6, 7, 8]));
});

test.run();
