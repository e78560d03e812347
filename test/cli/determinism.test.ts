import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeSafetensors } from '../../src/io/safetensors.js';
import { contents, digest, dopantHere, end, json, makeFolder, makeText, start, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);
const bytes = (name: string) => digest(path(name));
writeFileSync(path('text.txt'), makeText(4000));

const SMALL = 'train lm --data text.txt --batch 4 --bptt 8 --compression 5';
// Between them all that a step depends on: masks of every kind, both optimisers, factors, free rows, pruning in the
// middle, single weights and blocks that leave their mask, a rate that changes.
const RUNS = {
  kron: `${SMALL} --hidden 16 --epochs 3 --cmr 0.2 --dropout 0.2 --anneal 0.1,0.8`,
  small: `${SMALL} --hidden 12 --epochs 3 --small`,
  hmd: `${SMALL} --hidden 9 --epochs 4 --method doped-hmd --optimizer sgd --decay 0,1.2 --cmr 0.1 --cmr-hold --alternate 5 --block 4`,
};
const TAUGHT = `${SMALL} --from dense.safetensors --distill 0.5,2 --epochs 3 --dropout 0.2`;
const CHECKPOINT = 'checkpoint.safetensors';

test.before(async () => {
  await succeed(
    folder,
    `${SMALL.replace('--compression 5', '--method dense')} --hidden 16 --epochs 1 --seed 3 --out dense.safetensors`,
  );
  for (const [name, line] of Object.entries({ ...RUNS, softTargets: TAUGHT })) {
    await succeed(folder, `${line} --out ${name}.safetensors --records ${name}.json`);
  }
});

/** The checkpoint of a run, as something that is another whenever it has been written anew. */
function version(checkpoint: string): string {
  const { ino = 0, mtimeMs = 0 } = statSync(join(path(checkpoint), CHECKPOINT), { throwIfNoEntry: false }) ?? {};
  return `${ino} ${mtimeMs}`;
}

/** Starts a run that has a checkpoint after every step, and waits until it has written one more than there is. */
async function startSaving(line: string, checkpoint: string) {
  const before = version(checkpoint);
  const child = start(folder, `${line} --checkpoint-every 0`);
  const ended = end(child);
  while (version(checkpoint) === before && child.exitCode === null) await sleep(1);
  return { child, ended };
}

test('one seed, one model file, and the same records', async () => {
  for (const [name, line] of Object.entries(RUNS)) {
    await succeed(folder, `${line} --out again.safetensors --records again.json`);
    assert.is(bytes('again.safetensors'), bytes(`${name}.safetensors`));
    assert.is(bytes('again.json'), bytes(`${name}.json`));
    await succeed(folder, `${line} --out other.safetensors --seed 2`);
    assert.is.not(bytes('other.safetensors'), bytes(`${name}.safetensors`));
  }
});

for (const [name, line] of Object.entries(RUNS)) {
  test(`a run of ${name} that is killed time and again makes the same model as one that is not`, async () => {
    const results = `--out killed-${name}.safetensors --records killed-${name}.json`;
    let next = `${line} ${results} --checkpoint ${name}`;
    for (let kills = 0; kills < 4; kills++) {
      const { child, ended } = await startSaving(next, name);
      await sleep(60 * Math.random());
      child.kill('SIGKILL');
      const { signal, stderr } = await ended;
      assert.is(signal, 'SIGKILL', `it ended by itself after ${kills} kills: ${stderr}`);
      assert.not.ok(existsSync(path(`killed-${name}.safetensors`)));
      next = `train lm --resume ${name} ${results}`;
    }
    await succeed(folder, next);
    assert.is(bytes(`killed-${name}.safetensors`), bytes(`${name}.safetensors`));
    assert.is(bytes(`killed-${name}.json`), bytes(`${name}.json`));
  });
}

