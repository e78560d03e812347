import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { uniform } from '../../src/random.js';
import { generate } from '../../src/tasks/lm/generate.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { type SamplingOptions, sampler } from '../../src/tasks/lm/sampling.js';
import { largestFirst } from '../../src/tasks/softmax.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { show } from '../../src/values.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { passError, type SlowState, slowForward, tinyOptions, zeroState } from '../nn/oracle.js';
import { partsOf } from '../nn/parts.js';
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
  const { weight, bias: added } = partsOf(model).head;
  for (const parameter of weight.own()) parameter.data.fill(0);
  added.data.set(Array.from({ length: chars.size }, (_, token) => bias(token)));
  return model;
}

function take(
  model: LanguageModel,
  prompt: readonly number[],
  temperature: number,
  seed: number,
  n: number,
  options: Partial<SamplingOptions> = {},
): number[] {
  const tokens: number[] = [];
  for (const token of generate(model, prompt, { temperature, seed, ...options })) {
    tokens.push(token);
    if (tokens.length === n) break;
  }
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
  for (const parameter of partsOf(model).head.weight.own()) parameter.data.set(values(parameter.size));
  const n = 2000;
  const prompt = [3, 5];
  const first = (seed: number) => take(model, prompt, 1, seed, 1)[0];
  const counts = count(Array.from({ length: n }, (_, seed) => first(seed)));
  const wanted = surprise(counts, softmax(slowLogits(model, [chars.start, ...prompt]), 1), n);
  assert.ok(wanted < bound(chars.size), `${wanted}`);
  const without = surprise(counts, softmax(slowLogits(model, [chars.start]), 1), n);
  assert.ok(without > 4 * bound(chars.size), 'the prompt should make a difference');
});

/** The tokens that sampling options leave over, most probable first, by a full sort. */
function keptTokens(probabilities: Float64Array, topK = Number.POSITIVE_INFINITY, topP = 1): number[] {
  const ranked = [...probabilities.keys()].filter((token) => token !== UNKNOWN);
  ranked.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const first = ranked.slice(0, topK);
  const total = first.reduce((sum, token) => sum + probabilities[token], 0);
  let reached = 0;
  return first.filter((token) => {
    const isKept = reached < topP * total;
    reached += probabilities[token];
    return isKept;
  });
}

test('topK and topP draw from the most probable tokens alone, as often as their probabilities say', () => {
  const model = constantModel((token) => ((token * 5) % chars.size) / 4);
  const n = 2000;
  const cases = [{ topK: 1 }, { topK: 3 }, { topP: 0.3 }, { topP: 0.75 }, { topK: 4, topP: 0.6 }, { topK: 5, topP: 1 }];
  for (const temperature of [0.5, 1.5]) {
    const all = softmax(slowLogits(model, [UNKNOWN]), temperature);
    for (const { topK, topP } of cases) {
      const what = `topK ${topK}, topP ${topP}, temperature ${temperature}`;
      const kept = keptTokens(all, topK, topP);
      assert.ok(kept.length < chars.size - 1, what);
      const total = kept.reduce((sum, token) => sum + all[token], 0);
      const wanted = all.map((p, token) => (kept.includes(token) ? p / total : 0));
      const counts = count(take(model, [], temperature, 11, n, { topK, topP }));
      counts.forEach((times, token) => {
        if (!kept.includes(token)) assert.is(times, 0, `${what}: token ${token}`);
      });
      if (kept.length > 1) assert.ok(surprise(counts, wanted, n) < bound(kept.length + 1), what);
    }
  }
});

test('topK of the whole vocabulary and topP of 1 change no token', () => {
  const model = noisyModel();
  const tokens = take(model, [1, 2], 1, 5, 60);
  for (const options of [{ topK: chars.size }, { topK: chars.size - 1 }, { topP: 1 }, { topK: 1000, topP: 1 }]) {
    assert.equal(take(model, [1, 2], 1, 5, 60, options), tokens, JSON.stringify(options));
  }
  assert.equal(take(model, [1, 2], 1, 5, 60, { topK: 1 }), take(model, [1, 2], 0, 5, 60));
  assert.equal(take(model, [1, 2], 1, 5, 60, { topP: 1e-9 }), take(model, [1, 2], 0, 5, 60));
});

