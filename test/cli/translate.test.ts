// Translation on the command line: its files, its options, what it prints, and what it refuses.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import type { Translation } from '../../src/infer/index.js';
import { digest, dopantHere, json, MAIN, makeFolder, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);

const WORDS = [
  ['ein', 'a'],
  ['hund', 'dog'],
  ['mann', 'man'],
  ['ball', 'ball'],
  ['rot', 'red'],
  ['sieht', 'sees'],
];

function write(name: string, splits: Record<string, number>): void {
  mkdirSync(path(name), { recursive: true });
  let seed = 0;
  for (const [split, size] of Object.entries(splits)) {
    const lines = Array.from({ length: size }, () => {
      seed++;
      return Array.from({ length: 2 + (seed % 3) }, (_, j) => WORDS[(seed * 7 + j * j + j * seed) % WORDS.length]);
    });
    for (const [side, language] of ['de', 'en'].entries()) {
      const text = lines.map((line) => `${line.map((pair) => pair[side]).join(' ')}\n`).join('');
      writeFileSync(path(`${name}/${split}.${language}`), text);
    }
  }
}
write('data', { train: 80, val: 12, test_2016: 10, test_2017: 3 });
write('other', { train: 20, valid: 5 });

const SMALL =
  'train translate --data data --source de --target en --hidden 16 --embedding 16 --batch 8 --compression 2 --lr 0.02 --vocab 40';

test('train, eval and translate agree', async () => {
  const result = await json<TrainResult>(folder, `${SMALL} --epochs 12 --out m.safetensors --report r.html`);
  assert.ok(result.test!.bleu! > 50, `${result.test!.bleu}`);
  const measured = await json<Record<string, unknown>>(folder, 'eval m.safetensors --data data');
  assert.equal(Object.keys(measured), ['split', 'bleu', 'bleu13a', 'perplexity', 'examples', 'unknown']);
  assert.is(measured.bleu, result.test!.bleu);
  assert.is(measured.perplexity, result.test!.perplexity);
  assert.is(measured.examples, 10, 'the first test file in the order of their names');
  const valid = await succeed(folder, 'eval m.safetensors --data data --split valid');
  assert.match(valid.stdout, /^valid: BLEU [\d.]+ \(lower case, .*\), perplexity [\d.]+, 12 texts/);
  const { stdout } = await succeed(folder, 'translate m.safetensors --json --report map.html', 'Ein Hund sieht.');
  const translation = JSON.parse(stdout) as Translation;
  assert.equal(Object.keys(translation), ['text', 'score', 'source', 'tokens', 'attention']);
  assert.is(translation.attention.length, translation.tokens.length);
  assert.is(translation.attention[0].length, translation.source.length);
  const page = readFileSync(path('map.html'), 'utf8');
  assert.match(page, /<h2>Attention<\/h2>/);
  assert.is(page.match(/class="attention-cell"/g)!.length, translation.tokens.length * translation.source.length);
  assert.is((await succeed(folder, 'translate m.safetensors', 'ein hund sieht .')).stdout, `${translation.text}\n`);
  assert.match((await succeed(folder, 'inspect m.safetensors')).stdout, /model of translation, de to en, 1 layer each/);
});

test('lines of stdin are translated one by one, empty ones too', () => {
  const input = 'ein hund\n\nein mann sieht\nball';
  const { stdout, status } = spawnSync(process.execPath, [MAIN, 'translate', 'm.safetensors', '--beam', '1'], {
    cwd: folder,
    encoding: 'utf8',
    input,
  });
  assert.is(status, 0);
  const lines = stdout.split('\n');
  assert.is(lines.length, 5);
  assert.is(lines[1], '');
  assert.ok(lines[0] && lines[2] && lines[3]);
});

test('a run that stops early says so', async () => {
  const early = await succeed(folder, `${SMALL} --epochs 60 --lr 0.2 --patience 1 --out early.safetensors`);
  assert.match(early.stderr, /stopped early, after \d+ of 60 epochs: .*; the model is that of the best epoch/);
  const whole = await succeed(folder, `${SMALL} --epochs 2 --patience 1 --out whole.safetensors`);
  assert.not.match(whole.stderr, /stopped early/);
});

test('options reach the model; a run resumes to the same bits', async () => {
  const options = `${SMALL.replace('--vocab 40', '--vocab 8')} --epochs 2 --words --score dot --feed --tie --label-smoothing 0.2 --cell gru --bits 4`;
  await succeed(folder, `${options} --out whole.safetensors`);
  await succeed(folder, `${options} --checkpoint run --checkpoint-every 0 --out first.safetensors`);
  await succeed(folder, 'train translate --resume run --out again.safetensors');
  assert.is(digest(path('again.safetensors')), digest(path('whole.safetensors')));
  const { tensors } = await json<{ tensors: { name: string }[] }>(folder, 'inspect whole.safetensors');
  const names = tensors.map(({ name }) => name);
  assert.ok(
    names.includes('encoder.gru.0.forward.bias_ih') && !names.includes('head') && !names.includes('attention.score'),
  );
  await succeed(folder, `${SMALL} --epochs 1 --matrices all --method pruned --out all.safetensors`);
  await succeed(folder, 'export m.safetensors --data data --max-loss 0.5 --out small.safetensors.gz');
  await succeed(folder, 'translate small.safetensors.gz', 'ein hund');
});

test('data without a test split, and with valid.* instead of val.*', async () => {
  const { stderr } = await succeed(folder, 'eval m.safetensors --data other');
  assert.match(stderr, /other has no test files: evaluating valid/);
});

test('what cannot be used is refused by name', async () => {
  const refuse = async (message: RegExp, line: string, ...rest: string[]) => {
    const { code, stderr } = await dopantHere(folder, line, ...rest);
    assert.is(code, 2, line);
    assert.match(stderr, message, line);
  };
  await refuse(/--source: got nothing; expected the language to read/, 'train translate --data data --target en');
  await refuse(/--target: got nothing/, 'train translate --data data --source de');
  await refuse(/--target: got "de"; expected another language/, 'train translate --data data --source de --target de');
  await refuse(/--source: got "\.\.\/de"/, 'train translate --data data --source ../de --target en');
  await refuse(/without train in both \.de and \.fr/, 'train translate --data data --source de --target fr');
  await refuse(/--data: got .*train\.de, a file/, 'train translate --data data/train.de --source de --target en');
  await refuse(/--score: got "none"; expected general or dot/, `${SMALL} --score none`);
  await refuse(/--label-smoothing: got 1; expected/, `${SMALL} --label-smoothing 1`);
  await refuse(/--hidden: got 15; expected an even number/, SMALL.replace('--hidden 16', '--hidden 15'));
  await refuse(/--beam: got "0"; expected a whole number >= 1/, 'translate m.safetensors --beam 0', 'ein');
  const { code, stderr } = await dopantHere(folder, 'predict m.safetensors', 'ein');
  assert.is(code, 1);
  assert.match(stderr, /got a model for the task "translate"; expected one for/);
  writeFileSync(path('data/val.de'), `${readFileSync(path('data/val.de'), 'utf8')}ein hund\n`);
  await refuse(/got 13 lines in .*val\.de and 12 in that of en; expected a translation of each line/, SMALL);
});

test.run();
