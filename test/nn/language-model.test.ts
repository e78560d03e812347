import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import type { NetworkState as State } from '../../src/nn/network.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { decodeLanguageModel, LanguageModel } from '../../src/tasks/lm/model.js';
import { Streams } from '../../src/tasks/lm/streams.js';
import { LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { denseOf } from '../../src/testing/operators.js';
import { dopedMatrices, setCoMatrixDropout } from '../../src/train/comatrix.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { close, values } from '../support.js';
import {
  bits,
  checkModelGradients,
  noisy,
  passError,
  type SlowOptions,
  type SlowState,
  slowEvaluation,
  slowForward,
  slowLoss,
  sparseOf,
  tinyOptions,
  tokens,
  vocabulary,
  weightsOf,
} from './oracle.js';
import { matrixPlan } from './parts.js';

const V = vocabulary.size;

/** A tiny model whose weights are all noise, half of its dopants pruned. */
function noisyModel(method: Method, layers = 2, runtime = new Runtime()): LanguageModel {
  const { hidden, compression } = tinyOptions();
  return noisy(LanguageModel.create(runtime, { hidden, layers, method, compression }, vocabulary, 1));
}

const stateOf = ({ runtime, config }: LanguageModel, state: State, B: number): SlowState =>
  state.map(({ h, c }) => ({
    h: Float64Array.from(runtime.floats(h, B * config.hidden)),
    c: Float64Array.from(runtime.floats(c, B * config.hidden)),
  }));

function noisyState(model: LanguageModel, B: number): State {
  const state = model.newState(B);
  for (const at of state.flatMap(({ h, c }) => [h, c])) {
    model.runtime.floats(at, B * model.config.hidden).set(values(B * model.config.hidden));
  }
  return state;
}

function place(runtime: Runtime, ids: ArrayLike<number>): number {
  const at = runtime.alloc(4 * ids.length);
  runtime.ints(at, ids.length).set(Array.from(ids));
  return at;
}

/** Logits and state after, of ids in rows of one time step together; the state is left as it was. */
function run(
  model: LanguageModel,
  ids: Int32Array,
  B: number,
  state: State,
  drop?: SlowOptions['drop'],
): { logits: Float32Array; state: SlowState } {
  const { runtime } = model;
  const before = stateOf(model, state, B);
  const mark = runtime.mark();
  const { value, rows, cols } = model.forward(
    new Tape(runtime, false),
    place(runtime, ids),
    ids.length / B,
    B,
    state,
    drop,
  );
  const result = { logits: runtime.floats(value, rows * cols).slice(), state: stateOf(model, state, B) };
  runtime.release(mark);
  state.forEach(({ h, c }, l) => {
    runtime.floats(h, before[l].h.length).set(before[l].h);
    runtime.floats(c, before[l].c.length).set(before[l].c);
  });
  return result;
}

const flat = (state: SlowState) => state.flatMap(({ h, c }) => [...h, ...c]);

/**
 * Logits and states are sums of numbers up to 1 in size, as many as a layer has units: their terms' sizes are what
 * errors are relative to.
 */
function allClose(got: ArrayLike<number>, wanted: ArrayLike<number>, relative: number, what: string): void {
  assert.is(got.length, wanted.length, what);
  const size = Math.max(1, ...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) {
    assert.ok(close(got[i], wanted[i], relative * size), `${what} [${i}]: ${got[i]}, not ${wanted[i]}`);
  }
}

// ---- forward and backward

for (const method of ['dense', 'doped-kron', 'doped-hmd'] as const) {
  test(`${method}: logits and state are those of the slow model`, () => {
    const [T, B] = [6, 3];
    const model = noisyModel(method);
    const state = noisyState(model, B);
    const ids = tokens(T * B);
    for (const drop of [undefined, { rate: 0.4, seed: 2 ** 40 + 5, step: 3 }]) {
      const got = run(model, ids, B, state, drop);
      const wanted = slowForward(model, ids, T, B, { state: stateOf(model, state, B), drop });
      allClose(got.logits, wanted.logits, passError(model, T), 'logits');
      allClose(flat(got.state), flat(wanted.state), passError(model, T), 'state');
    }
  });

  test(`${method}: the gradient of the loss, with dropout and co-matrix masks, is that of differences in f64`, () => {
    const [T, B] = [4, 3];
    const model = noisyModel(method);
    const { runtime } = model;
    const state = noisyState(model, B);
    const before = stateOf(model, state, B);
    const drop = { rate: 0.25, seed: 9, step: 4 };
    const rates = { structure: 0.2, dopants: 0.4, hold: false, until: 1 };
    setCoMatrixDropout(dopedMatrices(model.matrices()), rates, { seed: 9, step: 4, batch: B, progress: 0 });
    const ids = tokens(T * B, 1);
    const targets = tokens(T * B, 2);
    targets[5] = -1;
    for (const [, parameter] of model.parameters()) parameter.prepareGradient();

    const tape = new Tape(runtime, true);
    const { sum, count } = model.loss(tape, place(runtime, targets), [place(runtime, ids), T, B, state, drop]);
    tape.backward();
    const slow = (numbers?: SlowOptions['numbers']) => {
      const loss = slowLoss(slowForward(model, ids, T, B, { state: before, drop, numbers }).logits, targets, V);
      return loss.sum / loss.count;
    };
    const relative = passError(model, 2 * T);
    assert.is(count, T * B - 1);
    assert.ok(Math.abs(sum / count - slow()) <= relative * slow(), `the loss is ${sum / count}, not ${slow()}`);

    checkModelGradients(model, relative, slow);
  });
}

test('two pieces in a row give what one long piece gives', () => {
  for (const method of ['dense', 'doped-lmf'] as const) {
    const [B, T] = [3, 7];
    const model = noisyModel(method);
    const { runtime, config } = model;
    const state = noisyState(model, B);
    const ids = tokens(T * B);
    const whole = run(model, ids, B, state);
    for (const cut of [1, 3, 6]) {
      const first = run(model, ids.subarray(0, cut * B), B, state);
      const carried = model.newState(B);
      carried.forEach(({ h, c }, l) => {
        runtime.floats(h, B * config.hidden).set(first.state[l].h);
        runtime.floats(c, B * config.hidden).set(first.state[l].c);
      });
      const rest = run(model, ids.subarray(cut * B), B, carried);
      allClose([...first.logits, ...rest.logits], whole.logits, passError(model, T), `cut at ${cut}`);
      allClose(flat(rest.state), flat(whole.state), passError(model, T), `state, cut at ${cut}`);
      const fresh = run(model, ids.subarray(cut * B), B, model.newState(B));
      assert.is.not(bits(fresh.logits), bits(rest.logits));
    }
  }
});

test('forward takes the state up and leaves it behind, and a reset makes it zero', () => {
  const B = 2;
  const model = noisyModel('doped-kron');
  const state = model.newState(B);
  assert.ok(flat(stateOf(model, state, B)).every((v) => v === 0));
  const { runtime } = model;
  const mark = runtime.mark();
  model.forward(new Tape(runtime, false), place(runtime, tokens(4)), 2, B, state);
  runtime.release(mark);
  assert.ok(flat(stateOf(model, state, B)).every((v) => v !== 0));
  model.resetState(state, B);
  assert.ok(flat(stateOf(model, state, B)).every((v) => v === 0));
});

test('without a dropout key there is no dropout, with one every step has its own', () => {
  const B = 3;
  const model = noisyModel('doped-kron');
  const state = noisyState(model, B);
  const ids = tokens(12);
  const logits = (drop?: SlowOptions['drop']) => bits(run(model, ids, B, state, drop).logits);
  const plain = logits();
  assert.is(logits(), plain);
  assert.is(logits({ rate: 0, seed: 1, step: 1 }), plain);
  const dropped = logits({ rate: 0.5, seed: 1, step: 1 });
  assert.is(logits({ rate: 0.5, seed: 1, step: 1 }), dropped);
  assert.is(
    new Set([plain, dropped, logits({ rate: 0.5, seed: 1, step: 2 }), logits({ rate: 0.5, seed: 2, step: 1 })]).size,
    4,
  );
});

// ---- models

for (const method of METHODS) {
  test(`${method}: builds, trains a step, saves and loads`, () => {
    const options = tinyOptions({ method, epochs: 1 });
    const train = tokens(options.batch * (options.bptt + 1), 1);
    const valid = tokens(40, 2);
    const training = LanguageModelTraining.create(new Runtime(), vocabulary, options, { train, valid });
    const { model } = training;
    const plan = matrixPlan(options);
    for (const [name, { M, N }] of model.matrices()) assert.equal([M, N], [4 * options.hidden, options.hidden], name);
    const before = weightsOf(model);
    const loss = training.step();
    // A new model knows next to nothing.
    assert.ok(Math.abs(loss - Math.log(V)) < 0.5, `the loss is ${loss}`);
    assert.ok(training.done);
    for (const [name, now] of weightsOf(model)) assert.is.not(now, before.get(name), `${name} did not move`);
    for (const sparse of sparseOf(model)) assert.ok(sparse.nonzeros > 0);
    if (plan.nonzeros !== undefined) {
      const alive = sparseOf(model).reduce((sum, { nonzeros }) => sum + nonzeros, 0);
      assert.is(alive, 4 * plan.nonzeros);
    }

    const bytes = encodeModel(model);
    const loaded = decodeLanguageModel(new Runtime(), bytes);
    assert.is(Buffer.compare(encodeModel(loaded), bytes), 0, 'the file, written again, differs');
    assert.equal(loaded.config, model.config);
    assert.equal(loaded.vocabulary.tokens, vocabulary.tokens);
    model.plainParameters().forEach(([name, { data, shape }], i) => {
      const [otherName, other] = loaded.plainParameters()[i];
      assert.equal([otherName, other.shape, bits(other.data)], [name, shape, bits(data)]);
    });
    model.operators().forEach(([name, operator], i) => {
      const [otherName, other] = loaded.operators()[i];
      assert.equal([otherName, denseOf(other)], [name, denseOf(operator)]);
    });
    const [a, b] = [model, loaded].map((m) => new Evaluation(m, 2, 5).meanLoss(valid).loss);
    assert.ok(close(a, b, passError(model, 20) * a), `the loss was ${a}, after loading ${b}`);
  });
}

test('the same seed makes the same model, another seed another', () => {
  const weights = (seed: number) => {
    const { hidden, layers, method, compression } = tinyOptions();
    return [
      ...weightsOf(LanguageModel.create(new Runtime(), { hidden, layers, method, compression }, vocabulary, seed)),
    ];
  };
  assert.equal(weights(5), weights(5));
  const [a, b] = [weights(5), weights(5 + 2 ** 32)];
  // Biases start alike.
  assert.ok(a.every(([name, numbers], i) => numbers !== b[i][1] || name.includes('bias')));
  assert.is(new Set(a.filter(([name]) => !name.includes('bias')).map(([, numbers]) => numbers)).size, 3 * 4 + 2);
});

test('every parameter has a name of its own', () => {
  for (const method of METHODS) {
    const names = noisyModel(method)
      .parameters()
      .map(([name]) => name);
    assert.is(new Set(names).size, names.length);
  }
});

test('sizes that make no model are refused by name', () => {
  const { hidden, layers, method, compression } = tinyOptions();
  const config = { hidden, layers, method, compression };
  const bad: [Partial<typeof config>, RegExp][] = [
    [{ hidden: 0 }, /^hidden: got 0;/],
    [{ hidden: 1.5 }, /^hidden: got 1\.5;/],
    [{ layers: 0 }, /^layers: got 0;/],
    [{ layers: Number.NaN }, /^layers: got NaN;/],
    [{ method: 'sparse' as Method }, /^method: got "sparse";/],
    [{ compression: 0.5 }, /^compression: got 0\.5;/],
  ];
  for (const [changes, message] of bad) {
    assert.throws(
      () => LanguageModel.create(new Runtime(), { ...config, ...changes }, vocabulary, 1),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  }
});

// ---- evaluation

test('the mean loss of a text of any length is that of its streams read token by token', () => {
  const model = noisyModel('doped-kron', 1);
  const text = fc.record({
    length: fc.integer({ min: 2, max: 45 }),
    batch: fc.integer({ min: 1, max: 6 }),
    steps: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(
    fc.property(text, ({ length, batch, steps }) => {
      const mark = model.runtime.mark();
      const ids = tokens(length, length);
      const shares: number[] = [];
      const evaluation = new Evaluation(model, batch, steps);
      const got = evaluation.meanLoss(ids, (share) => shares.push(share));
      const wanted = slowEvaluation(model, ids, batch);
      assert.is(got.tokens, length - 1);
      assert.ok(close(got.loss, wanted, passError(model, length) * wanted), `${got.loss}, not ${wanted}`);
      assert.ok(shares.every((share, i) => share > (shares[i - 1] ?? 0)));
      assert.is(shares.at(-1), 1);
      assert.is(evaluation.meanLoss(ids).loss, got.loss, 'the state must be reset');
      model.runtime.release(mark);
    }),
    { seed: 1, numRuns: 60 },
  );
});

test('a text without a token to predict is refused', () => {
  const evaluation = new Evaluation(noisyModel('dense', 1), 2, 3);
  for (const length of [0, 1]) {
    assert.throws(
      () => evaluation.meanLoss(tokens(length)),
      (error: unknown) => error instanceof InputError && error.message.startsWith(`ids: got ${length} tokens`),
    );
  }
});

test('a token that is none is refused by name, before a kernel looks it up', () => {
  const model = noisyModel('dense', 1);
  const evaluation = new Evaluation(model, 2, 3);
  const options = tinyOptions({ method: 'dense' });
  const text = (token: number) => tokens(40).fill(token, 30, 31);
  for (const token of [-1, V, 2 ** 31 - 1]) {
    const create = (train: Int32Array, valid: Int32Array) => () =>
      LanguageModelTraining.create(new Runtime(), vocabulary, options, { train, valid });
    for (const [name, act] of [
      ['ids', () => evaluation.meanLoss(text(token))],
      ['train', create(text(token), tokens(40))],
      ['valid', create(tokens(40), text(token))],
    ] as const) {
      assert.throws(
        act,
        (error: unknown) => error instanceof InputError && error.message.startsWith(`${name}[30]: got ${token};`),
        `${name}: ${token}`,
      );
    }
  }
  evaluation.meanLoss(text(V - 1));
});

// ---- batches

const streamSizes = fc.record({
  batch: fc.integer({ min: 1, max: 5 }),
  steps: fc.integer({ min: 1, max: 6 }),
  more: fc.integer({ min: 0, max: 40 }),
});

test('streams lie side by side, each going on where it stopped, targets one token further on', () => {
  fc.assert(
    fc.property(streamSizes, ({ batch, steps, more }) => {
      const ids = Int32Array.from({ length: batch * (steps + 1) + more }, (_, i) => i);
      const streams = new Streams(ids, batch, steps, 'the text');
      const length = Math.floor(ids.length / batch);
      // As many as there are targets for, the last token of a stream having none.
      assert.ok(streams.pieces * steps <= length - 1 && (streams.pieces + 1) * steps > length - 1);
      const read: number[][] = Array.from({ length: batch }, () => []);
      const n = batch * steps;
      for (let piece = 0; piece < streams.pieces; piece++) {
        const [inputs, targets] = [new Int32Array(n).fill(-1), new Int32Array(n).fill(-1)];
        streams.fill(piece, inputs, targets);
        for (let t = 0; t < steps; t++) {
          for (let b = 0; b < batch; b++) read[b].push(inputs[t * batch + b]);
        }
        assert.equal(
          targets,
          inputs.map((id) => id + 1),
        );
      }
      read.forEach((stream, b) => {
        assert.equal(stream, [...ids.subarray(b * length, b * length + streams.pieces * steps)]);
      });
    }),
    { seed: 1 },
  );
});

test('a text of one batch is enough, one token less is not, and sizes that make no batch are refused by name', () => {
  assert.is(new Streams(tokens(3 * 6), 3, 5, 'the text').pieces, 1);
  const bad: [number, number, number, RegExp][] = [
    [3 * 6 - 1, 3, 5, /^the text: got 17 tokens, .*; expected at least 18, for 3 streams of 5 steps/],
    [0, 1, 1, /^the text: got 0 tokens/],
    [100, 0, 5, /^batch: got 0;/],
    [100, 1.5, 5, /^batch: got 1\.5;/],
    [100, 3, 0, /^bptt: got 0;/],
    [100, 3, Number.NaN, /^bptt: got NaN;/],
  ];
  for (const [length, batch, steps, message] of bad) {
    assert.throws(
      () => new Streams(tokens(length), batch, steps, 'the text'),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  }
});

test.run();
