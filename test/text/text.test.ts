import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError } from '../../src/errors.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import type { Level, Rule } from '../../src/text/tokens.js';
import { Vocabulary } from '../../src/text/vocabulary.js';

/** The tokens of a text, seen through a vocabulary that has them all. */
function words(text: string, rule: Rule = 'prose'): string[] {
  const vocabulary = buildVocabulary([text, 'filler'], rule);
  return [...vocabulary.encode(text)].map((id) => vocabulary.tokens[id]);
}

function refused(run: () => unknown, type: typeof InputError | typeof FileFormatError, message: RegExp): void {
  assert.throws(run, (error: unknown) => error instanceof type && message.test(error.message), String(message));
}

const levels = fc.constantFrom<Level | Rule>('word', 'prose', 'lines', 'tokens', 'char');
const anyText = fc.string({ unit: 'binary', maxLength: 200 });
const pieces = [...'abI N.!?\'"-1,é\n', '. ', '<unk>', '<eos>', '’', 'mr.', 'U.S.'];
const prose = fc.string({ unit: fc.constantFrom(...pieces), maxLength: 100 });

test('words are in lower case, without punctuation', () => {
  assert.equal(words('Fellow-Citizens: (the) SENATE, "House" — and; others'), [
    'fellow-citizens',
    'the',
    'senate',
    'house',
    'and',
    'others',
  ]);
});

test('words keep inner apostrophes and hyphens, and only inner ones', () => {
  assert.equal(words("don't citizens' 'tis well-to-do -so- war--and"), [
    "don't",
    'citizens',
    'tis',
    'well-to-do',
    'so',
    'war',
    'and',
  ]);
  assert.equal(words('don’t fellow\u2011citizens'), ["don't", 'fellow-citizens']);
});

test('letters are those of Unicode, combining marks included', () => {
  assert.equal(words('Ærø naïve q\u0308x ΩΜΕΓΑ ΔΕΝ'), ['ærø', 'naïve', 'q\u0308x', 'ωμεγα', 'δεν']);
});

test('every number is N', () => {
  for (const number of ['7', '1,000,000', '$3.50', '21st', '2d', "1930's", '1930s', '9:30', '9/11', '50%', '2½', '٣']) {
    assert.equal(words(`a ${number} b`), ['a', 'N', 'b'], number);
  }
  assert.equal(words('30-year B-52 16mm 1914-1918'), ['N', 'year', 'b', 'N', 'N', 'mm', 'N', 'N']);
});

test('a sentence ends in . ! or ? before a space, a closing quote or the end', () => {
  assert.equal(words('One. Two! Three?'), ['one', '<eos>', 'two', '<eos>', 'three', '<eos>']);
  assert.equal(words('"One." (Two.) “Three.” four'), ['one', '<eos>', 'two', '<eos>', 'three', '<eos>', 'four']);
  assert.equal(words('It cost 3.50. He paid.'), ['it', 'cost', 'N', '<eos>', 'he', 'paid', '<eos>']);
  assert.equal(words('so . . . it went... on'), ['so', '<eos>', 'it', 'went', '<eos>', 'on']);
  assert.equal(words('So do I. They do.'), ['so', 'do', 'i', '<eos>', 'they', 'do', '<eos>']);
});

test('a newline alone ends no sentence in prose', () => {
  assert.equal(words('wrapped\nat eighty\r\ncolumns.\n\nNext'), [
    'wrapped',
    'at',
    'eighty',
    'columns',
    '<eos>',
    'next',
  ]);
});

test('abbreviations keep their dots and end no sentence', () => {
  assert.equal(words('Mr. Speaker of the U.S. Senate'), ['mr.', 'speaker', 'of', 'the', 'u.s.', 'senate']);
  assert.equal(words('John F. Kennedy, Dec. 5, No. 7'), ['john', 'f.', 'kennedy', 'dec.', 'N', 'no.', 'N']);
  assert.equal(words('No. Never the best. Row'), ['no', '<eos>', 'never', 'the', 'best', '<eos>', 'row']);
});

