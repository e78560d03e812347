import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import { uniform } from '../../src/random.js';
import { isRight } from '../../src/tasks/intent/training.js';
import { contents, digest, dopantHere, end, json, makeFolder, start, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);

// ---- sentences of three intents

const INTENTS = {
  book: ['book a table in', 'i need a room in', 'reserve two seats in'],
  weather: ['is it cold in', 'will it rain in', 'tell me the forecast for'],
  'book#weather': ['book a room if it is warm in'],
};
const PLACES = ['rome', 'paris', 'boston', 'denver'];

function makeSplit(name: string, size: number, seed: number): void {
  mkdirSync(path(name), { recursive: true });
  const lot = <T>(list: readonly T[], i: number, k: number) => list[Math.floor(uniform(seed, k, i) * list.length)];
  const lines = Array.from({ length: size }, (_, i) => {
    const [intent, texts] = lot(Object.entries(INTENTS), i, 0);
    return { intent, text: `${lot(texts, i, 1)} ${lot(PLACES, i, 2)}` };
  });
  writeFileSync(path(`${name}/seq.in`), lines.map(({ text }) => `${text}\n`).join(''));
  writeFileSync(path(`${name}/label`), lines.map(({ intent }) => `${intent}\n`).join(''));
}

makeSplit('data/train', 60, 1);
makeSplit('data/valid', 20, 2);
makeSplit('data/test', 30, 3);
cpSync(path('data'), path('untested'), { recursive: true });
rmSync(path('untested/test'), { recursive: true });

/** The accuracy of the one answer that is right most often. */
function mostFrequent(split: string): number {
  const labels = readFileSync(path(`data/${split}/label`), 'utf8')
    .trimEnd()
    .split('\n');
  const right = (answer: string) => labels.filter((label) => isRight(answer, label)).length;
  return Math.max(...labels.map(right)) / labels.length;
}

const SMALL = 'train intent --data data --hidden 8 --embedding 8 --batch 8 --epochs 12 --compression 4 --lr 0.02';
let trained: TrainResult;

test.before(async () => {
  trained = await json<TrainResult>(
    folder,
    `${SMALL} --out model.safetensors --records model.json --report model.html`,
  );
});

test('train tells accuracy both ways, and eval the same', async () => {
  assert.is(trained.method, 'doped-kron');
  assert.ok(trained.compression.parameters! >= 4);
  assert.equal(Object.keys(trained.valid).sort(), ['accuracy', 'exact', 'perplexity']);
  assert.equal(Object.keys(trained.test!).sort(), ['accuracy', 'exact', 'perplexity']);
  assert.ok(trained.test!.accuracy! > mostFrequent('test') + 0.2, JSON.stringify(trained.test));
  for (const [split, examples] of [
    ['valid', 20],
    ['test', 30],
  ] as const) {
    const { accuracy, exact } = trained[split]!;
    const shares = { unknown: trained.unknown[split], unknownLabels: trained.unknownLabels![split] };
    const wanted = { split, accuracy, exact, examples, ...shares };
    assert.equal(await json<object>(folder, `eval model.safetensors --data data --split ${split}`), wanted);
    if (split === 'test') assert.equal(await json<object>(folder, 'eval model.safetensors --data data'), wanted);
  }
  assert.ok(existsSync(path('model.html')) && existsSync(path('model.json')));
});

test('without --json the results are for people', async () => {
  const { stdout, stderr } = await succeed(folder, `${SMALL} --out people.safetensors`);
  assert.match(stdout, /^method: doped-kron\ntest accuracy, %: \d+\.\d\d\nvalid accuracy, %: /);
  assert.match(stderr, /data: 60 training sentences, 3 intents, vocabulary \d+; 4 matrices of 32x8: /);
  const { stdout: evaluated } = await succeed(folder, 'eval people.safetensors --data data --split valid');
  assert.match(
    evaluated,
    /^valid: accuracy [\d.]+ %, exact [\d.]+ %, 20 sentences; unknown: 0\.0 % of the tokens, 0\.0 % of the labels\n$/,
  );
  const { stdout: inspected } = await succeed(folder, 'inspect people.safetensors');
  assert.match(inspected, /doped-kron intent model, 3 intents, 1 bidirectional layer of 8 units, \d+ words/);
});