test('Ctrl-C stops with a checkpoint and tells how to go on', async () => {
  const { child, ended } = await startSaving(`${RUNS.kron} --out stopped.safetensors --checkpoint stopped`, 'stopped');
  child.kill('SIGINT');
  const { code, signal, stdout, stderr } = await ended;
  assert.is(signal, null);
  assert.is(code, 1, stderr);
  assert.is(stdout, '');
  const told = /stopped at step (\d+) of (\d+); go on with: dopant (train lm --resume stopped)\n$/.exec(stderr);
  assert.ok(told, stderr);
  const [, step, total, line] = told!;
  assert.ok(Number(step) >= 1 && Number(step) < Number(total), stderr);
  assert.equal(Object.keys(contents(path('stopped'))), [CHECKPOINT]);
  assert.not.ok(existsSync(path('stopped.safetensors')));

  // Just as told: where the model goes the checkpoint knows.
  await succeed(folder, line);
  assert.is(bytes('stopped.safetensors'), bytes('kron.safetensors'));
});

test('Ctrl-C without --checkpoint tells that nothing was kept', async () => {
  const child = start(folder, `${RUNS.kron} --out lost.safetensors`);
  const ended = end(child);
  await once(child.stderr, 'data'); // what is trained is told before the first step
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  assert.is(code, 1, stderr);
  assert.match(stderr, /stopped at step \d+ of \d+; without --checkpoint nothing was kept\n$/);
  assert.not.ok(existsSync(path('lost.safetensors')));
});

/** A run that was stopped early, in a folder of its own. */
async function stop(checkpoint: string, line = RUNS.kron): Promise<void> {
  const { child, ended } = await startSaving(`${line} --checkpoint ${checkpoint} --out ${checkpoint}.out`, checkpoint);
  child.kill('SIGINT');
  assert.is((await ended).code, 1);
}

const refused = async (line: string, message: RegExp) => {
  const before = contents(folder);
  const { code, stdout, stderr } = await dopantHere(folder, line);
  assert.match(stderr, message);
  assert.is(code, 2, stderr);
  assert.is(stdout, '');
  assert.equal(contents(folder), before, 'nothing written, nothing lost');
};

test('a checkpoint is neither started over nor written over by another run', async () => {
  await stop('first');
  await stop('second');
  const already = (name: string) =>
    new RegExp(`--checkpoint: got "${name}"; expected a folder without a checkpoint; --resume ${name}`);
  await refused(`${RUNS.kron} --checkpoint first`, already('first'));
  await refused('train lm --resume first --checkpoint second', already('second'));
});

test('--resume goes with no option of the training, whatever it says', async () => {
  await stop('fixed');
  for (const option of [
    '--level word',
    '--vocab 20',
    '--hidden 9',
    '--layers 3',
    '--method kron',
    '--compression 7',
    '--cmr 0.5',
    '--cmr-hold',
    '--optimizer sgd',
    '--lr 1',
    '--batch 9',
    '--epochs 9',
    '--max-tokens 99',
    '--seed 9',
    '--kron 8x4,4x2',
    '--final-sparsity 0.9',
  ]) {
    const [flag] = option.split(' ');
    await refused(
      `train lm --resume fixed ${option}`,
      new RegExp(`^dopant: ${flag}: got .*; expected only without --resume`),
    );
  }
});

test('another text than the run began with is refused', async () => {
  await stop('moved');
  cpSync(path('text.txt'), path('kept.txt'));
  writeFileSync(path('text.txt'), makeText(4000, 2));
  const other = /data: got .*; expected .*: the text is not the one that the checkpoint was trained on/;
  await refused('train lm --resume moved', other);
  rmSync(path('text.txt'));
  await refused('train lm --resume moved', /--data: got 'text\.txt', which does not exist.*--data can name/);
  cpSync(path('kept.txt'), path('text.txt'));
  writeFileSync(path('other.txt'), makeText(4000, 2));
  await refused('train lm --resume moved --data other.txt', other);
  await succeed(folder, 'train lm --resume moved');
  assert.is(bytes('moved.out'), bytes('kron.safetensors'));
});