test('<unk>, N and <eos> in a text stay themselves, and <unk> is not counted as a word', () => {
  const text = 'the <unk> <unk> <unk> sold N shares <eos> and N more N';
  const vocabulary = buildVocabulary([text], 'word');
  assert.equal(
    [...vocabulary.encode(text)].map((id) => vocabulary.tokens[id]),
    text.split(' '),
  );
  assert.is(vocabulary.encode('<unk>')[0], vocabulary.unknown);
  assert.is(vocabulary.tokens.filter((token) => token === '<unk>').length, 1);
  assert.is(vocabulary.tokens[1], 'N');
});

test('text in tokens is taken as it stands, a sentence a line', () => {
  const lines = " no it was n't black monday \n mr. <unk> 's $ N-a-share\\/offer \r\n\n u.s. # & -- c.d.s \n";
  assert.equal(
    words(lines, 'tokens'),
    "no it was n't black monday <eos> mr. <unk> 's $ N-a-share\\/offer <eos> u.s. # & -- c.d.s <eos>".split(' '),
  );
  assert.equal(words("it was n't", 'tokens'), ['it', 'was', "n't"], 'a prompt has no end');
});

test('text in tokens comes back from its ids, line by line', () => {
  const token = fc.constantFrom('the', 'mr.', "n't", "'s", '$', 'N', '<unk>', 'u.s.', 'N-year', '&', '我', '们');
  const sentences = fc.array(fc.array(token, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(sentences, (lines) => {
      const text = lines.map((line) => `${line.join(' ')}\n`).join('');
      const vocabulary = buildVocabulary([text, 'filler'], 'tokens');
      assert.is(vocabulary.decode(vocabulary.encode(text)), text);
    }),
  );
});

test('text of plain words and full stops comes back from its ids', () => {
  const word = fc.stringMatching(/^[a-z]{2,8}(['-][a-z]{2,4})?$/);
  fc.assert(
    fc.property(fc.array(fc.array(word, { minLength: 1 }), { minLength: 1 }), (sentences) => {
      const ended = sentences.map((sentence) => [...sentence, 'end']);
      const text = ended.map((sentence) => `${sentence.join(' ')}.`).join(' ');
      const vocabulary = buildVocabulary([text], 'word');
      assert.is(
        vocabulary.decode(vocabulary.encode(text)),
        ended.map((sentence) => `${sentence.join(' ')}\n`).join(''),
      );
    }),
  );
});

test('characters are code points, and CRLF is LF', () => {
  const vocabulary = buildVocabulary(['a😀\r\n😀'], 'char');
  assert.equal(vocabulary.tokens, ['<unk>', '😀', 'a', '\n']);
  assert.equal([...vocabulary.encode('😀a\r\n')], [1, 2, 3]);
  assert.is(vocabulary.eos, -1);
});

test('text comes back from its character ids', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const vocabulary = buildVocabulary([text, 'a'], 'char');
      const visible = text.replace(/[\u00ad\ufeff]/g, '');
      assert.is(vocabulary.decode(vocabulary.encode(text)), visible.normalize('NFC').replaceAll('\r\n', '\n'));
    }),
  );
});

test('ids are in range whatever the text, and can be decoded', () => {
  fc.assert(
    fc.property(prose, fc.oneof(prose, anyText), levels, (known, text, how) => {
      const vocabulary = buildVocabulary([known, 'a. b'], how);
      const ids = vocabulary.encode(text);
      assert.ok(ids.every((id) => id >= 0 && id < vocabulary.size));
      assert.type(vocabulary.decode(ids), 'string');
    }),
  );
});

test('prose has no empty sentence inside', () => {
  fc.assert(
    fc.property(prose, (text) => {
      assert.not.match(words(text).join(' '), /<eos> <eos>/);
    }),
  );
});

test('tokens are ranked by frequency, then by first appearance', () => {
  assert.equal(buildVocabulary(['be an co. an', 'co do. be'], 'word').tokens, [
    '<unk>',
    'be',
    'an',
    'co',
    '<eos>',
    'do',
  ]);
  const letters = fc.string({ unit: fc.constantFrom(...'abcdefgh'), minLength: 1 });
  fc.assert(
    fc.property(fc.array(letters, { minLength: 1 }), (texts) => {
      const all = texts.join('');
      const count = (token: string) => all.split(token).length;
      const { tokens } = buildVocabulary(texts, 'char');
      for (let id = 2; id < tokens.length; id++) {
        const [before, token] = [tokens[id - 1], tokens[id]];
        if (count(before) === count(token)) assert.ok(all.indexOf(before) < all.indexOf(token));
        else assert.ok(count(before) > count(token));
      }
    }),
  );
});

