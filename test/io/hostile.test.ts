import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { getHeapStatistics } from 'node:v8';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { decodeModel } from '../../src/cli/tasks.js';
import { FileFormatError, InputError, TrainingError } from '../../src/errors.js';
import { Intents, initSync, loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';
import { memoryFor } from '../../src/io/memory.js';
import { decodeNetwork, encodeNetwork } from '../../src/io/model-file.js';
import { readHeader } from '../../src/io/model-header.js';
import type { NetworkSpec } from '../../src/network/spec.js';
import { Network, type Recipe } from '../../src/nn/network.js';
import { METHODS } from '../../src/operators/methods.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { IntentModel } from '../../src/tasks/intent/model.js';
import { defaultIntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { defaultOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { collectGarbage } from '../garbage.js';
import { makeModel, prune, vocabulary } from '../infer/models.js';
import { forge, partsOf } from './forge.js';
import { instances } from './worst.js';

// Files with forged headers. Each is read or rejected with FileFormatError, and takes no more memory than its size allows.
// FUZZ_SEED and FUZZ_FILES in the environment choose which files and how many: a failure names its seed.

const SEED = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const FILES = Number(process.env.FUZZ_FILES ?? 8000);

initSync({ simd: 'plain' });
const runtime = new Runtime();

// ---- how much memory a call takes

/** The most that any WebAssembly memory has grown to since this was last set to 0. */
let largestMemory = 0;
const { grow } = WebAssembly.Memory.prototype;
WebAssembly.Memory.prototype.grow = function (pages) {
  const before = grow.call(this, pages);
  largestMemory = Math.max(largestMemory, this.buffer.byteLength);
  return before;
};

/** Of JavaScript: its objects, and the arrays outside of its heap. */
function bytesInUse(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

/** What reading a file of n bytes may take. */
const allowed = (n: number) => 64 * 2 ** 20 + 40 * n;

function measured<T>(file: Uint8Array, read: () => T): T {
  largestMemory = 0;
  const before = bytesInUse();
  const held = runtime.usage().held;
  try {
    return read();
  } finally {
    // What memory there was already is not taken by this file.
    const grown = largestMemory > held ? largestMemory : 0;
    assert.ok(grown <= 1.3 * memoryFor(file.length), `${grown} bytes of WebAssembly memory`);
    const taken = grown + bytesInUse() - before;
    assert.ok(taken <= allowed(file.length), `${taken} bytes for a file of ${file.length}`);
  }
}

// ---- what becomes of a file

/** What is read, or the error that a file may give. Throws any other. */
function outcome<T>(read: () => T): T | FileFormatError {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FileFormatError)) throw error;
    assert.ok(error.message.length > 10 && error.message.length < 1000, error.message);
    return error;
  }
}

const areFinite = (numbers: ArrayLike<number>) => Array.from(numbers).every(Number.isFinite);

function runLanguageModel(file: Uint8Array): FileFormatError | undefined {
  const text = outcome(() => measured(file, () => new TextModel(loadSync(file))));
  if (text instanceof FileFormatError) return text;
  for (const token of [0, text.vocabulary.size - 1]) assert.ok(areFinite(text.next(token)), 'a logit is not finite');
  return undefined;
}

function runIntentModel(file: Uint8Array): FileFormatError | undefined {
  const plan = outcome(() => measured(file, () => new Intents(loadSync(file))));
  if (plan instanceof FileFormatError) return plan;
  assert.ok(areFinite(Object.values(plan.classify('the cat and').probabilities)), 'a probability is not finite');
  return undefined;
}

/** The same by the reader for training. */
function runToEvaluate(file: Uint8Array): FileFormatError | undefined {
  return runtime.scoped(() => {
    const model = outcome(() => measured(file, () => decodeModel(runtime, file)));
    if (model instanceof FileFormatError) return model;
    const tape = new Tape(runtime, false);
    if (model instanceof IntentModel) {
      const { value } = model.forward(tape, model.batch([Int32Array.of(0, 1)]));
      assert.ok(areFinite(runtime.floats(value, model.labels.length)), 'a logit is not finite');
    } else if (model instanceof LanguageModel) {
      const ids = runtime.zeros(4);
      const { value } = model.forward(tape, ids, 1, 1, model.newState(1));
      assert.ok(areFinite(runtime.floats(value, model.vocabulary.size)), 'a logit is not finite');
    }
    return undefined;
  });
}

/** Any network, by the reader for training. */
function runNetwork(file: Uint8Array): FileFormatError | undefined {
  return runtime.scoped(() => {
    const network = outcome(() => measured(file, () => decodeNetwork(runtime, readHeader(file))));
    if (network instanceof FileFormatError) return network;
    const { input } = network.spec;
    const sequence = (T: number) => new Float32Array('frames' in input ? T * input.frames : T);
    try {
      const { value, rows, cols } = network.forward(
        new Tape(runtime, false),
        network.batch([sequence(5), sequence(3)]),
      );
      assert.ok(areFinite(runtime.floats(value, rows * cols)), 'an output is not finite');
    } catch (error) {
      // Convolutions may leave nothing of a sequence.
      if (!(error instanceof InputError && error.message.startsWith('sequences: '))) throw error;
    }
    return undefined;
  });
}

// ---- the files

const languageModels = [
  ...METHODS.map((method) => makeModel(method, 8, 0.8)),
  makeModel('kron', 6, 0, 1, [2, 3, 4, 1, 3, 2]),
  makeModel('pruned', 8, 0.8, 8),
  makeModel('doped-kron', 8, 0.9, 'gates'),
].flatMap((model) => [
  encodeModel(model),
  encodeModel(model, { embedding: 4, head: 8, factors: 8, dopants: 3, dense: 4, vectors: 16 }),
]);

const intentModels = (['dense', 'doped-kron', 'doped-hmd', 'pruned'] as const).map((method) => {
  const config = { hidden: 4, layers: 2, embedding: 4, method, compression: method === 'dense' ? 1 : 1.5 };
  return encodeModel(prune(IntentModel.create(new Runtime(), config, vocabulary, ['a', 'b', 'c'], 3), 0.7));
});

const networks = (
  [
    {
      input: { frames: 3 },
      layers: [
        { name: 'gru', kind: 'gru', units: 4, direction: 'both' },
        { name: 'ends', kind: 'pool', over: 'ends' },
        { name: 'out', kind: 'linear', outputs: 2, activation: 'tanh' },
      ],
    },
    {
      input: { tokens: 5, width: 4 },
      layers: [
        { name: 'conv', kind: 'conv', outputs: 4, width: 2, stride: 2, padding: [1, 1], activation: 'relu' },
        { name: 'lstm', kind: 'lstm', units: 4, direction: 'backward' },
        { name: 'both', kind: 'linear', outputs: 3, from: ['conv', 'lstm'] },
        { name: 'most', kind: 'pool', over: 'max' },
      ],
    },
    {
      input: { frames: 4 },
      layers: [
        { name: 'same', kind: 'conv', outputs: 4, width: 3, activation: 'sigmoid' },
        { name: 'a', kind: 'gru', units: 2, from: ['same', 'input'] },
        { name: 'last', kind: 'pool', over: 'last' },
        { name: 'mean', kind: 'pool', over: 'mean', from: ['a'] },
        { name: 'out', kind: 'linear', outputs: 2, from: ['last', 'mean'] },
      ],
    },
  ] satisfies NetworkSpec[]
).map((spec) => {
  const recipe: Recipe = ({ shape }) =>
    shape[0] >= 8 ? { method: 'lmf', compression: 1.1 } : { method: 'pruned', compression: 1 };
  return encodeNetwork(Network.create(new Runtime(), spec, 1, { recipe }), { name: 'other', more: [1, { two: 'x' }] });
});

const ids = vocabulary.encode('the cat sat on the mat and the dog lay down by it, '.repeat(9));
const corpus = { train: ids.slice(20), valid: ids.slice(0, 20) };
const examples = {
  sentences: [Int32Array.of(2, 3, 1), Int32Array.of(4, 1), Int32Array.of(5, 6, 7, 1)],
  intents: ['a', 'b', 'a'],
};
const intents = { train: examples, valid: examples };

const languageCheckpoints = (['doped-kron', 'pruned', 'hmd'] as const).flatMap((method) => {
  const shared = {
    ...defaultOptions('word'),
    hidden: 8,
    layers: 1,
    method,
    compression: 2,
    batch: 2,
    bptt: 5,
    epochs: 3,
  };
  const annealing = { ...shared.annealing, start: 0, every: 4, finalSparsity: 0.9 };
  const training = LanguageModelTraining.create(new Runtime(), vocabulary, { ...shared, annealing }, corpus);
  // Masked, and later compressed.
  return [2, 12].map((steps) => {
    while (training.trainer.stepsDone < steps) training.step();
    return encodeCheckpoint(training, {});
  });
});

const intentCheckpoints = (['sgd', 'adam'] as const).map((optimizer) => {
  const options = { ...defaultIntentOptions(optimizer), hidden: 4, embedding: 4, compression: 1.5, batch: 2 };
  const training = IntentTraining.create(new Runtime(), vocabulary, options, intents);
  training.step();
  return encodeCheckpoint(training, {});
});

// ---- tests

/** Runs `attempt` on so many forged files; some must be read, and some rejected. */
function fuzz(files: readonly Uint8Array[], count: number, attempt: (file: Uint8Array) => FileFormatError | undefined) {
  const parts = files.map(partsOf);
  for (const file of files) assert.is(attempt(file), undefined);
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // stacks would take most of the time
  let read = 0;
  for (let i = 0; i < count; i++) {
    const seed = SEED + i;
    const file = forge(parts[seed % parts.length], seed);
    try {
      if (!attempt(file)) read++;
    } catch (error) {
      Error.stackTraceLimit = stackTraceLimit;
      console.log(`again: FUZZ_SEED=${seed} FUZZ_FILES=10`);
      attempt(file);
      throw error;
    }
  }
  Error.stackTraceLimit = stackTraceLimit;
  // Both happen, or files are not forged as they should be.
  if (count >= 100) assert.ok(read > count / 20 && read < count / 1.2, `${read} of ${count} read; FUZZ_SEED=${SEED}`);
}

/** Both readers read the same files. */
function bothReaders(run: (file: Uint8Array) => FileFormatError | undefined) {
  return (file: Uint8Array) => {
    const [here, there] = [run(file), runToEvaluate(file)];
    const byMemory = [here, there].some((error) => error?.message.startsWith('memory'));
    if (!byMemory) assert.is(!here, !there, `${here?.message ?? 'read'} and ${there?.message ?? 'read'}`);
    return here;
  };
}

test('language models with forged headers are read or rejected by name, within the memory that their size allows', () => {
  fuzz(languageModels, 0.5 * FILES, bothReaders(runLanguageModel));
});

test('networks of all kinds of layers likewise', () => {
  fuzz(networks, 0.15 * FILES, runNetwork);
});

test('intent models with forged headers likewise', () => {
  fuzz(intentModels, 0.15 * FILES, bothReaders(runIntentModel));
});

test('checkpoints with forged headers likewise', () => {
  // Not about the file: another text than the caller's, and steps that lead nowhere.
  const others: (Error | undefined)[] = [];
  const resume = (file: Uint8Array, read: () => { step(): number; done: boolean }) =>
    runtime.scoped(() => {
      try {
        const training = outcome(() => measured(file, read));
        if (training instanceof FileFormatError) return training;
        if (!training.done) training.step();
      } catch (error) {
        if (!(error instanceof TrainingError || (error instanceof InputError && /^data: /.test(error.message))))
          throw error;
        others.push(error);
      }
      return undefined;
    });
  fuzz(languageCheckpoints, 0.15 * FILES, (file) =>
    resume(file, () => decodeCheckpoint(file, LanguageModelTraining).resume(runtime, corpus)),
  );
  fuzz(intentCheckpoints, 0.05 * FILES, (file) =>
    resume(file, () => decodeCheckpoint(file, IntentTraining).resume(runtime, intents)),
  );
  assert.ok(others.length < FILES / 50, `${others.length} of other kinds`);
});

/** Reads the worst files one after another, and prints what each took: in a process of its own, which can be ended. */
function readWorst(): void {
  for (const { name, file, read, error: expected } of instances()) {
    collectGarbage();
    const before = process.memoryUsage().rss;
    const cpu = process.cpuUsage();
    let error = 'read';
    try {
      read(file);
    } catch (cause) {
      error = `${cause}`;
    }
    const { user, system } = process.cpuUsage(cpu);
    // The peak is that of the process until now: no less than this file's.
    const taken = 1024 * process.resourceUsage().maxRSS - before;
    console.log(JSON.stringify({ name, bytes: file.length, expected, error, taken, seconds: (user + system) / 1e6 }));
  }
  console.log('"done"');
}

const WORST = '--worst';

test('the worst files known take no more memory than their size allows, and not ten times as long', () => {
  const program = fileURLToPath(import.meta.url);
  const output = execFileSync(process.execPath, [program, WORST], { encoding: 'utf8', timeout: 120_000 });
  const lines = output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.is(lines.pop(), 'done');
  for (const { name, bytes, expected, error, taken, seconds } of lines) {
    const good = expected ? error.startsWith('FileFormatError: ') && error.includes(expected) : error === 'read';
    assert.ok(good, `${name}: ${error}`);
    assert.ok(error.length < 1000, `${name}: the message is as long as the file`);
    assert.ok(taken <= allowed(bytes), `${name}: ${taken} bytes for ${bytes}`);
    // The rule is a second, and one more for 10 MB. They took 30 to 70.
    assert.ok(seconds <= 10 * (1 + bytes / 1e7), `${name}: ${seconds} s for ${bytes} bytes`);
  }
});

if (process.argv.includes(WORST)) readWorst();
else test.run();
