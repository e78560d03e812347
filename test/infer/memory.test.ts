import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSync } from '../../src/infer/index.js';
import { encodeLanguageModel } from '../../src/tasks/models.js';
import { collectGarbage } from '../garbage.js';
import { makeModel } from './models.js';

test('1,000,000 steps: JS heap and WebAssembly memory stay flat', () => {
  const plan = loadSync(encodeLanguageModel(makeModel('doped-kron', 12, 0.9, 4)));
  const session = plan.session();
  const x = new Float32Array(12).fill(0.1);
  const run = (n: number) => {
    for (let i = 0; i < n; i++) {
      session.next(i % 7);
      session.step(x);
    }
  };
  run(10_000);
  const wasm = plan.memoryBytes;
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  run(500_000);
  collectGarbage();
  const grown = process.memoryUsage().heapUsed - before;
  assert.is(plan.memoryBytes, wasm);
  // Optimised code may come and go; a single number kept a step would be 8 MB.
  assert.ok(grown < 500_000, `the heap grew by ${grown} bytes`);
});

test('10,000 sessions over one plan: only their states grow', () => {
  const plan = loadSync(encodeLanguageModel(makeModel('doped-kron', 12)));
  const wasm = plan.memoryBytes;
  const sessions = new Array(12_000).fill(undefined);
  const start = (first: number, count: number) => {
    for (let i = first; i < first + count; i++) {
      sessions[i] = plan.session();
      sessions[i].next(i % 7);
    }
  };
  // So many first, and so many in all, that code compiled meanwhile weighs nothing.
  start(0, 2000);
  collectGarbage();
  const before = process.memoryUsage();
  start(2000, 10_000);
  collectGarbage();
  const after = process.memoryUsage();
  assert.is(plan.memoryBytes, wasm);
  const state = 4 * 2 * 2 * 12;
  const each = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / 10_000;
  // The state and the objects around it, two of them typed arrays at most.
  assert.ok(each < state + 600, `each session takes ${each} bytes, ${state} of them state`);
  assert.ok(sessions.every((session) => session.state.some((value: number) => value !== 0)));
});

test.run();
