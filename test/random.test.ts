import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { philox, Stream, seedWords, uniform } from '../src/random.js';

// Random123 (Salmon et al., 2011), tests/kat_vectors, philox4x32 10: counter, key, words.
const known = `
  00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
  ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
  243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1`;

for (const line of known.trim().split('\n')) {
  const words = line
    .trim()
    .split(' ')
    .map((word) => Number.parseInt(word, 16));
  test(`philox of ${line.trim().slice(0, 8)}... is the authors'`, () => {
    assert.equal(philox(words.slice(0, 4), words.slice(4, 6)), words.slice(6));
  });
}

test('negative words are the unsigned ones of the same bits', () => {
  assert.equal(philox([-1, -1, -1, -1], [-1, -1]), philox(Array(4).fill(2 ** 32 - 1), Array(2).fill(2 ** 32 - 1)));
});

test('every safe integer from 0 on is a seed of its own', () => {
  const seeds = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52, Number.MAX_SAFE_INTEGER];
  const words = seeds.map(seedWords);
  for (const pair of words) assert.ok(pair.every((word) => Number.isInteger(word) && word >= 0 && word < 2 ** 32));
  assert.is(new Set(words.map(String)).size, seeds.length);
});

test('uniform is in [0, 1), and another number for every seed, stream and index', () => {
  const draws = [1, 2, 2 ** 33].flatMap((seed) =>
    [Stream.dropout, Stream.sampling].flatMap((stream) =>
      Array.from({ length: 50 }, (_, i) => uniform(seed, stream, i)),
    ),
  );
  assert.ok(draws.every((v) => v >= 0 && v < 1));
  assert.is(new Set(draws).size, draws.length);
  assert.is(uniform(1, Stream.dropout, 0), draws[0]);
});

test('streams lie far enough apart to be counted on from', () => {
  const bases = Object.values(Stream).filter((value) => typeof value === 'number');
  bases.sort((a, b) => a - b);
  assert.is(bases.length, 5);
  for (let i = 1; i < bases.length; i++) assert.ok(bases[i] - bases[i - 1] >= 256);
});

test.run();
