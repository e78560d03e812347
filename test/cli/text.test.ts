// What the command line makes of text: one rule for a model, whatever the files are called, and the share that is unknown.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import { warningsOf } from '../../src/cli/unknown.js';
import { loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';
import { uniform } from '../../src/random.js';
import { splitText } from '../../src/text/split.js';
import { digest, dopant, dopantHere, json, makeFolder, makeText, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);

const SIZES = '--hidden 8 --compression 4 --batch 4 --bptt 8 --epochs 1';

interface Evaluated {
  perplexity: number;
  tokens: number;
  unknown: number;
}

// ---- the rule of a model

const line = " the $ N corp. did n't say 's mr. <unk> co. \n";
mkdirSync(path('ptb'));
for (const [split, lines] of Object.entries({ train: 60, valid: 10, test: 30 })) {
  writeFileSync(path(`ptb/ptb.${split}.txt`), line.repeat(lines));
}
writeFileSync(path('copy.txt'), line.repeat(30));
writeFileSync(path('whole.txt'), line.repeat(60));
writeFileSync(path('lines.txt'), 'one two three\nfour five six\n'.repeat(40));

test.before(async () => {
  await succeed(folder, `train lm --data ptb ${SIZES} --out ptb.safetensors`);
});

test('a model reads the same text the same way under any name', async () => {
  const own = await json<Evaluated>(folder, 'eval ptb.safetensors --data ptb/ptb.test.txt');
  const other = await json<Evaluated>(folder, 'eval ptb.safetensors --data copy.txt');
  assert.equal(other, own);
  // What is unknown stands so in the text; line breaks are tokens too.
  const tokens = splitText(line.repeat(30)).test.match(/\S+|\n/g)!;
  assert.is(own.unknown, tokens.filter((token) => token === '<unk>').length / tokens.length);
  for (const name of ['ptb/ptb.test.txt', 'copy.txt']) {
    const { stdout } = await succeed(folder, `export ptb.safetensors --bits 8 --data ${name} --out small --json`);
    const { unknown, test } = JSON.parse(stdout);
    assert.is(unknown.test, own.unknown);
    assert.is(test.before.perplexity, own.perplexity);
  }
});

test('a prompt is read by the rule of the model', async () => {
  const { stderr } = await succeed(folder, 'generate ptb.safetensors --tokens 1 --prompt', "the $ N corp. did n't 's");
  assert.not.match(stderr, /not in the vocabulary/);
  const { vocabulary } = new TextModel(loadSync(readFileSync(path('ptb.safetensors'))));
  assert.is(vocabulary.rule, 'tokens');
  assert.not.ok(vocabulary.encode("the $ N corp. did n't 's").includes(vocabulary.unknown));
});

test('the rule that a name stands for can be asked for under another name', async () => {
  await succeed(folder, `train lm --data ptb/ptb.train.txt ${SIZES} --out named.safetensors`);
  await succeed(folder, `train lm --data whole.txt --rule tokens ${SIZES} --out asked.safetensors`);
  assert.is(digest(path('asked.safetensors')), digest(path('named.safetensors')));
  await succeed(folder, `train lm --data whole.txt ${SIZES} --out prose.safetensors`);
  assert.not.equal(digest(path('prose.safetensors')), digest(path('named.safetensors')));
});

test('line breaks end sentences where nothing else does, and where they are asked to', async () => {
  for (const [options, rule] of [
    ['', 'lines'],
    ['--rule lines', 'lines'],
    ['--rule prose', 'prose'],
  ]) {
    await succeed(folder, `train lm --data lines.txt ${SIZES} ${options} --out lines.safetensors`);
    const { vocabulary } = new TextModel(loadSync(readFileSync(path('lines.safetensors'))));
    assert.is(vocabulary.rule, rule);
    assert.is(vocabulary.encode('one\ntwo').includes(vocabulary.eos), rule === 'lines');
    assert.is(vocabulary.start === vocabulary.eos, rule === 'lines', 'it starts from what it has seen');
    const { stdout } = await succeed(folder, 'inspect lines.safetensors');
    assert.match(stdout, new RegExp(`words \\(rule ${rule}\\)`));
  }
});

test('a run that is resumed keeps its rule', async () => {
  const start = `train lm --data whole.txt --rule tokens ${SIZES} --checkpoint run --out first.safetensors`;
  await succeed(folder, start);
  await succeed(folder, 'train lm --resume run');
  assert.is(digest(path('first.safetensors')), digest(path('asked.safetensors')));
});

test('a rule is for words, and that of a model to start from holds', async () => {
  const { code, stderr } = await dopantHere(folder, `train lm --data whole.txt --level char --rule lines ${SIZES}`);
  assert.is(code, 2);
  assert.match(stderr, /--rule: got "lines"; expected only with --level word/);
  const from = await dopantHere(folder, `train lm --data whole.txt --rule prose --from ptb.safetensors --epochs 1`);
  assert.is(from.code, 2);
  assert.match(from.stderr, /--rule: got "prose"; expected tokens/);
});

// ---- what is unknown

// Without the word that is an abbreviation before a full stop.
const text = `${makeText(1500).replace(/\ba\b/g, 'one')} ${'rare words stand here alone '.repeat(20)}`;
writeFileSync(path('text.txt'), text);

/** By hand: tokens outside the five most frequent, of prose in plain words and full stops. */
function unknownBy(model: string, part: string): number {
  const { vocabulary } = new TextModel(loadSync(readFileSync(path(model))));
  const words = part.toLowerCase().match(/[a-z]+|\./g)!;
  const tokens = words.map((word) => (word === '.' ? '<eos>' : word));
  return tokens.filter((token) => !vocabulary.tokens.includes(token)).length / tokens.length;
}

test('train, eval and export print the share of unknown tokens, and warn where it is large', async () => {
  const { stdout, stderr } = await succeed(
    folder,
    `train lm --data text.txt --vocab 7 ${SIZES} --out few.safetensors --json`,
  );
  const { unknown } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as TrainResult;
  const parts = splitText(text);
  for (const split of ['train', 'valid', 'test'] as const) {
    assert.is(unknown[split], unknownBy('few.safetensors', parts[split]), split);
    assert.ok(unknown[split]! > 0.05);
    assert.match(
      stderr,
      new RegExp(`warning: ${(100 * unknown[split]!).toFixed(1)} % of the ${split} tokens are not in`),
    );
  }
  assert.match(stderr, /unknown tokens: train [\d.]+ %, valid [\d.]+ %, test [\d.]+ %/);

  const evaluated = await succeed(folder, 'eval few.safetensors --data text.txt --json');
  assert.is(JSON.parse(evaluated.stdout).unknown, unknown.test);
  assert.match(evaluated.stderr, /warning: [\d.]+ % of the test tokens/);
  const people = await succeed(folder, 'eval few.safetensors --data text.txt --split valid');
  assert.match(people.stdout, new RegExp(`${(100 * unknown.valid!).toFixed(1)} % of them unknown`));

  const exported = await succeed(folder, 'export few.safetensors --bits 8 --data text.txt --out int8 --json');
  assert.equal(JSON.parse(exported.stdout).unknown, { valid: unknown.valid, test: unknown.test });
  assert.match(exported.stderr, /warning: [\d.]+ % of the test tokens/);

  const known = await succeed(folder, `train lm --data lines.txt ${SIZES} --out known.safetensors`);
  assert.not.match(known.stderr, /warning/);
  assert.match(known.stdout, /unknown tokens, %: 0\.0\n/);
});

test('more than 5 % is much', () => {
  for (const [tokens, labels, warnings] of [
    [0, 0, 0],
    [0.05, 0.05, 0],
    [0.051, 0.05, 1],
    [0.05, 0.051, 1],
    [1, 1, 2],
  ]) {
    assert.is(warningsOf('valid', { tokens, labels }).length, warnings, `${tokens}, ${labels}`);
  }
});

test('records of experiments have the shares of all splits', async () => {
  const settings = { data: 'text.txt', vocab: 7, hidden: 8, batch: 4, bptt: 8, epochs: 1 };
  writeFileSync(path('grid.json'), JSON.stringify({ task: 'lm', settings, seeds: [1], cells: [{ method: 'dense' }] }));
  const { code, stdout, stderr } = await dopant(folder, 'experiment grid.json --jobs 1 --json');
  assert.is(code, 0, stderr);
  assert.match(stderr, /dense: warning: [\d.]+ % of the valid tokens/);
  const [run] = JSON.parse(stdout).cells[0].runs;
  const parts = splitText(text);
  for (const split of ['train', 'valid', 'test'] as const) {
    assert.is(run.unknown[split], unknownBy('few.safetensors', parts[split]), split);
  }
  const again = await succeed(folder, 'experiment grid.json');
  assert.match(again.stdout, new RegExp(`unknown tokens[^]*${(100 * run.unknown.test).toFixed(1)} %`));
});

test('a Chinese text is known by its characters, by default', async () => {
  const characters = Array.from({ length: 6000 }, (_, i) =>
    String.fromCodePoint(0x4e00 + Math.floor(600 * uniform(1, 0, i))),
  );
  writeFileSync(path('chinese.txt'), characters.join(''));
  const { unknown } = await json<TrainResult>(
    folder,
    `train lm --data chinese.txt --level char ${SIZES} --out chinese`,
  );
  for (const split of ['train', 'valid', 'test'] as const) assert.ok(unknown[split]! < 0.05, JSON.stringify(unknown));
});

test.run();
