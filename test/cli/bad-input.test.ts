import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TrainResult } from '../../src/cli/training.js';
import {
  contents,
  digest,
  dopant,
  dopantHere,
  end,
  json,
  MAIN,
  makeFolder,
  makeText,
  start,
  succeed,
} from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);
const SMALL = 'train lm --data text.txt --max-tokens 500 --hidden 8 --compression 5 --batch 4 --bptt 8 --epochs 1';
const DENSE = SMALL.replace('--compression 5', '--method dense');
const CHECKPOINT = 'checkpoint.safetensors';

const WORDS = makeText(300);
// A picture of one pixel.
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

test.before(async () => {
  const files: Record<string, string | Uint8Array> = {
    'text.txt': makeText(2000),
    'empty.txt': '',
    'blank.txt': ' \n\t \n',
    'word.txt': 'word',
    'few.txt': makeText(60),
    'marks.txt': `${'... !!! '.repeat(100)}`,
    'ends.txt': `${WORDS} ${'!!! '.repeat(150)}`,
    'end.txt': `${WORDS} ${'!!! '.repeat(WORDS.length / 60)}`,
    'latin1.txt': Buffer.from('Größe '.repeat(100), 'latin1'),
    'image.png': Buffer.from(PNG, 'base64'),
    'nothing.safetensors': '',
  };
  for (const [name, data] of Object.entries(files)) writeFileSync(path(name), data);
  for (const name of ['texts', 'no-checkpoint', 'corrupt', 'image', 'model-for-checkpoint']) mkdirSync(path(name));
  await succeed(folder, `${SMALL} --out good.safetensors --checkpoint run`);
  const good = readFileSync(path('good.safetensors'));
  writeFileSync(path('cut.safetensors'), good.subarray(0, good.length - 1));
  writeFileSync(path('short.safetensors'), good.subarray(0, 5));
  // The default place for what is trained.
  writeFileSync(path('model.safetensors'), 'an older model');
  cpSync(path('good.safetensors'), path(`model-for-checkpoint/${CHECKPOINT}`));
  cpSync(path('image.png'), path(`image/${CHECKPOINT}`));
  const checkpoint = readFileSync(path(`run/${CHECKPOINT}`));
  writeFileSync(path(`corrupt/${CHECKPOINT}`), checkpoint.subarray(0, checkpoint.length >> 1));
});

/** Refused: with this exit code, with words that name the thing and with no stack, and everything is as it was. */
async function refuse(code: 1 | 2, message: RegExp, line: string, ...rest: string[]): Promise<string> {
  const before = contents(folder);
  const outcome = await dopantHere(folder, line, ...rest);
  const { stdout, stderr } = outcome;
  assert.match(stderr, message, `dopant ${line}: ${stderr}`);
  assert.is(outcome.code, code, stderr);
  assert.is(stdout, '');
  assert.not.match(stderr, /\n {4}at /, 'a stack is for mistakes of the program');
  assert.equal(contents(folder), before, 'nothing written, nothing lost');
  return stderr;
}

test('a trained model to start from or to learn from', async () => {
  const line = SMALL.replace('--hidden 8 ', '');
  await refuse(2, /cannot read no\.safetensors: there is no such file/, `${line} --from no.safetensors`);
  await refuse(1, /cut\.safetensors: /, `${line} --from cut.safetensors`);
  for (const [option, given, there] of [
    ['hidden', 9, 8],
    ['layers', 1, 2],
    ['level', 'char', 'word'],
    ['vocab', 5, '\\d+'],
  ]) {
    const message = new RegExp(`--${option}: got "?${given}"?; expected ${there}, as in the model of --from`);
    await refuse(2, message, `${line} --from good.safetensors --${option} ${given}`);
  }
  await refuse(2, /--distill: got "0.5"; expected a teacher: /, `${line} --distill 0.5`);
  await refuse(
    2,
    /--teacher: got "good.safetensors"; expected only with --distill/,
    `${line} --teacher good.safetensors`,
  );
  await refuse(2, /--distill: got "x"; expected a decimal number/, `${line} --from good.safetensors --distill x`);
  await refuse(2, /^dopant: --distill weight: got 2;/, `${line} --from good.safetensors --distill 2`);
  await refuse(2, /^dopant: --distill temperature: got 0;/, `${line} --teacher good.safetensors --distill 0.5,0`);
});

