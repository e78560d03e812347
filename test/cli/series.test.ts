import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/io/safetensors.js';
import { uniform } from '../../src/random.js';
import { apart, digest, dopantHere, json, makeFolder, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);

/** Waves of two frequencies: their names, or their last values at each step. */
for (const [name, answer] of [
  ['labels', (fast: boolean) => (fast ? 'fast' : 'slow')],
  ['numbers', (_: boolean, x: number[][]) => x.map(([sine], t) => 3 * sine + 100 + (t ? x[t - 1][0] : 0))],
] as const) {
  mkdirSync(path(name));
  for (const [split, size] of Object.entries({ train: 40, valid: 12, test: 16 })) {
    const lines = Array.from({ length: size }, (_, i) => {
      const fast = i % 2 === 0;
      const phase = 6 * uniform(size, 1, i);
      const x = Array.from({ length: 8 + (i % 3) }, (_, t) => [Math.sin(phase + t * (fast ? 2 : 0.7)), 5]);
      return `${JSON.stringify({ x, y: answer(fast, x) })}\n`;
    });
    writeFileSync(path(`${name}/${split}.jsonl`), lines.join(''));
  }
}

const SMALL = '--hidden 12 --batch 8 --epochs 40 --compression 2 --lr 0.02';

test('train, eval and predict of labels agree', async () => {
  const result = await json<TrainResult>(folder, `train series --data labels ${SMALL} --out labels.safetensors`);
  assert.ok(result.test!.accuracy! > 0.9, JSON.stringify(result.test));
  const measured = await json<{ accuracy: number }>(folder, 'eval labels.safetensors --data labels');
  assert.equal(measured, { split: 'test', accuracy: result.test!.accuracy, examples: 16 });
  const { stdout } = await succeed(folder, 'predict labels.safetensors labels/test.jsonl --json');
  const answers = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).label);
  const right = answers.filter((label, i) => label === (i % 2 ? 'slow' : 'fast')).length;
  assert.is(right / 16, measured.accuracy);
  const shown = await succeed(folder, 'predict labels.safetensors labels/test.jsonl');
  assert.match(shown.stdout.split('\n')[0], /^(fast|slow) {2}\d+\.\d\d %$/);
  assert.match(
    (await succeed(folder, 'inspect labels.safetensors')).stdout,
    /model of series, 2 numbers a frame, 2 labels/,
  );
  const small = await json<{ compression: { file: number } }>(
    folder,
    'export labels.safetensors --data labels --target 2x --out small.gz',
  );
  assert.ok(small.compression.file >= 2);
  await succeed(folder, 'predict small.gz labels/test.jsonl');
});

test('numbers for each step are learnt, their error is in their units, and a run resumes to the same bits', async () => {
  const line = `train series --data numbers ${SMALL} --cell gru --bits 8 --checkpoint run --out numbers.safetensors --report numbers.html`;
  const result = await json<TrainResult>(folder, line);
  assert.ok(result.test!.mse! < 1, JSON.stringify(result.test));
  assert.is(result.valid.perplexity, undefined);
  await succeed(folder, 'train series --resume run --out again.safetensors');
  assert.is(digest(path('again.safetensors')), digest(path('numbers.safetensors')));
  assert.match(
    (await succeed(folder, 'eval numbers.safetensors --data numbers')).stdout,
    /^test: mean squared error 0\.\d+, 16 series/,
  );
  const { stdout } = await succeed(folder, 'predict numbers.safetensors numbers/test.jsonl --json');
  assert.is(JSON.parse(stdout.split('\n')[0]).length, 8);
});

test('an experiment compares models of series by accuracy, or by mean squared error', async () => {
  for (const [data, measure] of [
    ['labels', / accuracy /],
    ['numbers', / mse /],
  ] as const) {
    const settings = { data: path(data), hidden: 8, batch: 8, epochs: 2 };
    const cells = [{ method: 'dense' }, { method: 'doped-kron', compression: 2 }];
    writeFileSync(path(`${data}.json`), JSON.stringify({ task: 'series', settings, cells }));
    const { stdout } = await apart.succeed(folder, `experiment ${data}.json --jobs 1 --out ${data}-records`);
    assert.match(stdout, measure);
  }
});

test('a file whose labels are damaged is named by every command', async () => {
  const { tensors, metadata } = decodeSafetensors(readFileSync(path('labels.safetensors')));
  const { labels, ...task } = JSON.parse(metadata.task);
  const damaged = { ...metadata, task: JSON.stringify({ ...task, labels: labels.fill('same') }) };
  writeFileSync(path('damaged.safetensors'), encodeSafetensors(tensors, damaged));
  for (const line of ['predict damaged.safetensors labels/valid.jsonl', 'eval damaged.safetensors --data labels']) {
    const { code, stderr } = await dopantHere(folder, line);
    assert.is(code, 1);
    assert.match(stderr, /^dopant: damaged\.safetensors: metadata\.labels\[1\]: got "same"; expected a name/);
  }
});

for (const [line, message] of [
  ['not json', /train\.jsonl, line 1: got "not json" for a series; expected JSON/],
  ['{"x":[],"y":"a"}', /line 1: got \[\] for x; expected a list of frames/],
  ['{"x":[[1],[1,2]],"y":"a"}', /line 1: got 2 for x\[1\]; expected 1 numbers/],
  ['{"x":[[1,"2"]],"y":"a"}', /line 1: got "2" for x\[0\]\[1\]; expected a finite number/],
  ['{"x":[[1,1e39]],"y":"a"}', /for x\[0\]\[1\]; expected a finite number/],
  ['{"x":[[1]]}', /line 1: got .* for y; expected a label/],
  ['{"x":[[1]],"y":["a","b"]}', /line 1: got 2 for y; expected one label or number for each of 1 steps/],
  ['{"x":[[1],[2]],"y":["a",1]}', /for y\[1\]; expected labels only/],
  ['', /train\.jsonl, which is empty/],
] as const) {
  test(`rejects ${line}`, async () => {
    rmSync(path('bad'), { recursive: true, force: true });
    cpSync(path('labels'), path('bad'), { recursive: true });
    writeFileSync(path('bad/train.jsonl'), line);
    const { code, stderr } = await dopantHere(folder, 'train series --data bad');
    assert.is(code, 2, stderr);
    assert.match(stderr, message);
  });
}

test.run();
