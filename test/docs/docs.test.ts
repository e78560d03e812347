// The documentation says what the code does: its snippets run, its pages are current, its links lead somewhere.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cliPage } from '../../docs/cli-page.js';
import { makeFolder, succeed } from '../cli/command.js';

const README = readFileSync('README.md', 'utf8');

test('docs/cli.md is what --help prints', () => {
  assert.is(readFileSync('docs/cli.md', 'utf8'), cliPage(), 'run npm run docs');
});

test('README is short', () => {
  assert.ok(README.split('\n').length <= 130);
});

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync('docs').flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
];

test('every link and picture of the pages leads to a file, or to a heading of its page', () => {
  let links = 0;
  for (const page of PAGES) {
    const text = readFileSync(page, 'utf8');
    const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      links++;
      const [path, heading] = target.split('#');
      if (path) assert.ok(existsSync(join(dirname(page), path)), `${page}: ${target}`);
      else assert.ok(headings.includes(heading), `${page}: ${target}`);
    }
  }
  assert.ok(links > 20);
});

const INTENTS = [
  ['flights from boston to denver', 'flight'],
  ['show me a flight to dallas', 'flight'],
  ['what is the fare to boston', 'fare'],
  ['how much is a ticket to denver', 'fare'],
];

test('the snippets of the README run, one after another', async () => {
  const folder = makeFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(resolve('.'), join(folder, 'node_modules/dopant'));
  for (const split of ['train', 'valid']) {
    mkdirSync(join(folder, 'data', split), { recursive: true });
    const lines = Array.from({ length: 40 }, (_, i) => INTENTS[i % INTENTS.length]);
    writeFileSync(join(folder, 'data', split, 'seq.in'), `${lines.map(([text]) => text).join('\n')}\n`);
    writeFileSync(join(folder, 'data', split, 'label'), `${lines.map(([, label]) => label).join('\n')}\n`);
  }
  await succeed(folder, 'train intent --data data --hidden 8 --epochs 10 --batch 4 --out intents.safetensors');
  const example = spawnSync(process.execPath, [resolve('examples/voice-activity.mjs'), '2'], { cwd: folder });
  assert.is(example.status, 0, String(example.stderr));
  const snippets = [...README.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  assert.is(snippets.length, 4);
  const printed = snippets.map((code, i) => {
    writeFileSync(join(folder, `snippet${i}.mjs`), code);
    const { status, stdout, stderr } = spawnSync(process.execPath, [`snippet${i}.mjs`], {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.is(status, 0, stderr);
    return stdout;
  });
  assert.match(printed[0], /^\d+\.\d+ \{ parameters: 1\d\.\d+, bytes: \d+\.\d+/);
  assert.match(printed[1], /sat on the mat/);
  assert.match(printed[2], /^flight 0\.\d+$/m);
  assert.match(printed[3], /^-?\d+\.\d+ 50$/m);
});

test.run();