test('a text that is not there, or no text', async () => {
  const data = (name: string) => SMALL.replace('text.txt', name);
  await refuse(
    2,
    /--data: got 'nowhere\.txt', which does not exist; expected 'sotu', a text file/,
    data('nowhere.txt'),
  );
  await refuse(2, /--data: got 'text\.txt\/inside', which does not exist/, data('text.txt/inside'));
  await refuse(2, /--data: got texts, a folder without \.txt files/, data('texts'));
  await refuse(2, /--data: got empty\.txt, which is empty/, data('empty.txt'));
  await refuse(2, /--data: got blank\.txt, which is empty/, data('blank.txt'));
  await refuse(2, /--data: got 1 word in word\.txt; expected at least 6/, data('word.txt'));
  await refuse(2, /--data: got latin1\.txt, which is not UTF-8/, data('latin1.txt'));
  await refuse(2, /--data: got image\.png, which is not UTF-8/, data('image.png'));
  await refuse(2, /texts: got no word; expected/, data('marks.txt'));
  await refuse(2, /--data: got 'nowhere\.txt', which does not exist/, 'eval good.safetensors --data nowhere.txt');
  await refuse(2, /--data: got empty\.txt, which is empty/, 'eval good.safetensors --data empty.txt');
});

test('too little text for a batch, or to measure on', async () => {
  await refuse(
    2,
    /the training text: got \d+ tokens, fewer than one batch; expected at least 336, for 16 streams of 20 steps/,
    'train lm --data few.txt --hidden 8 --compression 5',
  );
  await refuse(2, /training text: got 30 tokens, fewer than one batch; .* 4 streams of 8/, `${SMALL} --max-tokens 30`);
  // Punctuation alone, where the text for validation and for the test should be.
  await refuse(2, /valid: got [01] tokens; expected at least 2/, SMALL.replace('text.txt', 'ends.txt'));
  await refuse(2, /test text: got 0; expected at least 2 tokens/, SMALL.replace('text.txt', 'end.txt'));
  await refuse(
    2,
    /test text: got [01]; expected at least 2 tokens/,
    'eval good.safetensors --data ends.txt --split test',
  );
});

test('a vocabulary larger than the text names what is possible, which is accepted', async () => {
  const message = await refuse(2, /vocab: got 1000; expected at most \d+/, `${SMALL} --vocab 1000`);
  const [, most] = /at most (\d+)/.exec(message)!;
  await succeed(folder, `${SMALL} --out vocabulary.safetensors --vocab ${most}`);
  await refuse(2, /at most/, `${SMALL} --vocab ${Number(most) + 1}`);
});

test('a compression that is none', async () => {
  const compression = (value: string) => `${SMALL.replace('--compression 5', '')} --compression ${value}`;
  for (const value of ['0.99', '0', '-5']) {
    await refuse(2, new RegExp(`compression: got ${value}; expected a number >= 1`), compression(value));
  }
});

test('an impossible compression names the nearest possible one, which is accepted', async () => {
  for (const method of ['pruned', 'kron', 'lmf', 'hmd', 'doped-kron', 'doped-lmf', 'doped-hmd']) {
    const line = `${SMALL} --method ${method} --compression`;
    const message = await refuse(
      2,
      new RegExp(
        `compression: got 1000, which leaves 0 parameters for .* 32 x 8.* method '${method}'.* nearest possible compression is`,
      ),
      `${line} 1000`,
    );
    const [, nearest] = /nearest possible compression is ([\d.]+)\n/.exec(message)!;
    const result = await json<TrainResult>(folder, `${line} ${nearest} --out nearest-${method}.safetensors`);
    assert.ok(result.compression.parameters! >= Number(nearest));
  }
  await refuse(
    2,
    /at least the 5 that method 'lmf' needs; no compression is possible/,
    `${SMALL} --method lmf --hidden 1`,
  );
});

test('choices that there are not', async () => {
  await refuse(2, /--method: got "magic"; expected one of dense, pruned, kron/, `${SMALL} --method magic`);
  await refuse(2, /--optimizer: got "magic"; expected sgd or adam/, `${SMALL} --optimizer magic`);
  await refuse(
    2,
    /--schedule: got "magic"; expected one of constant, cosine, linear, decay/,
    `${SMALL} --schedule magic`,
  );
  await refuse(2, /--level: got "magic"; expected word or char/, `${SMALL} --level magic`);
  await refuse(
    2,
    /--split: got "train"; expected valid or test/,
    'eval good.safetensors --data text.txt --split train',
  );
  await refuse(2, /--threshold: got "magic"; expected global or matrix/, `${SMALL} --threshold magic`);
  await refuse(2, /--block: got "2"; expected one of 1, 4, 8, gates/, `${SMALL} --block 2`);
  await refuse(2, /unknown command 'magic'/, 'magic');
  await refuse(2, /unknown command 'magic'/, 'train magic');
  await refuse(2, /unknown option '--magic'/, `${SMALL} --magic`);
  await refuse(2, /unknown option '--magic'/, 'inspect good.safetensors --magic');
});

