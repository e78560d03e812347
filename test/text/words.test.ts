import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { findWords, foldWord, idOfWord, splitWords } from '../../src/text/words.js';

const WORDS = "flights from boston to denver st. petersburg o'clock american's 5 pm 00 ap57 top-rated r&b café : 北 京";
const vocabulary = buildVocabulary([WORDS], 'tokens');

/** The words that are found, those that the vocabulary lacks in brackets. */
const found = (text: string) =>
  findWords(text, vocabulary).map(({ id, start, end }) =>
    id ? text.slice(start, end) : `[${text.slice(start, end)}]`,
  );

test('words of typed text are found as the vocabulary has them', () => {
  const cases: [text: string, words: string[]][] = [
    ['Flights from Boston to Denver, please!', ['Flights', 'from', 'Boston', 'to', 'Denver', '[please]']],
    ['(BOSTON) "to" St. Petersburg.', ['BOSTON', 'to', 'St.', 'Petersburg']],
    ['to “St.”, not st', ['to', 'St.', '[not]', '[st]']],
    ["5pm at 7 o’clock, 5 o'clock", ['5', 'pm', '[at]', '[7]', 'o’clock', '5', "o'clock"]],
    ['12 99pm 123 ap57', ['12', '99', 'pm', '[123]', 'ap57']],
    ["American's, Boston's", ["American's", 'Boston', '[s]']],
    ['Top\u2010rated R&B; jean-pierre, from/to', ['Top\u2010rated', 'R&B', '[jean-pierre]', 'from', 'to']],
    ['cafe\u0301 CAFÉ caf\u00ade\u0301', ['cafe\u0301', 'CAFÉ', 'caf\u00ade\u0301']],
    ['boston : denver:', ['boston', ':', 'denver', ':']],
    ['我去北京 to 北', ['[我]', '[去]', '北', '京', 'to', '北']],
    ['👩‍👩‍👧 to 🇩🇪\u0085from\ufeffboston 1️⃣', ['to', 'from', 'boston', '[1️⃣]']],
    ['نمی‌خواهم क्षि', ['[نمی‌خواهم]', '[क्षि]']],
    ['<unk> <eos>', ['[unk]', '<eos>']],
    ['', []],
    [' ...!? — \ud800 \u00ad \u0301', []],
  ];
  for (const [text, words] of cases) assert.equal(found(text), words, text);
});

/** Pieces that are likely to meet in text, and any others. */
const piece = fc.oneof(
  fc.constantFrom(
    ...WORDS.split(' '),
    ' ',
    ',',
    "'",
    '-',
    '\u0301',
    '\u200d',
    '\ufe0f',
    '👩',
    'İ',
    'ß',
    'ǆ',
    '\ud800',
    '\u0085',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
);
const anyText = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(''));

test('of any text, words stand in order, do not overlap, and are what their ids say', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      let last = 0;
      for (const { id, start, end } of findWords(text, vocabulary)) {
        assert.ok(last <= start && start < end && end <= text.length, `${start} to ${end}`);
        const word = text.slice(start, end);
        assert.is(id, idOfWord(foldWord(word), vocabulary), word);
        assert.is(splitWords(word).length, 1, 'no white space within a word');
        last = end;
      }
    }),
    { numRuns: 2000 },
  );
});

test('a sentence of known words is found as it was in training, in any case and form', () => {
  const known = [...vocabulary.tokens.slice(2)].filter((word) => word !== '北' && word !== '京');
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...known), { minLength: 1 }), fc.boolean(), (words, upper) => {
      const text = words.join(' ').normalize('NFD');
      const typed = upper ? text.toUpperCase() : text;
      assert.equal(
        findWords(typed, vocabulary).map(({ id }) => vocabulary.tokens[id]),
        words,
      );
    }),
  );
});

test('no text takes time or stack beyond its length', () => {
  for (const unit of ['a', '1', '(', "'", '\u0301', '北', 'a-', '👩', ' x', '\u200d']) {
    const words = findWords(unit.repeat(60_000 / unit.length), vocabulary);
    assert.ok(words.length <= 60_000);
  }
});

test('what is no text is refused', () => {
  for (const text of [undefined, null, 5, ['a']]) {
    assert.throws(
      () => findWords(text as never, vocabulary),
      (error: unknown) => error instanceof InputError && error.message.startsWith('text: got '),
    );
  }
});

test.run();