test('of equally probable tokens, the first are kept, no more than needed', () => {
  const model = constantModel(() => 0);
  const drawn = (options: object) => [...new Set(take(model, [], 1, 1, 100, options))].sort();
  assert.equal(drawn({ topK: 3 }), [1, 2, 3]);
  assert.is(chars.size - 1, 8, 'so that these shares are exact');
  assert.equal(drawn({ topP: 0.25 }), [1, 2]);
  assert.equal(drawn({ topP: 0.5, topK: 4 }), [1, 2]);
});

test('largestFirst is a stable sort, as far as it is asked for', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -5, max: 5 })), (numbers) => {
      const places = [...numbers.keys()].sort((a, b) => numbers[b] - numbers[a] || a - b);
      assert.equal([...largestFirst(numbers)], places);
    }),
  );
});

test('options out of range are rejected by name', () => {
  const model = noisyModel();
  const bad: Record<string, unknown[]> = {
    temperature: [-1, -1e-9, Number.NaN, Number.POSITIVE_INFINITY, '1', null],
    seed: [-1, 1.5, 'abc', '1', Number.NaN, 2 ** 53, null],
    topK: [0, -1, 1.5, '3', Number.NaN, null],
    topP: [0, -0.1, 1.1, '1', Number.NaN, null],
  };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      assert.throws(
        () => generate(model, [], { temperature: 1, seed: 1, [name]: value }).next(),
        (error: unknown) =>
          error instanceof InputError && error.message.startsWith(`${name}: got ${show(value)}; expected`),
        `${name} ${value}`,
      );
    }
  }
});

test('new models and random streams reject the same seeds', () => {
  const { hidden, layers, compression } = tinyOptions();
  const config = { hidden, layers, method: 'kron' as const, compression };
  for (const seed of [-1, 1.5, 'abc' as unknown as number, Number.NaN, 2 ** 53]) {
    const isRejected = (error: unknown) => error instanceof InputError && error.message.startsWith('seed: got ');
    assert.throws(() => LanguageModel.create(new Runtime(), config, chars, seed), isRejected, `${seed}`);
    assert.throws(() => uniform(seed, 0, 0), isRejected, `${seed}`);
  }
});

test('logits that are not finite are rejected, not drawn from', () => {
  for (const temperature of [0, 1]) {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const draw = sampler({ temperature, seed: 1 }, UNKNOWN);
      for (let place = 0; place < 4; place++) {
        const logits = new Float32Array(4);
        logits[place] = bad;
        assert.throws(() => draw(logits), /^logits: got /);
      }
    }
  }
});

test('a generator keeps nothing in the memory of the model between two tokens', () => {
  const model = noisyModel();
  const { runtime } = model;
  const options = { temperature: 1, seed: 5 };
  const expected = take(model, [1, 2], 1, 5, 40);
  const mark = runtime.mark();
  const behind = runtime.alloc(1000);
  const generator = generate(model, [1, 2], options);
  const tokens = Array.from({ length: 20 }, () => generator.next().value);
  runtime.release(mark);
  // What others write where the generator was.
  runtime.bytes(runtime.alloc(100_000), 100_000).fill(255);
  tokens.push(...Array.from({ length: 20 }, () => generator.next().value));
  runtime.release(mark);
  assert.equal(tokens, expected);
  assert.ok(behind > 0);

  const before = runtime.usage();
  for (let i = 0; i < 50; i++) {
    const { done } = generate(model, [1], options).next();
    assert.not(done);
  }
  assert.equal(runtime.usage(), before);
});

test('a generator behind a model that fails leaves its memory as it was', () => {
  const model = noisyModel();
  const { used } = model.runtime.usage();
  model.forward = () => {
    throw new Error('no forward');
  };
  assert.throws(() => generate(model, [1], { temperature: 1, seed: 1 }).next(), 'no forward');
  assert.is(model.runtime.usage().used, used);
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