test('numbers out of range', async () => {
  for (const [option, message] of [
    ['--hidden 0', /--hidden: got "0"; expected a whole number >= 1/],
    ['--hidden 100000', /hidden: got 100000; .* from 1 to 65536/],
    ['--layers 65', /layers: got 65; .* from 1 to 64/],
    ['--vocab 2', /--vocab: got "2"; expected a whole number >= 3/],
    ['--checkpoint-every -5', /--checkpoint-every: got "-5"; expected a number >= 0/],
    ['--dropout 1', /dropout: got 1; expected a number .* < 1/],
    ['--cmr 1', /cmr structure: got 1; expected a number >= 0 and < 1/],
    ['--cmr-rates 0.1', /--cmr-rates: got "0.1"; expected structure and dopants as decimal numbers/],
    ['--lr 0', /lr: got 0; expected a number > 0/],
    ['--clip -1', /clip: got -1; expected a number >= 0 \(0 disables clipping\)/],
    ['--decay 4,0', /--decay: got "4,0"; .* > 0/],
    ['--anneal 0.6,0.1', /anneal: got start 0.6 and end 0.1/],
    ['--anneal 0,1', /anneal: got start 0 and end 1/],
    ['--final-sparsity 1.1', /final-sparsity: got 1.1/],
    ['--structure-share 1', /structure-share: got 1;/],
    ['--free-rate 0,0', /free-rate scale: got 0;/],
    ['--cmr 0.5 --cmr-until 2', /--cmr-until: got 2;/],
    ['--cmr-rates 0.1,1', /--cmr-rates: got "0.1,1"; expected two numbers >= 0 and < 1/],
    ['--distill 2 --teacher good.safetensors', /distill weight: got 2;/],
    ['--threads 65', /threads: got 65;/],
    ['--batch 0', /batch: got "0";/],
    ['--vocab 99999', /vocab: got 99999;/],
    ['--compression 0.5', /compression: got 0.5;/],
    ['--kron 8x4', /--kron: got "8x4"; expected two or more shapes/],
    ['--kron 8x4,4x3', /kron: got 8x4 and 4x3, which make 32 x 12; expected factors of 32 x 8/],
  ] as const) {
    const stderr = await refuse(2, message, `${SMALL} ${option}`);
    // The option is named as it was given.
    assert.match(stderr, /^dopant: --/);
    assert.ok(option.includes(/--[\w-]+/.exec(stderr)![0]), stderr);
  }
  const generate = 'generate good.safetensors';
  await refuse(2, /--temperature: got "-1"; expected a number >= 0/, `${generate} --temperature -1`);
  for (const k of ['0', '-1', '1.5', 'x'])
    await refuse(2, /--top-k: got ".*"; expected a whole number >= 1/, `${generate} --top-k ${k}`);
  for (const p of ['0', '-0.1', '1.1'])
    await refuse(2, /--top-p: got ".*"; expected a number > 0 and <= 1/, `${generate} --top-p ${p}`);
  for (const p of ['-0.1', '1.1'])
    await refuse(
      2,
      /--threshold: got ".*"; expected a number from 0 to 1/,
      `predict good.safetensors --threshold ${p}`,
      'a',
    );
  await refuse(2, /--tokens: got "0"; expected a whole number >= 1/, `${generate} --tokens 0`);
});

test('arguments that are missing, or too many', async () => {
  await refuse(2, /Usage: dopant/, '');
  await refuse(2, /Usage: dopant train/, 'train');
  await refuse(2, /--data: got nothing; expected a text file, a folder, or 'sotu'; or --resume/, 'train lm');
  await refuse(2, /option '--data <path>' argument missing/, 'train lm --data');
  await refuse(2, /required option '--data <path>' not specified/, 'eval good.safetensors');
  for (const command of ['eval --data text.txt', 'generate', 'inspect']) {
    await refuse(2, /missing required argument 'model'/, command);
  }
  await refuse(2, /too many arguments for 'inspect'. Expected 1 argument but got 2/, 'inspect good.safetensors two');
});

