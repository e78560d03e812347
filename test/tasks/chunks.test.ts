import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ChunkScore, chunksOf } from '../../src/tasks/tag/chunks.js';

interface Case {
  texts: [gold: string[], predicted: string[]][];
  f1: number;
  accuracy: number;
  chunks: [name: string, first: number, end: number][];
}

/** Made with seqeval by test/fixtures/make_fixtures.py. */
const cases = JSON.parse(readFileSync('test/fixtures/chunks.json', 'utf8')) as Case[];

test('chunks, F1 and accuracy are those of seqeval, also for tags that are not well-formed', () => {
  assert.ok(cases.length > 0);
  for (const { texts, f1, accuracy, chunks } of cases) {
    const score = new ChunkScore();
    for (const [gold, predicted] of texts) score.add(gold, predicted);
    assert.ok(Math.abs(score.f1 - f1) < 1e-12, `${score.f1}, not ${f1}`);
    assert.ok(Math.abs(score.accuracy - accuracy) < 1e-12, `${score.accuracy}, not ${accuracy}`);
    const found = chunksOf(texts[0][0]).map(({ name, first, end }) => [name, first, end]);
    assert.equal(found, chunks);
  }
});

test('without chunks or tokens the scores are 0', () => {
  assert.equal([new ChunkScore().f1, new ChunkScore().accuracy], [0, 0]);
});

test.run();
