import { existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError } from '../../src/errors.js';
import { takeInventory } from '../../src/io/inventory.js';
import { Stream, uniform } from '../../src/random.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import {
  classifySentences,
  defaultIntentOptions,
  type Examples,
  evaluateIntents,
  type IntentData,
  type IntentOptions,
  IntentTraining,
  isRight,
  labelsOf,
} from '../../src/tasks/intent/training.js';
import { LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { stopAfter } from './parts.js';

// ---- sentences that are easily told apart, if only by reading all of them

const PLACES = ['rome', 'paris', 'boston', 'denver'];
const lot = (below: number, i: number) => Math.floor(uniform(5, 0, i) * below);

/** What is wanted stands at the start, or at the end. */
const lines = Array.from({ length: 60 }, (_, i) => {
  const place = PLACES[lot(PLACES.length, i)];
  const filler = 'please now for me if you can'.split(' ').slice(0, lot(7, 100 + i));
  return [
    { intent: 'book', text: ['book', 'a', 'seat', 'to', place, ...filler].join(' ') },
    { intent: 'weather', text: [...filler, 'in', place, 'is', 'it', 'cold'].join(' ') },
    { intent: 'play', text: ['play', ...filler, 'the', 'song', 'of', place].join(' ') },
  ][i % 3];
});
const vocabulary = buildVocabulary(
  lines.map(({ text }) => text),
  'word',
);
const examples = (some: typeof lines): Examples => ({
  sentences: some.map(({ text }) => vocabulary.encodeSentence(text)),
  intents: some.map(({ intent }) => intent),
});
const data: IntentData = { train: examples(lines.slice(0, 45)), valid: examples(lines.slice(45)) };

const options = (changes: Partial<IntentOptions> = {}): IntentOptions => ({
  ...defaultIntentOptions(),
  hidden: 8,
  embedding: 12,
  compression: 3,
  batch: 7,
  epochs: 3,
  annealing: { ...defaultIntentOptions().annealing, every: 2 },
  ...changes,
});

const create = (changes?: Partial<IntentOptions>, other = data) =>
  IntentTraining.create(new Runtime(), vocabulary, options(changes), other);

function finish(training: IntentTraining): IntentTraining {
  while (!training.done) training.step();
  return training;
}

const same = (a: Uint8Array, b: Uint8Array, what: string) => assert.is(Buffer.compare(a, b), 0, what);

for (const method of ['dense', 'doped-kron'] as const) {
  test(`${method}: learns what it is shown, and tells it of others`, () => {
    const training = create({ method, layers: 2, epochs: 40, learningRate: 0.01, dropout: 0.1 });
    assert.ok(evaluateIntents(training.model, data.train).accuracy < 0.8, 'it knew before');
    finish(training);
    assert.is(evaluateIntents(training.model, data.train).accuracy, 1);
    assert.is(evaluateIntents(training.model, data.valid).accuracy, 1);
    const [last] = training.records.filter(({ kind }) => kind === 'valid').slice(-1);
    const loss = evaluateIntents(training.model, data.valid).loss!;
    assert.equal(last, { kind: 'valid', step: 280, epoch: 39, perplexity: Math.exp(loss), accuracy: 1, exact: 1 });
    const { compression } = takeInventory(training.model);
    assert.ok(method === 'dense' ? compression.parameters === 1 : compression.parameters! >= 3);
  });
}

/** The sentences of each batch that is trained on, by their places. */
function orderOf(training: IntentTraining): number[][] {
  const seen: number[][] = [];
  const { batch } = training.model;
  const { sentences } = training.data.train;
  training.model.batch = (chosen) => {
    if (chosen.every((sentence) => sentences.includes(sentence))) {
      seen.push(chosen.map((sentence) => sentences.indexOf(sentence)));
    }
    return batch.call(training.model, chosen);
  };
  finish(training);
  return seen;
}

test('every sentence is trained on once in each pass, in another order', () => {
  const training = create();
  const seen = orderOf(training);
  assert.is(seen.length, 3 * 7);
  const passes = [0, 7, 14].map((from) => seen.slice(from, from + 7));
  const all = [...data.train.sentences.keys()];
  for (const pass of passes)
    assert.equal(
      pass.flat().sort((a, b) => a - b),
      all,
    );
  assert.is(new Set(passes.map((pass) => JSON.stringify(pass))).size, 3);
  assert.is(training.tokensPerStep, data.train.sentences.reduce((sum, { length }) => sum + length, 0) / 7);
});

test('batches are of sentences of about equal length, otherwise drawn by the seed and by the epoch', () => {
  const n = data.train.sentences.length;
  const orders = [7, 8].map((seed) => {
    const order = orderOf(create({ seed }));
    const lots = (first: number, count: number) =>
      Array.from({ length: count }, (_, i) => uniform(seed, Stream.order, first + i));
    /** Places in the order of their lots. */
    const draw = (first: number, count: number) => {
      const keys = lots(first, count);
      return [...keys.keys()].sort((a, b) => keys[a] - keys[b]);
    };
    // Each draw is made with lots that no other has: 2 n for an epoch.
    const expected = [0, 1, 2].flatMap((epoch) => {
      const sorted = draw(2 * n * epoch, n).sort(
        (a, b) => data.train.sentences[a].length - data.train.sentences[b].length,
      );
      const batches = Array.from({ length: 7 }, (_, i) => sorted.slice(7 * i, 7 * i + 7));
      return draw(2 * n * epoch + n, batches.length).map((i) => batches[i]);
    });
    assert.equal(order, expected);
    return order;
  });
  assert.not.equal(orders[0], orders[1]);
});

test('pruning is measured on the first 256 validation examples whose intents are known', () => {
  const valid = {
    sentences: Array.from({ length: 400 }, (_, i) => Int32Array.of(1 + (i % 5), 2)),
    intents: Array.from({ length: 400 }, (_, i) => (i % 4 === 3 ? 'unheard of' : 'play')),
  };
  const training = create({}, { train: data.train, valid });
  const seen = new Set<number>();
  const { batch } = training.model;
  training.model.batch = (chosen) => {
    for (const sentence of chosen) seen.add((valid.sentences as Int32Array[]).indexOf(sentence));
    return batch.call(training.model, chosen);
  };
  training.rehearse();
  seen.delete(-1); // of training
  const known = valid.intents.flatMap((intent, i) => (intent === 'play' ? [i] : []));
  assert.equal(
    [...seen].sort((a, b) => a - b),
    known.slice(0, 256),
  );
});

const BUSY: Partial<IntentOptions> = {
  coMatrixDropout: { structure: 0.2, dopants: 0.3, hold: false, until: 0.8 },
  measureEvery: 1,
};

test('the same seed gives the same bits and records, another seed others', () => {
  const [a, b, other] = [1, 1, 2].map((seed) => finish(create({ ...BUSY, seed })));
  assert.equal(new Set(a.records.map(({ kind }) => kind)), new Set(['step', 'prune', 'cma', 'valid']));
  assert.equal(a.records, b.records);
  same(encodeModel(a.model), encodeModel(b.model), 'the models differ');
  assert.not.equal(a.records, other.records);
});

test('a training that goes on from any step ends with the same bits', () => {
  for (const changes of [BUSY, { method: 'doped-hmd', optimizer: 'sgd', learningRate: 0.3, alternate: 2 } as const]) {
    const whole = create(changes);
    const checkpoints: Uint8Array[] = [];
    while (!whole.done) {
      checkpoints.push(encodeCheckpoint(whole, 'run'));
      whole.step();
    }
    checkpoints.push(encodeCheckpoint(whole, 'run'));
    for (const checkpoint of checkpoints) {
      const resumed = decodeCheckpoint(checkpoint, IntentTraining).resume(new Runtime(), data);
      same(encodeCheckpoint(resumed, 'run'), checkpoint, 'the checkpoint, written again');
      finish(resumed);
      assert.equal(resumed.records, whole.records);
      same(encodeModel(resumed.model), encodeModel(whole.model), 'the models');
    }
  }
});

test('a training that is stopped in any part of a pruning or an evaluation ends with the same bits', () => {
  const whole = encodeCheckpoint(finish(create(BUSY)), 'run');
  let parts = 0;
  for (let training = create(BUSY); stopAfter(parts, training); training = create(BUSY), parts++) {
    const checkpoint = encodeCheckpoint(training, 'run');
    const resumed = decodeCheckpoint(checkpoint, IntentTraining).resume(new Runtime(), data);
    same(encodeCheckpoint(finish(resumed), 'run'), whole, `part ${parts}`);
  }
  assert.ok(parts > 3 * 4, `${parts} parts`);
});

test('where nothing can be measured there is no perplexity, and the accuracy is 0', () => {
  const training = finish(create());
  const strange = { sentences: data.valid.sentences, intents: data.valid.intents.map(() => 'sing') };
  assert.equal(training.quality(strange), { accuracy: 0, exact: 0 });
  const examples = strange.sentences.length;
  assert.equal(evaluateIntents(training.model, strange), { accuracy: 0, exact: 0, examples });
  const nothing = { sentences: [], intents: [] };
  assert.equal(evaluateIntents(training.model, nothing), { accuracy: 0, exact: 0, examples: 0 });
});

const refuses = (act: () => unknown, type: typeof InputError | typeof FileFormatError, message: RegExp) =>
  assert.throws(act, (error: unknown) => error instanceof type && message.test(error.message), `${message} is wanted`);

test('a checkpoint is gone on with by its own task, with its own data', () => {
  const checkpoint = encodeCheckpoint(create(), null);
  refuses(
    () => decodeCheckpoint(checkpoint, LanguageModelTraining),
    FileFormatError,
    /task: got "intent"; expected "lm"/,
  );
  const { train, valid } = data;
  /** Examples with one number or label changed: the first of all, one in the middle, the last of all. */
  const changed = ({ sentences, intents }: Examples): Examples[] =>
    [0, 3, intents.length - 1].flatMap((i) => {
      const place = i === 0 ? 0 : sentences[i].length - 1;
      const other = sentences[i].map((id, k) => (k === place ? (id % (vocabulary.size - 1)) + 1 : id));
      return [
        { sentences, intents: intents.with(i, `${intents[i]}2`) },
        { sentences: sentences.with(i, other), intents },
      ];
    });
  for (const other of [
    ...changed(train).map((train) => ({ train, valid })),
    ...changed(valid).map((valid) => ({ train, valid })),
    { train: valid, valid: train },
  ]) {
    refuses(() => decodeCheckpoint(checkpoint, IntentTraining).resume(new Runtime(), other), InputError, /^data: /);
  }
});

test('options and data that will not do are refused by name', () => {
  const { train, valid } = data;
  refuses(() => create({ batch: 0 }), InputError, /^batch: got 0; expected/);
  refuses(() => create({ batch: 1.5 }), InputError, /^batch: got 1\.5; expected/);
  refuses(() => create({ epochs: 0 }), InputError, /^epochs: got 0; expected/);
  refuses(() => create({ dropout: 1 }), InputError, /^dropout: got 1; expected/);
  refuses(() => create({ embedding: 0 }), InputError, /^embedding: got 0;/);
  refuses(() => create({ compression: 1e6 }), InputError, /^compression: got 1000000, which leaves/);
  refuses(() => create({}, { train, valid: { sentences: [], intents: [] } }), InputError, /^valid: got 0 sentences/);
  refuses(
    () => create({}, { train: { ...train, intents: train.intents.slice(1) }, valid }),
    InputError,
    /^train: got 45 sentences and 44/,
  );
  const alike = { ...train, intents: train.intents.map(() => 'book') };
  refuses(() => create({}, { train: alike, valid }), InputError, /examples of one intent only, "book"/);
  const strange = { ...valid, intents: valid.intents.map(() => 'sing') };
  refuses(() => create({}, { train, valid: strange }), InputError, /no intent that train has/);
  const empty = { ...train, sentences: train.sentences.with(2, new Int32Array()) };
  refuses(() => create({}, { train: empty, valid }), InputError, /^train: got no tokens in sentence 2/);
  const astray = { ...train, sentences: train.sentences.with(2, Int32Array.of(vocabulary.size)) };
  refuses(() => create({}, { train: astray, valid }), InputError, /^train 2\[0\]: got \d+;/);
});

test('an answer is right when all that it names is wanted', () => {
  assert.ok(isRight('flight', 'flight'));
  assert.ok(isRight('flight', 'airfare#flight'));
  assert.ok(isRight('flight#airfare', 'airfare#flight'));
  assert.not.ok(isRight('flight#airfare', 'flight'));
  assert.not.ok(isRight('flight', 'flight_no'));
  assert.not.ok(isRight('airline', 'flight#airfare'));
});

test('both ways of counting, and intents that the model does not know, are counted', () => {
  const { model } = finish(create({ epochs: 20, learningRate: 0.01 }));
  const { sentences, intents } = data.valid;
  const answers = classifySentences(model, sentences).map((p) => model.labels[p.indexOf(Math.max(...p))]);
  const asked = intents.map((intent, i) => (i % 5 === 0 ? 'sing' : i % 5 === 1 ? `${intent}#sing` : intent));
  const { accuracy, exact, loss, examples } = evaluateIntents(model, { sentences, intents: asked });
  assert.is(examples, 15);
  assert.is(accuracy, answers.filter((answer, i) => i % 5 !== 0 && answer === intents[i]).length / 15);
  assert.is(exact, answers.filter((answer, i) => i % 5 > 1 && answer === intents[i]).length / 15);
  assert.ok(Number.isFinite(loss));
});

test('many sentences at once are answered as each by itself, whatever their lengths', () => {
  const { model } = finish(create({ layers: 2 }));
  const lengths = [1, 3000, 1500, 1, 2, 900, ...Array.from({ length: 150 }, (_, i) => 1 + (i % 23))];
  const sentences = lengths.map((length, i) =>
    Int32Array.from({ length }, (_, t) => Math.floor(uniform(6, i, t) * vocabulary.size)),
  );
  const mark = model.runtime.mark();
  const shares: number[] = [];
  const together = classifySentences(model, sentences, (share) => shares.push(share));
  assert.is(model.runtime.mark(), mark, 'memory is given back');
  assert.is(shares.at(-1), 1);
  for (const [i, probabilities] of together.entries()) {
    const [alone] = classifySentences(model, [sentences[i]]);
    assert.ok(Math.abs(probabilities.reduce((sum, p) => sum + p, 0) - 1) < 1e-12);
    for (const [label, p] of alone.entries()) assert.ok(Math.abs(p - probabilities[label]) <= 1e-5, `sentence ${i}`);
  }
});

// ---- real sentences

const SNIPS = '../shared/data/snips';

function readSnips(split: string): { texts: string[]; intents: string[] } {
  const [texts, intents] = ['seq.in', 'label'].map((file) =>
    readFileSync(`${SNIPS}/${split}/${file}`, 'utf8').trimEnd().split('\n'),
  );
  return { texts, intents };
}

const onSnips = 'a model compressed 10x learns a part of Snips, far beyond the most frequent intent';
if (existsSync(SNIPS) || process.env.CI) {
  test(onSnips, () => {
    const parts = { train: readSnips('train'), valid: readSnips('valid') };
    const some = {
      texts: parts.train.texts.filter((_, i) => i % 20 === 0),
      intents: parts.train.intents.filter((_, i) => i % 20 === 0),
    };
    const words = buildVocabulary(some.texts, 'word', undefined, 2);
    const encode = ({ texts, intents }: typeof some): Examples => ({
      sentences: texts.map((text) => words.encodeSentence(text)),
      intents,
    });
    const settings = options({ hidden: 32, embedding: 32, compression: 10, batch: 16, epochs: 8, learningRate: 0.01 });
    const pair = { train: encode(some), valid: encode(parts.valid) };
    const training = finish(IntentTraining.create(new Runtime(), words, settings, pair));
    assert.ok(takeInventory(training.model).compression.parameters! >= 10);
    const counts = labelsOf(pair.valid).map((label) => parts.valid.intents.filter((intent) => intent === label).length);
    const majority = Math.max(...counts) / parts.valid.intents.length;
    const { accuracy } = training.quality(pair.valid);
    assert.ok(accuracy > 4 * majority, `${accuracy} of the answers are right; the most frequent intent is ${majority}`);
  });
} else {
  test.skip(`${onSnips}: ${SNIPS} is not there`);
}

test.run();