test('a smaller vocabulary is the beginning of a larger one, with <eos> kept', () => {
  fc.assert(
    fc.property(prose, (extra) => {
      const texts = ['one two three one. four', extra];
      const whole = buildVocabulary(texts, 'word');
      for (let size = 2; size <= whole.size; size++) {
        const vocabulary = buildVocabulary(texts, 'word', size);
        assert.is(vocabulary.size, size);
        assert.is(vocabulary.tokens[vocabulary.eos], '<eos>');
        const ranked = whole.tokens.slice(0, vocabulary.eos < whole.eos ? size - 1 : size);
        assert.equal(vocabulary.tokens.slice(0, ranked.length), ranked);
      }
    }),
  );
});

test('<eos> is ranked as any other word, and is one even when no sentence ends', () => {
  assert.equal(buildVocabulary(['be an. co'], 'word').tokens, ['<unk>', 'be', 'an', '<eos>', 'co']);
  assert.equal(buildVocabulary(['one two'], 'word').tokens, ['<unk>', 'one', 'two', '<eos>']);
});

test('the default size is 10,000 words or 256 characters, or what there is', () => {
  const name = (i: number) => [...String(i)].map((digit) => 'abcdefghij'[Number(digit)]).join('');
  const many = Array.from({ length: 12_000 }, (_, i) => `x${name(i)}`).join(' ');
  assert.is(buildVocabulary([many], 'word').size, 10_000);
  assert.is(buildVocabulary([many], 'word', 12_002).size, 12_002);
  const chars = String.fromCodePoint(...Array.from({ length: 300 }, (_, i) => 0x4e00 + i));
  assert.is(buildVocabulary([`${chars}${'a'.repeat(60 * 300)}`], 'char').size, 256);
  assert.is(buildVocabulary(['abc'], 'char').size, 4);
});

