// The lint rule of same-bits.grit, under the settings that `npm run check` takes.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const BAD = [
  'Math.exp(x)',
  'Math?.log2(x)',
  'Math.max(Math.sin(x), x)',
  'globalThis.Math.tanh(x)',
  'Math.random()',
  '[x].map(Math.cbrt)',
  '(({ cos }) => cos(x))(Math)',
  "Math['hypot'](x, x)",
  'x ** 2',
  '2 ** x',
  '(x **= 2)',
  '10 ** 2',
];
const GOOD = ['Math.sqrt(x) + Math.abs(Math.floor(x))', 'Math.PI * 2 ** 24 + 2 ** -1022', 'exp(x)'];

test('what engines compute differently is an error in src, except in the reference', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dopant-lint-'));
  try {
    for (const name of ['biome.json', 'same-bits.grit', '.gitignore']) copyFileSync(name, join(folder, name));
    for (const name of ['src/nn', 'test']) mkdirSync(join(folder, name), { recursive: true });
    const lines = [...BAD, ...GOOD].map((line) => `export const _ = (x: number) => ${line};\n`).join('');
    for (const name of ['src/nn/new.ts', 'src/reference.ts', 'test/new.ts']) writeFileSync(join(folder, name), lines);
    const { status, stdout } = spawnSync(
      process.execPath,
      [resolve('node_modules/@biomejs/biome/bin/biome'), 'lint', '--max-diagnostics=none', '--reporter=github'],
      { cwd: folder, encoding: 'utf8' },
    );
    assert.is(status, 1, stdout);
    const found = [...stdout.matchAll(/^::error title=plugin,file=(.*?),line=(\d+),/gm)];
    assert.ok(
      found.every(([, file]) => file.endsWith('new.ts') && file.includes('src')),
      stdout,
    );
    const places = found.map(([, , line]) => Number(line)).sort((a, b) => a - b);
    assert.equal(
      places,
      BAD.map((_, i) => i + 1),
      stdout,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
