import { setFlagsFromString } from 'node:v8';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { collectGarbage } from '../garbage.js';
import { sparseOf, tinyOptions, tokens, vocabulary } from '../nn/oracle.js';

// Code that V8 compiles, optimises and throws away again on its own account lies in the same heap.
for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug', '--no-flush-bytecode']) {
  setFlagsFromString(flag);
}

const WARM_UP = 500;
const STEPS = 1000;
const WINDOWS = 2;

/** More steps than are taken, pruned all the way, through many epochs with all that is measured at their ends. */
function training(): LanguageModelTraining {
  const options = tinyOptions({
    layers: 1,
    batch: 2,
    bptt: 4,
    epochs: 30,
    dropout: 0.2,
    coMatrixDropout: { structure: 0.1, dopants: 0.1, hold: false, until: 1 },
    annealing: { start: 0, end: 0.95, every: 12, threshold: 'global' },
    measureEvery: 4,
  });
  const corpus = { train: tokens(2 * (4 * 60 + 1), 1), valid: tokens(50, 2) };
  const result = LanguageModelTraining.create(new Runtime(), vocabulary, options, corpus);
  assert.ok(result.totalSteps > WARM_UP + STEPS);
  return result;
}

function take(training: LanguageModelTraining, steps: number): void {
  for (let i = 0; i < steps; i++) training.step();
}

const alive = ({ model }: LanguageModelTraining) => sparseOf(model).reduce((sum, { nonzeros }) => sum + nonzeros, 0);

test('a thousand steps, with pruning, take no more WebAssembly memory than the first few', () => {
  const run = training();
  const { runtime } = run.model;
  // The first pruning, and the measurements of the first epoch's end.
  take(run, 61);
  assert.ok(run.epoch > 0 && run.records.some(({ kind }) => kind === 'cma'));
  const before = runtime.usage();
  const weights = alive(run);
  for (let step = 0; step < STEPS; step++) {
    run.step();
    assert.equal(runtime.usage(), before);
  }
  assert.ok(alive(run) < weights / 2, 'pruning should have gone on');
});

test('a rehearsal takes all the memory that a training wants, and changes no bit of it', () => {
  const [one, other] = [training(), training()];
  const held = one.rehearse();
  for (const run of [one, other]) take(run, 130);
  assert.ok(one.epoch > 1 && one.records.some(({ kind }) => kind === 'cma'));
  assert.is(one.model.runtime.usage().held, held);
  assert.equal(one.records, other.records);
  assert.is(Buffer.compare(encodeModel(one.model), encodeModel(other.model)), 0);
});

test('nor do they leave anything in the JavaScript heap but their records', () => {
  const run = training();
  const heap = () => {
    run.records.length = 0;
    // Some things, such as WebAssembly instances of tests before, take more than one round to go.
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  take(run, WARM_UP);
  const sizes = [heap()];
  for (let window = 0; window < WINDOWS; window++) {
    take(run, STEPS / WINDOWS);
    sizes.push(heap());
  }
  // The smallest object there is, a number by itself, takes sixteen bytes; a view or a closure takes several times as
  // much. What shrinks the heap now and then, such as old code thrown away, hides it in one window only.
  const growth = Math.max(...sizes.slice(1).map((size, i) => ((size - sizes[i]) * WINDOWS) / STEPS));
  assert.ok(growth < 16, `the heap grew by ${growth} bytes a step`);
});

test.run();
