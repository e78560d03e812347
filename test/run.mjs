// Runs the tests that test/build.mjs has built, each file in a process of its own: `node test/run.mjs [part of a name...]`.
// uvu by itself lets pass what this counts as failed: a file that never calls run(), a hook that throws, an end before the end.
// TEST_SECONDS in the environment is how long a file may take, 300 unless told.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = 'test';
const BUILT = 'build/test';
const AT_ONCE = 2;
const SECONDS = Number(process.env.TEST_SECONDS ?? 300);

/** Files below a folder whose names end so, without that end. */
function namesIn(folder, end) {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true }).map((name) => name.replaceAll('\\', '/'));
  return files.filter((name) => name.endsWith(end)).map((name) => name.slice(0, -end.length));
}

/** Runs one file to its end, or to the end of its time. */
function run(name) {
  return new Promise((resolve) => {
    const started = performance.now();
    const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
    const child = spawn(process.execPath, ['--enable-source-maps', join(BUILT, `${name}.test.js`)], { env });
    let output = '';
    let late = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
      // A grandchild may hold these open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, SECONDS * 1000);
    child.on('error', (error) => {
      output += error.stack;
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ output, late, code, signal, seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** What a finished file comes to: counts, and the reasons why it failed in spite of them. */
function judge({ output, late, code, signal }) {
  // The last summary: a test may print what looks like one.
  const summary = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)].at(-1);
  const [total, passed, skipped] = summary ? summary.slice(1).map(Number) : [0, 0, 0];
  const reasons = [];
  if (late) reasons.push(`did not end within ${SECONDS} s`);
  else if (signal) reasons.push(`was ended by ${signal}`);
  if (!summary) reasons.push('printed no summary (is run() called?)');
  else if (total === 0) reasons.push('ran no test');
  else if (passed < total && code === 0) reasons.push('did not finish its tests (did a hook throw?)');
  if (code && passed === total) reasons.push(`exited with code ${code}`);
  return { passed, skipped, failed: Math.max(total - passed, reasons.length > 0 ? 1 : 0), reasons };
}

const filters = process.argv.slice(2);
const wanted = (name) => filters.length === 0 || filters.some((filter) => name.includes(filter));
const built = new Set(namesIn(BUILT, '.test.js'));
const sources = new Set(namesIn(SOURCE, '.test.ts'));
const names = [...new Set([...sources, ...built])].filter(wanted).sort();
const sum = { passed: 0, failed: 0, skipped: 0 };
const skips = [];

function report(name, seconds, { passed, failed, skipped, reasons }, output = '') {
  sum.passed += passed;
  sum.failed += failed;
  sum.skipped += skipped;
  const counts = `${passed} passed, ${failed} failed${skipped ? `, ${skipped} SKIPPED` : ''}`;
  console.log(`${failed ? 'FAIL' : 'ok  '}  ${name}: ${[counts, ...reasons].join(', ')}, ${seconds.toFixed(1)} s`);
  if (failed && output) console.log(`\n${output.trimEnd().replaceAll(/^/gm, '    ')}\n`);
  if (skipped) {
    const lines = readFileSync(join(SOURCE, `${name}.test.ts`), 'utf8').split('\n');
    // uvu tells how many, but not which: all but these when a test is marked as the only one.
    const marks = lines.flatMap((line, i) => (/\.(skip|only)\b/.test(line) ? [`line ${i + 1}: ${line.trim()}`] : []));
    // A test that is skipped at run time may say so by itself.
    marks.push(...[...output.matchAll(/^SKIPPED +(.+)$/gm)].map(([, said]) => said));
    skips.push(`SKIPPED  ${name}: ${skipped}`, ...marks.map((mark) => `         ${mark}`));
  }
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
await Promise.all(Array.from({ length: AT_ONCE }, work));

for (const line of skips) console.log(line);
if (names.length === 0) console.log(`no test file has a name with ${filters.join(' or ') || '.test.ts'}`);
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
