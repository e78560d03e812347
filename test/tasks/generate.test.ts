import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { LanguageModel } from '../../src/nn/language-model.js';
import { generate } from '../../src/tasks/generate.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { passError, type SlowState, slowForward, tinyOptions, zeroState } from '../nn/oracle.js';
import { values } from '../support.js';

const chars = buildVocabulary(['abcdefgh'], 'char');
const words = buildVocabulary(['to be or not to be . that is the question . '], 'word');
const UNKNOWN = 0;

/** A model of large weights, so that what it says next depends on all that was said. */
function noisyModel(vocabulary = chars): LanguageModel {
  const { hidden, layers, compression } = tinyOptions();
  const config = { hidden, layers, method: 'doped-kron' as const, compression };
  const model = LanguageModel.create(new Runtime(), config, vocabulary, 1);
  for (const [name, { data }] of model.parameters()) data.set(values(data.length, name === 'head' ? 4 : 1.5));
  return model;
}

/** A model that says the same at every step: logits are those of the head's bias. */
function constantModel(bias: (token: number) => number): LanguageModel {
  const model = noisyModel();
  const { weight, bias: added } = model.parts.head;
  for (const parameter of weight.own()) parameter.data.fill(0);
  added.data.set(Array.from({ length: chars.size }, (_, token) => bias(token)));
  return model;
}

function take(model: LanguageModel, prompt: readonly number[], temperature: number, seed: number, n: number): number[] {
  const mark = model.runtime.mark();
  const tokens: number[] = [];
  for (const token of generate(model, prompt, { temperature, seed })) {
    tokens.push(token);
    if (tokens.length === n) break;
  }
  model.runtime.release(mark);
  return tokens;
}

/** What the slow model thinks after having read tokens one by one. */
function slowLogits(model: LanguageModel, tokens: readonly number[]): Float64Array {
  let state: SlowState = zeroState(model, 1);
  let logits = new Float64Array();
  for (const token of tokens) ({ logits, state } = slowForward(model, [token], 1, 1, { state }));
  return logits;
}

