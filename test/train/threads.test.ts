// The number of threads changes no bit of a training.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { encodeLanguageModel } from '../../src/io/model-file.js';
import { defaultOptions, type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/language-model.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';

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
  return { model: encodeLanguageModel(training.model), records: training.records };
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i]);

const cmr = { structure: 0.2, dopants: 0.1, hold: true, until: 0.8 };
const settings: Partial<LanguageModelOptions>[] = [
  { method: 'dense', optimizer: 'sgd' },
  { method: 'doped-kron', coMatrixDropout: cmr },
  { method: 'doped-kron', kron: [4, 2, 4, 3, 3, 2], batch: 5 },
  { method: 'doped-hmd', block: 4, batch: 1 },
  { method: 'doped-lmf', coMatrixDropout: { ...cmr, hold: false }, batch: 16 },
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

test('what fails in another thread fails here', async () => {
  const runtime = await started(2);
  const program = runtime.alloc(64);
  runtime.words(program, 1)[0] = 0;
  const calls = [
    [program, 0, 0, 1, 0, 0],
    // Outside the memory.
    [0xffffff00, 0, 0, 1, 0, 0],
  ];
  assert.throws(() => runtime.parallel('run_program', calls), /failed in another thread/);
  runtime.close();
});

test('a number of threads that is none is refused', () => {
  for (const threads of [0, -1, 1.5, 65, Number.NaN]) {
    assert.throws(
      () => new Runtime({ threads }),
      (error: Error) => error instanceof InputError && error.message.startsWith(`threads: got ${threads}; expected`),
    );
  }
});

test.run();
