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

test('1,000 sessions over one plan: only their states grow', () => {
  const plan = loadSync(encodeLanguageModel(makeModel('doped-kron', 12)));
  const wasm = plan.memoryBytes;
  const sessions = Array.from({ length: 10 }, () => plan.session());
  for (const session of sessions) session.next(1);
  collectGarbage();
  const before = process.memoryUsage();
  for (let i = 0; i < 1000; i++) {
    const session = plan.session();
    session.next(i % 7);
    sessions.push(session);
  }
  collectGarbage();
  const after = process.memoryUsage();
  assert.is(plan.memoryBytes, wasm);
  const state = 4 * 2 * 2 * 12;
  const each = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / 1000;
  // The state and the objects around it, two of them typed arrays at most.
  assert.ok(each < state + 600, `each session takes ${each} bytes, ${state} of them state`);
  assert.is(sessions.length, 1010);
});

test.run();
