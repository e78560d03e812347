// Hosts that do not let threads start: the runtime works on one thread and says why.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dense } from '../../src/operators/factories.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { whyNoThreads } from '../../src/wasm/threads.js';
import { dopantHere } from '../cli/command.js';

/** Replaces properties of an object while `act` runs. */
async function replacing(object: object, replacements: Record<string, unknown>, act: () => Promise<void>) {
  const before = Object.keys(replacements).map((key) => [key, Object.getOwnPropertyDescriptor(object, key)] as const);
  for (const [key, value] of Object.entries(replacements)) {
    Object.defineProperty(object, key, { value, configurable: true, writable: true });
  }
  try {
    await act();
  } finally {
    for (const [key, descriptor] of before) {
      if (descriptor) Object.defineProperty(object, key, descriptor);
      else Reflect.deleteProperty(object, key);
    }
  }
}

/** A worker of Node that does nothing but what `start` does. */
const nodeWorker = (start: (emit: (event: string, value: unknown) => void) => void) => {
  class StubWorker {
    private readonly listeners = new Map<string, (value: unknown) => void>();
    constructor() {
      start((event, value) => setImmediate(() => this.listeners.get(event)?.(value)));
    }
    on(event: string, listener: (value: unknown) => void) {
      this.listeners.set(event, listener);
    }
    unref() {}
    terminate() {}
  }
  return (act: () => Promise<void>) => replacing(process, { getBuiltinModule: () => ({ Worker: StubWorker }) }, act);
};

/** A worker of a browser, likewise. */
const pageWorker = (start: (emit: (event: Event) => void) => void) => {
  class StubWorker extends EventTarget {
    constructor() {
      super();
      start((event) => setImmediate(() => this.dispatchEvent(event)));
    }
    postMessage() {}
    terminate() {}
  }
  return (act: () => Promise<void>) =>
    replacing(process, { getBuiltinModule: undefined }, () => replacing(globalThis, { Worker: StubWorker }, act));
};

const refuse = () => {
  throw new Error('access to this API has been restricted');
};

class OnlyUnshared extends WebAssembly.Memory {
  constructor(descriptor: WebAssembly.MemoryDescriptor) {
    if (descriptor.shared) refuse();
    super(descriptor);
  }
}

const hosts: Record<string, { within(act: () => Promise<void>): Promise<void>; why: RegExp }> = {
  'Node denies workers': { within: nodeWorker(refuse), why: /restricted/ },
  'a worker of Node throws at its start': {
    within: nodeWorker((emit) => emit('error', new Error('out of memory'))),
    why: /out of memory/,
  },
  'a worker of Node exits': { within: nodeWorker((emit) => emit('exit', 1)), why: /exited with code 1/ },
  'a runtime like Node has no worker_threads': {
    within: (act) => replacing(process, { getBuiltinModule: () => undefined }, act),
    why: /Worker/,
  },
  'a page throws at new Worker()': { within: pageWorker(refuse), why: /restricted/ },
  'a page forbids workers': {
    within: pageWorker((emit) => emit(new Event('error'))),
    why: /Content Security Policy.*worker-src/,
  },
  'shared memory cannot be reserved': {
    within: (act) => replacing(WebAssembly, { Memory: OnlyUnshared }, act),
    why: /no shared memory.*restricted/,
  },
  'there is no shared memory': {
    within: (act) => replacing(globalThis, { SharedArrayBuffer: undefined }, act),
    why: /cross-origin isolated/,
  },
  'there are no workers': {
    within: (act) =>
      replacing(process, { getBuiltinModule: undefined }, () => replacing(globalThis, { Worker: undefined }, act)),
    why: /no workers/,
  },
};

for (const [name, { within, why }] of Object.entries(hosts)) {
  test(`${name}: one thread does the work, and the reason is known`, () =>
    within(async () => {
      const runtime = new Runtime({ threads: 3 });
      for (let turns = 0; !runtime.ready; turns++) {
        assert.ok(turns < 1000, 'it is never ready');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assert.is(runtime.threads, 1);
      assert.match(whyNoThreads()!, why);
      const matrix = dense(runtime, 1, 1);
      matrix.weight.data[0] = 3;
      const [x, y] = [runtime.alloc(40), runtime.alloc(40)];
      runtime.floats(x, 10).fill(2);
      matrix.matmul(x, y, 10);
      assert.equal([...runtime.floats(y, 10)], new Array(10).fill(6));
      runtime.close();
    }));
}

test('a failure does not stand in the way of the next runtime', async () => {
  await hosts['Node denies workers'].within(async () => {
    new Runtime({ threads: 2 });
    assert.ok(whyNoThreads());
  });
  const runtime = new Runtime({ threads: 2 });
  while (!runtime.ready) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(runtime.threads, 2);
  assert.is(whyNoThreads(), undefined);
  runtime.close();
});

test('if a worker ends later, this thread does its work too', async () => {
  const runtime = new Runtime({ threads: 3 });
  while (!runtime.ready) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(runtime.threads, 3);
  const { others } = runtime as unknown as { others: { workers: Worker[] } };
  await others.workers[1].terminate();
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(runtime.threads, 1);
  assert.ok(runtime.ready);
  assert.match(whyNoThreads()!, /a worker failed: it exited/);
  assert.equal(runtime.shares(12), [[0, 12]]);
});

// ---- the command line

const folder = mkdtempSync(join(tmpdir(), 'dopant-'));
test.after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'text.txt'), 'the cat sat on the mat. the dog lay on the rug. '.repeat(60));
const TRAIN = 'train lm --data text.txt --hidden 8 --epochs 1 --batch 2 --bptt 8 --compression 4 --threads 2 --out';

test('the command line says that threads cannot start, and trains on one', () =>
  hosts['a worker of Node throws at its start'].within(async () => {
    const { code, stderr } = await dopantHere(folder, `${TRAIN} denied.safetensors`);
    assert.is(code, 0, stderr);
    assert.match(stderr, /threads: .*out of memory.*; one thread does all the work/);
  }));

test('the command line does not wait for ever for threads that never start', async () => {
  let now = 0;
  const clock = { now: () => (now += 1000) };
  await nodeWorker(() => {})(() =>
    replacing(globalThis, { performance: clock }, async () => {
      const { code, stderr } = await dopantHere(folder, `${TRAIN} late.safetensors`);
      assert.is(code, 0, stderr);
      assert.match(stderr, /threads: the others have not started/);
    }),
  );
});

test.run();
