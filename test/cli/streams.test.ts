// What becomes of a command whose stdout or stderr fails.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digest, end, MAIN, makeFolder, makeText, start, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);
writeFileSync(path('text.txt'), makeText(1500));

const TRAIN = 'train lm --data text.txt --hidden 8 --method dense --batch 4 --bptt 8 --epochs 1';
const GRID = { settings: { data: 'text.txt', hidden: 8, batch: 4, bptt: 8, epochs: 1 }, cells: [{ method: 'dense' }] };

test.before(async () => {
  await succeed(folder, `${TRAIN} --out model.safetensors --records records.json`);
  writeFileSync(path('grid.json'), JSON.stringify(GRID));
});

/** Runs a command with a stream that no byte fits into. */
function full(stream: 'stdout' | 'stderr', line: string) {
  const disk = openSync('/dev/full', 'w');
  const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe'];
  stdio[stream === 'stdout' ? 1 : 2] = disk;
  const child = spawnSync(process.execPath, [MAIN, ...line.split(' ')], { cwd: folder, stdio, encoding: 'utf8' });
  closeSync(disk);
  return child;
}

if (existsSync('/dev/full')) {
  test('a stdout that takes nothing is reported in one line, once, after everything else is done', () => {
    mkdirSync(path('records'));
    for (const [line, ...written] of [
      ['--help'],
      ['train lm --help'],
      ['--version'],
      ['inspect model.safetensors'],
      ['generate model.safetensors --tokens 1000'],
      ['eval model.safetensors --data text.txt --json'],
      ['export model.safetensors --bits 8 --out exported', 'exported'],
      ['experiment grid.json --dry-run'],
      ['experiment grid.json --jobs 1', 'records/.scratch'],
      ['report records --out page.html', 'page.html'],
      [`${TRAIN} --out full --records full.json --report full.html`, 'full', 'full.json', 'full.html'],
    ]) {
      const { status, stderr } = full('stdout', line);
      const last = stderr.trimEnd().split('\n').at(-1)!;
      assert.match(last, /^dopant: cannot write to stdout: ENOSPC/, `${line}: ${stderr}`);
      assert.is(stderr.split('dopant: ').length, 2, stderr);
      assert.not.match(stderr, /\n {4}at /);
      assert.is(status, 1, line);
      for (const name of written) assert.ok(existsSync(path(name)), `${line}: ${name}`);
    }
    assert.is(digest(path('full')), digest(path('model.safetensors')));
    assert.is(digest(path('full.json')), digest(path('records.json')));
  });

  test('a stderr that takes nothing changes nothing', () => {
    const { status, stdout } = full('stderr', `${TRAIN} --out quiet --checkpoint quiet-run --json`);
    assert.is(status, 0);
    assert.ok(JSON.parse(stdout).test.perplexity > 1);
    assert.is(digest(path('quiet')), digest(path('model.safetensors')));
    assert.is(full('stderr', 'inspect nowhere.safetensors').status, 2);
  });
}

for (const stream of ['stdout', 'stderr'] as const) {
  test(`a run whose ${stream} is closed makes its model`, async () => {
    const child = start(folder, `${TRAIN} --out closed-${stream} --records closed.json`);
    child[stream].destroy();
    const { code, signal, stderr } = await end(child);
    assert.is(signal, null);
    assert.is(code, 0, stderr);
    assert.not.match(stderr, /EPIPE/);
    assert.is(digest(path(`closed-${stream}`)), digest(path('model.safetensors')));
    assert.is(digest(path('closed.json')), digest(path('records.json')));
    rmSync(path('closed.json'));
  });
}

test.run();
