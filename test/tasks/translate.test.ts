// Models of translation: what they learn, that nothing but the seed decides, and their files.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeModel } from '../../src/cli/tasks.js';
import { FileFormatError, InputError } from '../../src/errors.js';
import { initSync, loadSync, Translator } from '../../src/infer/index.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/io/safetensors.js';
import { modelConfig } from '../../src/nn/config.js';
import { METHODS } from '../../src/operators/methods.js';
import { shuffledBatchesOfEqualLength } from '../../src/tasks/by-length.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { decodeTranslationModel, TranslationModel } from '../../src/tasks/translate/model.js';
import {
  defaultTranslationOptions,
  type TranslationData,
  type TranslationOptions,
  TranslationTraining,
  translationLossInParts,
  translationVocabularies,
} from '../../src/tasks/translate/training.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { complete } from '../../src/work.js';
import { bits, noisy } from '../nn/oracle.js';

const GERMAN = ['ein', 'hund', 'mann', 'sieht', 'hört', 'den', 'ball', 'rot', 'klein', 'und'];
const ENGLISH = ['a', 'dog', 'man', 'sees', 'hears', 'the', 'ball', 'red', 'small', 'and'];

/** Made-up sentences, and their translations: word by word, in reverse order. */
function sentences(n: number, first: number) {
  const picks = Array.from({ length: n }, (_, i) =>
    Array.from(
      { length: 2 + ((i + first) % 4) },
      (_, j) => ((i + first) * 7 + j * j * 3 + j * (i + first)) % GERMAN.length,
    ),
  );
  return {
    sources: picks.map((pick) => pick.map((word) => GERMAN[word]).join(' ')),
    targets: picks.map((pick) =>
      pick
        .map((word) => ENGLISH[word])
        .reverse()
        .join(' '),
    ),
  };
}

const [train, valid] = [sentences(120, 0), sentences(24, 500)];
const vocabularies = translationVocabularies(train.sources, train.targets, ['de', 'en'], { subwords: false });
const pairs = ({ sources, targets }: typeof train) => ({
  sources: sources.map((text) => vocabularies.source.encodeSentence(text)),
  targets: targets.map((text) => vocabularies.target.encodeSentence(text)),
});
const data: TranslationData = { train: pairs(train), valid: pairs(valid) };

const tiny: TranslationOptions = {
  ...defaultTranslationOptions(),
  hidden: 24,
  embedding: 16,
  method: 'doped-kron',
  compression: 3,
  batch: 8,
  epochs: 2,
  dropout: 0.1,
  seed: 3,
};

const create = (options: Partial<TranslationOptions> = {}, runtime = new Runtime()) =>
  TranslationTraining.create(runtime, vocabularies, { ...tiny, ...options }, data);

function finish(training: TranslationTraining): Uint8Array {
  while (!training.done) training.step();
  return encodeCheckpoint(training, null);
}

const same = (a: Uint8Array, b: Uint8Array, what: string) => assert.is(Buffer.compare(a, b), 0, what);

const VARIANTS: Record<string, Partial<TranslationOptions>> = {
  plain: {},
  'fed, tied, two layers': { feed: true, tied: true, layers: 2, score: 'dot' },
  'gru, forward, pruned, in 4 bits': { cell: 'gru', directions: 1, method: 'pruned', bits: 4 },
  'pruned, with early stopping': { method: 'pruned', learningRate: 0.1, epochs: 5, patience: 1 },
};

