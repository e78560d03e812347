// BLEU counts as sacrebleu does.

import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { type Bleu, type BleuOptions, bleu } from '../../src/tasks/translate/bleu.js';

interface Fixture {
  corpora: Record<string, { translations: string[]; references: string[] }>;
  cases: (Bleu & { corpus: string; options: Required<BleuOptions> })[];
}
const { corpora, cases }: Fixture = JSON.parse(readFileSync('test/fixtures/bleu.json', 'utf8'));

for (const { corpus, options, score, precisions, brevityPenalty, ...words } of cases) {
  test(`${corpus}, ${options.tokenise}${options.lowercase ? ', lower case' : ''}`, () => {
    const { translations, references } = corpora[corpus];
    const found = bleu(translations, references, options);
    const near = (got: number, exact: number) => assert.ok(Math.abs(got - exact) < 1e-9, `${got}, not ${exact}`);
    near(found.score, score);
    near(found.brevityPenalty, brevityPenalty);
    for (const [i, precision] of precisions.entries()) near(found.precisions[i], precision);
    assert.equal({ words: found.words, referenceWords: found.referenceWords }, words);
  });
}

test('wrong arguments are refused by name', () => {
  const wrong = (act: () => unknown, message: RegExp) =>
    assert.throws(act, (error: Error) => error instanceof InputError && message.test(error.message));
  wrong(() => bleu([], []), /^translations: got 0, and 0 references/);
  wrong(() => bleu(['a'], []), /^translations: got 1, and 0 references/);
  wrong(() => bleu(['a'], ['a'], { tokenise: 'intl' as 'none' }), /^tokenise: got "intl"; expected '13a' or 'none'/);
});

test.run();
