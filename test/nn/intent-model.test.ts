import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { InputError } from '../../src/errors.js';
import type { LstmLayer } from '../../src/nn/lstm.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { Stream } from '../../src/random.js';
import * as reference from '../../src/reference.js';
import { IntentModel } from '../../src/tasks/intent/model.js';
import { asTheyAre, denseOf, type Numbers } from '../../src/testing/operators.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { close, U, whole } from '../support.js';
import { bits, checkModelGradients, noisy, slowLoss, weightsOf } from './oracle.js';
import { partsOf } from './parts.js';

const words = buildVocabulary(['book a flight to rome and play some old song by the sea'], 'word');
const LABELS = ['book', 'play', 'rate'];

function makeModel(method: Method, layers: number, embedding = 12): IntentModel {
  const config = { hidden: 8, layers, embedding, method, compression: 3 };
  return IntentModel.create(new Runtime(), config, words, LABELS, 1);
}

/** Sentences of these lengths. */
const sentencesOf = (...lengths: number[]) => lengths.map((length) => Int32Array.from(whole(length, words.size)));

/** States of one layer, [T,H], reading x[T,I] from its first row to its last. */
function slowLstm({ ih, hh, biasIh, biasHh, hidden: H }: LstmLayer, x: Float64Array[], numbers: Numbers) {
  const [bias1, bias2] = [numbers(biasIh), numbers(biasHh)];
  const [wIh, wHh] = [denseOf(ih, numbers), denseOf(hh, numbers)];
  let h = new Float64Array(H);
  let c = new Float64Array(H);
  return x.map((input) => {
    const gates = Float64Array.from(bias1, (v, i) => v + bias2[i]);
    reference.f32_gemm_nt(input, wIh, gates, 1, 4 * H, ih.N, true);
    reference.f32_gemm_nt(h, wHh, gates, 1, 4 * H, H, true);
    const next = { h: new Float64Array(H), c: new Float64Array(H) };
    reference.f32_lstm_cell(gates, c, next.c, new Float64Array(H), next.h, 1, H);
    ({ h, c } = next);
    return h;
  });
}

/** Logits of one sentence by itself, in f64. */
function slowLogits(model: IntentModel, sentence: Int32Array, numbers: Numbers = asTheyAre): number[] {
  const { embedding, layers, head } = partsOf(model);
  const E = embedding.shape[1];
  const table = numbers(embedding);
  let x = Array.from(sentence, (id) => Float64Array.from({ length: E }, (_, i) => table[id * E + i]));
  let ends: number[] = [];
  for (let l = 0; l < layers.length; l += 2) {
    const forward = slowLstm(layers[l], x, numbers);
    const backward = slowLstm(layers[l + 1], x.toReversed(), numbers);
    ends = [...forward.at(-1)!, ...backward.at(-1)!];
    backward.reverse();
    x = forward.map((h, t) => Float64Array.of(...h, ...backward[t]));
  }
  const logits = Float64Array.from(numbers(head.bias));
  reference.f32_gemm_nt(ends, denseOf(head.weight, numbers), logits, 1, LABELS.length, ends.length, true);
  return [...logits];
}

function logitsOf(model: IntentModel, sentences: readonly Int32Array[]): Float32Array {
  const { runtime } = model;
  const mark = runtime.mark();
  const { value } = model.forward(new Tape(runtime, false), model.batch(sentences));
  const logits = runtime.floats(value, sentences.length * LABELS.length).slice();
  runtime.release(mark);
  return logits;
}

/** As for language models: see passError in oracle.ts. The widest that a layer reads is 2 H, or E. */
const passError = ({ config: { hidden: H, layers, embedding: E } }: IntentModel, T: number) =>
  U * (layers * T * (H + Math.max(2 * H, E) + 20) + 2 * H + LABELS.length);

for (const method of ['dense', 'doped-kron', 'doped-hmd'] as const) {
  for (const layers of [1, 2, 3]) {
    test(`${method}, ${layers} layers: logits of sentences side by side are those of each by itself in f64`, () => {
      const model = noisy(makeModel(method, layers));
      const sentences = sentencesOf(5, 1, 9, 2, 9, 6);
      const got = logitsOf(model, sentences);
      const wanted = sentences.flatMap((sentence) => slowLogits(model, sentence));
      const size = Math.max(1, ...wanted.map(Math.abs));
      for (const [i, exact] of wanted.entries()) {
        assert.ok(close(got[i], exact, passError(model, 9) * size), `logit ${i}: ${got[i]}, not ${exact}`);
      }
    });
  }

  test(`${method}: the gradient of the loss is that of differences in f64`, () => {
    const model = noisy(makeModel(method, 2));
    const { runtime } = model;
    const sentences = sentencesOf(3, 5, 1, 4);
    const targets = [0, 2, 1, 2];
    for (const [, parameter] of model.parameters()) parameter.prepareGradient();
    const tape = new Tape(runtime, true);
    const at = runtime.alloc(4 * targets.length);
    runtime.ints(at, targets.length).set(targets);
    model.loss(tape, model.batch(sentences), at);
    tape.backward();
    checkModelGradients(model, passError(model, 10), (numbers) => {
      const all = sentences.flatMap((sentence) => slowLogits(model, sentence, numbers));
      const { sum, count } = slowLoss(Float64Array.from(all), targets, LABELS.length);
      return sum / count;
    });
  });
}

