// The defaults are the recipe: whoever changes one changes what everybody trains, and the documents that recommend it.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultIntentOptions } from '../../src/tasks/intent/training.js';
import { defaultOptions } from '../../src/tasks/lm/training.js';

const common = {
  method: 'doped-kron',
  clip: 5,
  seed: 1,
  structureShare: 0.01,
  annealing: { start: 0.1, end: 0.6, every: 20, threshold: 'global' },
  coMatrixDropout: { structure: 0, dopants: 0, hold: false, until: 1 },
  alternate: 0,
  headRate: 1,
  beta1: 0.9,
  l1: 0,
  measureEvery: 5,
  batch: 16,
};
const adam = { optimizer: 'adam', schedule: { kind: 'cosine' } };
const sgd = {
  optimizer: 'sgd',
  schedule: { kind: 'decay', after: 4, by: 1.5 },
  freeRate: { scale: 1, power: 0 },
};
const lm = { ...common, hidden: 200, layers: 2, compression: 25 };
const words = { ...lm, dropout: 0.3, bptt: 20, epochs: 6 };
const characters = { ...lm, dropout: 0, bptt: 32, epochs: 1 };
const intents = { ...common, hidden: 64, layers: 1, embedding: 64, compression: 10, dropout: 0.3, epochs: 8 };

test('language models', () => {
  assert.equal(defaultOptions('word'), {
    ...words,
    ...adam,
    learningRate: 0.01,
    freeRate: { scale: 0.1, power: 1 },
  });
  assert.equal(defaultOptions('char'), {
    ...characters,
    ...adam,
    schedule: { kind: 'linear', warmup: 0 },
    annealing: { ...common.annealing, saliency: 'moment' },
    headRate: 2,
    beta1: 0.6,
    l1: 0.01,
    learningRate: 0.02,
    freeRate: { scale: 0.05, power: 1 },
  });
  assert.equal(defaultOptions('word', 'sgd'), { ...words, ...sgd, learningRate: 1 });
  assert.equal(defaultOptions('char', 'sgd'), { ...characters, ...sgd, learningRate: 1 });
});

test('intent models', () => {
  assert.equal(defaultIntentOptions(), {
    ...intents,
    ...adam,
    learningRate: 0.006,
    freeRate: { scale: 0.3, power: 1 },
  });
  assert.equal(defaultIntentOptions('sgd'), { ...intents, ...sgd, learningRate: 0.5 });
});

test.run();
