// Byte-pair encoding against a slow twin, and vocabularies of pieces.

import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError } from '../../src/errors.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { JOINER, learnPieces, piecesOf } from '../../src/text/subwords.js';
import { Vocabulary } from '../../src/text/vocabulary.js';

/** Pairs are counted anew for every merge. */
function slow(counts: ReadonlyMap<string, number>, size: number): string[] {
  const words = [...counts].map(([word, count]) => ({
    pieces: [...word].map((char, i, { length }) => (i < length - 1 ? char + JOINER : char)),
    count,
  }));
  const characters = new Map<string, number>();
  for (const { pieces, count } of words) {
    for (const piece of pieces) characters.set(piece, (characters.get(piece) ?? 0) + count);
  }
  const learnt = [...characters]
    .sort(([, a], [, b]) => b - a)
    .map(([piece]) => piece)
    .slice(0, size);
  while (learnt.length < size) {
    const pairs = new Map<string, number>();
    for (const { pieces, count } of words) {
      for (let i = 0; i + 1 < pieces.length; i++) {
        const key = `${pieces[i]} ${pieces[i + 1]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + count);
      }
    }
    const most = Math.max(0, ...pairs.values());
    if (most < 2) break;
    const best = [...pairs].filter(([, count]) => count === most).map(([key]) => key);
    // Of equally frequent pairs any may be taken: the twin follows the one under test, which is checked to be among them.
    const next = taken[learnt.length];
    const found = best.find((key) => key.split(' ').join('').replace(JOINER, '') === next);
    if (found === undefined) return [...learnt, `${next} is not among ${best}`];
    const [a, b] = found.split(' ');
    for (const { pieces } of words) {
      for (let i = 0; i + 1 < pieces.length; i++) if (pieces[i] === a && pieces[i + 1] === b) pieces.splice(i, 2, next);
    }
    if (!learnt.includes(next)) learnt.push(next);
  }
  return learnt;
}
let taken: string[] = [];

test('the most frequent pair is joined each time', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', '🙂'), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, fc.integer({ min: 1, max: 9 })), { maxLength: 12 }),
      fc.integer({ min: 1, max: 25 }),
      (words, size) => {
        const counts = new Map(words);
        taken = learnPieces(counts, size);
        assert.ok(taken.length <= size);
        assert.is(new Set(taken).size, taken.length);
        assert.equal(slow(counts, size), taken);
      },
    ),
  );
});

test('pieces of a word make up the word, all of them learnt ones or characters', () => {
  const counts = new Map([
    ['low', 5],
    ['lower', 2],
    ['newest', 6],
    ['widest', 3],
  ]);
  const learnt = learnPieces(counts, 25);
  const ranks = new Map(learnt.map((piece, rank) => [piece, rank]));
  for (const word of ['low', 'lowest', 'newer', 'wide', 'x', 'xyzlow', '🙂est', 'l'.repeat(1000)]) {
    const pieces = piecesOf(word, (piece) => ranks.get(piece));
    assert.is(pieces.join('').replaceAll(JOINER, ''), word);
    assert.ok(pieces.slice(0, -1).every((piece) => piece.endsWith(JOINER)));
    assert.not.ok(pieces.at(-1)!.endsWith(JOINER));
    for (const piece of pieces) assert.ok(ranks.has(piece) || [...piece.replace(JOINER, '')].length === 1, piece);
  }
  assert.equal(
    piecesOf('newest', (piece) => ranks.get(piece)),
    ['newest'],
  );
});

const TEXTS = ['the lowest of the low. the newest and the widest of them all.', 'Lower the new one; 42 of 4,200.'];

test('a vocabulary of pieces reads and writes any word of its characters, and knows no other', () => {
  for (const rule of ['prose', 'lines', 'tokens', 'typed'] as const) {
    const vocabulary = buildVocabulary(TEXTS, rule, 60, 1, true);
    assert.ok(vocabulary.size <= 60);
    assert.ok(vocabulary.subwords);
    const ids = vocabulary.encode('the lowest newer widow');
    assert.is(vocabulary.decode(ids), 'the lowest newer widow');
    assert.not.ok(ids.includes(0));
    // What it has of unknown characters, one after another, is one token.
    assert.is(vocabulary.encode('жжж').filter((id) => id === 0).length, 1);
    const read = Vocabulary.fromJSON(JSON.parse(JSON.stringify(vocabulary.toJSON())));
    assert.equal(read.toJSON(), vocabulary.toJSON());
    assert.equal(read.encode(TEXTS.join(' ')), vocabulary.encode(TEXTS.join(' ')));
  }
});

test('the rule for typed text puts punctuation apart, in lower case, in any script', () => {
  const words = (text: string) => {
    const vocabulary = buildVocabulary([text, 'a b'], 'typed');
    return [...vocabulary.encode(text)].map((id) => vocabulary.tokens[id]);
  };
  assert.equal(words('Ein T-Shirt, "u.s."!\nIt’s 3.50 €…'), [
    'ein',
    't-shirt',
    ',',
    '"',
    'u.s',
    '.',
    '"',
    '!',
    "it's",
    '3.50',
    '€',
    '…',
  ]);
  assert.equal(words('漢字 かな'), ['漢', '字', 'か', 'な']);
  assert.equal(words('مرحبا بالعالم'), ['مرحبا', 'بالعالم']);
  assert.equal(words('e\u0301te\u0301 🙂'), ['été', '🙂']);
});

test('a long word, and a long text, take time in proportion to their length', () => {
  const vocabulary = buildVocabulary(TEXTS, 'typed', 60, 1, true);
  for (const text of ['low'.repeat(300_000), 'low '.repeat(300_000), '-'.repeat(900_000), '\u0301'.repeat(900_000)]) {
    assert.ok(vocabulary.encode(text).length > 0);
  }
});

test('what is no vocabulary of pieces is refused', () => {
  const good = buildVocabulary(TEXTS, 'prose', 40, 1, true).toJSON();
  for (const bad of [
    { ...good, subwords: 1 },
    { ...good, subwords: true, rule: 'char', tokens: 'abc' },
  ]) {
    assert.throws(
      () => Vocabulary.fromJSON(bad),
      (error: Error) => error instanceof FileFormatError && /^vocabulary\.subwords/.test(error.message),
    );
  }
  assert.throws(
    () => buildVocabulary(TEXTS, 'char', 40, 1, true),
    (error: Error) => error instanceof InputError && /subwords/.test(error.message),
  );
});

test.run();
