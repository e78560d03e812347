import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkDistinct } from '../../src/cli/outputs.js';
import { contents, digest, dopantHere, makeFolder, makeText, succeed } from './command.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
const SIZES = '--hidden 8 --method dense --batch 4 --bptt 8 --epochs 1 --max-tokens 500';
const LM = `train lm ${SIZES}`;
const TEXT = `${LM} --data text.txt`;
const CHECKPOINT = 'checkpoint.safetensors';

test.before(async () => {
  writeFileSync(path('text.txt'), makeText(2000));
  mkdirSync(path('texts'));
  for (const name of ['a.txt', 'b.txt']) cpSync(path('text.txt'), path('texts', name));
  for (const split of ['train', 'valid']) {
    mkdirSync(path('intents', split), { recursive: true });
    writeFileSync(path('intents', split, 'seq.in'), 'play a song\nfly home\n'.repeat(20));
    writeFileSync(path('intents', split, 'label'), 'play\nfly\n'.repeat(20));
  }
  await succeed(folder, `${TEXT} --out teacher --checkpoint run`);
  mkdirSync(path('records'));
  writeFileSync(path('records', 'run.json'), '{}');
  mkdirSync(path('folder', 'sub'), { recursive: true });
  // Other names of the same files.
  symlinkSync('text.txt', path('soft'));
  linkSync(path('text.txt'), path('hard'));
  linkSync(path('texts', 'b.txt'), path('hard-b'));
  linkSync(path('teacher'), path('hard-teacher'));
  linkSync(path('intents', 'valid', 'label'), path('hard-label'));
  linkSync(path('run', CHECKPOINT), path('hard-checkpoint'));
  linkSync(path('records', 'run.json'), path('hard-record'));
  symlinkSync('folder', path('soft-folder'));
  symlinkSync('texts', path('soft-texts'));
  symlinkSync('nowhere', path('dangling'));
  symlinkSync('circle', path('circle'));
  writeFileSync(path('read-only'), 'precious');
  chmodSync(path('read-only'), 0o444);
  execFileSync('mkfifo', [path('pipe')]);
});

/** Refused with code 2, one line, and everything as it was. */
async function refuse(message: RegExp, line: string, ...rest: string[]): Promise<void> {
  const before = contents(folder);
  const { code, stdout, stderr } = await dopantHere(folder, line, ...rest);
  assert.match(stderr, message, line);
  assert.match(stderr, /^dopant: [^\n]*\n$/, line);
  assert.equal([code, stdout], [2, ''], line);
  assert.equal(contents(folder), before, `${line}: nothing written, nothing lost`);
}

const same = (option: string, other: string) =>
  new RegExp(`^dopant: ${option}: got ".*"; expected another file than that of ${other}\n`);

test('an output that is an input is refused, whatever its path', async () => {
  for (const name of ['text.txt', './text.txt', 'folder/../text.txt', path('text.txt'), 'soft', 'hard']) {
    for (const option of ['out', 'records', 'report']) {
      await refuse(same(`--${option}`, '--data'), `${TEXT} --${option} ${name}`);
    }
    await refuse(same('--out', '--data'), `${LM} --data ${name} --out text.txt`);
    await refuse(same('--out', '--data'), `export teacher --bits 8 --data text.txt --out ${name}`);
  }
  for (const name of ['texts/a.txt', 'soft-texts/a.txt', 'hard-b']) {
    await refuse(same('--out', '--data'), `${LM} --data texts --out ${name}`);
    await refuse(same('--report', '--data'), `${LM} --data soft-texts --report ${name}`);
  }
  const intent = 'train intent --data intents --hidden 8 --batch 4 --epochs 1';
  for (const name of ['intents/train/seq.in', 'intents/valid/../train/label', 'hard-label']) {
    await refuse(same('--records', '--data'), `${intent} --records ${name}`);
  }
  for (const name of ['teacher', './teacher', 'hard-teacher']) {
    await refuse(same('--out', '--from'), `${TEXT.replace('--hidden 8', '')} --from teacher --out ${name}`);
    await refuse(same('--out', '--teacher'), `${TEXT} --distill 0.5 --teacher teacher --out ${name}`);
    await refuse(same('--report', '--teacher'), `${TEXT} --distill 0.5 --teacher ${name} --report teacher`);
    await refuse(same('--out', '<model>'), `export teacher --bits 8 --out ${name}`);
    await refuse(same('--out', '--model'), `report records --model teacher --out ${name}`);
  }
  for (const name of ['records/run.json', 'hard-record']) {
    await refuse(same('--out', '<folders...>'), `report folder records --out ${name}`);
  }
});

