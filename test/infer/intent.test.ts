import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../src/infer/engine.js';
import {
  FileFormatError,
  InputError,
  Intents,
  initSync,
  load,
  loadSync,
  LanguageModel as TextModel,
} from '../../src/infer/index.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { IntentModel } from '../../src/tasks/intent/model.js';
import { classifySentences } from '../../src/tasks/intent/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { damage } from './damage.js';
import { makeModel, prune, vocabulary } from './models.js';

initSync();

const LABELS = ['sit', 'lie down', '__proto__'];

function makeIntentModel(method: Method, hidden: number, layers = 1, embedding = hidden + 4): IntentModel {
  const config = { hidden, layers, embedding, method, compression: method === 'dense' ? 1 : 2 };
  return prune(IntentModel.create(new Runtime(), config, vocabulary, LABELS, 7), 0.8);
}

const TEXTS = [
  'the cat sat on the mat',
  'The cat sat. The dog lay down!',
  '',
  ' . ',
  'zebras',
  'dog',
  'a b c d e f g h '.repeat(40),
  'the dog lay down by it and the cat',
];

function assertAgrees(model: IntentModel): void {
  const plan = new Intents(loadSync(encodeModel(model)));
  const sentences = TEXTS.map((text) => vocabulary.encodeSentence(text));
  const expected = classifySentences(model, sentences);
  // Twice: no text may leave anything behind for the next.
  for (const [i, text] of [...TEXTS.entries(), ...TEXTS.entries()]) {
    const { intent, probabilities } = plan.classify(text);
    assert.equal(Object.keys(probabilities), LABELS);
    const got = LABELS.map((label) => probabilities[label]);
    assert.is(intent, LABELS[got.indexOf(Math.max(...got))]);
    for (const [j, p] of got.entries()) {
      assert.ok(Math.abs(p - expected[i][j]) <= 1e-5, `'${text}', ${LABELS[j]}: ${p}, not ${expected[i][j]}`);
    }
  }
}

for (const method of METHODS) {
  test(`a packed ${method} model answers as the training forward within 1e-5`, () => {
    assertAgrees(makeIntentModel(method, 12));
  });
}

test('so it does with more layers, and at odd sizes', () => {
  for (const layers of [2, 3]) {
    for (const hidden of [5, 6, 7]) assertAgrees(makeIntentModel('doped-kron', hidden, layers, 9));
  }
});

test('a text that is empty, or all unknown, has an answer with its confidence', () => {
  const plan = new Intents(loadSync(encodeModel(makeIntentModel('doped-kron', 8))));
  for (const text of ['', '???', 'zebras gallop', '\u0000', '\ud800', 'x'.repeat(10_000)]) {
    const { intent, probabilities } = plan.classify(text);
    const all = Object.values(probabilities);
    assert.ok(Math.abs(all.reduce((sum, p) => sum + p, 0) - 1) < 1e-12);
    assert.is(probabilities[intent], Math.max(...all));
  }
});

test('below the threshold the intent is none, and probabilities stay; a label called none means the same', () => {
  const plan = new Intents(loadSync(encodeModel(makeIntentModel('doped-kron', 8))));
  const named = IntentModel.create(
    new Runtime(),
    { hidden: 4, layers: 1, embedding: 6, method: 'kron', compression: 2 },
    vocabulary,
    ['none', 'some'],
    1,
  );
  const other = new Intents(loadSync(encodeModel(named)));
  const intents = new Set<string>();
  for (const text of TEXTS) {
    for (const { classify } of [plan, other].map((each) => ({ classify: each.classify.bind(each) }))) {
      const { intent, probabilities } = classify(text);
      const p = probabilities[intent];
      intents.add(intent);
      for (const threshold of [0, p / 2, p]) assert.equal(classify(text, { threshold }), { intent, probabilities });
      for (const threshold of [p + 1e-9, 1]) {
        assert.equal(classify(text, { threshold }), { intent: 'none', probabilities });
      }
    }
  }
  assert.ok(intents.size > 1, 'the texts should differ');
  for (const threshold of [-0.1, 1.1, Number.NaN, '0.5', null]) {
    assert.throws(
      () => plan.classify('the cat', { threshold: threshold as number }),
      (error: unknown) => error instanceof InputError && error.message.startsWith('threshold: got '),
    );
  }
  for (const text of [null, undefined, 5, ['the cat'], {}]) {
    assert.throws(
      () => plan.classify(text as unknown as string),
      (error: unknown) => error instanceof InputError && error.message.startsWith('text: got '),
    );
  }
});

