import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Runtime } from '../../src/wasm/runtime.js';
import { hasRelaxedSimd, type SimdChoice } from '../../src/wasm/simd.js';
import { assertRejects } from '../rejects.js';

const MB = 2 ** 20;

test('memory is aligned to cache lines, behind the static data, and never handed out twice', () => {
  const runtime = new Runtime();
  let end = runtime.kernels.heapBase();
  for (const bytes of [1, 0, 64, 65, 4, 100_000, 3]) {
    const at = runtime.alloc(bytes);
    assert.is(at % 64, 0);
    assert.ok(at >= end, `${at} lies before ${end}`);
    end = at + bytes;
    assert.ok(end <= runtime.usage().held);
    assert.is(runtime.usage().used, end);
  }
});

test('zeros are zero, whatever the memory held before', () => {
  const runtime = new Runtime();
  const mark = runtime.mark();
  const dirty = runtime.alloc(1000);
  runtime.bytes(dirty, 1000).fill(255);
  runtime.release(mark);
  const at = runtime.zeros(999);
  assert.is(at, dirty);
  assert.ok(runtime.bytes(at, 999).every((byte) => byte === 0));
  assert.is(runtime.bytes(at + 999, 1)[0], 255);
});

test('a release takes back what came after the mark, and nothing else', () => {
  const runtime = new Runtime();
  const kept = runtime.alloc(400);
  runtime.floats(kept, 100).fill(7);
  const mark = runtime.mark();
  const first = runtime.alloc(100);
  runtime.alloc(10 * MB);
  runtime.release(mark);
  assert.is(runtime.usage().used, mark);
  assert.is(runtime.alloc(100), first);
  assert.ok(runtime.floats(kept, 100).every((v) => v === 7));
});

test('memory is held on to, so that the next step does not grow it again', () => {
  const runtime = new Runtime();
  const mark = runtime.mark();
  runtime.alloc(10 * MB);
  const { held } = runtime.usage();
  runtime.release(mark);
  runtime.alloc(10 * MB);
  assert.is(runtime.usage().held, held);
});

test('growth keeps what is there, and views taken after it are valid', () => {
  const runtime = new Runtime();
  const n = 1000;
  const at = runtime.alloc(4 * n);
  const before = runtime.floats(at, n).map((_, i) => i / 3);
  runtime.floats(at, n).set(before);
  const { held } = runtime.usage();
  for (let megabytes = 1; megabytes <= 32; megabytes *= 2) {
    const more = runtime.alloc(megabytes * MB);
    runtime.floats(more, (megabytes * MB) / 4).fill(megabytes);
    assert.equal(runtime.floats(at, n), before);
  }
  assert.ok(runtime.usage().held > held);
});

test('all views show the same memory', () => {
  const runtime = new Runtime();
  const at = runtime.alloc(8);
  runtime.floats(at, 2).set([1, -0]);
  assert.equal([...runtime.words(at, 2)], [0x3f800000, 0x80000000]);
  assert.equal([...runtime.ints(at, 2)], [0x3f800000, -(2 ** 31)]);
  assert.equal([...runtime.bytes(at, 8)], [0, 0, 0x80, 0x3f, 0, 0, 0, 0x80]);
});

test('two runtimes share nothing', () => {
  const [a, b] = [new Runtime(), new Runtime()];
  const at = a.zeros(4);
  assert.is(b.zeros(4), at);
  a.floats(at, 1)[0] = 1;
  assert.is(b.floats(at, 1)[0], 0);
});

test('views and kernels reach what lies above 2 GB', () => {
  const runtime = new Runtime();
  runtime.alloc(2 ** 31);
  const at = runtime.zeros(16);
  assert.ok(at >= 2 ** 31);
  runtime.kernels.u32_random(at, 4, 1, 2, 3);
  assert.is(runtime.words(at, 4).byteOffset, at);
  assert.is(runtime.floats(at, 4).byteOffset, at);
  assert.ok(runtime.words(at, 4).some((word) => word !== 0));
});

for (const bytes of [2 ** 32, 2 ** 40]) {
  test(`${bytes / 2 ** 30} GB are rejected by name, and nothing is lost`, () => {
    const runtime = new Runtime();
    const at = runtime.alloc(40);
    runtime.floats(at, 10).fill(7);
    const before = runtime.usage();
    assert.throws(
      () => runtime.alloc(bytes),
      (error: unknown) =>
        error instanceof RangeError && /out of memory/.test(error.message) && /4096 MB/.test(error.message),
    );
    assert.equal(runtime.usage(), before);
    assert.ok(runtime.floats(at, 10).every((v) => v === 7));
    assert.is(runtime.floats(at, 10).length, 10);
    assert.ok(runtime.alloc(100) > at);
  });
}

const WRONG = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '8' as unknown as number, undefined as unknown as number];

