// New weights: their spread, what of it the structure has, and that no two of them are drawn from the same numbers.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ModelConfig } from '../../src/nn/config.js';
import type { Model } from '../../src/nn/model.js';
import { Dense } from '../../src/operators/dense.js';
import { METHODS, STRUCTURE_SHARE } from '../../src/operators/methods.js';
import { Sparse } from '../../src/operators/sparse.js';
import { Sum } from '../../src/operators/sum.js';
import { Stream } from '../../src/random.js';
import { IntentModel } from '../../src/tasks/intent/model.js';
import { defaultIntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { defaultOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';

const H = 64;
const SHARE = 0.25;
const LABELS = Array.from({ length: 40 }, (_, i) => `intent ${i}`);
const ALPHABET = Array.from({ length: 99 }, (_, i) => String.fromCodePoint(0x4e00 + i));
const characters = buildVocabulary([ALPHABET.join('')], 'char');
const words = buildVocabulary([ALPHABET.join(' ')], 'word');

const config = (method: ModelConfig['method']): ModelConfig => ({ hidden: H, layers: 2, method, compression: 4 });

const models: Record<string, (method: ModelConfig['method'], seed: number) => Model> = {
  'language model': (method, seed) =>
    LanguageModel.create(new Runtime(), config(method), characters, seed, { structureShare: SHARE }),
  'intent model': (method, seed) =>
    IntentModel.create(new Runtime(), { ...config(method), embedding: 48 }, words, LABELS, seed, {
      structureShare: SHARE,
    }),
};

const meanSquare = (numbers: Float32Array) => numbers.reduce((sum, v) => sum + v * v, 0) / numbers.length;

/** Numbers drawn around zero must have this variance on the average: few numbers make many, in a Kronecker product. */
function haveVariance(draws: readonly Float32Array[], wanted: number, what: string): void {
  const ratio = draws.reduce((sum, numbers) => sum + meanSquare(numbers), 0) / draws.length / wanted;
  assert.ok(Math.abs(ratio - 1) < 0.2, `${what}: ${ratio} times the variance ${wanted}`);
}

for (const [kind, create] of Object.entries(models)) {
  for (const method of METHODS) {
    test(`${kind}, ${method}: embeddings of variance 1, matrices of 1 / (3 H) whatever their structure, biases of zero`, () => {
      const made = Array.from({ length: 12 }, (_, seed) => create(method, seed));
      haveVariance(
        made.map(({ network }) => network.tensor('embedding')),
        1,
        'embedding',
      );
      haveVariance(
        made.map(({ network }) => network.tensor('head')),
        1 / (3 * made[0].network.operator('head').N),
        'head',
      );
      const matrices = made.flatMap((model) => model.matrices().map(([, operator]) => operator));
      for (const inputs of new Set(matrices.map(({ N }) => N))) {
        const alike = matrices.filter(({ N }) => N === inputs);
        haveVariance(
          alike.map((operator) => operator.toDense()),
          1 / (3 * H),
          `matrices of ${inputs} inputs`,
        );
      }
      const sums = matrices.filter((operator) => operator instanceof Sum);
      assert.is(sums.length, method.startsWith('doped') ? matrices.length : 0);
      if (sums.length > 0) {
        for (const [i, share] of [SHARE, 1 - SHARE].entries()) {
          haveVariance(
            sums.map(({ terms }) => terms[i].toDense()),
            share / (3 * H),
            `term ${i}`,
          );
        }
      }
      for (const [name, { data }] of made.flatMap((model) => model.plainParameters())) {
        if (name.includes('bias')) assert.ok(data.length > 0 && data.every((v) => v === 0), name);
      }
    });
  }

  test(`${kind}: no two parameters have the same numbers`, () => {
    const signs = new Map<string, string>();
    for (const [name, { data }] of create('doped-kron', 3).parameters()) {
      if (name.includes('bias')) continue;
      // Scales differ, signs tell.
      const pattern = [...data.subarray(0, 64)].map((v) => (v < 0 ? '-' : '+')).join('');
      if (pattern.length < 64) continue;
      assert.not.ok(signs.has(pattern), `${name} and ${signs.get(pattern)}`);
      signs.set(pattern, name);
    }
    assert.ok(signs.size > 8, `${signs.size}`);
  });
}

test('what training does by default, models and matrices of their own do too', () => {
  const shareOf = (model: Model) => (model.matrices()[0][1] as Sum).structureShare;
  const runtime = new Runtime();
  const trainLm = () => {
    const options = { ...defaultOptions('char'), hidden: 8, compression: 4, batch: 1, bptt: 4 };
    const ids = characters.encode(ALPHABET.join(''));
    return LanguageModelTraining.create(runtime, characters, options, { train: ids, valid: ids }).model;
  };
  const trainIntent = () => {
    const options = { ...defaultIntentOptions(), hidden: 8, embedding: 8, compression: 4 };
    const examples = { sentences: [1, 2].map((id) => Int32Array.of(id)), intents: ['a', 'b'] };
    return IntentTraining.create(runtime, words, options, { train: examples, valid: examples }).model;
  };
  for (const make of [
    trainLm,
    trainIntent,
    () => LanguageModel.create(runtime, config('doped-kron'), characters, 1),
    () => IntentModel.create(runtime, { ...config('doped-kron'), embedding: 8 }, words, LABELS, 1),
  ]) {
    assert.is(shareOf(make()), STRUCTURE_SHARE);
  }
  assert.is(defaultOptions('word').structureShare, STRUCTURE_SHARE);
  assert.is(defaultIntentOptions().structureShare, STRUCTURE_SHARE);
});

test('several structures of a sum share the variance that one would have', () => {
  const runtime = new Runtime();
  const dense = () => new Dense(runtime, 4, 4);
  const sum = new Sum(runtime, [dense(), dense(), new Sparse(runtime, 4, 4)]);
  sum.structureShare = SHARE;
  const variances: number[] = [];
  sum.initialise(1, (_, halfWidth) => variances.push(halfWidth ** 2 / 3)); // of numbers evenly spread
  const wanted = [SHARE / 2, SHARE / 2, 1 - SHARE];
  for (const [i, variance] of variances.entries()) assert.ok(Math.abs(variance - wanted[i]) < 1e-12);
  assert.is(variances.length, 3);
});

test('streams of random numbers for different purposes lie apart', () => {
  const bases = Object.values(Stream).filter((base): base is Stream => typeof base === 'number');
  assert.ok(bases.length >= 5);
  const sorted = [...bases].sort((a, b) => a - b);
  // The most that count on from a base: two masks for each of the matrices of 64 layers in both directions.
  for (const [i, base] of sorted.slice(1).entries()) assert.ok(base - sorted[i] >= 2 * 2 * 2 * 64);
});

test.run();
