import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import type { Tagged } from '../../src/infer/index.js';
import { apart, digest, dopantHere, json, makeFolder, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);

const CITIES = ['rome', 'new york', 'paris'];
for (const [split, size] of Object.entries({ train: 36, valid: 9, test: 12 })) {
  mkdirSync(path(`data/${split}`), { recursive: true });
  const lines = Array.from({ length: size }, (_, i) => [CITIES[i % 3], CITIES[(i + (i >> 2)) % 3]]);
  const tags = (city: string, name: string) =>
    city
      .split(' ')
      .map((_, i) => `${i ? 'I' : 'B'}-${name}`)
      .join(' ');
  writeFileSync(path(`data/${split}/seq.in`), lines.map(([a, b]) => `from ${a} to ${b} \n`).join(''));
  writeFileSync(
    path(`data/${split}/seq.out`),
    lines.map(([a, b]) => `O ${tags(a, 'from')} O ${tags(b, 'to')} \n`).join(''),
  );
}
cpSync(path('data'), path('untested'), { recursive: true });
rmSync(path('untested/test'), { recursive: true });

const SMALL = 'train tag --data data --hidden 8 --embedding 8 --batch 8 --epochs 20 --compression 2 --lr 0.02';

test('train, eval and predict agree', async () => {
  const result = await json<TrainResult>(folder, `${SMALL} --out tags.safetensors --report tags.html`);
  assert.is(result.test?.f1, 1);
  assert.is(result.test?.accuracy, 1);
  const measured = await json<object>(folder, 'eval tags.safetensors --data data');
  assert.equal(measured, { split: 'test', f1: 1, accuracy: 1, examples: 12, unknown: 0, unknownLabels: 0 });
  const text = await succeed(folder, 'eval tags.safetensors --data data --split valid');
  assert.match(text.stdout, /^valid: F1 100\.00 %, accuracy 100\.00 %, 9 texts/);
  const said = await succeed(folder, 'predict tags.safetensors --json', 'From Rome to  New York.');
  const { tokens, tags, slots } = JSON.parse(said.stdout) as Tagged;
  assert.equal(tokens, ['From', 'Rome', 'to', 'New', 'York']);
  assert.equal(tags, ['O', 'B-from', 'O', 'B-to', 'I-to']);
  assert.equal(slots, [
    { name: 'from', text: 'Rome', start: 5, end: 9 },
    { name: 'to', text: 'New York', start: 14, end: 22 },
  ]);
  const shown = await succeed(folder, 'predict tags.safetensors', 'from rome to paris');
  assert.is(shown.stdout, 'from: rome\nto: paris\n');
  assert.match((await succeed(folder, 'inspect tags.safetensors')).stdout, /model of 5 tags, 1 bidirectional layer /);

  const small = await json<{ valid: { loss: number } }>(
    folder,
    'export tags.safetensors --data data --max-loss 0.05 --out small.gz',
  );
  assert.ok(small.valid.loss <= 0.05);
  const after = await json<{ f1: number }>(folder, 'eval small.gz --data data');
  assert.ok(after.f1 > 0.9, `${after.f1}`);
});

test('a run without a test folder evaluates valid, and resumes to the same bits', async () => {
  const short = SMALL.replace('--data data', '--data untested').replace('--epochs 20', '--epochs 2 --bits 3');
  const result = await json<TrainResult>(folder, `${short} --checkpoint run --out a.safetensors`);
  assert.is(result.test, undefined);
  await succeed(folder, 'train tag --resume run --out b.safetensors');
  assert.is(digest(path('b.safetensors')), digest(path('a.safetensors')));
  const { split } = await json<{ split: string }>(folder, 'eval a.safetensors --data untested');
  assert.is(split, 'valid');
});

test('an experiment compares models by their F1', async () => {
  const settings = { data: path('data'), hidden: 8, embedding: 8, batch: 8, epochs: 2 };
  const cells = [{ method: 'dense' }, { method: 'doped-kron', compression: 2 }];
  writeFileSync(path('grid.json'), JSON.stringify({ task: 'tag', settings, cells }));
  const { stdout } = await apart.succeed(folder, 'experiment grid.json --jobs 1');
  assert.match(stdout, / f1 /);
});

for (const [change, line, message] of [
  [
    () => writeFileSync(path('bad/train/seq.out'), 'O\n'.repeat(36)),
    'train tag --data bad',
    /got 4 words in line 1 of .*seq\.in.* and 1 tags/,
  ],
  [
    () => writeFileSync(path('bad/train/seq.out'), 'O O O O\n'),
    'train tag --data bad',
    /got 36 lines in seq\.in and 1 in seq\.out/,
  ],
  [() => rmSync(path('bad/train'), { recursive: true }), 'train tag --data bad', /without a folder train/],
  [() => {}, 'train tag --data nowhere', /nowhere/],
  [
    () => {},
    'predict tags.safetensors text --threshold 0.5',
    /--threshold: got 0\.5; expected only for a model of intents|--threshold/,
  ],
] as const) {
  test(`rejects ${line}: ${message}`, async () => {
    rmSync(path('bad'), { recursive: true, force: true });
    cpSync(path('data'), path('bad'), { recursive: true });
    change();
    const { code, stderr } = await dopantHere(folder, line);
    assert.is(code, 2, stderr);
    assert.match(stderr, message);
  });
}

test.run();