test('a wrong size, address, mark or number of rows is rejected by name, and nothing changes', () => {
  const runtime = new Runtime();
  const at = runtime.alloc(64);
  const released = runtime.alloc(64) + 64;
  runtime.release(at + 64);
  const { held } = runtime.usage();
  for (const wrong of WRONG) {
    assertRejects(runtime, 'bytes', () => runtime.alloc(wrong));
    assertRejects(runtime, 'bytes', () => runtime.zeros(wrong));
    assertRejects(runtime, 'mark', () => runtime.release(wrong));
    assertRejects(runtime, 'R', () => runtime.shares(wrong));
  }
  for (const mark of [0, runtime.kernels.heapBase() - 1, released]) {
    assertRejects(runtime, 'mark', () => runtime.release(mark));
  }
  const views = { floats: 4, doubles: 8, ints: 4, words: 4, bytes: 1 } as const;
  for (const [name, bytes] of Object.entries(views) as [keyof typeof views, number][]) {
    for (const wrong of [...WRONG, held + bytes, ...(bytes > 1 ? [1, at + 2] : [])]) {
      assertRejects(runtime, 'at', () => runtime[name](wrong, 1));
    }
    for (const wrong of [...WRONG, (held - at) / bytes + 1])
      assertRejects(runtime, 'n', () => runtime[name](at, wrong));
    assert.is(runtime[name](at, (held - at) / bytes).length, (held - at) / bytes);
    assert.is(runtime[name](held, 0).length, 0);
  }
  for (const [wrong, n] of [
    [0, 1],
    [at + 2, 1],
    [at, 17],
    [released, 1],
    [Number.NaN, 1],
  ]) {
    assertRejects(runtime, 'x', () => runtime.check('x', wrong, n));
  }
  runtime.check('x', at, 16);
});

test('wrong options of a runtime are rejected by name', () => {
  const runtime = new Runtime();
  assert.is(runtime.threads, 1);
  for (const threads of [0, -1, 1.5, 65, Number.NaN, '2' as unknown as number, null as unknown as number]) {
    assertRejects(runtime, 'threads', () => new Runtime({ threads }));
  }
  for (const simd of ['fast', '', null, 1]) {
    assertRejects(runtime, 'simd', () => new Runtime({ simd: simd as SimdChoice }));
  }
});

test('memory and threads are given back when what was run with them throws', () => {
  const runtime = new Runtime();
  const before = runtime.usage().used;
  const fail = () => {
    runtime.alloc(100);
    throw new Error('no');
  };
  assert.throws(() => runtime.scoped(fail), /^no$/);
  assert.is(runtime.usage().used, before);
  assert.is(
    runtime.scoped(() => runtime.zeros(8)),
    runtime.alloc(8),
  );
  assert.throws(() => runtime.onThisThread(() => runtime.scoped(fail)), /^no$/);
});

test('within() bounds what is handed out, takes it back on an error, and ends with it', () => {
  const runtime = new Runtime();
  runtime.alloc(100);
  const before = runtime.usage().used;
  const most = 64 * 1000;
  assert.throws(
    () => runtime.within(most, () => runtime.alloc(most + 1)),
    /^memory: got \d+; expected at most \d+ bytes/,
  );
  assert.throws(() =>
    runtime.within(most, () => {
      runtime.zeros(most / 2);
      runtime.within(2 * most, () => runtime.alloc(most)); // no more than the outer bound
    }),
  );
  assert.is(runtime.usage().used, before);
  assert.ok(runtime.usage().held < 2 * MB);
  const at = runtime.within(most, () => runtime.zeros(most - 64));
  assert.ok(at >= before && runtime.usage().used === at + most - 64);
  runtime.alloc(2 * most);
});

test('plain SIMD is the default, relaxed where asked for and known, and rejected by name elsewhere', () => {
  const product = (simd?: SimdChoice) => {
    const runtime = new Runtime(simd && { simd });
    const [M, N, K] = [5, 9, 300];
    const [a, b, c] = [M * K, N * K, M * N].map((n) => runtime.alloc(4 * n));
    for (const at of [a, b]) runtime.kernels.f32_uniform(at, M * K, -1, 1, at, 0, 0);
    runtime.floats(b, N * K).fill(1 / 3);
    const scratch = runtime.alloc(runtime.kernels.F32_GEMM_SCRATCH.value + 32 * Math.ceil(N / 8) * K);
    runtime.kernels.f32_gemm_nt(a, b, c, M, N, K, false, scratch);
    return [...runtime.floats(c, M * N)];
  };
  const plain = product();
  assert.equal(product('plain'), plain);
  assert.throws(() => product('fast' as SimdChoice), /^simd: got "fast"; expected 'auto', 'plain' or 'relaxed'/);
  if (!hasRelaxedSimd()) {
    assert.throws(() => product('relaxed'), /^simd: got "relaxed"; expected .*no relaxed SIMD/);
    assert.equal(product('auto'), plain);
    return;
  }
  const relaxed = product('relaxed');
  assert.equal(product('auto'), relaxed);
  relaxed.forEach((value, i) => {
    assert.ok(Math.abs(value - plain[i]) < 1e-4, `${value}, plain ${plain[i]}`);
  });
});

test.run();
