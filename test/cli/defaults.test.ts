// Defaults are written twice, for the program and for its users: in code, and in words in --help.

import { writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultIntentOptions } from '../../src/tasks/intent/training.js';
import { defaultOptions } from '../../src/tasks/lm/training.js';
import type { TrainingOptions } from '../../src/tasks/training.js';
import { makeFolder, makeText, succeed } from './command.js';

const folder = makeFolder();

/** The numbers and names that --help gives as an option's defaults, in the order of its words. */
async function defaultsOf(command: string): Promise<Map<string, (number | string)[]>> {
  const { stdout } = await succeed(folder, `${command} --help`);
  // Long descriptions are broken into lines.
  const options = stdout.replace(/\n {10,}/g, ' ').matchAll(/^ +--([a-z0-9-]+)(.*)$/gm);
  return new Map(
    [...options].flatMap(([, name, text]) => {
      const [, words] = /\(default: (.*)\)/.exec(text) ?? [];
      const values =
        words?.match(/\d+(?:\.\d+)?|global|matrix|doped-kron|dense|magnitude|moment|cosine|linear|decay/g) ?? [];
      return values.length > 0 ? [[name, values.map((value) => (/^\d/.test(value) ? Number(value) : value))]] : [];
    }),
  );
}

/** What every training has by default, where `list` are its options under each of its conditions, adam before sgd. */
function common(list: readonly TrainingOptions[]): Record<string, unknown[]> {
  const each = (value: (options: TrainingOptions) => unknown[]) => list.flatMap(value);
  const [adam] = list;
  const sgd = list.at(-1)!;
  assert.equal(adam.schedule, { kind: 'cosine' });
  assert.is(adam.optimizer, 'adam');
  assert.equal(adam.coMatrixDropout, { structure: 0, dopants: 0, hold: false, until: 1 });
  assert.is(adam.alternate, 0);
  const { schedule } = sgd;
  return {
    hidden: [adam.hidden],
    layers: [adam.layers],
    method: [adam.method],
    compression: [adam.compression],
    cmr: [adam.coMatrixDropout.structure],
    'cmr-until': [adam.coMatrixDropout.until],
    lr: each(({ learningRate }) => [learningRate]),
    dropout: each(({ dropout }) => [dropout]).slice(0, -1),
    batch: [adam.batch],
    epochs: each(({ epochs }) => [epochs]).slice(0, -1),
    seed: [adam.seed],
    clip: [adam.clip],
    decay: schedule.kind === 'decay' ? [schedule.after, schedule.by] : [],
    anneal: [adam.annealing.start, adam.annealing.end],
    'prune-every': [adam.annealing.every],
    threshold: [adam.annealing.threshold],
    'free-rate': each(({ freeRate: { scale, power } }) => [scale, power]),
    'head-rate': each(({ headRate }) => [headRate]).slice(0, -1),
    beta1: each(({ beta1 }) => [beta1]).slice(0, -1),
    l1: each(({ l1 }) => [l1]).slice(0, -1),
    saliency: each(({ annealing }) => [annealing.saliency ?? 'magnitude']).slice(0, -1),
    schedule: [...each(({ schedule }) => [schedule.kind])],
    warmup: [0],
    'structure-share': [adam.structureShare],
  };
}

test('train lm --help names the defaults that it has', async () => {
  const told = await defaultsOf('train lm');
  const [words, characters, sgd] = [defaultOptions('word'), defaultOptions('char'), defaultOptions('word', 'sgd')];
  const wanted = { ...common([words, characters, sgd]), bptt: [words.bptt, characters.bptt] };
  for (const [name, values] of Object.entries(wanted)) assert.equal(told.get(name), values, name);
});

test('train intent --help names the defaults that it has', async () => {
  const told = await defaultsOf('train intent');
  const [adam, sgd] = [defaultIntentOptions(), defaultIntentOptions('sgd')];
  const wanted = { ...common([adam, sgd]), embedding: [adam.embedding] };
  for (const [name, values] of Object.entries(wanted)) assert.equal(told.get(name), values, name);
});

test('the other commands do by default what they do when told so', async () => {
  writeFileSync(join(folder, 'text.txt'), makeText(1000));
  const train = 'train lm --data text.txt --hidden 8 --compression 5 --batch 4 --bptt 8 --epochs 1';
  await succeed(folder, train);
  const same = async (line: string, ...defaults: string[]) => {
    const [{ stdout }, told] = [await succeed(folder, line), await succeed(folder, [line, ...defaults].join(' '))];
    assert.is(stdout, told.stdout, line);
  };
  await same('generate model.safetensors', '--tokens 100', '--temperature 0.8', '--seed 1');
  await same('eval model.safetensors --data text.txt --json', '--split test');
  await same('export model.safetensors --data text.txt --out small --json', '--max-loss 0.01');
});

/** How often the command of a line writes a checkpoint over. */
async function checkpointsOf(line: string): Promise<number> {
  const { rename } = fs;
  let count = 0;
  fs.rename = async (from, to) => {
    if (String(to).endsWith('checkpoint.safetensors')) count++;
    await rename(from, to);
  };
  syncBuiltinESMExports();
  try {
    await succeed(folder, line);
  } finally {
    fs.rename = rename;
    syncBuiltinESMExports();
  }
  return count;
}

test('checkpoints are written now and then, not after every step, unless that is asked for', async () => {
  writeFileSync(join(folder, 'text.txt'), makeText(1000));
  const train = 'train lm --data text.txt --hidden 8 --compression 5 --batch 4 --bptt 8 --epochs 1';
  assert.is(await checkpointsOf(`${train} --checkpoint seldom`), 1, 'in a run of less than a minute, at its end');
  assert.ok((await checkpointsOf(`${train} --checkpoint often --checkpoint-every 0`)) > 10);
});

test.run();
