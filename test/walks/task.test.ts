// docs/add-a-task.md, walked: the examples train tasks of their own through the public entry, and a task joins the commands.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AnyTask } from '../../src/cli/task.js';
import { TASKS } from '../../src/cli/tasks.js';
import type { TrainResult } from '../../src/cli/training.js';
import { readHeader } from '../../src/index.js';
import { uniform } from '../../src/random.js';
import { digest, json, makeFolder, succeed } from '../cli/command.js';
import { countTask } from './count.js';

test('examples/adding.mjs learns to add, dense and doped, and stores both', () => {
  const folder = makeFolder();
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('examples/adding.mjs'), '8'], {
    cwd: folder,
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1]);
  const guess = number(/guessing the mean: (\S+)/);
  for (const name of ['dense', 'doped']) {
    const error = number(new RegExp(`${name}: mean squared error ([\\d.]+)`));
    assert.ok(error < guess / 4, stdout);
    assert.ok(existsSync(join(folder, `adding-${name}.safetensors`)));
  }
  assert.ok(number(/doped: .* (\d+) bytes/) < number(/dense: .* (\d+) bytes/) / 3);
});

test('examples/voice-activity.mjs trains, dopes, saves and streams a detector', () => {
  const folder = makeFolder();
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('examples/voice-activity.mjs'), '250'], {
    cwd: folder,
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
  const accuracy = Number(/accuracy (\S+) on 5000 frames/.exec(stdout)?.[1]);
  assert.ok(accuracy > 0.93, stdout);
  const { network, task } = readHeader(readFileSync(join(folder, 'voice.safetensors')));
  assert.equal(network.input, { frames: 64 });
  assert.equal(task, { name: 'voice-activity', hop: 0.01 });
});

test('a task in one file, once it is listed, has all commands', async () => {
  (TASKS as AnyTask[]).push(countTask);
  const folder = makeFolder();
  for (const [split, size] of Object.entries({ train: 200, valid: 40, test: 40 })) {
    mkdirSync(join(folder, 'data'), { recursive: true });
    const lines = Array.from({ length: size }, (_, i) => {
      const words = Array.from({ length: 6 }, (_, t) => (uniform(size, 0, 6 * i + t) < 0.5 ? 'a' : '7'));
      return `${words.filter((word) => word === '7').length} ${words.join(' ')}`;
    });
    writeFileSync(join(folder, 'data', `${split}.txt`), `${lines.join('\n')}\n`);
  }
  const line = 'train count --data data --cell gru --checkpoint run';
  const { valid, test } = await json<TrainResult>(folder, `${line} --out count.safetensors`);
  assert.ok(valid.mse! < 0.1 && test!.mse! < 0.1, `${valid.mse}, ${test!.mse}`);
  await succeed(folder, 'train count --resume run --out again.safetensors');
  assert.is(digest(join(folder, 'again.safetensors')), digest(join(folder, 'count.safetensors')));
  const { mse } = await json<{ mse: number }>(folder, 'eval count.safetensors --data data');
  assert.is(mse, test!.mse);
  const { stdout } = await succeed(folder, 'predict count.safetensors', '7 a 7 a 7 a');
  assert.is(stdout, '3\n');
  assert.match((await succeed(folder, 'inspect count.safetensors')).stdout, /doped-kron model that counts, 1 layer /);
  assert.match((await succeed(folder, 'train count --help')).stdout, /dopant train count --data numbers/);
});

test.run();
