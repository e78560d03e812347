// Every task takes every cell, in one direction or both.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import { digest, dopantHere, json, makeFolder, makeText, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);

writeFileSync(path('text.txt'), makeText(3000));
for (const [split, size] of Object.entries({ train: 40, valid: 10, test: 10 })) {
  mkdirSync(path(`data/${split}`), { recursive: true });
  const lines = Array.from({ length: size }, (_, i) => (i % 2 ? 'is it cold in rome' : 'book a table in paris'));
  writeFileSync(path(`data/${split}/seq.in`), `${lines.join('\n')}\n`);
  writeFileSync(path(`data/${split}/label`), `${lines.map((_, i) => (i % 2 ? 'weather' : 'book')).join('\n')}\n`);
}

const INTENT = 'train intent --data data --hidden 8 --embedding 8 --batch 8 --epochs 6 --compression 2 --lr 0.02';
const LM = 'train lm --data text.txt --hidden 8 --vocab 20 --batch 4 --bptt 5 --epochs 1 --compression 2';

/** Parameters of the dense recurrent matrices of a layer. */
const dense = (gates: number, inputs: number, directions: number) => directions * gates * 8 * (inputs + 8);

for (const [cell, gates] of [
  ['lstm', 4],
  ['gru', 3],
] as const) {
  for (const directions of [1, 2]) {
    test(`an intent model of ${cell} layers in ${directions} directions learns, and eval agrees`, async () => {
      const out = `${cell}${directions}.safetensors`;
      const result = await json<TrainResult>(
        folder,
        `${INTENT} --cell ${cell} --directions ${directions} --layers 2 --out ${out}`,
      );
      assert.is(result.test?.accuracy, 1);
      const whole = dense(gates, 8, directions) + dense(gates, 8 * directions, directions);
      assert.is(result.compression.parameters, whole / result.parameters.lstm);
      const { accuracy } = await json<{ accuracy: number }>(folder, `eval ${out} --data data`);
      assert.is(accuracy, 1);
    });
  }
}

test('a language model of GRU layers trains, resumes to the same bits, and becomes another', async () => {
  const result = await json<TrainResult>(folder, `${LM} --cell gru --out gru.safetensors --checkpoint run`);
  assert.ok(result.valid.perplexity! < 50);
  await succeed(folder, 'train lm --resume run --out again.safetensors');
  assert.is(digest(path('again.safetensors')), digest(path('gru.safetensors')));
  const again = await json<TrainResult>(
    folder,
    `train lm --data text.txt --from gru.safetensors --method lmf --compression 2 --batch 4 --bptt 5 --epochs 1 --out lmf.safetensors`,
  );
  assert.ok(again.valid.perplexity! < result.valid.perplexity!);
  const { tensors } = await json<{ tensors: { name: string }[] }>(folder, 'inspect lmf.safetensors');
  assert.ok(tensors.some(({ name }) => name.startsWith('gru.1.hh')));
  assert.not.ok(tensors.some(({ name }) => name.startsWith('lstm')));
});

test('--matrices all compresses the head, too; others start from such a model', async () => {
  const line = `${LM} --matrices all --method doped-kron --checkpoint all`;
  const { compression } = await json<TrainResult>(folder, `${line} --out all.safetensors`);
  assert.ok(compression.parameters! > 1.9 && compression.parameters! < 2.3, `${compression.parameters}`);
  const { tensors } = await json<{ tensors: { name: string; kind: string }[] }>(folder, 'inspect all.safetensors');
  assert.ok(tensors.some(({ name, kind }) => name === 'head.1' && kind === 'sparse'));
  await succeed(folder, 'train lm --resume all --out again.safetensors');
  assert.is(digest(path('again.safetensors')), digest(path('all.safetensors')));
  const from = 'train lm --data text.txt --from all.safetensors --method dense --batch 4 --bptt 5 --epochs 1';
  await succeed(folder, `${from} --lr 1e-9 --out start.safetensors`);
  const perplexity = (name: string) => json<{ perplexity: number }>(folder, `eval ${name}.safetensors --data text.txt`);
  const before = await perplexity('all');
  const after = await perplexity('start');
  assert.ok(Math.abs(before.perplexity / after.perplexity - 1) < 1e-4, `${before.perplexity}, ${after.perplexity}`);
});

test('the defaults may be given, and change no bit', async () => {
  await succeed(folder, `${INTENT} --epochs 1 --out plain.safetensors`);
  await succeed(folder, `${INTENT} --epochs 1 --cell lstm --directions 2 --matrices recurrent --out given.safetensors`);
  assert.is(digest(path('given.safetensors')), digest(path('plain.safetensors')));
});

for (const [line, message] of [
  [`${LM} --directions 2`, /--directions: got 2; expected 1: a language model predicts/],
  [`${LM} --directions 3`, /--directions/],
  [`${LM} --method pruned --cell gru --block gates`, /--block: got "gates"; expected 1, 4 or 8 for a GRU/],
  [`${LM} --method pruned --matrices all --block gates`, /--block: got "gates"; expected 1, 4 or 8 for matrices of/],
  [`${LM} --method pruned --cell gru --block 8 --hidden 9`, /--block: got 8; expected a size that divides the 27 rows/],
  [`${LM} --matrices none`, /--matrices: got "none"; expected recurrent or all/],
  [`${LM.replace(' --compression 2', '')} --method dense --matrices all`, /--matrices: got "all"; expected a --method/],
  [`${LM} --cell rnn`, /--cell: got "rnn"; expected lstm or gru/],
  [
    `${LM.replace(' --hidden 8 --vocab 20', '')} --from gru.safetensors --cell lstm`,
    /--cell: got "lstm"; expected gru, as in the model of --from/,
  ],
] as const) {
  test(`rejects ${line.slice(-40)}`, async () => {
    const { code, stderr } = await dopantHere(folder, line);
    assert.is(code, 2);
    assert.match(stderr, message);
  });
}

test.run();
