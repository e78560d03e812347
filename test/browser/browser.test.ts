// The library in Chromium: the tests of kernels and sessions once more, a worklet, and pages that users might build.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { makeModel } from '../infer/models.js';
import {
  batteryNames,
  buildWithEsbuild,
  buildWithVite,
  bundleScript,
  bundleTests,
  bundleWorklet,
  makeApp,
  type Simd,
} from './bundles.js';
import { closeBrowser, inPage, missing, serving, WAIT } from './chromium.js';
import type { Outcome } from './outcome.js';
import { sameBits } from './same-bits.js';
import type { Answer } from './worklet.js';

const folder = mkdtempSync(join(tmpdir(), 'dopant-browser-'));

test.after(async () => {
  await closeBrowser();
  rmSync(folder, { recursive: true });
});

function browserTest(name: string, run: () => Promise<void>): void {
  if (!missing || process.env.CI) {
    test(name, missing ? () => assert.unreachable(missing) : run);
    return;
  }
  test.skip(`${name}: ${missing}`);
}

// ---- the battery

const TESTS = ['kernels', 'kernels/vector', 'infer/kernels', 'infer/session']; // some that must be among them

const bundles = new Map<Simd, Promise<void>>();

/** Bundles the battery into a folder named so, once. */
async function bundled(simd: Simd): Promise<string[]> {
  const names = batteryNames();
  const built = bundles.get(simd) ?? bundleTests(join(folder, simd), names, simd);
  bundles.set(simd, built);
  await built;
  return names;
}

test('the tests of kernels and sessions can be bundled for a browser', async () => {
  for (const simd of ['plain', 'relaxed'] as const) {
    const names = await bundled(simd);
    for (const name of TESTS) assert.ok(names.includes(name), `${name} is not among ${names.join(', ')}`);
  }
});

const MOST_SAID = 2000; // characters; where one test fails, all may

/** How a page opens a bundle; these run in the page. */
const hosts = {
  page: async (url: string): Promise<Outcome> => (await import(url)).outcome,
  worker: (url: string) =>
    new Promise<Outcome>((resolve, reject) => {
      const worker = new Worker(url, { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message, lineno }) => reject(new Error(`worker: ${message ?? 'not loaded'}, line ${lineno}`));
    }),
};

/** Runs bundled tests in Chromium, each file in a page of its own. */
async function runTests(
  built: string,
  names: readonly string[],
  host: keyof typeof hosts,
  { query = '', isolated = false } = {},
): Promise<void> {
  const failures: string[] = [];
  const runAll = async (url: string) => {
    for (const name of names) {
      const open = inPage(url, (page) => page.evaluate(hosts[host], `${url}${name}.js${query}`));
      const { total, passed, errors } = await open.catch((error) => ({ total: 0, passed: 0, errors: error.stack }));
      if (total === 0 || passed < total || errors) {
        const why = errors || 'run() was not called, or a hook threw';
        const said = stripVTControlCharacters(why).slice(0, MOST_SAID);
        failures.push(`${name}: ${passed} of ${total} tests passed in Chromium\n${said}`);
      }
    }
  };
  await serving(built, runAll, { isolated });
  assert.is(failures.length, 0, failures.join('\n'));
}

// What a kernel computes is the same wherever its binary runs; how a binary is loaded, and by whom, is not.
const LOADING = ['kernels/vector', 'infer/session'];

for (const simd of ['plain', 'relaxed'] as const) {
  const built = join(folder, simd);
  browserTest(`the tests of kernels and sessions pass in a page, ${simd} SIMD`, async () =>
    runTests(built, await bundled(simd), 'page'),
  );
  for (const [where, query] of Object.entries({ 'in a worker': '', 'where there is no fetch': '?no-fetch' })) {
    browserTest(`those of sessions pass ${where}, ${simd} SIMD`, async () => {
      await bundled(simd);
      await runTests(built, LOADING, 'worker', { query });
    });
  }
}

// ---- threads, which want shared memory

const THREADS = ['train/threads'];

for (const host of ['page', 'worker'] as const) {
  browserTest(`threads train the same model in a cross-origin isolated ${host}`, async () => {
    const built = join(folder, `threads-${host}`);
    await bundleTests(built, THREADS, 'plain');
    await runTests(built, THREADS, host, { isolated: true });
  });
}