test('a resumed run has the inputs that it began with', async () => {
  await refuse(same('--out', '--data'), 'train lm --resume run --out hard');
  await refuse(same('--records', '--data'), 'train lm --resume run --records text.txt');
  await refuse(same('--checkpoint', '--out'), `train lm --resume run --out run/${CHECKPOINT}`);
  await refuse(same('--report', '--resume'), `train lm --resume run --checkpoint other --report hard-checkpoint`);
});

test('two outputs that are one file are refused, whether or not it exists', async () => {
  for (const [a, b] of [
    ['new', 'new'],
    ['new', './new'],
    ['folder/new', 'soft-folder/new'],
    ['folder/sub/../new', 'folder/new'],
    ['text.txt', 'hard'],
  ]) {
    const line = TEXT.replace('text.txt', 'texts');
    await refuse(same('--records', '--out'), `${line} --out ${a} --records ${b}`);
    await refuse(same('--report', '--out'), `${line} --out ${a} --report ${b}`);
    await refuse(same('--report', '--records'), `${line} --out m --records ${a} --report ${b}`);
  }
  await refuse(same('--checkpoint', '--out'), `${TEXT} --checkpoint folder --out soft-folder/${CHECKPOINT}`);
  await refuse(same('--checkpoint', '--records'), `${TEXT} --checkpoint new --records new/${CHECKPOINT}`);
  // The folder of the checkpoint is made first.
  await refuse(/--out: cannot write new: it is a folder/, `${TEXT} --checkpoint new/checkpoints --out new`);
  symlinkSync('one', path('folder', 'dense.safetensors'));
  writeFileSync(path('folder', 'one'), '');
  linkSync(path('folder', 'one'), path('folder', 'training.html'));
  await refuse(same('\\[folder\\]', '\\[folder\\]'), 'demo folder');
  for (const name of ['dense.safetensors', 'one', 'training.html']) rmSync(path('folder', name));
});

test('the file that marks a folder as claimed is not an output', async () => {
  symlinkSync('.claim', path('claim-link'));
  writeFileSync(path('.claim'), '');
  for (const name of ['run/.claim', 'new/.claim', '.claim', 'folder/.claim.next', 'folder/.CLAIM', 'claim-link']) {
    const message = /^dopant: --\w+: got ".*"; expected another name: dopant marks the folders/;
    await refuse(message, `${TEXT} --checkpoint new --out ${name}`);
    await refuse(message, `${TEXT} --records ${name}`);
    await refuse(message, `train lm --resume run --report ${name}`);
    await refuse(message, `export teacher --bits 8 --out ${name}`);
  }
  for (const name of ['.claim', 'claim-link']) rmSync(path(name));
});

test('names in another case are the same where the file system says so', async () => {
  const outputs = ['New', 'nEW'].map((name, i) => ({ option: `--${i}`, path: path('case', name) }));
  mkdirSync(path('case'));
  await checkDistinct(outputs, []);
  // As seen from here, such a file system has its folders twice.
  symlinkSync('case', path('CASE'));
  await checkDistinct(outputs, []).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /expected another file than that of --0/),
  );
  rmSync(path('CASE'));
});

test('an output that would be read as data the next time is refused', async () => {
  await refuse(
    /--records: got "texts\/new\.txt"; expected a name that --data does not/,
    `${LM} --data texts --records texts/new.txt`,
  );
  await refuse(/expected a name that <folders...> does not/, 'report records --out records/page.json');
  await succeed(folder, `${LM} --data texts --out texts/model`);
  await succeed(folder, `${LM} --data texts --out texts/model`);
  rmSync(path('texts', 'model'));
});

