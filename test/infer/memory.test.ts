import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';
import { encodeNetwork } from '../../src/io/model-file.js';
import type { LayerSpec } from '../../src/network/spec.js';
import { Network } from '../../src/nn/network.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { collectGarbage } from '../garbage.js';
import { makeModel } from './models.js';

test('1,000,000 steps: JS heap and WebAssembly memory stay flat', () => {
  const plan = loadSync(encodeModel(makeModel('doped-kron', 12, 0.9, 4)));
  const session = plan.session();
  const text = new TextModel(plan);
  const run = (n: number) => {
    for (let i = 0; i < n; i++) {
      session.step(i % 7);
      text.next(i % 5);
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
  const plan = loadSync(encodeModel(makeModel('doped-kron', 12)));
  const wasm = plan.memoryBytes;
  const sessions = new Array(12_000).fill(undefined);
  const start = (first: number, count: number) => {
    for (let i = first; i < first + count; i++) {
      sessions[i] = plan.session();
      sessions[i].step(i % 7);
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

test('1,000,000 steps of frames: JS heap and WebAssembly memory stay flat', () => {
  const layers: LayerSpec[] = [
    { name: 'window', kind: 'conv', outputs: 8, width: 3, activation: 'relu' },
    { name: 'gru', kind: 'gru', units: 8 },
    { name: 'head', kind: 'linear', outputs: 1, activation: 'sigmoid', from: ['gru', 'window'] },
  ];
  const network = Network.create(new Runtime(), { input: { frames: 8 }, layers }, 1);
  const model = loadSync(encodeNetwork(network, { name: 'test' }));
  const session = model.session();
  const frame = new Float32Array(8).fill(0.25);
  const steps = (n: number) => {
    for (let i = 0; i < n; i++) session.step(frame);
  };
  steps(10_000);
  const { memoryBytes } = model;
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  steps(1_000_000);
  collectGarbage();
  assert.is(model.memoryBytes, memoryBytes);
  assert.ok(process.memoryUsage().heapUsed - before < 500_000);
});

test.run();