test('where there is no test folder, valid is evaluated, and that is said', async () => {
  const line = SMALL.replace('--data data', '--data untested');
  const { stderr, stdout } = await succeed(folder, `${line} --out untested.safetensors --json`);
  assert.match(stderr, /no test folder: valid will be evaluated/);
  assert.not.ok('test' in JSON.parse(stdout));
  const evaluated = await succeed(folder, 'eval untested.safetensors --data untested --json');
  assert.match(evaluated.stderr, /untested has no folder test: evaluating valid/);
  assert.is(JSON.parse(evaluated.stdout).split, 'valid');
});

test('predict answers with its confidence, whatever the text', async () => {
  for (const text of ['Book a table in Rome!', '', 'xyzzy', '\u65e5\u672c']) {
    const { stdout, stderr } = await succeed(folder, 'predict model.safetensors --json', text);
    const { intent, probabilities } = JSON.parse(stdout) as { intent: string; probabilities: Record<string, number> };
    assert.equal(Object.keys(probabilities).sort(), Object.keys(INTENTS).sort());
    assert.is(Object.keys(probabilities)[0], intent, 'the likeliest first');
    assert.ok(Math.abs(Object.values(probabilities).reduce((sum, p) => sum + p, 0) - 1) < 1e-9);
    if (text === 'xyzzy') assert.match(stderr, /1 of 1 words are not in the vocabulary/);
  }
  const unsure = await succeed(folder, 'predict model.safetensors --threshold 1 --json', 'will it rain in paris');
  assert.is(JSON.parse(unsure.stdout).intent, 'none');
  const { stdout } = await succeed(folder, 'predict model.safetensors', 'will it rain in paris');
  assert.match(stdout, /^ +[\d.]+ % {2}weather\n/);
});

test('predict answers none where no intent reaches the threshold', async () => {
  const sentence = 'will it rain in paris';
  const { stdout } = await succeed(folder, 'predict model.safetensors --json', sentence);
  const { intent, probabilities } = JSON.parse(stdout) as { intent: string; probabilities: Record<string, number> };
  const p = probabilities[intent];
  const above = (p + 1) / 2;
  for (const [threshold, expected] of [
    [0, intent],
    [p, intent],
    [above, 'none'],
  ] as const) {
    const { stdout: said } = await succeed(
      folder,
      `predict model.safetensors --threshold ${threshold} --json`,
      sentence,
    );
    assert.equal(JSON.parse(said), { intent: expected, probabilities });
  }
  const { stdout: shown } = await succeed(folder, `predict model.safetensors --threshold ${above}`, sentence);
  assert.match(shown, /^none: no intent has a probability of 0\.\d+ or more\n +[\d.]+ % {2}weather\n/);
});

test('a run that is killed time and again makes the same model as one that is not', async () => {
  let next = `${SMALL} --out killed.safetensors --records killed.json --checkpoint run`;
  for (let kills = 0; kills < 3; kills++) {
    const child = start(folder, `${next} --checkpoint-every 0`);
    const ended = end(child);
    const before = existsSync(path('run/checkpoint.safetensors')) ? digest(path('run/checkpoint.safetensors')) : '';
    const now = () =>
      existsSync(path('run/checkpoint.safetensors')) ? digest(path('run/checkpoint.safetensors')) : '';
    while (now() === before && child.exitCode === null) await sleep(1);
    child.kill('SIGKILL');
    const { signal, stderr } = await ended;
    assert.is(signal, 'SIGKILL', `it ended by itself after ${kills} kills: ${stderr}`);
    next = 'train intent --resume run --records killed.json';
  }
  await succeed(folder, next);
  assert.is(digest(path('killed.safetensors')), digest(path('model.safetensors')));
  assert.is(digest(path('killed.json')), digest(path('model.json')));
});

async function refuse(code: 1 | 2, message: RegExp, line: string, ...rest: string[]): Promise<void> {
  const before = contents(folder);
  const { stdout, stderr, ...outcome } = await dopantHere(folder, line, ...rest);
  assert.match(stderr, message, `dopant ${line}: ${stderr}`);
  assert.is(outcome.code, code, stderr);
  assert.is(stdout, '');
  assert.not.match(stderr, /\n {4}at /, 'a stack is for mistakes of the program');
  assert.equal(contents(folder), before, 'nothing written, nothing lost');
}

