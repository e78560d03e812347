// test/run.mjs itself, on files that go wrong in every way.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const folder = mkdtempSync(join(tmpdir(), 'dopant-runner-'));
test.after(() => rmSync(folder, { recursive: true }));

const UVU = pathToFileURL(resolve('node_modules/uvu/dist/index.mjs'));
const SPAWN = "(await import('node:child_process')).spawn";
const LEFT_BEHIND = '[process.execPath, ["-e", "setTimeout(() => {}, 60000)"]]';

/** Runs files of these texts, each of which has uvu's `test` and one test that passes; gives what is said of each. */
async function run(files: Record<string, string>): Promise<{ lines: Map<string, string>; all: string; code: number }> {
  rmSync(join(folder, 'test'), { recursive: true, force: true });
  rmSync(join(folder, 'build'), { recursive: true, force: true });
  mkdirSync(join(folder, 'test'));
  mkdirSync(join(folder, 'build/test'), { recursive: true });
  writeFileSync(join(folder, 'build/package.json'), '{"type": "module"}');
  for (const [name, text] of Object.entries(files)) {
    const whole = `import { test } from '${UVU}'; test('fine', () => {}); ${text}`;
    writeFileSync(join(folder, 'test', `${name}.test.ts`), '');
    writeFileSync(join(folder, 'build/test', `${name}.test.js`), whole);
  }
  const env = { ...process.env, TEST_SECONDS: '3', TEST_JOBS: '4' };
  const child = spawn(process.execPath, [resolve('test/run.mjs')], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let all = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    all += text;
  });
  const code = await new Promise<number>((done) => child.on('close', done));
  const lines = new Map([...all.matchAll(/^\S+ +(\S+): (.*), [\d.]+ s$/gm)].map(([line, name]) => [name, line]));
  return { lines, all, code };
}

test('files that pass', async () => {
  const { lines, all, code } = await run({ one: 'test.run();', two: 'test("more", () => {}); test.run();' });
  assert.match(lines.get('one')!, /^ok {4}one: 1 passed, 0 failed/);
  assert.match(lines.get('two')!, /^ok {4}two: 2 passed, 0 failed/);
  assert.match(all, /\n3 passed, 0 failed\n$/);
  assert.is(code, 0);
});

test('skipped tests are named', async () => {
  const { all, code } = await run({ skips: 'test.skip("this"); console.log("SKIPPED  this"); test.run();' });
  assert.match(all, /\nSKIPPED {2}skips: 1\n {9}this\n1 passed, 0 failed, 1 skipped\n$/);
  assert.is(code, 0);
});

test('whatever goes wrong is a failure, named, and nothing waits for it', async () => {
  const files: Record<string, [string, RegExp]> = {
    'no-run': ['', /printed no summary/],
    fails: ['test("bad", () => { throw new Error("x".repeat(300_000) + "end"); }); test.run();', /1 passed, 1 failed/],
    'hook-throws': ['test.before(() => { throw new Error(); }); test.run();', /1 failed/],
    'exits-early': ['test("exit", () => process.exit(0)); test.run();', /1 failed/],
    'exits-later': ['test.run(); process.on("exit", () => { process.exitCode = 3; });', /exited with code 3/],
    killed: ['test("kill", () => process.kill(process.pid, "SIGKILL")); test.run();', /was ended by SIGKILL/],
    hangs: ['test("loop", () => { for (;;); }); test.run();', /did not end within 3 s/],
    'leaves-handle': ['setInterval(() => {}, 1000); test.run();', /did not end within 3 s/],
    prints: [
      'test("loop", () => { setInterval(() => console.log("x".repeat(1e6))); }); test.run();',
      /printed more than 10 MB/,
    ],
    'no-syntax': ['(', /printed no summary.*exited with code 1/],
  };
  const { lines, all, code } = await run(
    Object.fromEntries(Object.entries(files).map(([name, [text]]) => [name, text])),
  );
  for (const [name, [, reason]] of Object.entries(files)) {
    assert.match(lines.get(name) ?? '', new RegExp(`^FAIL {2}${name}: `), all.slice(0, 2000));
    assert.match(lines.get(name)!, reason, lines.get(name));
  }
  assert.match(all, /xend\n/, 'what a failure says is whole');
  assert.is(code, 1);
});

test('what a file leaves running is ended, and keeps nobody waiting', async () => {
  const { lines, all, code } = await run({
    leaves: `${SPAWN}(...${LEFT_BEHIND}, { stdio: 'inherit' }).unref(); test.run();`,
    detaches: `${SPAWN}(...${LEFT_BEHIND}, { stdio: 'inherit', detached: true }).unref(); test.run();`,
  });
  assert.match(lines.get('leaves')!, /^ok/, all);
  assert.match(lines.get('detaches')!, /^ok/, all);
  assert.is(code, 0);
});

test.run();
