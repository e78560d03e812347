import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeModel } from '../../src/cli/tasks.js';
import { FileFormatError, InputError } from '../../src/errors.js';
import { initSync, loadSync, Tagger } from '../../src/infer/index.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/io/safetensors.js';
import { METHODS } from '../../src/operators/methods.js';
import { uniform } from '../../src/random.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { IntentTraining } from '../../src/tasks/intent/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { decodeTagModel, TagModel } from '../../src/tasks/tag/model.js';
import {
  defaultTagOptions,
  encodeWords,
  evaluateTags,
  type TaggedTexts,
  type TagOptions,
  TagTraining,
  tagInParts,
  tagVocabulary,
} from '../../src/tasks/tag/training.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { complete } from '../../src/work.js';

initSync({ simd: 'plain' });

const CITIES = ['rome', 'new york', 'St. Louis', 'paris'];
const TIMES = ['5pm', 'tuesday morning', '10pm', 'noon'];

/** Sentences whose slots begin and end where only their neighbours tell. */
function texts(n: number, seed: number): { text: string; tags: string[] }[] {
  const lot = (list: readonly string[], i: number, k: number) => list[Math.floor(uniform(seed, k, i) * list.length)];
  const slot = (words: string, name: string) => words.split(' ').map((_, i) => `${i ? 'I' : 'B'}-${name}`);
  return Array.from({ length: n }, (_, i) => {
    const [from, to, time] = [lot(CITIES, i, 0), lot(CITIES, i, 1), lot(TIMES, i, 2)];
    const tags = ['O', 'O', ...slot(from, 'from'), 'O', ...slot(to, 'to'), 'O', ...slot(time, 'time')];
    return { text: `flights from ${from} to ${to} at ${time}`, tags };
  });
}

const [training, validation] = [texts(40, 1), texts(12, 2)];
const vocabulary = tagVocabulary(training.map(({ text }) => text));
const encode = (list: ReturnType<typeof texts>): TaggedTexts => ({
  sentences: list.map(({ text }) => encodeWords(text, vocabulary)),
  tags: list.map(({ tags }) => tags),
});
const data = { train: encode(training), valid: encode(validation) };

function create(changes: Partial<TagOptions> = {}, given = data): TagTraining {
  const options: TagOptions = {
    ...defaultTagOptions(),
    hidden: 8,
    embedding: 8,
    batch: 8,
    epochs: 3,
    compression: 2,
    learningRate: 0.02,
    ...changes,
  };
  options.annealing = { ...options.annealing, every: 2 };
  return TagTraining.create(new Runtime(), vocabulary, options, given);
}

function finish(one: TagTraining): TagTraining {
  while (!one.done) one.step();
  return one;
}

const same = (a: Uint8Array, b: Uint8Array, what: string) => assert.is(Buffer.compare(a, b), 0, what);
const throws = (act: () => unknown, type: typeof InputError | typeof FileFormatError, message: RegExp) =>
  assert.throws(act, (error: Error) => error instanceof type && message.test(error.message), `${message}`);

for (const cell of ['lstm', 'gru'] as const) {
  test(`tags of a ${cell} model are learnt, and those of the packed model are the same`, () => {
    const { model, records } = finish(create({ cell, epochs: 12, dropout: 0 }));
    const { f1, accuracy, examples } = evaluateTags(model, data.valid);
    assert.is(examples, 12);
    assert.ok(f1 > 0.95 && accuracy > 0.95, `F1 ${f1}, accuracy ${accuracy}`);
    const last = records.findLast(({ kind }) => kind === 'valid');
    assert.is(last?.kind === 'valid' && last.f1, f1);
    const tagger = new Tagger(loadSync(encodeModel(model)));
    assert.equal(tagger.tags, model.tags);
    const expected = complete(tagInParts(model, data.valid.sentences));
    for (const [i, { text }] of validation.entries()) {
      const { tokens, tags, slots } = tagger.tag(text);
      assert.equal(tokens, text.split(' '));
      assert.equal(tags, expected[i].tags);
      for (const { text: part, start, end } of slots) assert.is(text.slice(start, end), part);
    }
    // Typed otherwise than in the training: words are found where they stand.
    const typed = '  Flights from ROME, to New York  at 5pm!';
    assert.equal(
      tagger.tag(typed).slots,
      [
        { name: 'from', text: 'ROME', start: 15, end: 19 },
        { name: 'to', text: 'New York', start: 24, end: 32 },
        { name: 'time', text: '5pm', start: 37 - 1, end: 39 },
      ].map((slot) => ({ ...slot, start: typed.indexOf(slot.text), end: typed.indexOf(slot.text) + slot.text.length })),
    );
    assert.equal(tagger.tag(' ?! '), { tokens: [], tags: [], slots: [] });
  });
}