/** The data with one of its files, or folders, replaced; removed when there is nothing in its place. */
function spoiled(name: string, file: string, text?: string): string {
  cpSync(path('data'), path(name), { recursive: true });
  rmSync(path(`${name}/${file}`), { recursive: true });
  if (text !== undefined) writeFileSync(path(`${name}/${file}`), text);
  return SMALL.replace('--data data', `--data ${name}`);
}

test('data that will not do are refused by name', async () => {
  await refuse(2, /--data: got nothing; expected a folder with the folders train, valid/, 'train intent');
  await refuse(
    2,
    /--data: got 'nowhere', which does not exist; expected a folder with/,
    SMALL.replace('--data data', '--data nowhere'),
  );
  await refuse(
    2,
    /--data: got model\.json, a file; expected a folder/,
    SMALL.replace('--data data', '--data model.json'),
  );
  await refuse(2, /--data: got no-train without a folder train/, spoiled('no-train', 'train'));
  await refuse(2, /--data: got no-valid without a folder valid/, spoiled('no-valid', 'valid'));
  await refuse(
    2,
    /data: cannot read no-label\/train\/label: there is no such file/,
    spoiled('no-label', 'train/label'),
  );
  await refuse(2, /--data: got empty\/valid\/seq\.in, which is empty/, spoiled('empty', 'valid/seq.in', ''));
  await refuse(
    2,
    /--data: got 60 lines in seq\.in and 1 in label of uneven\/train/,
    spoiled('uneven', 'train/label', 'book\n'),
  );
  await refuse(
    2,
    /--data: got an empty line 2 in gap\/valid\/label/,
    spoiled('gap', 'valid/label', `book\n\n${'book\n'.repeat(18)}`),
  );
  await refuse(2, /examples of one intent only, "book"/, spoiled('alike', 'train/label', 'book\n'.repeat(60)));
  await refuse(2, /no intent that train has/, spoiled('strange', 'valid/label', 'sing\n'.repeat(20)));
  await refuse(
    2,
    /--split: got "test"; expected valid: untested has no folder test/,
    'eval model.safetensors --data untested --split test',
  );
});

test('intents that only valid has are answered wrongly, not refused', async () => {
  const line = spoiled('other', 'valid/label', `book\n${'sing\n'.repeat(19)}`);
  const { stdout, stderr } = await succeed(folder, `${line} --out other.safetensors --json`);
  const { valid, unknownLabels } = JSON.parse(stdout) as TrainResult;
  assert.ok(valid.accuracy! <= 1 / 20);
  assert.equal(unknownLabels, { valid: 0.95, test: 0 });
  assert.match(stderr, /unknown labels: valid 95\.0 %, test 0\.0 %/);
  assert.match(stderr, /warning: 95\.0 % of the valid labels do not occur in training/);
  const evaluated = await succeed(folder, 'eval other.safetensors --data other --split valid --json');
  assert.is(JSON.parse(evaluated.stdout).unknownLabels, 0.95);
  assert.match(evaluated.stderr, /warning: 95\.0 % of the valid labels/);
});

test('models and checkpoints of the other task are refused by name', async () => {
  writeFileSync(path('text.txt'), 'the cat sat on the mat. the dog lay on the rug. '.repeat(40));
  const lm = 'train lm --data text.txt --hidden 8 --compression 4 --batch 4 --bptt 8 --epochs 1';
  await succeed(folder, `${lm} --out lm.safetensors --checkpoint lm`);
  await refuse(
    1,
    /lm\.safetensors: got a model for the task "lm"; expected one for 'intent'/,
    'predict lm.safetensors',
    'a',
  );
  await refuse(
    1,
    /model\.safetensors: got a model for the task "intent"; expected one for 'lm'/,
    'generate model.safetensors',
  );
  await refuse(1, /task: got "lm"; expected "intent"/, 'train intent --resume lm');
  await refuse(2, /--embedding: got 4; expected only without --resume/, 'train intent --resume run --embedding 4');
});

test.run();