/** Runs `act` on a host whose memories do not grow beyond so many bytes. */
function withMemoryLimit(bytes: number, act: () => void): void {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (this: WebAssembly.Memory, pages: number) {
    if (this.buffer.byteLength + 65536 * pages > bytes) throw new RangeError('no more memory');
    return grow.call(this, pages);
  };
  try {
    act();
  } finally {
    WebAssembly.Memory.prototype.grow = grow;
  }
}

test('after a text too long for memory, all others are classified as before', () => {
  const bytes = encodeModel(makeIntentModel('doped-kron', 8, 3));
  const expected = TEXTS.map((text) => new Intents(loadSync(bytes)).classify(text));
  const long = 'the cat sat '.repeat(20_000);
  const plan = new Intents(loadSync(bytes));
  withMemoryLimit(2 ** 20, () => {
    for (let i = 0; i < 3; i++) {
      assert.throws(
        () => plan.classify(long),
        (error: Error) => error instanceof InputError && error.message.startsWith('text: got 60001 tokens; expected'),
      );
      assert.equal(
        TEXTS.map((text) => plan.classify(text)),
        expected,
      );
    }
  });
  assert.equal(plan.classify(long), new Intents(loadSync(bytes)).classify(long));
});

test('classifying takes the memory of the longest text, whatever the order and the number of texts', () => {
  const bytes = encodeModel(makeIntentModel('doped-kron', 8, 3));
  const text = (words: number) => 'dog '.repeat(words);
  const [short, long] = [new Intents(loadSync(bytes)), new Intents(loadSync(bytes))];
  for (let words = 1000; words <= 10_000; words += 1000) short.classify(text(words));
  long.classify(text(10_000));
  assert.is(short.model.memoryBytes, long.model.memoryBytes);
});

test('a request for memory that fails changes nothing', () => {
  const engine = new Engine();
  const before = engine.alloc(1);
  withMemoryLimit(2 ** 20, () => {
    const numbers = { buffer: new ArrayBuffer(8), byteOffset: 0, byteLength: 2 ** 30 };
    for (const ask of [() => engine.alloc(2 ** 30), () => engine.scratch(2 ** 30), () => engine.put(0, numbers)]) {
      assert.throws(ask, (error: unknown) => error instanceof InputError);
    }
    const after = engine.alloc(1);
    assert.is(after, before + 64);
  });
});

test('without a threshold there is an answer, however little is known', () => {
  const labels = Array.from({ length: 9 }, (_, i) => `label ${i}`);
  const config = { hidden: 8, layers: 1, embedding: 8, method: 'dense', compression: 1 } as const;
  const plan = new Intents(loadSync(encodeModel(IntentModel.create(new Runtime(), config, vocabulary, labels, 7))));
  for (const text of TEXTS) {
    const { intent, probabilities } = plan.classify(text);
    assert.ok(Math.max(...Object.values(probabilities)) < 0.3);
    assert.ok(labels.includes(intent));
    assert.equal(plan.classify(text, { threshold: 0 }), { intent, probabilities });
  }
});

test('each client refuses the other kind of model by name', async () => {
  const intents = encodeModel(makeIntentModel('dense', 8));
  const language = encodeModel(makeModel('dense', 8));
  const refuses = (act: () => unknown, message: RegExp) =>
    assert.throws(act, (error: unknown) => error instanceof FileFormatError && message.test(error.message));
  refuses(() => new TextModel(loadSync(intents)), /^got a model for the task "intent"; expected one for 'lm'$/);
  refuses(() => new Intents(loadSync(language)), /^got a model for the task "lm"; expected one for 'intent'$/);
  assert.equal(new Intents(await load(intents)).labels, LABELS);
});

test('mutated and truncated files: each answers with finite numbers or is refused by name', () => {
  const files = [
    encodeModel(makeIntentModel('dense', 5)),
    encodeModel(makeIntentModel('doped-kron', 6, 2)),
    encodeModel(makeIntentModel('doped-hmd', 6)),
  ];
  const counts = { loaded: 0, refused: 0 };
  fc.assert(
    fc.property(fc.constantFrom(...files), damage, (file, mutate) => {
      let plan: Intents;
      try {
        plan = new Intents(loadSync(mutate(file)));
      } catch (error) {
        if (!(error instanceof FileFormatError)) throw error;
        counts.refused++;
        return;
      }
      const { probabilities } = plan.classify('the cat sat on a zebra');
      assert.ok(Object.values(probabilities).every((p) => p >= 0 && p <= 1));
      counts.loaded++;
    }),
    { numRuns: 3000, endOnFailure: true },
  );
  assert.ok(counts.loaded > 100 && counts.refused > 1000, JSON.stringify(counts));
});

test.run();
