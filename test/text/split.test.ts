import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { countUnits, sampleTexts, splitOf, splitText, splitTexts } from '../../src/text/split.js';

const LEVELS = ['word', 'char'] as const;

test('the splits make up the text again, and none is empty where there is enough', () => {
  const unit = fc.constantFrom('a', '😀', ' ', '\r\n', 'é', 'e\u0301', '你', '。', '👩‍👧', '\u1112\u1161\u11ab');
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 300, size: 'max' }), fc.constantFrom(...LEVELS), (text, level) => {
      const { train, valid, test } = splitText(text, level);
      assert.is(train + valid + test, text);
      if (countUnits(text, level) >= 6) {
        for (const part of [train, valid, test]) assert.match(part, level === 'word' ? /\S/ : /./s);
      }
      // No cut inside a character, a cluster of marks, a joined emoji, a syllable or a line break.
      for (const part of [valid, test]) assert.not.match(part, /^(\n|\u0301|\u200d|[\udc00-\udfff\u1160-\u11ff])/);
      for (const part of [train, valid]) assert.not.match(part, /[\ud800-\udbff]$|\u200d$/);
    }),
  );
});

test('no word is cut', () => {
  const unit = fc.constantFrom('a', '😀', ' ', '\r\n');
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 300, size: 'max' }), (text) => {
      const { train, valid, test } = splitText(text);
      if (valid === '') return;
      for (const [before, after] of [
        [train, valid],
        [train + valid, test],
      ]) {
        assert.match(before, /\s$/);
        assert.match(after, /^\S/);
      }
    }),
  );
});

test('a text of even words is split 18 : 1 : 1', () => {
  const { train, valid, test } = splitText('word '.repeat(2000));
  for (const [part, nominal] of [
    [train, 9000],
    [valid, 500],
    [test, 500],
  ] as const) {
    assert.ok(Math.abs(part.length - nominal) <= 'word '.length);
  }
});

test('text without spaces is cut between characters at character level, between its words at word level', () => {
  for (const text of ['ACGT'.repeat(500), '我是学生你呢好'.repeat(300), `>header\n${'ACGT'.repeat(500)}\n`]) {
    const { train, valid, test } = splitText(text, 'char');
    for (const [part, share] of [
      [train, 18],
      [valid, 1],
      [test, 1],
    ] as const) {
      assert.ok(Math.abs(part.length - (share * text.length) / 20) < 12);
    }
  }
  const { valid, test } = splitText('我是学生。你呢？'.repeat(100), 'word');
  assert.is(valid.length, 40);
  assert.is(test.length, 40);
});

test('a short text leaves two words or characters in each part; a shorter one is all for training', () => {
  assert.equal(splitText('one two three four five six'), { train: 'one two ', valid: 'three four ', test: 'five six' });
  assert.equal(splitText('abcdef', 'char'), { train: 'ab', valid: 'cd', test: 'ef' });
  for (const text of ['', 'one two three four five', 'a'.repeat(1000)]) {
    assert.equal(splitText(text), { train: text, valid: '', test: '' });
  }
});

test('a text with few spaces is cut elsewhere, so that all parts are of their size', () => {
  const text = `${'的'.repeat(9200)}\n${'的'.repeat(780)}\n${'的'.repeat(18)}`;
  for (const level of LEVELS) {
    const { valid, test } = splitText(text, level);
    assert.ok(Math.abs(valid.length - 500) < 5 && Math.abs(test.length - 500) < 5, `${valid.length}, ${test.length}`);
  }
});

test('many short texts are split by text, at regular distances', () => {
  const texts = Array.from({ length: 100 }, (_, i) => `tweet ${i}`);
  const { train, valid, test } = splitTexts(texts, 'word');
  assert.equal(
    valid,
    [3, 23, 43, 63, 83].map((i) => `tweet ${i}`),
  );
  assert.equal(
    test,
    [13, 33, 53, 73, 93].map((i) => `tweet ${i}`),
  );
  assert.equal(
    train,
    texts.filter((text) => !valid.includes(text) && !test.includes(text)),
  );
  for (let n = 3; n < 60; n++) {
    const splits = splitTexts(texts.slice(0, n), 'word');
    const sizes = [splits.train, splits.valid, splits.test].map(({ length }) => length);
    assert.is(sizes[0] + sizes[1] + sizes[2], n);
    assert.ok(Math.min(...sizes) >= 1 && sizes[1] <= 1 + n / 20 && sizes[2] <= 1 + n / 20, `${n}: ${sizes}`);
  }
});

test('texts of a few dozen words are not cut to scraps', () => {
  const texts = Array.from({ length: 20 }, (_, i) => `${`message ${i} `.repeat(25)}ends here`);
  const { train, valid, test } = splitTexts(texts, 'word');
  assert.equal([train.length, valid, test], [18, [texts[3]], [texts[13]]]);
  assert.is(splitTexts(texts, 'char').train.length, 18);
});

test('texts that are long enough are cut each, and short ones among them go whole', () => {
  const long = ['x', 'y'].map((name) => `${name} is a word. `.repeat(100));
  const { train, valid, test } = splitTexts(['a note', long[0], 'another', long[1]], 'word');
  const [first, second] = long.map((text) => splitText(text));
  assert.equal(train, ['a note', first.train, 'another', second.train]);
  assert.equal(valid, [first.valid, second.valid]);
  assert.equal(test, [first.test, second.test]);
});

test('one or two short texts are cut between their words', () => {
  const text = 'one two three four five six';
  assert.equal(splitTexts([text], 'word'), { train: ['one two '], valid: ['three four '], test: ['five six'] });
  assert.equal(splitTexts([text, 'seven'], 'word').train, ['one two ', 'seven']);
});

test('no text is in two splits', () => {
  for (let period = 3; period <= 20; period++) {
    const places = Array.from({ length: period }, (_, i) => splitOf(i, period));
    assert.is(places.filter((split) => split === 'valid').length, 1);
    assert.is(places.filter((split) => split === 'test').length, 1);
  }
});

test('texts are sampled at regular distances, the first among them', () => {
  const texts = Array.from({ length: 30 }, (_, i) => `text ${i} has five words`);
  const tokens = 5 * texts.length;
  const every = (n: number) => texts.filter((_, i) => i % n === 0);
  for (const n of [1, 2, 3, 5, 10]) assert.equal(sampleTexts(texts, 'word', tokens / n), every(n));
  assert.equal(sampleTexts(texts, 'word', 1), [texts[0]]);
  assert.equal(sampleTexts(texts, 'word', 10 * tokens), texts);
  // A text longer than is needed stands for more.
  assert.equal(sampleTexts(['a b c d e f', 'g', 'h', 'i', 'j', 'k'], 'tokens', 7), ['a b c d e f', 'k']);
});

test.run();
