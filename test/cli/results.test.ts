// A run that made all its steps leaves its model, whatever happens after them; what cannot be measured is left out.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { thinOut } from '../../src/cli/experiment/record.js';
import { languageModelTask } from '../../src/cli/lm/task.js';
import type { TrainArguments } from '../../src/cli/train-options.js';
import { runTraining, type TrainResult } from '../../src/cli/training.js';
import { TrainingError } from '../../src/errors.js';
import type { TrainRecord } from '../../src/train/records.js';
import { apart, digest, dopantHere, json, makeFolder, makeText, succeed } from './command.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
writeFileSync(path('text.txt'), makeText(2000));

const LM = 'train lm --data text.txt --hidden 8 --method dense --batch 4 --bptt 8 --epochs 1';
const INTENT = 'train intent --hidden 8 --embedding 8 --method dense --batch 8 --epochs 2';

/** Intents without a test split whose labels training has. */
function makeIntents(name: string): void {
  for (const split of ['train', 'valid', 'test']) {
    mkdirSync(path(name, split), { recursive: true });
    writeFileSync(path(name, split, 'seq.in'), 'play a song\nfly home\n'.repeat(20));
    writeFileSync(path(name, split, 'label'), split === 'test' ? 'sing\n'.repeat(40) : 'play\nfly\n'.repeat(20));
  }
}

test.before(() => makeIntents('strange'));

const NOTHING = { accuracy: 0, exact: 0 };

/** No number became null on its way into a file. */
const noNull = (name: string) => assert.not.match(readFileSync(path(name), 'utf8'), /null|NaN/);

test('a test split of labels that training lacks has accuracy 0 and no perplexity', async () => {
  const line = `${INTENT} --data strange --out strange.model --records strange.json --report strange.html`;
  const { valid, test } = await json<TrainResult>(folder, line);
  assert.equal(test, NOTHING);
  assert.equal(Object.keys(valid).sort(), ['accuracy', 'exact', 'perplexity']);
  noNull('strange.json');
  const { stdout } = await succeed(folder, line);
  assert.match(stdout, /\ntest accuracy, %: 0\.00\n/);
  for (const said of [stdout, readFileSync(path('strange.html'), 'utf8')]) assert.not.match(said, /NaN/);

  const evaluated = await json<Record<string, unknown>>(folder, 'eval strange.model --data strange --split test');
  assert.equal([evaluated.accuracy, evaluated.exact, evaluated.examples], [0, 0, 40]);
  assert.not('perplexity' in evaluated);
});

test('and so has an experiment on it, in its records, tables and report', async () => {
  const settings = { data: 'strange', hidden: 8, embedding: 8, batch: 8, epochs: 1 };
  writeFileSync(path('grid.json'), JSON.stringify({ task: 'intent', settings, cells: [{ method: 'dense' }] }));
  const { cells } = await apart.json<{ cells: { failed: number; runs: Pick<TrainResult, 'test'>[] }[] }>(
    folder,
    'experiment grid.json --jobs 1',
  );
  assert.is(cells[0].failed, 0);
  assert.equal(cells[0].runs[0].test, NOTHING);
  const { stdout } = await succeed(folder, 'experiment grid.json --jobs 1');
  assert.match(stdout, /\| accuracy \| +[\d.]+ \| +0\.000 \|/);
  await succeed(folder, 'report records --out page.html');
  assert.not.match(readFileSync(path('page.html'), 'utf8'), /NaN/);
});

test('a matrix that is pruned to nothing has no compression in parameters', async () => {
  const line = `train lm --data text.txt --hidden 8 --method pruned --final-sparsity 1 --batch 4 --bptt 8 --epochs 1`;
  const { compression, parameters } = await json<TrainResult>(folder, `${line} --out nothing --records nothing.json`);
  assert.equal(Object.keys(compression), ['bytes', 'file']);
  assert.is(parameters.lstm, 0);
  noNull('nothing.json');
  assert.match((await succeed(folder, line)).stdout, /\ncompression \(parameters\): -\n/);
  assert.not.match((await succeed(folder, 'inspect nothing')).stdout, /Infinity|NaN/);
  assert.not.match((await succeed(folder, 'inspect nothing --json')).stdout, /null/);
});

