// Both readers of model files, that of training and that of inference, reject the same weights: those so large that an
// answer might be NaN.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { FileFormatError } from '../../src/errors.js';
import { Intents, initSync, loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import { decodeIntentModel, IntentModel } from '../../src/tasks/intent/model.js';
import { classifySentences } from '../../src/tasks/intent/training.js';
import { decodeLanguageModel } from '../../src/tasks/lm/model.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { makeModel, prune, vocabulary } from '../infer/models.js';

initSync({ simd: 'plain' });

/** The file with the numbers of one tensor scaled so that the largest has this magnitude. */
function withLargest(file: Uint8Array, name: string, largest: number): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(file);
  const tensor = tensors.get(name) as NamedTensor & { dtype: 'F32' };
  const before = tensor.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const data = tensor.data.map((value) => (before ? (value / before) * largest : largest));
  return encodeSafetensors(new Map([...tensors, [name, { ...tensor, data }]]), metadata);
}

const runtime = new Runtime();

/** A file's answers by training's own forward, and by dopant/infer. */
type Answers = Record<'training' | 'inference', (file: Uint8Array) => ArrayLike<number>>;

const language: Answers = {
  training(file) {
    const model = decodeLanguageModel(runtime, file);
    const [ids, state] = [runtime.zeros(4), model.newState(1)];
    const { value } = model.forward(new Tape(runtime, false), ids, 1, 1, state);
    return runtime.floats(value, vocabulary.size).slice();
  },
  inference: (file) => new TextModel(loadSync(file)).next(0),
};

const intents: Answers = {
  training: (file) => classifySentences(decodeIntentModel(runtime, file), [vocabulary.encodeSentence('the cat')])[0],
  inference: (file) => Object.values(new Intents(loadSync(file)).classify('the cat').probabilities),
};

/** Tries every tensor of floats at many magnitudes. */
function tryAll(file: Uint8Array, { training, inference }: Answers): void {
  const counts = { read: 0, rejected: 0 };
  for (const [name, { dtype, data }] of decodeSafetensors(file).tensors) {
    if (dtype !== 'F32' || data.length === 0) continue;
    for (const exponent of [10, 30, 36, 37, 37.6, 38.5]) {
      const edited = withLargest(file, name, 10 ** exponent);
      const outcomes = [training, inference].map((answer) => {
        const mark = runtime.mark();
        try {
          const values = Array.from(answer(edited));
          assert.ok(values.every(Number.isFinite), `${name} of 10^${exponent}: ${values}`);
          return 'read';
        } catch (error) {
          if (!(error instanceof FileFormatError)) throw error;
          return 'rejected';
        } finally {
          runtime.release(mark);
        }
      });
      assert.is(outcomes[0], outcomes[1], `${name} of 10^${exponent}`);
      counts[outcomes[0]]++;
    }
  }
  assert.ok(counts.read > 10 && counts.rejected > 10, JSON.stringify(counts));
}

// Between them, these are made of every kind of matrix.
for (const method of ['dense', 'pruned', 'doped-kron', 'doped-hmd'] as const) {
  test(`${method}: huge weights are rejected by both readers, or both give finite answers`, () => {
    tryAll(encodeModel(makeModel(method, 6, 0.5)), language);
    const config = { hidden: 4, layers: 2, embedding: 6, method, compression: method === 'dense' ? 1 : 2 };
    const model = prune(IntentModel.create(runtime, config, vocabulary, ['sit', 'lie'], 7), 0.5);
    tryAll(encodeModel(model), intents);
  });
}

test('factors of opposite magnitudes are bounded whatever the order of their products', () => {
  const file = encodeModel(makeModel('kron', 6, 0, 1, [2, 3, 4, 1, 3, 2]));
  const factors = ['B', 'C.B', 'C.C'].map((part) => `lstm.0.hh.${part}.weight`);
  for (const large of factors) {
    for (const small of factors) {
      if (small === large) continue;
      const edited = withLargest(withLargest(file, large, 1e38), small, 1e-38);
      for (const read of [language.training, language.inference])
        assert.throws(() => read(edited), /so large that sums/);
    }
  }
});

test('so they are in three Kronecker factors, in blocks and in 8 bits', () => {
  tryAll(encodeModel(makeModel('kron', 6, 0, 1, [2, 3, 4, 1, 3, 2])), language);
  tryAll(encodeModel(makeModel('doped-lmf', 4, 0.5, 4)), language);
  tryAll(encodeModel(makeModel('doped-hmd', 6, 0.5), { head: 8 }), language);
});

test.run();
