import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { METHODS } from '../../src/operators/methods.js';
import { defaultIntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import type { Vocabulary } from '../../src/text/vocabulary.js';
import { startFrom } from '../../src/train/start.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { bits, tinyOptions, tokens, vocabulary, weightsOf } from '../nn/oracle.js';
import { partsOf } from '../nn/parts.js';
import { U } from '../support.js';

const corpus = { train: tokens(80, 1), valid: tokens(20, 2) };
const model = (runtime: Runtime, changes: Partial<LanguageModelOptions>, words = vocabulary) =>
  LanguageModel.create(runtime, tinyOptions(changes), words, 1);

for (const method of METHODS) {
  test(`a ${method} model takes what it can from a dense one`, () => {
    const runtime = new Runtime();
    const trained = model(runtime, { method: 'dense', seed: 5 });
    const weights = weightsOf(trained);
    const { model: started } = LanguageModelTraining.create(runtime, vocabulary, tinyOptions({ method }), corpus, {
      from: trained,
    });
    assert.equal(weightsOf(trained), weights, 'the trained model was changed');
    for (const [name, parameter] of [
      ...started.plainParameters(),
      ['head', partsOf(started).head.weight.own()[0]] as const,
    ]) {
      assert.is(bits(parameter.data), weights.get(name), name);
    }
    const matrices = new Map(trained.matrices());
    for (const [name, operator] of started.matrices()) {
      const [w, there] = [operator.toDense(), matrices.get(name)!.toDense()];
      const norm = Math.hypot(...there);
      const error = Math.hypot(...w.map((value, i) => value - there[i])) / norm;
      // Whatever has a sparse matrix, which has lost nothing yet, is whole; the others are nearer than nothing.
      const whole = method === 'dense' || method === 'pruned' || method.startsWith('doped-');
      assert.ok(whole ? error < 4 * U : error < 0.99, `${name}: off by ${error}`);
    }
  });
}

test('the same start, the same bits', () => {
  const start = () => {
    const runtime = new Runtime();
    const from = model(runtime, { method: 'dense', seed: 5 });
    const training = LanguageModelTraining.create(runtime, vocabulary, tinyOptions(), corpus, { from });
    return encodeModel(training.model);
  };
  assert.equal(start(), start());
});

const refuses = (act: () => unknown, message: RegExp) =>
  assert.throws(act, (error: unknown) => error instanceof InputError && message.test(error.message), `${message}`);

test('a model of other sizes is refused before anything is taken from it', () => {
  const runtime = new Runtime();
  const here = model(runtime, {});
  const before = weightsOf(here);
  const dense = (changes: Partial<LanguageModelOptions>, words?: Vocabulary) =>
    model(runtime, { method: 'dense', ...changes }, words);
  refuses(
    () => startFrom(here, dense({ hidden: 12 })),
    /^from: got 48 x 12 for 'lstm\.0\.ih' in the trained model; expected 32 x 8/,
  );
  refuses(() => startFrom(here, dense({ layers: 1 })), /^from: got nothing for 'lstm\.1\.ih'/);
  refuses(() => startFrom(here, dense({}, buildVocabulary(['abc'], 'char'))), /^from: got 4 x 8 for 'embedding'/);
  assert.equal(weightsOf(here), before);
});

test('models of another vocabulary or runtime, and teachers without a weight, are refused', () => {
  const runtime = new Runtime();
  const create = (changes: Partial<LanguageModelOptions>, trained: object) =>
    LanguageModelTraining.create(runtime, vocabulary, tinyOptions(changes), corpus, trained);
  const stranger = model(runtime, {}, buildVocabulary(['bcdefghi'], 'char'));
  const distillation = { weight: 0.5, temperature: 1 };
  refuses(() => create({}, { from: stranger }), /^from: got a model with another vocabulary/);
  refuses(() => create({ distillation }, { teacher: stranger }), /^teacher: got a model with another vocabulary/);
  refuses(() => create({}, { from: model(new Runtime(), {}) }), /^from: got a model of another runtime/);
  refuses(() => create({ distillation }, {}), /^distill: /);
  refuses(() => create({}, { teacher: model(runtime, {}) }), /^distill: /);
});

test('a teacher teaches: the student comes nearer to it than the text alone would bring it', () => {
  const runtime = new Runtime();
  const teacher = model(runtime, { hidden: 12, method: 'dense' });
  // A teacher of its own opinion, far from even.
  partsOf(teacher).head.bias.data.set(Float32Array.from({ length: vocabulary.size }, (_, j) => (j === 3 ? 3 : 0)));
  const rest = { learningRate: 0.01, epochs: 8 };
  const share = (distillation?: LanguageModelOptions['distillation']) => {
    const options = tinyOptions({ ...rest, ...(distillation && { distillation }) });
    const training = LanguageModelTraining.create(
      runtime,
      vocabulary,
      options,
      corpus,
      distillation ? { teacher } : {},
    );
    const before = weightsOf(teacher);
    while (!training.done) training.step();
    assert.equal(weightsOf(teacher), before, 'the teacher has changed');
    return training.perplexity(Int32Array.from({ length: 9 }, () => 3));
  };
  assert.ok(share({ weight: 1, temperature: 1 }) < share() / 2);
});

test('intents: a model starts from a trained one and learns from it, if their answers are the same', () => {
  const runtime = new Runtime();
  const words = buildVocabulary(['book a flight play some music'], 'word');
  const examples = (intents: string[]) => ({
    sentences: ['book a flight', 'play some music'].map((text) => words.encodeSentence(text)),
    intents,
  });
  const data = { train: examples(['book', 'play']), valid: examples(['book', 'play']) };
  const sizes = { hidden: 8, embedding: 8, compression: 4, batch: 2, epochs: 20 };
  const options = { ...defaultIntentOptions(), ...sizes };
  const dense = IntentTraining.create(runtime, words, { ...options, method: 'dense' }, data);
  while (!dense.done) dense.step();
  const trained = { from: dense.model, teacher: dense.model };
  const softTargets = { ...options, distillation: { weight: 0.5, temperature: 2 } };
  const student = IntentTraining.create(runtime, words, softTargets, data, trained);
  const perplexity = student.quality(data.valid).perplexity!;
  assert.ok(Math.abs(perplexity / dense.quality(data.valid).perplexity! - 1) < 1e-5, 'it starts as the dense model is');
  while (!student.done) student.step();

  const others = examples(['book', 'stop']);
  const create = () => IntentTraining.create(runtime, words, softTargets, { train: others, valid: others }, trained);
  refuses(create, /^from: got a model with another vocabulary/);
  const { model: reader } = LanguageModelTraining.create(runtime, vocabulary, tinyOptions(), corpus);
  refuses(
    () => IntentTraining.create(runtime, words, options, data, { from: reader }),
    /^from: got "lm"; expected intent/,
  );
});

test.run();