for (const [name, options] of Object.entries(VARIANTS)) {
  test(`${name}: resumed after any step, and with any number of threads, it ends with the same bits`, async () => {
    const whole = create(options);
    const checkpoints: Uint8Array[] = [];
    for (let step = 0; !whole.done; step++) {
      if (step % 11 === 5) checkpoints.push(encodeCheckpoint(whole, null));
      whole.step();
    }
    const end = encodeCheckpoint(whole, null);
    for (const checkpoint of checkpoints) {
      same(finish(decodeCheckpoint(checkpoint, TranslationTraining).resume(new Runtime(), data)), end, 'resumed');
    }
    same(finish(create(options)), end, 'the same seed');
    const runtime = new Runtime({ threads: 2 });
    for (const until = Date.now() + 60_000; !runtime.ready && Date.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.ok(runtime.ready);
    same(finish(create(options, runtime)), end, 'two threads');
    runtime.close();
  });
}

test('it learns to translate, by whatever search, doped or dense, with and without feeding', () => {
  initSync();
  for (const options of [{}, { method: 'dense', compression: 1, feed: true }] as const) {
    const training = create({ epochs: 30, learningRate: 0.02, dropout: 0, ...options });
    finish(training);
    const { perplexity } = training.records.findLast((record) => record.kind === 'valid') as { perplexity: number };
    assert.ok(perplexity < 1.3, `${perplexity}`);
    const translator = new Translator(loadSync(encodeModel(training.model)));
    for (const beam of [1, 4]) {
      const right = valid.sources.filter((text, i) => translator.translate(text, { beam }).text === valid.targets[i]);
      assert.ok(right.length >= 20, `${right.length} of ${valid.sources.length} with a beam of ${beam}`);
    }
  }
});

test('a small file of few bits translates as the model that was trained with them', () => {
  initSync();
  const training = create({ epochs: 30, learningRate: 0.02, dropout: 0, tied: true, bits: 4 });
  finish(training);
  const bytes = encodeModel(training.model, training.bits);
  assert.ok(bytes.length < encodeModel(training.model).length / 2);
  const translator = new Translator(loadSync(bytes));
  const right = valid.sources.filter((text, i) => translator.translate(text).text === valid.targets[i]);
  assert.ok(right.length >= 18, `${right.length}`);
});

for (const method of ['dense', 'doped-kron'] as const) {
  test(`${method}: early stopping waits for the end of pruning, and then keeps the model of the best pass`, () => {
    // A rate that is too high, so that the last pass is not the best.
    const training = create({ epochs: 30, learningRate: 0.3, patience: 2, method, compression: 3 });
    finish(training);
    const { annealing, epochs } = training.options;
    const measured = training.records.flatMap((record) => (record.kind === 'valid' ? [record] : []));
    const after = measured
      .filter(({ step }) => step > annealing.end * training.totalSteps)
      .map((one) => one.perplexity!);
    const best = Math.min(...after);
    assert.is.not(after.at(-1), best);
    assert.ok(measured.length === epochs || after.length - 1 - after.indexOf(best) === 2, `${measured.length} passes`);
    const perplexity = (model: TranslationModel) => Math.exp(complete(translationLossInParts(model, data.valid)));
    assert.is(perplexity(training.model), best);
    assert.is(perplexity(decodeTranslationModel(new Runtime(), encodeModel(training.model))), best);
    // Resumed where it has stopped, it stays so.
    const stopped = decodeCheckpoint(encodeCheckpoint(training, null), TranslationTraining).resume(new Runtime(), data);
    assert.ok(stopped.done);
    assert.is(perplexity(stopped.model), best);
  });
}

test('batches have sources of one length, hold every text once, and are as many in each epoch', () => {
  const { sources, targets } = data.train;
  const counts = new Set<number>();
  const orders = new Set<string>();
  for (let epoch = 0; epoch < 4; epoch++) {
    const batches = shuffledBatchesOfEqualLength(sources, targets, 7, 1, epoch);
    counts.add(batches.length);
    orders.add(JSON.stringify(batches));
    for (const batch of batches) {
      assert.ok(batch.length <= 7);
      assert.is(new Set(Array.from(batch, (i) => sources[i].length)).size, 1);
    }
    assert.equal(
      batches.flatMap((batch) => [...batch]).sort((a, b) => a - b),
      [...sources.keys()],
    );
  }
  assert.is(counts.size, 1);
  assert.is(orders.size, 4);
});

for (const method of METHODS) {
  test(`a model of ${method} comes back bit for bit`, () => {
    const config = {
      ...modelConfig(tiny),
      embedding: 16,
      score: 'dot' as const,
      method,
      compression: method === 'dense' ? 1 : 3,
    };
    const model = noisy(TranslationModel.create(new Runtime(), config, vocabularies, 1));
    const bytes = encodeModel(model);
    const read = decodeTranslationModel(new Runtime(), bytes);
    assert.equal(read.schema, model.schema);
    for (const [i, [name, operator]] of model.operators().entries()) {
      assert.is(bits(read.operators()[i][1].toDense()), bits(operator.toDense()), name);
    }
    assert.is(Buffer.compare(encodeModel(read), bytes), 0);
    assert.instance(decodeModel(new Runtime(), bytes), TranslationModel);
  });
}

test('a file that is no model of translation is refused, naming what is wrong', () => {
  const { tensors, metadata } = decodeSafetensors(
    encodeModel(TranslationModel.create(new Runtime(), tiny, vocabularies, 1)),
  );
  const task = JSON.parse(metadata.task);
  const network = JSON.parse(metadata.network);
  const refused = (changes: object, changed: object, message: RegExp) => {
    const bytes = encodeSafetensors(tensors, {
      ...metadata,
      task: JSON.stringify({ ...task, ...changes }),
      network: JSON.stringify({ ...network, ...changed }),
    });
    for (const read of [() => decodeTranslationModel(new Runtime(), bytes), () => new Translator(loadSync(bytes))]) {
      assert.throws(
        read,
        (error: Error) => error instanceof FileFormatError && message.test(error.message),
        String(message),
      );
    }
  };
  initSync();
  refused({ languages: ['de', '../etc'] }, {}, /languages: got .*; expected the names of two languages/);
  refused({ languages: 'de' }, {}, /languages/);
  refused({ source: undefined }, {}, /vocabulary/);
  refused({ config: { ...task.config, score: 'none' } }, {}, /config\.score/);
  refused({ config: { ...task.config, hidden: 25 } }, {}, /config\.hidden: got 25; expected an even number/);
  refused({}, { encoder: undefined }, /encoder/);
  refused({}, { encoder: { ...network.encoder, layers: [] } }, /layers/);
});

test('wrong settings are refused by name', () => {
  const wrong = (act: () => unknown, message: RegExp) =>
    assert.throws(act, (error: Error) => error instanceof InputError && message.test(error.message), String(message));
  wrong(() => create({ hidden: 7 }), /^hidden: got 7; expected an even number/);
  wrong(() => create({ labelSmoothing: 1 }), /^label smoothing: got 1/);
  wrong(() => create({ patience: -1 }), /^patience: got -1/);
  wrong(() => create({ score: 'none' as 'dot' }), /^score: got "none"; expected general or dot/);
  const empty = { ...data, valid: { sources: [], targets: [] } };
  wrong(
    () => TranslationTraining.create(new Runtime(), vocabularies, tiny, empty),
    /^valid: got 0 texts and 0 translations/,
  );
});

test.run();