test('a size that cannot be had is refused by name', () => {
  refused(() => buildVocabulary(['one two. one'], 'word', 5), InputError, /^vocab: got 5; expected at most 4,/);
  refused(() => buildVocabulary(['abca'], 'char', 5), InputError, /^vocab: got 5; expected at most 4,/);
  for (const size of [1, 0, -3, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    refused(
      () => buildVocabulary(['one two. one'], 'word', size),
      InputError,
      /^vocab: got .*; expected an integer >= 2$/,
    );
  }
});

test('texts without a token are refused', () => {
  refused(() => buildVocabulary([], 'char'), InputError, /^texts: got no character; /);
  refused(() => buildVocabulary(['— … ? <unk>'], 'word'), InputError, /^texts: got no word; /);
});

test('what is not in the vocabulary is unknown, and shown as such', () => {
  const byWord = buildVocabulary(['one two. one.'], 'word');
  assert.is(byWord.decode(byWord.encode('One three. Two constructor')), 'one <unk>\ntwo <unk>');
  const byChar = buildVocabulary(['ab'], 'char');
  assert.is(byChar.decode(byChar.encode('a😀b')), 'a\ufffdb');
});

test('a sentence of characters has no end', () => {
  const characters = buildVocabulary(['the cat'], 'char');
  for (const text of ['cat', '']) assert.equal(characters.encodeSentence(text), characters.encode(text));
});

test('an id out of range is refused by place', () => {
  const vocabulary = buildVocabulary(['one two'], 'word');
  for (const id of [4, -1, 0.5, Number.NaN]) {
    refused(() => vocabulary.decode([1, id]), InputError, /^ids\[1\]: got .*; expected an integer from 0 to 3$/);
  }
});

test('more characters are kept where 256 would leave over 1 % unknown, up to 10,000', () => {
  const chars = String.fromCodePoint(...Array.from({ length: 1000 }, (_, i) => 0x4e00 + i));
  // Of 1000 + 9000 characters at most 100 may be unknown.
  assert.is(buildVocabulary([chars + 'a'.repeat(9000)], 'char').size, 1 + 1 + 900);
  assert.is(buildVocabulary([chars + 'a'.repeat(9000)], 'char', 30).size, 30);
  const all = Array.from({ length: 12_000 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join('');
  assert.is(buildVocabulary([all], 'char').size, 10_000);
});

test('a vocabulary survives JSON', () => {
  fc.assert(
    fc.property(fc.oneof(prose, anyText), levels, (text, how) => {
      const vocabulary = buildVocabulary([text, 'a.'], how);
      const copy = Vocabulary.fromJSON(JSON.parse(JSON.stringify(vocabulary)));
      assert.equal(copy.toJSON(), vocabulary.toJSON());
      assert.is(copy.eos, vocabulary.eos);
      assert.is(copy.level, how === 'char' ? 'char' : 'word');
      assert.equal(copy.encode(text), vocabulary.encode(text));
    }),
  );
});

test('JSON that is no vocabulary is rejected', () => {
  const words = { rule: 'prose', start: 1 };
  const chars = { rule: 'char', start: 1 };
  const bad: [unknown, RegExp][] = [
    [null, /^vocabulary: got null/],
    ['word', /^vocabulary: got "word"/],
    [
      { start: 1, tokens: ['<unk>', 'a'] },
      /^vocabulary\.rule: got nothing; expected one of prose, lines, tokens, typed, char$/,
    ],
    [{ rule: 'word', start: 1, tokens: ['<unk>', 'a'] }, /^vocabulary\.rule: got "word"/],
    [chars, /^vocabulary\.tokens: got nothing; expected a text, or a list/],
    [{ ...chars, tokens: 7 }, /^vocabulary\.tokens: got 7; expected a text, or a list/],
    [{ ...chars, tokens: 'aba' }, /^vocabulary\.tokens\[3\]: got "a"/],
    [{ ...words, tokens: 'a  <eos>' }, /^vocabulary\.tokens\[2\]: got ""/],
    [{ ...words, tokens: '' }, /^vocabulary\.tokens\[1\]: got ""/],
    [{ ...chars, tokens: ['<unk>'] }, /at least two/],
    [{ ...chars, tokens: ['a', '<unk>'] }, /^vocabulary\.tokens\[0\]: got "a"/],
    [{ ...chars, tokens: ['<unk>', 'a', 'b', 'a'] }, /^vocabulary\.tokens\[3\]: got "a"; expected .* not in the list/],
    [{ ...chars, tokens: ['<unk>', 'ab'] }, /^vocabulary\.tokens\[1\]: got "ab"; expected a char/],
    [{ ...chars, tokens: ['<unk>', '😀a'] }, /^vocabulary\.tokens\[1\]: got "😀a"/],
    [{ ...chars, tokens: ['<unk>', ''] }, /^vocabulary\.tokens\[1\]: got ""/],
    [{ ...chars, tokens: ['<unk>', 7] }, /^vocabulary\.tokens\[1\]: got 7/],
    [{ ...words, tokens: ['<unk>', 'a b', '<eos>'] }, /^vocabulary\.tokens\[1\]: got "a b"; expected a word/],
    [{ ...words, tokens: ['<unk>', '', '<eos>'] }, /^vocabulary\.tokens\[1\]: got ""/],
    [{ ...words, tokens: ['<unk>', 'a', '<unk>', '<eos>'] }, /^vocabulary\.tokens\[2\]: got "<unk>"/],
    [{ ...words, tokens: ['<unk>', 'a'] }, /expected <eos> among them/],
    ...[undefined, null, '1', -1, 2, 0.5, Number.NaN].map((start): [unknown, RegExp] => [
      { rule: 'char', start, tokens: ['<unk>', 'a'] },
      /^vocabulary\.start: got .*; expected an integer from 0 to 1$/,
    ]),
  ];
  for (const [value, message] of bad) refused(() => Vocabulary.fromJSON(value), FileFormatError, message);
  assert.is(Vocabulary.fromJSON({ ...words, tokens: ['<unk>', '<eos>'] }).eos, 1);
});

test.run();