browserTest('a page that is not isolated trains on one thread and says why', async () => {
  const built = join(folder, 'one-thread');
  await bundleScript(built, 'one-thread');
  const answer = await serving(built, (url) =>
    inPage(url, (page) => page.evaluate(async (script) => (await import(script)).answer, `${url}one-thread.js`)),
  );
  assert.is(answer.threads, 1);
  assert.match(answer.why, /cross-origin isolated/);
});

browserTest('a page whose Content Security Policy forbids workers trains on one thread and says why', async () => {
  const built = join(folder, 'no-workers');
  await bundleScript(built, 'one-thread');
  const headers = { 'content-security-policy': "worker-src 'none'" };
  const open = (url: string) =>
    inPage(url, (page) => page.evaluate(async (script) => (await import(script)).answer, `${url}one-thread.js`));
  const answer = await serving(built, open, { isolated: true, headers });
  assert.is(answer.threads, 1);
  assert.match(answer.why, /Content Security Policy/);
});

// ---- the same bits

browserTest('models, probabilities and sampled texts are those of Node, bit for bit', async () => {
  const built = join(folder, 'same-bits');
  await bundleScript(built, 'same-bits');
  const theirs = await serving(built, (url) =>
    inPage(url, (page) => page.evaluate(async (script) => (await import(script)).sameBits(), `${url}same-bits.js`)),
  );
  const ours = await sameBits();
  assert.equal(Object.keys(theirs), Object.keys(ours));
  for (const [name, bits] of Object.entries(ours)) {
    const at = Array.from(bits).findIndex((char, i) => char !== theirs[name][i]);
    assert.ok(bits === theirs[name], `${name}: Chromium differs from character ${at} of ${bits.length} on`);
  }
});

// ---- a model in a worklet and in pages

const TOKENS = [1, 2, 3];
const model = encodeModel(makeModel('doped-kron', 16));

/** Those of Chromium have been through relaxed SIMD, which may round otherwise than Node. */
function assertLogits(actual: number[][], where: string): void {
  const session = new TextModel(loadSync(model));
  assert.is(actual.length, TOKENS.length, `${where}: logits of ${actual.length} steps`);
  TOKENS.forEach((token, t) => {
    const expected = [...session.next(token)];
    assert.is(actual[t].length, expected.length, `${where}, step ${t}: ${actual[t].length} logits`);
    expected.forEach((logit, i) => {
      const message = `${where}, step ${t}, logit ${i}: ${actual[t][i]}; Node has ${logit}`;
      assert.ok(Math.abs(actual[t][i] - logit) <= 1e-5, message);
    });
  });
}

/** Runs in the page. */
async function inWorklet({ url, tokens }: { url: string; tokens: number[] }): Promise<Answer> {
  const context = new OfflineAudioContext(1, 128 * (tokens.length + 1), 48_000);
  await context.audioWorklet.addModule(`${url}worklet.js`);
  const bytes = await (await fetch(`${url}model.safetensors`)).arrayBuffer();
  const node = new AudioWorkletNode(context, 'model', { processorOptions: { model: bytes, tokens } });
  node.connect(context.destination);
  const answer = new Promise<Answer>((resolve) => {
    node.port.onmessage = ({ data }) => resolve(data);
    node.onprocessorerror = () => resolve({ error: 'the processor threw' });
  });
  await context.startRendering();
  return answer;
}

browserTest('an AudioWorklet loads a model from bytes and runs it', async () => {
  const built = join(folder, 'worklet');
  await bundleWorklet(built, model);
  const work = (url: string) => inPage(url, (page) => page.evaluate(inWorklet, { url, tokens: TOKENS }));
  const answer = await serving(built, work);
  if ('error' in answer) throw new Error(`in the worklet: ${answer.error}`);
  assertLogits(answer.logits, 'worklet');
});

for (const [bundler, build] of Object.entries({ Vite: buildWithVite, esbuild: buildWithEsbuild })) {
  browserTest(`a page built by ${bundler}, unconfigured, loads a model from a URL and runs it`, async () => {
    const app = join(folder, `app-${bundler}`);
    makeApp(app, model);
    const text = await serving(build(app), (url) =>
      inPage(url, (page) => page.locator('output:not(:empty)').textContent({ timeout: WAIT })),
    );
    assertLogits(JSON.parse(text!), `page by ${bundler}`);
  });
}

test.run();