/** Probabilities of all tokens but the unknown one, whose probability is 0. */
function softmax(logits: Float64Array, temperature: number): Float64Array {
  const weights = logits.map((logit, token) => (token === UNKNOWN ? 0 : Math.exp(logit / temperature)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

test('the same seed gives the same tokens, another seed others', () => {
  const model = noisyModel();
  const tokens = take(model, [1, 2], 1, 5, 60);
  assert.equal(take(model, [1, 2], 1, 5, 60), tokens);
  assert.equal(take(model, [1, 2], 1, 5, 30), tokens.slice(0, 30));
  assert.not.equal(take(model, [1, 2], 1, 6, 60), tokens);
  assert.not.equal(take(model, [1, 2], 1, 5 + 2 ** 32, 60), tokens);
});

for (const [level, vocabulary] of Object.entries({ char: chars, word: words })) {
  test(`at temperature 0 the likeliest token follows, whatever the seed, after the start and the prompt: ${level}`, () => {
    const model = noisyModel(vocabulary);
    if (level === 'word') assert.is(vocabulary.start, vocabulary.eos);
    const chains = new Set<string>();
    for (const prompt of [[], [3], [1, 4, 2], [4, 1, 2]]) {
      const wanted: number[] = [];
      for (let i = 0; i < 25; i++) {
        const logits = slowLogits(model, [vocabulary.start, ...prompt, ...wanted]);
        logits[UNKNOWN] = Number.NEGATIVE_INFINITY;
        const [first, second] = [...logits].sort((a, b) => b - a);
        const size = Math.max(...logits.subarray(1).map(Math.abs));
        assert.ok(first - second > 2 * passError(model, 30) * size, 'too close to tell');
        wanted.push(logits.indexOf(first));
      }
      for (const seed of [0, 9]) assert.equal(take(model, prompt, 0, seed, 25), wanted, `prompt ${prompt}`);
      chains.add(wanted.join());
    }
    assert.is(chains.size, 4, 'the prompts should make a difference');
  });
}

test('a low temperature is as good as none', () => {
  const model = noisyModel();
  assert.equal(take(model, [2], 1e-30, 1, 40), take(model, [2], 0, 1, 40));
});

test('the unknown token never comes, however likely', () => {
  const model = constantModel((token) => (token === UNKNOWN ? 50 : token / 10));
  for (const temperature of [0, 0.01, 1, 100]) {
    assert.ok(take(model, [], temperature, 3, 300).every((token) => token > UNKNOWN && token < chars.size));
  }
});

/**
 * Pearson's statistic of n draws, over its degrees of freedom. Its mean is 1 and its standard deviation sqrt(2 /
 * freedom); as the seeds are fixed, what is well within the bound stays there.
 */
function surprise(counts: readonly number[], probabilities: Float64Array, n: number): number {
  const possible = [...probabilities.keys()].filter((token) => probabilities[token] > 0);
  const terms = possible.map((token) => {
    const expected = n * probabilities[token];
    assert.ok(expected >= 5, `token ${token} is too rare to tell`);
    return (counts[token] - expected) ** 2 / expected;
  });
  return terms.reduce((sum, term) => sum + term, 0) / (possible.length - 1);
}

const DEVIATIONS = 4;
const bound = (tokens: number) => 1 + DEVIATIONS * Math.sqrt(2 / (tokens - 2));

function count(tokens: readonly number[]): number[] {
  const counts = new Array<number>(chars.size).fill(0);
  for (const token of tokens) counts[token]++;
  return counts;
}

test('tokens come as often as the softmax of the logits over the temperature says', () => {
  const model = constantModel((token) => token / 4);
  const n = 4000;
  for (const temperature of [0.5, 1, 2]) {
    const counts = count(take(model, [], temperature, 11, n));
    const logits = slowLogits(model, [chars.start]);
    const wanted = surprise(counts, softmax(logits, temperature), n);
    assert.ok(wanted < bound(chars.size), `temperature ${temperature}: ${wanted}`);
    // The draws must be enough to tell other temperatures apart.
    for (const other of [0.5, 1, 2]) {
      if (other !== temperature) assert.ok(surprise(counts, softmax(logits, other), n) > 10 * bound(chars.size));
    }
  }
});

test('over many seeds, the first token after a prompt comes as often as its probability says', () => {
  const model = noisyModel();
  for (const parameter of model.parts.head.weight.own()) parameter.data.set(values(parameter.size));
  const n = 2000;
  const prompt = [3, 5];
  const first = (seed: number) => take(model, prompt, 1, seed, 1)[0];
  const counts = count(Array.from({ length: n }, (_, seed) => first(seed)));
  const wanted = surprise(counts, softmax(slowLogits(model, [chars.start, ...prompt]), 1), n);
  assert.ok(wanted < bound(chars.size), `${wanted}`);
  const without = surprise(counts, softmax(slowLogits(model, [chars.start]), 1), n);
  assert.ok(without > 4 * bound(chars.size), 'the prompt should make a difference');
});

test('a bad temperature is refused by name', () => {
  const model = noisyModel();
  for (const temperature of [-1, -1e-9, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(
      () => generate(model, [], { temperature, seed: 1 }).next(),
      (error: unknown) => error instanceof InputError && error.message.startsWith(`temperature: ${temperature} `),
      `${temperature}`,
    );
  }
});

test('a prompt with a token that is none is refused by name', () => {
  const model = noisyModel();
  for (const token of [-1, chars.size, 1.5, Number.NaN, 10 ** 9]) {
    assert.throws(
      () => generate(model, [1, token], { temperature: 1, seed: 1 }).next(),
      (error: unknown) => error instanceof InputError && error.message.startsWith(`prompt[1]: got ${token};`),
      `${token}`,
    );
  }
});

test.run();
