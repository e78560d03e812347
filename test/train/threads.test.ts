// The number of threads changes no bit of a training.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import type { NetworkSpec } from '../../src/network/spec.js';
import { meanSquaredLoss } from '../../src/nn/element-loss.js';
import { Network } from '../../src/nn/network.js';
import { dense, doped, hmd, kron, lmf } from '../../src/operators/factories.js';
import { type Operator, parametersOf } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { Sum } from '../../src/operators/sum.js';
import { defaultOptions, type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import type { Call } from '../../src/wasm/threads.js';

const text = 'the cat sat on the mat. the dog lay on the rug and the bird in the tree. '.repeat(40);
const vocabulary = buildVocabulary([text], 'word');
const ids = vocabulary.encode(text);

async function started(threads: number): Promise<Runtime> {
  const runtime = new Runtime({ threads });
  for (const end = Date.now() + 60_000; !runtime.ready; ) {
    assert.ok(Date.now() < end, 'the threads do not come up');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return runtime;
}

function train(runtime: Runtime, options: Partial<LanguageModelOptions>) {
  const all = { ...defaultOptions('word'), hidden: 12, compression: 4, batch: 7, bptt: 9, epochs: 2, ...options };
  const training = LanguageModelTraining.create(runtime, vocabulary, all, { train: ids, valid: ids.subarray(0, 200) });
  while (!training.done) training.step();
  runtime.close();
  return { model: encodeModel(training.model), records: training.records };
}

const [M, N] = [8, 12];

/** Every kind of operator, M x N. */
function operatorsOf(runtime: Runtime): Operator[] {
  return [
    dense(runtime, M, N),
    kron(runtime, [2, 3, 4, 4]),
    kron(runtime, [2, 3, 2, 2, 2, 2]),
    lmf(runtime, M, N, 2),
    hmd(runtime, M, N, 3, 2),
    doped(runtime, kron(runtime, [2, 3, 4, 4]), 4),
    ...emptyOf(runtime),
  ];
}

/** Sparse matrices without weights, in every form. */
function emptyOf(runtime: Runtime): Operator[] {
  const none = { values: new Float32Array(0), columns: new Uint32Array(0), starts: new Uint32Array(M + 1) };
  return ([1, 4, 8, 'gates'] as const).flatMap((block) => {
    const masked = new Sparse(runtime, M, N, undefined, block);
    Sparse.prune([masked], 0, false);
    return [masked, new Sparse(runtime, M, N, none, block)];
  });
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i]);

const cmr = { structure: 0.2, dopants: 0.1, hold: true, until: 0.8 };
const settings: Partial<LanguageModelOptions>[] = [
  { method: 'dense', optimizer: 'sgd' },
  { method: 'doped-kron', coMatrixDropout: cmr },
  { method: 'doped-kron', kron: [4, 2, 4, 3, 3, 2], batch: 5 },
  { method: 'doped-hmd', block: 4, batch: 1 },
  { method: 'doped-lmf', coMatrixDropout: { ...cmr, hold: false }, batch: 16 },
  { method: 'doped-kron', tied: true, bits: 3 },
  { method: 'doped-kron', cutoffs: [3, 6], bits: 8 },
  // Matrices that lose all their weights.
  { method: 'doped-kron', hidden: 32, block: 8, compression: 60, epochs: 1 },
  ...(['matrix', 'global'] as const).flatMap((threshold) =>
    ([1, 4, 'gates'] as const).map((block) => ({
      method: 'pruned' as const,
      block,
      epochs: 1,
      annealing: { start: 0, end: 0.3, every: 5, threshold, finalSparsity: 1, compress: block !== 4 },
    })),
  ),
];

for (const options of settings) {
  test(`${JSON.stringify(options)}: the same model and records on 1, 2 and 3 threads`, async () => {
    const alone = train(new Runtime(), options);
    for (const threads of [2, 3]) {
      const runtime = await started(threads);
      assert.is(runtime.threads, threads);
      const several = train(runtime, options);
      assert.equal(several.records, alone.records, `${threads} threads`);
      assert.ok(sameBytes(several.model, alone.model), `${threads} threads`);
    }
  });
}

test('a GRU has the same outputs and gradients on 1, 2 and 3 threads', async () => {
  const spec: NetworkSpec = {
    input: { frames: 5 },
    layers: [
      { name: 'gru', kind: 'gru', units: 6, direction: 'both' },
      { name: 'out', kind: 'linear', outputs: 2 },
    ],
  };
  const run = (runtime: Runtime, B: number) => {
    const network = Network.create(runtime, spec, 3);
    for (const [, parameter] of network.parameters()) parameter.prepareGradient();
    const tape = new Tape(runtime, true);
    const frames = Array.from({ length: B }, (_, b) =>
      Float32Array.from({ length: 20 }, (_, i) => Math.sin(i + 7 * b)),
    );
    const y = network.forward(tape, network.batch(frames));
    meanSquaredLoss(tape, y, new Float32Array(y.rows * y.cols).fill(0.5));
    tape.backward();
    return [
      [...runtime.floats(y.value, y.rows * y.cols)],
      ...network.parameters().map(([, { gradient }]) => [...gradient]),
    ];
  };
  for (const threads of [2, 3]) {
    const runtime = await started(threads);
    for (const B of [1, 2, 9]) assert.equal(run(runtime, B), run(new Runtime(), B), `${threads} threads, ${B} rows`);
    runtime.close();
  }
});

for (const threads of [1, 2, 3]) {
  test(`products of no rows write nothing, on ${threads} threads`, async () => {
    const runtime = await started(threads);
    for (const operator of operatorsOf(runtime)) {
      const parameters = parametersOf(operator);
      for (const parameter of parameters) parameter.prepareGradient();
      const at = runtime.alloc(64);
      const bytes = () => runtime.bytes(0, at + 64).slice();
      const before = bytes();
      for (const accumulate of [true, false]) {
        operator.matmul(at, at, 0, accumulate);
        operator.tMatmul(at, at, 0, accumulate);
      }
      operator.gradParams(at, at, 0);
      // The mailboxes come before; they hold the last call.
      const first = parameters[0].value;
      assert.equal(bytes().subarray(first), before.subarray(first));
    }
    runtime.close();
  });

  test(`products with a matrix without weights are zero, on ${threads} threads`, async () => {
    const runtime = await started(threads);
    const empty = emptyOf(runtime);
    for (const operator of [...empty, new Sum(runtime, empty)]) {
      for (const parameter of parametersOf(operator)) parameter.prepareGradient();
      for (const R of [1, 2, 9]) {
        const [x, y] = [runtime.alloc(4 * R * N), runtime.alloc(4 * R * M)];
        for (const accumulate of [true, false]) {
          runtime.floats(x, R * N).fill(1);
          runtime.floats(y, R * M).fill(2);
          operator.gradParams(y, x, R);
          operator.matmul(x, y, R, accumulate);
          assert.ok(runtime.floats(y, R * M).every((value) => value === (accumulate ? 2 : 0)));
          operator.tMatmul(y, x, R, accumulate);
          assert.ok(runtime.floats(x, R * N).every((value) => value === (accumulate ? 1 : 0)));
        }
      }
      for (const { gradient } of parametersOf(operator)) assert.ok(gradient.every((value) => value === 0));
    }
    runtime.close();
  });
}

test('what fails in another thread fails here', async () => {
  const runtime = await started(2);
  const program = runtime.alloc(64);
  runtime.words(program, 1)[0] = 0;
  const calls: Call<'run_program'>[] = [
    [program, 0, 0, 1, 0, 0],
    // Outside the memory.
    [0xffffff00, 0, 0, 1, 0, 0],
  ];
  assert.throws(() => runtime.parallel('run_program', calls), /failed in another thread/);
  runtime.close();
});

test('what fails here does not leave the other threads at work', async () => {
  const runtime = await started(2);
  const program = runtime.alloc(64);
  runtime.words(program, 1)[0] = 0;
  const good: Call<'run_program'> = [program, 0, 0, 1, 0, 0];
  const bad: Call<'run_program'> = [0xffffff00, 0, 0, 1, 0, 0]; // outside the memory
  assert.throws(() => runtime.parallel('run_program', [bad, good]), WebAssembly.RuntimeError);
  runtime.parallel('run_program', [good, good]);
  assert.throws(() => runtime.parallel('run_program', [good, bad]), /failed in another thread/);
  runtime.parallel('run_program', [good, good]);
  runtime.close();
});

test('no calls are none, and more than there are threads are rejected', async () => {
  const runtime = await started(2);
  runtime.parallel('run_program', []);
  const program = runtime.alloc(64);
  runtime.words(program, 1)[0] = 0;
  const calls = Array.from({ length: 3 }, (): Call<'run_program'> => [program, 0, 0, 1, 0, 0]);
  assert.throws(() => runtime.parallel('run_program', calls), /^calls: got 3; expected at most 2/);
  runtime.close();
});

test('after close() one thread does all the work', async () => {
  const runtime = await started(3);
  runtime.close();
  assert.is(runtime.threads, 1);
  assert.ok(runtime.ready);
  runtime.close();
  const options: Partial<LanguageModelOptions> = { method: 'doped-kron', epochs: 1 };
  assert.equal(train(runtime, options), train(new Runtime(), options));
});

test.run();
