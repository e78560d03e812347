// Runs the tests that test/build.mjs has built, each file in a process of its own: `node test/run.mjs [part of a name...]`.
// uvu by itself lets pass what this counts as failed: a file that never calls run(), a hook that throws, an end before the
// end. In the environment, TEST_SECONDS says how long a file may take (default: 300), TEST_JOBS how many run at a time
// (default: one a core).

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const SOURCE = 'test';
const BUILT = 'build/test';
const JOBS = Number(process.env.TEST_JOBS ?? availableParallelism());
const SECONDS = Number(process.env.TEST_SECONDS ?? 300);

/** Those that take longest, in this order: begun last, one of them would run on its own in the end. */
const FIRST = ['browser/browser', 'cli/experiment', 'infer/hostile', 'io/model-file', 'operators/budget'];

/** What a file may print before it is ended: a loop that prints would take all memory. */
const MOST_PRINTED = 10_000_000;

/** Files below a folder whose names end so, without that end. */
function namesIn(folder, end) {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true }).map((name) => name.replaceAll('\\', '/'));
  return files.filter((name) => name.endsWith(end)).map((name) => name.slice(0, -end.length));
}

/** The processes at work. Each leads a group of its own, so that it can be ended with all that it started. */
const children = new Set();

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL'); // there are no groups on Windows
  }
}

process.on('exit', () => {
  for (const child of children) kill(child);
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** Runs one file to its end, or to the end of its time. */
function run(name) {
  return new Promise((resolve) => {
    const started = performance.now();
    const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
    const args = ['--enable-source-maps', join(BUILT, `${name}.test.js`)];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    children.add(child);
    let output = '';
    let cut;
    const end = (why) => {
      cut ??= why;
      kill(child);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        if (output.length + text.length > MOST_PRINTED) end(`printed more than ${MOST_PRINTED / 1e6} MB`);
        else output += text;
      });
    }
    const timer = setTimeout(() => end(`did not end within ${SECONDS} s`), SECONDS * 1000);
    child.on('error', (error) => {
      clearTimeout(timer);
      output += error.stack;
    });
    let grace;
    child.on('exit', () => {
      clearTimeout(timer);
      // What it has left running would keep its output open, and so would what has left its group.
      kill(child);
      grace = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, 3000);
    });
    child.on('close', (code, signal) => {
      clearTimeout(grace);
      children.delete(child);
      resolve({ output, cut, code, signal, seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** What a finished file comes to: counts, and the reasons why it failed in spite of them. */
function judge({ output, cut, code, signal }) {
  // The last summary: a test may print what looks like one.
  const summary = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)].at(-1);
  const [total, passed, skipped] = summary ? summary.slice(1).map(Number) : [0, 0, 0];
  const reasons = [];
  if (cut) reasons.push(cut);
  else if (signal) reasons.push(`was ended by ${signal}`);
  if (!summary) reasons.push('printed no summary (is run() called?)');
  else if (total === 0 && skipped === 0) reasons.push('ran no test');
  else if (passed < total && code === 0) reasons.push('did not finish its tests (did a hook throw?)');
  if (code && passed === total) reasons.push(`exited with code ${code}`);
  return { passed, skipped, failed: Math.max(total - passed, reasons.length > 0 ? 1 : 0), reasons };
}

const filters = process.argv.slice(2);
const wanted = (name) => filters.length === 0 || filters.some((filter) => name.includes(filter));
const built = new Set(namesIn(BUILT, '.test.js'));
const sources = new Set(namesIn(SOURCE, '.test.ts'));
const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
const names = [...new Set([...sources, ...built])]
  .filter(wanted)
  .sort()
  .sort((a, b) => rank(a) - rank(b));
const sum = { passed: 0, failed: 0, skipped: 0 };
const skips = [];

function report(name, seconds, { passed, failed, skipped, reasons }, output = '') {
  sum.passed += passed;
  sum.failed += failed;
  sum.skipped += skipped;
  const counts = `${passed} passed, ${failed} failed${skipped ? `, ${skipped} SKIPPED` : ''}`;
  console.log(`${failed ? 'FAIL' : 'ok  '}  ${name}: ${[counts, ...reasons].join(', ')}, ${seconds.toFixed(1)} s`);
  if (failed && output) console.log(`\n${output.trimEnd().replaceAll(/^/gm, '    ')}\n`);
  // uvu says how many, but not which; test/harness/uvu.ts does.
  const which = [...output.matchAll(/^SKIPPED +(.+)$/gm)].map(([, which]) => `         ${which}`);
  if (skipped) skips.push(`SKIPPED  ${name}: ${skipped}`, ...which);
}

const waiting = [...names];
async function work() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const nothing = { passed: 0, failed: 1, skipped: 0 };
    if (!built.has(name)) report(name, 0, { ...nothing, reasons: ['is not built'] });
    else if (!sources.has(name)) report(name, 0, { ...nothing, reasons: ['is built from a source that is gone'] });
    else {
      const result = await run(name);
      report(name, result.seconds, judge(result), result.output);
    }
  }
}
await Promise.all(Array.from({ length: JOBS }, work));

for (const line of skips) console.log(line);
if (names.length === 0) console.log(`no test file has a name with ${filters.join(' or ') || '.test.ts'}`);
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