test('all methods train, in one direction and both', () => {
  for (const method of METHODS) {
    for (const directions of [1, 2] as const) {
      const { model } = finish(create({ method, directions, epochs: 1, compression: method === 'dense' ? 1 : 2 }));
      const again = decodeTagModel(new Runtime(), encodeModel(model));
      same(encodeModel(again), encodeModel(model), `${method}, ${directions}`);
    }
  }
});

test('a training that goes on from any step ends with the same bits', () => {
  const whole = create({ coMatrixDropout: { structure: 0.2, dopants: 0.2, hold: false, until: 0.8 }, measureEvery: 1 });
  const checkpoints: Uint8Array[] = [];
  while (!whole.done) {
    checkpoints.push(encodeCheckpoint(whole, 'run'));
    whole.step();
  }
  for (const checkpoint of checkpoints) {
    const resumed = finish(decodeCheckpoint(checkpoint, TagTraining).resume(new Runtime(), data));
    assert.equal(resumed.records, whole.records);
    same(encodeModel(resumed.model), encodeModel(whole.model), 'the models');
  }
  throws(() => decodeCheckpoint(checkpoints[0], IntentTraining), FileFormatError, /task: got "tag"; expected "intent"/);
  const other = { ...data, valid: { ...data.valid, tags: data.valid.tags.map((tags) => tags.with(0, 'B-to')) } };
  throws(() => decodeCheckpoint(checkpoints[0], TagTraining).resume(new Runtime(), other), InputError, /^data: /);
});

test('a teacher of the same tags teaches', () => {
  const teacher = finish(create({ method: 'dense', epochs: 2 })).model;
  const options = { ...create().options, distillation: { weight: 0.5, temperature: 2 } };
  const softTargets = TagTraining.create(teacher.runtime, vocabulary, options, data, { teacher });
  const alone = create();
  assert.is.not(softTargets.step(), alone.step());
});

test('rare numbers share a shape, and words that training has not seen are unknown', () => {
  const words = tagVocabulary(['flight 1234 at noon', 'flight 5678 at noon', 'Flight 17 17']);
  const ids = encodeWords('FLIGHT 9999 17 18 elsewhere', words);
  assert.equal(
    [...ids.slice(0, 3)].map((id) => words.tokens[id]),
    ['flight', '0000', '17'],
  );
  assert.equal([...ids.slice(3)], [0, 0]);
});

test('data and options that will not do are rejected by name', () => {
  const { train, valid } = data;
  const short = { ...train, tags: train.tags.map((tags) => tags.slice(1)) };
  throws(
    () => create({}, { train: short, valid }),
    InputError,
    /^train 0: got \d+ words and \d+ tags; expected one tag/,
  );
  throws(() => create({}, { train, valid: { sentences: [], tags: [] } }), InputError, /^valid: got 0 texts/);
  const outside = { ...train, tags: train.tags.map((tags) => tags.map(() => 'O')) };
  throws(() => create({}, { train: outside, valid }), InputError, /^train: got 1 different tags/);
  const strange = { ...valid, tags: valid.tags.map((tags) => tags.map(() => 'B-other')) };
  throws(() => create({}, { train, valid: strange }), InputError, /^valid: got no tag that train has/);
  throws(() => create({ batch: 0 }), InputError, /^batch: got 0/);
  throws(() => create({ embedding: 0 }), InputError, /^embedding: got 0/);
});

test('files of other tasks, and damaged ones, are rejected by name', () => {
  const { model } = create();
  const file = encodeModel(model);
  assert.instance(decodeModel(new Runtime(), file), TagModel);
  const { tensors, metadata } = decodeSafetensors(file);
  const withTask = (change: object) =>
    encodeSafetensors(tensors, { ...metadata, task: JSON.stringify({ ...JSON.parse(metadata.task), ...change }) });
  for (const [change, message] of [
    [{ name: 'intent' }, /got a model for the task "intent"; expected one for 'tag'/],
    [{ tags: ['O'] }, /tags/],
    [{ tags: model.tags.map(() => 'O') }, /tags/],
    [{ tags: [...model.tags, 'B-x'] }, /metadata.network/],
    [{ tags: undefined }, /tags/],
    [{ vocabulary: { rule: 'char', start: 0, tokens: ['<unk>', 'a'] } }, /vocabulary/],
    [{ config: { hidden: 1e9 } }, /config/],
  ] as const) {
    const damaged = withTask(change);
    throws(() => decodeTagModel(new Runtime(), damaged), FileFormatError, message);
    throws(() => new Tagger(loadSync(damaged)), FileFormatError, message);
  }
});

test.run();
