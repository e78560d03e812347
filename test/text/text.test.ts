import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError } from '../../src/errors.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { splitText } from '../../src/text/split.js';
import { markSentences } from '../../src/text/tokens.js';
import { Vocabulary } from '../../src/text/vocabulary.js';

/** The tokens of a text, seen through a vocabulary that has them all. */
function words(text: string): string[] {
  const vocabulary = buildVocabulary([text, 'filler'], 'word');
  return [...vocabulary.encode(text)].map((id) => vocabulary.tokens[id]);
}

function refused(run: () => unknown, type: typeof InputError | typeof FileFormatError, message: RegExp): void {
  assert.throws(run, (error: unknown) => error instanceof type && message.test(error.message), String(message));
}

const anyText = fc.string({ unit: 'binary', maxLength: 200 });
// A newline comes after a space, so that no end of sentence at the end of a line makes it marked text.
const pieces = [...'abI N.!?\'"-1,é', ' \n', '. ', '<unk>', '<eos>', '’', 'mr.', 'U.S.'];
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
  assert.equal(words('Ærø naïve nai\u0308ve ΩΜΕΓΑ ΔΕΝ'), ['ærø', 'naïve', 'nai\u0308ve', 'ωμεγα', 'δεν']);
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

test('marked text is taken as it stands, a sentence a line', () => {
  const lines = " no it was n't black monday \n mr. <unk> 's $ N-a-share\\/offer \r\n\n u.s. # & -- c.d.s \n";
  const vocabulary = buildVocabulary([markSentences(lines)], 'word');
  assert.equal(
    [...vocabulary.encode(markSentences(lines))].map((id) => vocabulary.tokens[id]),
    "no it was n't black monday <eos> mr. <unk> 's $ N-a-share\\/offer <eos> u.s. # & -- c.d.s <eos>".split(' '),
  );
});

test('marked text comes back from its ids, line by line', () => {
  const token = fc.constantFrom('the', 'mr.', "n't", "'s", '$', 'N', '<unk>', 'u.s.', 'N-year', '&');
  const sentences = fc.array(fc.array(token, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(sentences, (lines) => {
      const text = lines.map((line) => `${line.join(' ')}\n`).join('');
      const vocabulary = buildVocabulary([markSentences(text), 'filler'], 'word');
      assert.is(vocabulary.decode(vocabulary.encode(markSentences(text))), text);
    }),
  );
});

test('marks are plain line ends for characters', () => {
  const vocabulary = buildVocabulary(['ab\n '], 'char');
  assert.is(vocabulary.decode(vocabulary.encode(markSentences('a b\nb a\n'))), 'a b \nb a \n');
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
      assert.is(vocabulary.decode(vocabulary.encode(text)), text.replaceAll('\r\n', '\n'));
    }),
  );
});