test('a model file that is none', async () => {
  for (const command of ['eval --data text.txt', 'generate', 'inspect']) {
    await refuse(2, /cannot read nowhere\.safetensors: there is no such file/, `${command} nowhere.safetensors`);
    await refuse(1, /^dopant: image\.png: got other data; expected a safetensors file/, `${command} image.png`);
  }
  await refuse(2, /cannot read texts: it is a folder/, 'inspect texts');
  await refuse(1, /^dopant: nothing\.safetensors: got an empty file; expected/, 'inspect nothing.safetensors');
  await refuse(1, /^dopant: short\.safetensors: got 5 bytes; expected/, 'inspect short.safetensors');
  await refuse(
    1,
    /^dopant: text\.txt: got text that begins with "[a-z ]+"; expected a safetensors file/,
    'inspect text.txt',
  );
  await refuse(1, /^dopant: cut\.safetensors: tensor ".*"\.data_offsets/, 'inspect cut.safetensors');
  await refuse(
    1,
    /checkpoint\.safetensors: got a checkpoint, which .* dopant train --resume read; expected a model/,
    `inspect run/${CHECKPOINT}`,
  );
});

test('a model too large for the memory', async () => {
  await refuse(1, /out of memory: .* Use a smaller model, batch or bptt/, `${DENSE} --hidden 20000`);
});

test('the program itself ends with the same codes and words', async () => {
  const lines = ['', 'magic', 'inspect', 'inspect nowhere.safetensors', 'inspect image.png', `${SMALL} --lr 0`];
  for (const line of [...lines, 'inspect good.safetensors', '--version']) {
    assert.equal(await dopant(folder, line), await dopantHere(folder, line), line);
  }
});

test('checkpoints that are none', async () => {
  await refuse(2, /cannot read nowhere\/checkpoint\.safetensors: there is no such file/, 'train lm --resume nowhere');
  await refuse(2, /cannot read no-checkpoint\/checkpoint\.safetensors: there is/, 'train lm --resume no-checkpoint');
  await refuse(1, /image\/checkpoint\.safetensors: got other data; expected/, 'train lm --resume image');
  await refuse(1, /corrupt\/checkpoint\.safetensors: tensor ".*"\.data_offsets/, 'train lm --resume corrupt');
  await refuse(
    1,
    /model-for-checkpoint\/checkpoint\.safetensors: got a model, .*; expected a checkpoint/,
    'train lm --resume model-for-checkpoint',
  );
});

/** The number of steps that a checkpoint's run had made. */
function stepsOf(checkpoint: string): number {
  const [, steps] = /\\"steps\\":(\d+)/.exec(readFileSync(path(`${checkpoint}/${CHECKPOINT}`), 'latin1'))!;
  return Number(steps);
}

test('a loss that is no number stops the training; the last good checkpoint stays, and can be taken up', async () => {
  // Steps so long that the loss, or already the weights, leave the range of floats, sooner or later.
  let stopped = 0;
  for (const rate of ['1e5', '1e30', '1e39']) {
    const line = `${SMALL} --optimizer sgd --clip 0 --lr ${rate} --checkpoint run${rate} --checkpoint-every 0`;
    const out = digest(path('model.safetensors'));
    const { code, stdout, stderr } = await dopant(folder, line);
    assert.is(code, 1, stderr);
    assert.is(stdout, '');
    const [, step] = /^dopant: the .+ became (?:NaN|-?Infinity) at step (\d+) \(epoch 1\); training stops/m.exec(
      stderr,
    )!;
    assert.is(digest(path('model.safetensors')), out, 'no model is written');

    if (Number(step) === 1) {
      assert.not.ok(existsSync(path(`run${rate}`)), 'there was no good step');
      continue;
    }
    stopped++;
    assert.equal(Object.keys(contents(path(`run${rate}`))), [CHECKPOINT]);
    assert.is(stepsOf(`run${rate}`), Number(step) - 1);
    // Taken up, it comes to where it was, and to the same end.
    const again = await dopant(folder, `train lm --resume run${rate}`);
    assert.is(again.code, 1);
    assert.is(again.stderr, stderr);
  }
  assert.ok(stopped > 0, 'some run had a good step');
});

test('a model whose last step ruined it is not written', async () => {
  // One step is the whole epoch, so that no later loss can tell.
  const line = `train lm --data text.txt --hidden 8 --method dense --batch 20 --bptt 80 --epochs 1 --optimizer sgd --clip 0`;
  for (const rate of ['1e38', '1e39']) await refuse(1, /became (?:NaN|-?Infinity) at step 1 /, `${line} --lr ${rate}`);
});

