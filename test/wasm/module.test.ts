// Hosts that forbid compiling bytes: the kernels come as a compiled module.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { kernelBytes as inferenceBytes, init, initSync } from '../../src/infer/index.js';
import { kernelBytes, Runtime } from '../../src/wasm/runtime.js';
import { hasRelaxedSimd } from '../../src/wasm/simd.js';

/** x y for two vectors, by a kernel. */
function sumOfSquares(runtime: Runtime): number {
  const x = runtime.alloc(400);
  runtime.floats(x, 100).fill(0.5);
  return runtime.kernels.f32_sum_squares(x, 100);
}

const named = (name: string) => (error: Error) =>
  error instanceof InputError && error.message.startsWith(`${name}: got`);

test('a compiled module takes the place of the bytes, for one thread and for several', () => {
  for (const threads of [1, 2]) {
    const module = new WebAssembly.Module(kernelBytes({ threads }));
    const runtime = new Runtime({ module, threads });
    assert.is(runtime.threads, threads);
    assert.is(sumOfSquares(runtime), 25);
    runtime.close();
  }
});

test('both binaries are whole, and differ in their multiply-adds', () => {
  assert.ok(WebAssembly.validate(kernelBytes()));
  assert.ok(WebAssembly.validate(kernelBytes({ threads: 2 })));
  assert.ok(WebAssembly.validate(inferenceBytes('plain')));
  if (!hasRelaxedSimd()) return;
  for (const [plain, relaxed] of [
    [kernelBytes(), kernelBytes({ simd: 'relaxed' })],
    [inferenceBytes('plain'), inferenceBytes('relaxed')],
  ]) {
    assert.ok(WebAssembly.validate(relaxed));
    assert.is(relaxed.length, plain.length);
    const changed = plain.filter((byte, i) => byte !== relaxed[i]).length;
    assert.ok(changed > 100 && changed < plain.length / 4, `${changed} of ${plain.length} bytes differ`);
  }
});

test('a module of other kernels, or for another number of threads, is rejected by name', () => {
  const compiled = (bytes: Uint8Array<ArrayBuffer>) => new WebAssembly.Module(bytes);
  assert.throws(() => new Runtime({ module: compiled(inferenceBytes('plain')) }), named('module'));
  assert.throws(() => new Runtime({ module: {} as WebAssembly.Module }), named('module'));
  assert.throws(() => new Runtime({ module: compiled(kernelBytes()), threads: 2 }), named('module'));
  assert.throws(() => new Runtime({ module: compiled(kernelBytes({ threads: 2 })) }), named('module'));
  assert.throws(() => initSync({ module: compiled(kernelBytes()) }), named('module'));
});

test('where the host forbids compiling, the error names what to allow and what to pass', async () => {
  const { Module, compile } = WebAssembly;
  // A function, since it is called with `new` too.
  const forbid = function forbid(): never {
    throw new WebAssembly.CompileError('Wasm code generation disallowed by embedder');
  };
  Object.assign(WebAssembly, { Module: forbid, compile: async () => forbid() });
  const says = (way: string) => (error: Error) =>
    error instanceof InputError &&
    [way, "'wasm-unsafe-eval'", 'disallowed by embedder'].every((part) => error.message.includes(part));
  try {
    assert.throws(() => new Runtime(), says('new Runtime({ module })'));
    assert.throws(() => initSync({ simd: 'plain' }), says('init({ module })'));
    const error = await init({ simd: 'plain' }).then(
      () => undefined,
      (error: Error) => error,
    );
    assert.ok(error && says('init({ module })')(error), String(error));
  } finally {
    Object.assign(WebAssembly, { Module, compile });
  }
});

test('a host without WebAssembly is named as such by dopant/infer', async () => {
  const { WebAssembly: own } = globalThis;
  const says = (error: Error) => error instanceof InputError && /WebAssembly is not defined/.test(error.message);
  try {
    Reflect.deleteProperty(globalThis, 'WebAssembly');
    assert.throws(() => initSync({ simd: 'auto' }), says);
    const error = await init({ simd: 'auto' }).catch((thrown: Error) => thrown);
    assert.ok(error && says(error), String(error));
  } finally {
    Object.assign(globalThis, { WebAssembly: own });
  }
});

test.run();