test('ids are in range whatever the text, and can be decoded', () => {
  fc.assert(
    fc.property(
      prose,
      fc.oneof(prose, anyText),
      fc.constantFrom('word' as const, 'char' as const),
      (known, text, level) => {
        const vocabulary = buildVocabulary([known, 'a. b'], level);
        const ids = vocabulary.encode(text);
        assert.ok(ids.every((id) => id >= 0 && id < vocabulary.size));
        assert.type(vocabulary.decode(ids), 'string');
      },
    ),
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
  assert.is(buildVocabulary([chars], 'char').size, 256);
  assert.is(buildVocabulary(['abc'], 'char').size, 4);
});

test('a size that cannot be had is refused by name', () => {
  refused(() => buildVocabulary(['one two. one'], 'word', 5), InputError, /^vocab: 5 given; at most 4 /);
  refused(() => buildVocabulary(['abca'], 'char', 5), InputError, /^vocab: 5 given; at most 4 /);
  for (const size of [1, 0, -3, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    refused(
      () => buildVocabulary(['one two. one'], 'word', size),
      InputError,
      /^vocab: .* given; an integer of at least 2/,
    );
  }
});

test('texts without a token are refused', () => {
  refused(() => buildVocabulary([], 'char'), InputError, /^texts: no character/);
  refused(() => buildVocabulary(['— … ? <unk>'], 'word'), InputError, /^texts: no word/);
});

test('what is not in the vocabulary is unknown, and shown as such', () => {
  const byWord = buildVocabulary(['one two. one.'], 'word');
  assert.is(byWord.decode(byWord.encode('One three. Two constructor')), 'one <unk>\ntwo <unk>');
  const byChar = buildVocabulary(['ab'], 'char');
  assert.is(byChar.decode(byChar.encode('a😀b')), 'a\ufffdb');
});

test('an id out of range is refused by place', () => {
  const vocabulary = buildVocabulary(['one two'], 'word');
  for (const id of [4, -1, 0.5, Number.NaN]) {
    refused(() => vocabulary.decode([1, id]), InputError, /^ids\[1\]: .* an integer from 0 to 3/);
  }
});

test('a vocabulary survives JSON', () => {
  fc.assert(
    fc.property(fc.oneof(prose, anyText), fc.constantFrom('word' as const, 'char' as const), (text, level) => {
      const vocabulary = buildVocabulary([text, 'a.'], level);
      const copy = Vocabulary.fromJSON(JSON.parse(JSON.stringify(vocabulary)));
      assert.equal(copy.toJSON(), vocabulary.toJSON());
      assert.is(copy.eos, vocabulary.eos);
      assert.equal(copy.encode(text), vocabulary.encode(text));
    }),
  );
});

test('JSON that is no vocabulary is refused', () => {
  const bad: [unknown, RegExp][] = [
    [null, /null found/],
    ['word', /"word" found/],
    [{ tokens: ['<unk>', 'a'] }, /level nothing/],
    [{ level: 'line', tokens: ['<unk>', 'a'] }, /level "line"/],
    [{ level: 'char' }, /tokens must be an array/],
    [{ level: 'char', tokens: '<unk>a' }, /tokens must be an array/],
    [{ level: 'char', tokens: ['<unk>'] }, /at least two/],
    [{ level: 'char', tokens: ['a', '<unk>'] }, /tokens\[0\] is "a"/],
    [{ level: 'char', tokens: ['<unk>', 'a', 'b', 'a'] }, /tokens\[3\] is "a", as is/],
    [{ level: 'char', tokens: ['<unk>', 'ab'] }, /tokens\[1\] is "ab"; one char/],
    [{ level: 'char', tokens: ['<unk>', ''] }, /tokens\[1\] is ""/],
    [{ level: 'char', tokens: ['<unk>', 7] }, /tokens\[1\] is 7/],
    [{ level: 'word', tokens: ['<unk>', 'a b', '<eos>'] }, /tokens\[1\] is "a b"; one word/],
    [{ level: 'word', tokens: ['<unk>', 'a', '<unk>', '<eos>'] }, /tokens\[2\] is "<unk>", as is/],
    [{ level: 'word', tokens: ['<unk>', 'a'] }, /no <eos>/],
  ];
  for (const [value, message] of bad) refused(() => Vocabulary.fromJSON(value), FileFormatError, message);
  assert.is(Vocabulary.fromJSON({ level: 'word', tokens: ['<unk>', '<eos>'] }).eos, 1);
});

test('the splits make up the text again, cut after whitespace at 18 and 19 twentieths', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '😀', ' ', '\r\n'), maxLength: 300 }), (text) => {
      const { train, valid, test } = splitText(text);
      assert.is(train + valid + test, text);
      for (const [part, share] of [
        [train, 18],
        [train + valid, 19],
      ] as const) {
        const nominal = Math.floor((text.length * share) / 20);
        assert.ok(part.length >= nominal);
        const moved = text.slice(nominal, part.length);
        const rest = text.slice(part.length);
        if (rest !== '') {
          assert.match(moved, /^\S*\s+$/);
          assert.match(rest, /^\S/);
        }
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

test.run();
