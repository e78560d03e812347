// The time and memory of reading a text are proportional to its length, whatever it holds. Each pattern is repeated to
// 400,000 characters: quadratic time would be minutes for each, more than this file is given.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Vocabulary } from '../../src/infer/index.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { splitText } from '../../src/text/split.js';
import { type Rule, readTokens } from '../../src/text/tokens.js';

const LENGTH = 400_000;
const BREAKS = [' ', '\n', '\n ', ' \r\n', '\u2028', 'a ', '<eos>\n'];
const MARKS = [
  '\u0301',
  '\u0316\u0301',
  'क्\u200d',
  '\u200d',
  '\u00ad',
  '\ufeff',
  '\ud800',
  '😀',
  '👩\u200d',
  '\u1112\u1161\u11ab',
];
const WORDS = [
  ...['!', '! ', '!)', '."', '.")', '…', '。', '“', '.\u200f', '<unk>', '<'],
  ...['1', '1.', '1.1.', '1,', '٣', '٣٫', '1st', "1'"],
  ...['a', 'A', 'a.', 'a-', "a'", 'a’', 'i. ', 'mr.', 'no. ', 'N', 'N ', 'я', 'я\u200d', 'я-', '𐐀', 'Σ', '가'],
  ...['我', '我\u0301', 'ะ', 'あ。', '\u200c', '\u200f', '\u034f'],
];
const cases: [Rule, string[]][] = [
  ['prose', [...BREAKS, ...MARKS, ...WORDS]],
  ['lines', [...BREAKS, '!', 'a-']],
  ['tokens', [...BREAKS, ...MARKS]],
  ['char', [...BREAKS, ...MARKS]],
];

for (const [rule, patterns] of cases) {
  test(`text of any kind is read in time: ${rule}`, () => {
    for (const pattern of patterns) {
      let read = 0;
      let longest = 0;
      readTokens(`${pattern.repeat(LENGTH / pattern.length)}x`, rule, (token) => {
        read++;
        longest = Math.max(longest, token.length);
      });
      assert.ok(read >= 1, pattern);
      if (rule !== 'tokens') assert.ok(longest < 200_000, `${pattern}: a token of ${longest} characters`);
    }
  });
}

test('text of any kind is split in time', () => {
  for (const pattern of [...BREAKS, ...MARKS, '!', '我', '我。']) {
    const text = pattern.repeat(LENGTH / pattern.length);
    for (const level of ['word', 'char'] as const) {
      const { train, valid, test } = splitText(text, level);
      assert.is(train.length + valid.length + test.length, text.length);
    }
  }
});

test('no loop of a regular expression runs out of stack, at five million rounds', () => {
  for (const pattern of ['я', '١', 'я-']) {
    let read = 0;
    readTokens(pattern.repeat(5_000_000), 'prose', () => read++);
    assert.ok(read > 1000, pattern);
  }
});

test('a sentence of a million words is encoded, decoded and ended', () => {
  const vocabulary = buildVocabulary(['one two. three'], 'word');
  const text = 'one two '.repeat(500_000);
  const ids = vocabulary.encodeSentence(text);
  assert.is(ids.length, 1_000_001);
  assert.is(ids.at(-1), vocabulary.eos);
  assert.equal(vocabulary.encodeSentence('one.'), vocabulary.encode('one.'), 'one end, not two');
  assert.is(vocabulary.decode(ids), `${text.trim()}\n`);
});

test('a vocabulary of a million tokens is built and read', () => {
  const tokens = Array.from({ length: 1_000_000 }, (_, i) => `w${i}`);
  const vocabulary = buildVocabulary([tokens.join(' ')], 'tokens', 1_000_002);
  assert.is(Vocabulary.fromJSON(JSON.parse(JSON.stringify(vocabulary))).encode('w999999')[0], 1_000_000);
});

test.run();
