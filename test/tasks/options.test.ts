// Every option makes a difference: one that gets lost on its way to where it acts leaves all bits as they are.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultIntentOptions, type IntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { defaultOptions, type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import type { Training, TrainingOptions } from '../../src/tasks/training.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { tinyOptions, tokens, vocabulary, weightsOf } from '../nn/oracle.js';

/** Options under which all others act, in a few steps. */
const common = {
  hidden: 8,
  compression: 4,
  epochs: 2,
  seed: 7,
  dropout: 0.2,
  clip: 0.01,
  annealing: { start: 0.2, end: 0.8, every: 2, threshold: 'global' },
  coMatrixDropout: { structure: 0.2, dopants: 0.2, hold: false, until: 0.7 },
  alternate: 3,
  freeRate: { scale: 0.1, power: 1 },
  headRate: 1,
  beta1: 0.9,
  l1: 0,
  measureEvery: 1,
} satisfies Partial<TrainingOptions>;

/** For each option other values, each of which gives other weights or records. */
const changes: Record<string, unknown[]> = {
  hidden: [12],
  layers: [2],
  method: ['doped-lmf', 'pruned', 'dense'],
  compression: [3],
  optimizer: ['sgd'],
  learningRate: [0.5],
  schedule: [
    { kind: 'constant' },
    { kind: 'linear', warmup: 0 },
    { kind: 'linear', warmup: 0.2 },
    { kind: 'decay', after: 1, by: 2 },
  ],
  clip: [0, 0.02],
  seed: [8],
  structureShare: [0.5],
  annealing: [
    { ...common.annealing, start: 0 },
    { ...common.annealing, end: 0.6 },
    { ...common.annealing, every: 3 },
    { ...common.annealing, threshold: 'matrix' },
    { ...common.annealing, saliency: 'moment' },
    { ...common.annealing, finalSparsity: 0.9 },
  ],
  coMatrixDropout: [
    { ...common.coMatrixDropout, structure: 0.1 },
    { ...common.coMatrixDropout, dopants: 0.1 },
    { ...common.coMatrixDropout, hold: true },
    { ...common.coMatrixDropout, until: 0.5 },
  ],
  alternate: [0, 2],
  freeRate: [
    { scale: 0.2, power: 1 },
    { scale: 0.1, power: 0.5 },
  ],
  headRate: [2],
  beta1: [0.6],
  l1: [0.1],
  measureEvery: [2],
  dropout: [0, 0.3],
  batch: [2],
  bptt: [4],
  epochs: [3],
  block: [4, 8, 'gates'],
  kron: [[8, 2, 4, 4]],
  embedding: [6],
};

const facts = (training: Training) => {
  while (!training.done) training.step();
  return JSON.stringify([[...weightsOf(training.model)], training.records]);
};

function everyOptionActs<Options extends TrainingOptions>(options: Options, train: (options: Options) => Training) {
  const base = facts(train(options));
  assert.is(facts(train({ ...options })), base);
  for (const [name, values] of Object.entries(changes)) {
    if (!(name in options) && !['block', 'kron'].includes(name)) continue;
    for (const value of values) {
      const changed = facts(train({ ...options, [name]: value }));
      assert.ok(changed !== base, `${name}: ${JSON.stringify(value)} changes nothing`);
    }
  }
  // A new option must be added here.
  for (const name of Object.keys(options)) assert.ok(name in changes, name);
}

test('every option of a language model', () => {
  const corpus = { train: tokens(100, 1), valid: tokens(20, 2) };
  const options: LanguageModelOptions = { ...defaultOptions('char'), ...tinyOptions(), ...common, layers: 1 };
  everyOptionActs(options, (options) => LanguageModelTraining.create(new Runtime(), vocabulary, options, corpus));
});

test('weight and temperature of a teacher', () => {
  const corpus = { train: tokens(100, 1), valid: tokens(20, 2) };
  const softTargets = (distillation: LanguageModelOptions['distillation']) => {
    const runtime = new Runtime();
    const options: LanguageModelOptions = { ...tinyOptions(), ...common, layers: 1, distillation };
    const { model } = LanguageModelTraining.create(runtime, vocabulary, tinyOptions({ seed: 3 }), corpus);
    return facts(LanguageModelTraining.create(runtime, vocabulary, options, corpus, { teacher: model }));
  };
  const all = [
    softTargets({ weight: 0.5, temperature: 2 }),
    softTargets({ weight: 0.6, temperature: 2 }),
    softTargets({ weight: 0.5, temperature: 1 }),
  ];
  assert.is(new Set(all).size, all.length);
});

test('every option of an intent model', () => {
  const words = buildVocabulary(['a b c d e f g h'], 'word');
  const sentences = (stream: number, n: number) => ({
    sentences: Array.from({ length: n }, (_, i) => tokens(1 + (i % 5), stream + i)),
    intents: Array.from({ length: n }, (_, i) => ['a', 'b', 'c'][i % 3]),
  });
  const data = { train: sentences(1, 30), valid: sentences(50, 9) };
  const options: IntentOptions = { ...defaultIntentOptions(), ...common, batch: 4, embedding: 8 };
  everyOptionActs(options, (options) => IntentTraining.create(new Runtime(), words, options, data));
});

test.run();