test('a run goes on from any folder, with its data, its threads and its results anywhere', async () => {
  const results = '--records far.json --report far.html';
  await stop('far', `${TAUGHT} ${results}`);
  const { run } = decodeSafetensors(readFileSync(join(path('far'), CHECKPOINT))).metadata;
  const { data, from, teacher, out, records, report } = JSON.parse(run) as Record<string, string>;
  for (const [saved, name] of [
    [data, 'text.txt'],
    [from, 'dense.safetensors'],
    [teacher, 'dense.safetensors'],
    [out, 'far.out'],
    [records, 'far.json'],
    [report, 'far.html'],
  ]) {
    assert.ok(isAbsolute(saved), saved);
    assert.is(realpathSync(dirname(saved)), realpathSync(folder));
    assert.is(basename(saved), name);
  }

  mkdirSync(path('elsewhere'));
  cpSync(path('far'), path('copy'), { recursive: true });
  await succeed(path('elsewhere'), 'train lm --resume ../far');
  assert.is(bytes('far.out'), bytes('softTargets.safetensors'));
  assert.is(bytes('far.json'), bytes('softTargets.json'));
  assert.ok(existsSync(path('far.html')));
  for (const name of ['far.out', 'far.json', 'far.html']) rmSync(path(name));

  cpSync(path('text.txt'), path('elsewhere/story.txt'));
  cpSync(path('dense.safetensors'), path('elsewhere/tutor'));
  const moved = '--data story.txt --teacher tutor --out model --records model.json --report model.html --threads 2';
  await succeed(path('elsewhere'), `train lm --resume ../copy ${moved} --checkpoint-every 0`);
  assert.is(bytes('elsewhere/model'), bytes('softTargets.safetensors'));
  assert.is(bytes('elsewhere/model.json'), bytes('softTargets.json'));
  for (const name of ['far.out', 'far.json', 'far.html']) assert.not.ok(existsSync(path(name)));
  const again = JSON.parse(decodeSafetensors(readFileSync(join(path('copy'), CHECKPOINT))).metadata.run);
  assert.is(basename(again.data), 'story.txt');
  assert.is(basename(again.teacher), 'tutor');
  assert.is(basename(again.out), 'model');
});

test('a teacher is given to a run that has one alone', async () => {
  await stop('untaught');
  await refused(
    'train lm --resume untaught --teacher dense.safetensors',
    /--teacher: got "dense\.safetensors"; expected no teacher/,
  );
});

test('a run goes on with the teacher that it had, and with no other', async () => {
  await stop('softTargets', TAUGHT);
  cpSync(path('dense.safetensors'), path('kept.safetensors'));
  cpSync(path('kron.safetensors'), path('dense.safetensors'));
  await refused('train lm --resume softTargets', /--teacher: got dense\.safetensors, which has changed/);
  rmSync(path('dense.safetensors'));
  await refused('train lm --resume softTargets', /cannot read dense\.safetensors: there is no such file/);
  cpSync(path('kept.safetensors'), path('dense.safetensors'));
  await succeed(folder, 'train lm --resume softTargets');
  assert.is(bytes('softTargets.out'), bytes('softTargets.safetensors'));
});

test('a run that is over writes its model again, elsewhere when asked', async () => {
  const first = await json<object>(folder, `${RUNS.kron} --checkpoint over --out over.safetensors`);
  rmSync(path('over.safetensors'));
  const timeless = (result: object) => ({ ...result, tokensPerSecond: 0, seconds: 0 });
  assert.equal(timeless(await json<object>(folder, 'train lm --resume over')), timeless(first));
  assert.is(bytes('over.safetensors'), bytes('kron.safetensors'));
  await succeed(folder, 'train lm --resume over --out elsewhere.safetensors');
  assert.is(bytes('elsewhere.safetensors'), bytes('kron.safetensors'));
});

test.run();