test('curves in records of experiments hold no number that JSON does not have', () => {
  const prune = (step: number, after: number): TrainRecord => ({ kind: 'prune', step, sparsity: 0, before: 5, after });
  const records = [prune(1, Number.POSITIVE_INFINITY), prune(2, 7)];
  assert.equal(thinOut(records), [records[1]]);
});

/** Does something once the model is there. */
function onceWritten(model: string, act: () => void): void {
  const look = () => (existsSync(path(model)) ? act() : setImmediate(look).unref());
  look();
}

for (const bad of ['records', 'report'] as const) {
  test(`a --${bad} that fails leaves the model and all else`, async () => {
    const { stdout: whole } = await succeed(folder, `${LM} --out whole --records whole.json --report whole.html`);
    const results = { records: 'good.json', report: 'good.html', [bad]: 'gone/file' };
    mkdirSync(path('gone'));
    rmSync(path('made'), { force: true });
    onceWritten('made', () => rmSync(path('gone'), { recursive: true }));
    const line = `${LM} --out made --records ${results.records} --report ${results.report}`;
    const { code, stdout, stderr } = await dopantHere(folder, line);
    assert.is(code, 1, stderr);
    assert.match(stderr, /\ndopant: cannot write gone\/file: .*\n$/);
    assert.is(stdout, whole.replace('whole', 'made'));
    assert.is(digest(path('made')), digest(path('whole')));
    const [good, file] = bad === 'records' ? ['good.html', 'whole.html'] : ['good.json', 'whole.json'];
    assert.ok(existsSync(path(good)));
    if (good.endsWith('.json')) assert.is(digest(path(good)), digest(path(file)));
    rmSync(path(good));
  });
}

test('a last checkpoint that fails leaves the model and all else', async () => {
  const { stdout: whole } = await succeed(folder, `${LM} --out whole --records whole.json`);
  rmSync(path('made'), { force: true });
  // In the place of the checkpoint, which is first written when the model is.
  onceWritten('made', () => mkdirSync(path('run/checkpoint.safetensors')));
  const { code, stdout, stderr } = await dopantHere(
    folder,
    `${LM} --out made --records made.json --checkpoint run --checkpoint-every 999`,
  );
  assert.is(code, 0, stderr);
  assert.match(stderr, /cannot write run\/checkpoint\.safetensors: .*; the model is complete without it/);
  assert.is(stdout, whole.replace('whole', 'made'));
  assert.is(digest(path('made')), digest(path('whole')));
  assert.is(digest(path('made.json')), digest(path('whole.json')));
});

test('a test split on which the perplexity is no number leaves the model', async () => {
  const { source, options } = languageModelTask.start({
    data: path('text.txt'),
    hidden: 8,
    method: 'dense',
    batch: 4,
    bptt: 8,
    epochs: 1,
  } as TrainArguments);
  const watcher = { announce() {}, step() {}, evaluating() {}, interrupted: () => false };
  const task: typeof languageModelTask = {
    ...languageModelTask,
    measurement(model, data, split) {
      const measurement = languageModelTask.measurement(model, data, split)!;
      return {
        ...measurement,
        *measureInParts() {
          for (const [, { data }] of model.parameters()) data.fill(3e38);
          return yield* measurement.measureInParts();
        },
      };
    },
  };
  const { result, records, problems } = await runTraining(
    task,
    source,
    options,
    { checkpointEvery: 60, out: path('untested') },
    watcher,
  );
  assert.is(problems.length, 1);
  assert.instance(problems[0], TrainingError);
  assert.match(problems[0].message, /^test: the perplexity is (NaN|Infinity); the model is in .*untested$/);
  assert.is(result.test, undefined);
  assert.ok(result.valid.perplexity! > 1 && records.length > 0);
  await succeed(folder, `${LM} --out whole`);
  assert.is(digest(path('untested')), digest(path('whole')));
});

test.run();