test('a reader that closes the pipe early is no failure', async () => {
  for (const line of ['generate good.safetensors --tokens 1000000000', 'inspect good.safetensors', '--help']) {
    const child = start(folder, line);
    const ended = end(child);
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const { code, signal, stderr } = await ended;
    assert.is(stderr, '', line);
    assert.is(signal, null);
    assert.is(code, 0);
  }
});

// A small disk, mounted where only the processes of one command see it. Root may write anything, and this too can be
// full.
const onDisk = (options: string, script: string) =>
  spawnSync(
    'unshare',
    ['--user', '--map-root-user', '--mount', 'sh', '-c', `mount -t tmpfs ${options} tmpfs disk && ${script}`],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
mkdirSync(path('disk'));
const mountable = onDisk('', 'true').status === 0;
const diskTest = mountable ? test : test.skip; // where no disk can be mounted

const command = (line: string) => `"${process.execPath}" "${MAIN}" ${line}`;

diskTest('a full disk: the older model stays, nothing half-written beside it', () => {
  // Two pages, of which the older model takes one, and the new one wants more.
  const { status, stdout, stderr } = onDisk(
    '-o size=8k',
    `printf old > disk/model && { ${command(`${SMALL} --hidden 16 --out disk/model`)}; code=$?; ls -A disk; cat disk/model; exit $code; }`,
  );
  assert.match(stderr, /dopant: cannot write disk\/model: the disk is full\n$/);
  assert.is(stdout, 'model\nold');
  assert.is(status, 1);
});

diskTest('a disk too full for a checkpoint: the one before stays, and the training continues to its end', async () => {
  // All its checkpoints are of one size: there is room for one and a half.
  const line = `${DENSE} --hidden 16 --seed 4`;
  await succeed(folder, `${line} --out whole.safetensors --checkpoint whole`);
  const size = Math.ceil((1.5 * readFileSync(path(`whole/${CHECKPOINT}`)).length) / 1024);
  const { status, stdout, stderr } = onDisk(
    `-o size=${size}k`,
    `{ ${command(`${line} --out resumed.safetensors --checkpoint disk/run --checkpoint-every 0`)}; code=$?; ls -A disk/run; cp -r disk/run saved; exit $code; }`,
  );
  const failure = 'cannot write disk/run/checkpoint.safetensors: the disk is full; ';
  const said = stderr.split('\n').filter((line) => line.startsWith(failure));
  assert.equal(
    said.map((line) => line.slice(failure.length)),
    ['training continues, and tries again', 'the model is complete without it'],
  );
  assert.ok(stdout.endsWith(`${CHECKPOINT}\n`), stdout);
  assert.is(status, 0);
  assert.is(digest(path('resumed.safetensors')), digest(path('whole.safetensors')));
  assert.is(stepsOf('saved'), 1);
  await succeed(folder, 'train lm --resume saved');
  assert.is(digest(path('resumed.safetensors')), digest(path('whole.safetensors')));
});

diskTest('a folder that cannot be claimed on a full disk is not left behind', () => {
  const { status, stdout, stderr } = onDisk(
    '-o size=4k',
    `printf full > disk/full && { ${command(`${SMALL} --checkpoint disk/a/run`)}; code=$?; ls -A disk; exit $code; }`,
  );
  assert.match(stderr, /^dopant: --checkpoint: cannot write disk\/a\/run\/\.claim: the disk is full\n$/);
  assert.is(stdout, 'full\n');
  assert.is(status, 1);
});

diskTest('a disk that is read-only', () => {
  writeFileSync(path('grid.json'), JSON.stringify({ settings: { data: 'text.txt' }, cells: [{ method: 'dense' }] }));
  const lines = [
    `${SMALL} --out disk/model`,
    `${SMALL} --checkpoint disk`,
    `${SMALL} --checkpoint disk/run`,
    `${SMALL} --records disk/records`,
    'export good.safetensors --bits 8 --out disk/model',
    'demo disk/models',
    'demo disk',
    'experiment grid.json --out disk',
    'experiment grid.json --out disk/records',
  ];
  const script = lines.map((line) => `${command(line)}; echo $?`).join('; ');
  const { stdout, stderr } = onDisk('-o ro', `{ ${script}; ls -A disk; }`);
  assert.is(stdout, '2\n'.repeat(lines.length));
  const said = stderr.trimEnd().split('\n');
  assert.is(said.length, lines.length, stderr);
  for (const line of said) assert.match(line, /^dopant: .*cannot (?:write|make) disk.*: the disk is read-only$/);
});

test.run();