test('what a sentence gives does not depend on which others stand beside it', () => {
  const model = noisy(makeModel('doped-kron', 2));
  const [mine, ...others] = sentencesOf(4, 4, 1, 7, 30);
  const alone = logitsOf(model, [mine]);
  for (const batch of [others.slice(0, 1), others.slice(1, 2), others]) {
    const beside = logitsOf(model, [...batch, mine]).slice(-LABELS.length);
    const size = Math.max(1, ...alone.map(Math.abs));
    for (const [i, logit] of alone.entries()) assert.ok(close(beside[i], logit, passError(model, 4) * size));
  }
});

test('with a dropout key every step has its own masks; without, there are none', () => {
  const model = noisy(makeModel('dense', 1));
  const sentences = sentencesOf(4, 6);
  const logits = (drop?: { rate: number; seed: number; step: number }) => {
    const { value } = model.forward(new Tape(model.runtime, false), model.batch(sentences), drop);
    return bits(model.runtime.floats(value, sentences.length * LABELS.length));
  };
  assert.is(logits(), logits({ rate: 0, seed: 1, step: 1 }));
  const seen = [logits(), ...[1, 2].map((step) => logits({ rate: 0.5, seed: 1, step }))];
  assert.is(logits({ rate: 0.5, seed: 1, step: 2 }), seen[2]);
  assert.is(new Set(seen).size, 3);
});

test('every place has masks of its own', () => {
  const model = noisy(makeModel('dense', 2));
  const { kernels } = model.runtime;
  const streams: number[] = [];
  const f32_dropout: typeof kernels.f32_dropout = (...args) => {
    streams.push(args[10]);
    kernels.f32_dropout(...args);
  };
  const watched = Object.create(kernels, { f32_dropout: { value: f32_dropout } });
  Object.defineProperty(model.runtime, 'kernels', { value: watched });
  model.forward(new Tape(model.runtime, false), model.batch(sentencesOf(4, 6)), { rate: 0.5, seed: 1, step: 1 });
  // The embedding's output and that of each layer.
  assert.equal(streams, [Stream.dropout, Stream.dropout + 1, Stream.dropout + 2]);
});

test('every matrix is made by the method, for what its layer reads', () => {
  for (const method of METHODS) {
    const shapes = new Map(
      makeModel(method, 2)
        .matrices()
        .map(([name, { M, N }]) => [name, [M, N]]),
    );
    const layer = (l: number, inputs: number) =>
      ['forward', 'backward'].flatMap((direction) => [
        [`lstm.${l}.${direction}.ih`, [32, inputs]],
        [`lstm.${l}.${direction}.hh`, [32, 8]],
      ]);
    assert.equal([...shapes], [...layer(0, 12), ...layer(1, 16)]);
  }
});

test('one seed, one model', () => {
  const weights = (seed: number) =>
    weightsOf(
      IntentModel.create(
        new Runtime(),
        { hidden: 8, layers: 1, embedding: 4, method: 'doped-lmf', compression: 2 },
        words,
        LABELS,
        seed,
      ),
    );
  assert.equal(weights(1), weights(1));
  for (const [name, value] of weights(2)) if (!name.includes('bias')) assert.is.not(value, weights(1).get(name));
});

test('sizes and vocabularies that will not do are refused by name', () => {
  const create = (changes: object, vocabulary = words) =>
    IntentModel.create(
      new Runtime(),
      { hidden: 8, layers: 1, embedding: 8, method: 'dense', compression: 1, ...changes },
      vocabulary,
      LABELS,
      1,
    );
  for (const [changes, message] of [
    [{ embedding: 0 }, /^embedding: got 0;/],
    [{ embedding: 2 ** 17 }, /^embedding: got 131072;/],
    [{ hidden: 1.5 }, /^hidden: got 1\.5;/],
    [{ layers: 65 }, /^layers: got 65;/],
  ] as const) {
    assert.throws(
      () => create(changes),
      (error: unknown) => error instanceof InputError && message.test(error.message),
    );
  }
  assert.throws(() => create({}, buildVocabulary(['abc'], 'char')), /^vocabulary: got one of characters;/);
});

test.run();