const bad: [path: string, message: RegExp][] = [
  ['nowhere/new', /the folder nowhere does not exist/],
  ['text.txt/new', /text\.txt is not a folder/],
  ['folder', /it is a folder/],
  ['.', /it is a folder/],
  ['new/', /it names a folder/],
  ['text.txt/', /it names a folder|is not a folder/],
  ['n'.repeat(300), /the name is too long/],
  ['/dev/null', /it is not a regular file/],
  ['/dev/full', /it is not a regular file/],
  ['pipe', /it is not a regular file/],
  ['dangling', /it is a link to nowhere, which does not exist/],
  ['circle', /its links lead in a circle/],
  ['read-only', /it is read-only/],
  ['/sys/new', /permission denied/],
  ['/proc/new', /no such file can be made/],
];

for (const [name, message] of bad) {
  test(`an output that cannot be written is refused before the work: ${name.slice(0, 40)}`, async () => {
    for (const option of ['--out', '--records', '--report']) {
      await refuse(new RegExp(`^dopant: ${option}: cannot write .*: (?:${message.source})`), `${TEXT} ${option}`, name);
    }
    await refuse(new RegExp(`^dopant: --out: .*(?:${message.source})`), 'export teacher --bits 8 --out', name);
    await refuse(new RegExp(`^dopant: --out: .*(?:${message.source})`), 'report records --out', name);
    await refuse(new RegExp(`^dopant: --out: .*(?:${message.source})`), 'train lm --resume run --out', name);
  });
}

test('a checkpoint folder that cannot be written is refused before the work', async () => {
  for (const [name, message] of [
    ['text.txt', /--checkpoint: cannot make text\.txt: it is not a folder/],
    ['text.txt/new', /--checkpoint: cannot make text\.txt\/new: text\.txt is not a folder/],
    ['pipe', /--checkpoint: cannot make pipe: it is not a folder/],
    ['n'.repeat(300), /the name is too long/],
    ['/sys/new', /permission denied/],
    ['/sys', /--checkpoint: cannot write \/sys\/\.claim: permission denied/],
  ] as const) {
    await refuse(message, `${TEXT} --checkpoint`, name);
  }
  mkdirSync(path('bad', CHECKPOINT), { recursive: true });
  await refuse(/expected a folder without a checkpoint/, `${TEXT} --checkpoint bad`);
});

test('a name that just fits is written', async () => {
  const name = 'n'.repeat(255);
  await succeed(folder, `${TEXT} --out`, name);
  assert.ok(existsSync(path(name)));
  rmSync(path(name));
});

test('a refused run leaves no folder for checkpoints', async () => {
  await refuse(/--out/, `${TEXT} --checkpoint a/b --out nowhere/new`);
  await refuse(/nowhere\.txt/, `${LM} --data nowhere.txt --checkpoint a/b`);
  await refuse(/fewer than one batch/, `${TEXT} --checkpoint a/b --batch 5000`);
});

test('checkpoints that fail are tried again, and the result is the same', async () => {
  const line = `${TEXT} --checkpoint-every 0`;
  await succeed(folder, `${line} --checkpoint whole --out whole.safetensors`);
  const { open } = fs;
  let tries = 0;
  // All but the first and the last few find the disk full.
  fs.open = (async (file: string, ...rest: [string, number]) => {
    const checkpoint = file.includes(CHECKPOINT) && rest[0] === 'wx';
    if (checkpoint && ++tries > 2 && tries < 8) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    return open(file, ...rest);
  }) as typeof open;
  syncBuiltinESMExports();
  try {
    const { stderr } = await succeed(folder, `${line} --checkpoint failing --out failing.safetensors`);
    const said = stderr.split('\n').filter((text) => text.includes('checkpoint'));
    assert.equal(said, [
      'cannot write failing/checkpoint.safetensors: the disk is full; training continues, and tries again',
      'checkpoints are written again',
    ]);
  } finally {
    fs.open = open;
    syncBuiltinESMExports();
  }
  assert.ok(tries > 8);
  assert.is(digest(path('failing.safetensors')), digest(path('whole.safetensors')));
  assert.equal(readdirSync(path('failing')), [CHECKPOINT]);
  // But for the paths in them.
  const steps = (name: string) => /"steps\\*":(\d+)/.exec(readFileSync(path(name, CHECKPOINT), 'latin1'))![1];
  assert.is(steps('failing'), steps('whole'));
});

test.run();
