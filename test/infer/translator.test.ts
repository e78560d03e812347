// The search for a translation, against all there are; what hostile texts do; and turns of several searches.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { initSync, loadSync, Translator } from '../../src/infer/index.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { TranslationModel } from '../../src/tasks/translate/model.js';
import { defaultTranslationOptions, translationVocabularies } from '../../src/tasks/translate/training.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { noisy } from '../nn/oracle.js';

initSync();

function made(texts: string[], subwords: boolean, feed = false): Translator {
  const vocabularies = translationVocabularies(texts, texts, ['de', 'en'], { subwords, ...(subwords && { size: 40 }) });
  const options = {
    ...defaultTranslationOptions(),
    hidden: 8,
    embedding: 6,
    method: 'doped-lmf',
    compression: 2,
  } as const;
  const config = { ...options, ...(feed && { feed: true as const }) };
  const model = noisy(TranslationModel.create(new Runtime(), config, vocabularies, 5));
  for (const [, { data }] of model.parameters()) for (let i = 0; i < data.length; i++) data[i] *= 2;
  return new Translator(loadSync(encodeModel(model)));
}

/** <unk>, <eos> and three words. */
const few = made(['a b c', 'c a', 'a b c', 'b c a'], false);
const many = made(['ein mann liest ein buch .', 'zwei hunde , ein ball und 3 kinder'], true, true);

/** The best translation of at most `most` tokens, of all that there are. */
function best({ model, source, target }: Translator, text: string, most: number, lengthPower: number) {
  const session = () => model.session(model.encode(source.encodeSentence(text)));
  const all: { tokens: number[]; score: number }[] = [];
  const visit = (tokens: number[], logProbability: number) => {
    const at = session();
    let likelihoods = new Float32Array();
    for (const token of [target.eos, ...tokens]) likelihoods = model.logProbabilities([at], [token]).slice();
    for (let token = 1; token < target.size; token++) {
      const sum = logProbability + likelihoods[token];
      const n = tokens.length + 1;
      if (token === target.eos) all.push({ tokens, score: sum / n ** lengthPower });
      else if (n === most) all.push({ tokens: [...tokens, token], score: sum / n ** lengthPower });
      else visit([...tokens, token], sum);
    }
  };
  visit([], 0);
  return all.reduce((a, b) => (b.score > a.score ? b : a));
}

test('a beam as wide as all translations finds the best of them', () => {
  for (const text of ['a', 'c b', 'b a c a']) {
    for (const lengthPower of [0, 1]) {
      const { tokens, score } = best(few, text, 3, lengthPower);
      const found = few.translate(text, { beam: 200, maxTokens: 3, lengthPower });
      assert.ok(Math.abs(found.score - score) < 1e-5, `${found.score}, not ${score}`);
      assert.is(found.text, few.target.decode(tokens));
    }
  }
});

test('a beam of 1 takes the most likely token each time; the same text gives the same translation', () => {
  for (const translator of [few, many]) {
    const { model, source, target } = translator;
    for (const text of ['a b', 'ein mann', 'c']) {
      const session = model.session(model.encode(source.encodeSentence(text)));
      const tokens: number[] = [];
      for (let last = target.eos; tokens.length < 9; ) {
        const likelihoods = model.logProbabilities([session], [last]);
        last = 1;
        for (let i = 1; i < likelihoods.length; i++) if (likelihoods[i] > likelihoods[last]) last = i;
        if (last === target.eos) break;
        tokens.push(last);
      }
      const found = translator.translate(text, { beam: 1, maxTokens: 9 });
      assert.equal(
        found.tokens,
        tokens.map((token) => target.tokens[token]),
      );
      assert.equal(translator.translate(text, { beam: 1, maxTokens: 9 }), found);
    }
  }
});

test('each token has weights over the text, which add up to 1', () => {
  const { source, tokens, attention, text } = many.translate('Ein Mann liest.', { maxTokens: 6 });
  assert.is(source.at(-1), '<eos>');
  assert.is(attention.length, tokens.length);
  for (const row of attention) {
    assert.is(row.length, source.length);
    assert.ok(Math.abs(row.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-5);
  }
  assert.type(text, 'string');
  assert.not.match(text, /<unk>|<eos>|\u00ad/);
});

test('asynchronous and streamed translations are the synchronous ones, also when they take turns', async () => {
  const texts = ['ein mann', 'zwei hunde und 3 kinder', 'ball', 'buch . ein'];
  const options = { maxTokens: 12 };
  const expected = texts.map((text) => many.translate(text, options));
  assert.equal(await Promise.all(texts.map((text) => many.translateAsync(text, options))), expected);
  const streamed = await Promise.all(
    texts.map(async (text) => {
      let all = '';
      for await (const { text: part } of many.stream(text, options)) all += part;
      return all;
    }),
  );
  assert.equal(
    streamed,
    texts.map((text) => many.translate(text, { ...options, beam: 1 }).text),
  );
});

test('hostile texts have a translation or a named error, within bounded time', async () => {
  for (const text of ['', ' \n\t ', '\u00ad\ufeff']) {
    assert.equal(many.translate(text), { text: '', score: 0, source: ['<eos>'], tokens: [], attention: [] });
    for await (const _ of many.stream(text)) assert.unreachable();
  }
  const texts = [
    '🙂🏳️‍🌈👩‍👩‍👧‍👦',
    '漢字かな交じり文',
    'ข้อความภาษาไทย',
    'مرحبا بالعالم',
    '\u0000\ud800\udfff\uffff',
    `e${'\u0301'.repeat(2000)}`,
    'x'.repeat(900),
    '<unk> <eos> <unk>',
    '-'.repeat(400),
    'ein mann '.repeat(150),
  ];
  for (const text of texts) assert.type(many.translate(text, { beam: 2, maxTokens: 20 }).text, 'string');
  // Without a limit of one's own, there is one.
  assert.ok(many.translate('ein mann '.repeat(150), { beam: 1 }).tokens.length <= 2 * 1000 + 10);
  const long = 'ein mann '.repeat(500_000);
  for (const act of [() => many.translate(long), () => many.translate('x'.repeat(5_000_000))]) {
    assert.throws(
      act,
      (error: Error) =>
        error instanceof InputError && /^text: got \d+ tokens; expected at most 1000/.test(error.message),
    );
  }
});

test('wrong arguments are refused by name; a signal that is aborted ends a translation', async () => {
  const wrong = (options: object, message: RegExp) =>
    assert.throws(
      () => many.translate('ein', options),
      (error: Error) => error instanceof InputError && message.test(error.message),
    );
  wrong({ beam: 0 }, /^beam: got 0; expected an integer >= 1/);
  wrong({ beam: 1.5 }, /^beam: got 1\.5/);
  wrong({ lengthPower: Number.NaN }, /^lengthPower: got NaN/);
  wrong({ maxTokens: -1 }, /^maxTokens: got -1/);
  assert.throws(() => many.translate(7 as never), /^InputError|text: got 7; expected a string/);
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  for (const act of [
    () => many.translateAsync('ein mann', { signal: controller.signal }),
    async () => {
      for await (const _ of many.stream('ein mann', { signal: controller.signal })) assert.unreachable();
    },
  ]) {
    let caught = '';
    await act().catch((error: Error) => {
      caught = error.message;
    });
    assert.is(caught, 'enough');
  }
});

test.run();
