import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import {
  FileFormatError,
  type GeneratedToken,
  InputError,
  initSync,
  kernelBytes,
  loadSync,
  type Model,
  LanguageModel as TextModel,
} from '../../src/infer/index.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import type { StoredBits } from '../../src/nn/leaves.js';
import { METHODS } from '../../src/operators/methods.js';
import { generate } from '../../src/tasks/lm/generate.js';
import { decodeLanguageModel, type LanguageModel } from '../../src/tasks/lm/model.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { framesFile, makeFrames, makeModel, vocabulary } from './models.js';

/** Logits after each token, by the training's own forward. */
function* slowLogits(model: LanguageModel): Generator<Float32Array, void, number> {
  const { runtime } = model;
  const state = model.newState(1);
  const id = runtime.zeros(4);
  let token = yield new Float32Array();
  while (true) {
    runtime.ints(id, 1)[0] = token;
    const mark = runtime.mark();
    const { value } = model.forward(new Tape(runtime, false), id, 1, 1, state);
    const logits = runtime.floats(value, vocabulary.size).slice();
    runtime.release(mark);
    token = yield logits;
  }
}

/** Packed inference against the training forward, both of the same file: `bits` are those of its numbers. */
function assertAgrees(model: LanguageModel, steps: number, what: string, tolerance = 1e-5, bits?: StoredBits): void {
  const file = encodeModel(model, bits);
  const session = new TextModel(loadSync(file));
  const slow = slowLogits(bits ? decodeLanguageModel(new Runtime(), file) : model);
  slow.next(0);
  for (let i = 0; i < steps; i++) {
    const token = (i * 7 + (i >> 3)) % vocabulary.size;
    const expected = slow.next(token).value as Float32Array;
    const actual = session.next(token);
    for (let j = 0; j < expected.length; j++) {
      assert.ok(
        Math.abs(actual[j] - expected[j]) <= tolerance,
        `${what}, step ${i}, logit ${j}: ${actual[j]}, not ${expected[j]}`,
      );
    }
  }
}

for (const method of METHODS) {
  test(`a packed ${method} model agrees with the training forward within 1e-5 over 1,000 steps`, () => {
    assertAgrees(makeModel(method, 24), 1000, method);
  });
}

test('so does one whose Kronecker products have three factors', () => {
  assertAgrees(makeModel('doped-kron', 24, 0.96, 1, [4, 2, 6, 3, 4, 4]), 1000, 'doped-kron of three factors');
});

test('so it does at every sparsity, empty rows and empty matrices included, and at odd sizes', () => {
  for (const method of ['pruned', 'doped-kron'] as const) {
    for (const sparsity of [0, 0.5, 0.59, 0.61, 0.96, 0.999, 1]) {
      for (const hidden of [6, 7, 13, 20]) {
        assertAgrees(makeModel(method, hidden, sparsity), 40, `${method} ${hidden} at ${sparsity}`);
      }
    }
  }
});

test('so it does in blocks of 4 and 8 rows and across the gates, and with a head in 8 bits as near as that is', () => {
  for (const block of [4, 8, 'gates'] as const) {
    for (const sparsity of [0, 0.5, 0.9, 0.96, 0.999, 1]) {
      for (const hidden of [6, 8, 14, 20]) {
        const what = `blocks of ${block}, ${hidden} at ${sparsity}`;
        assertAgrees(makeModel('doped-kron', hidden, sparsity, block), 40, what);
        assertAgrees(makeModel('pruned', hidden, sparsity, block), 40, `${what}, int8`, 1e-3, { head: 8 });
      }
    }
  }
  assertAgrees(makeModel('doped-kron', 24, 0.96, 4), 1000, 'blocks of 4');
});

test('many sessions over one plan do not mix, and a state can be kept and set', () => {
  const plan = loadSync(encodeModel(makeModel('doped-kron', 12)));
  const alone = (tokens: number[]) => {
    const session = new TextModel(plan);
    return tokens.map((token) => [...session.next(token)]);
  };
  const texts = [
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 8, 7, 6],
  ];
  const expected = texts.map(alone);
  const sessions = texts.map(() => new TextModel(plan));
  for (let t = 0; t < 4; t++) {
    sessions.forEach((session, s) => {
      assert.equal([...session.next(texts[s][t])], expected[s][t]);
    });
  }
  const first = new TextModel(plan);
  first.next(1);
  first.next(2);
  const kept = first.state;
  first.next(9);
  const second = new TextModel(plan);
  second.state = kept;
  assert.equal([...second.next(3)], expected[0][2]);
  second.reset();
  assert.equal([...second.next(1)], expected[0][0]);
  assert.ok(kept.some((value) => value !== 0));
});

test('a state that is set in the middle takes the place of the one in use', () => {
  const plan = loadSync(encodeModel(makeModel('doped-kron', 12)));
  const session = new TextModel(plan);
  const first = [...session.next(1)];
  const kept = session.state;
  const second = [...session.next(2)];
  session.next(3);
  session.state = kept;
  assert.equal([...session.next(2)], second);
  session.state = new Float32Array(kept.length);
  assert.equal([...session.next(1)], first);
  session.reset();
  assert.equal([...session.next(1)], first);
  // Neither is what was given, nor what was taken out, the state itself.
  session.state.fill(9);
  kept.fill(9);
  assert.equal([...session.next(2)], second);
});

test('run() gives what step() gives, one frame after another', () => {
  const model = makeFrames('doped-lmf', 10);
  const sequence = Float32Array.from({ length: 50 }, (_, i) => Math.fround(Math.sin(i)));
  const session = model.session();
  const expected = [0, 1, 2, 3, 4].map((t) => [...session.step(sequence.subarray(10 * t, 10 * t + 10))]);
  assert.equal(
    model.run(sequence).map((output) => [...output]),
    expected,
  );
});

test('generate() writes what the training side generates, and stops when the loop does', async () => {
  const model = makeModel('doped-hmd', 16);
  const settings = { temperature: 0.7, seed: 3 };
  const prompt = 'the cat';
  const slow = generate(model, vocabulary.encode(prompt), settings);
  const expected = Array.from({ length: 20 }, () => slow.next().value);
  const tokens: number[] = [];
  let text = prompt;
  for await (const piece of new TextModel(loadSync(encodeModel(model))).generate(prompt, settings)) {
    tokens.push(piece.token);
    text += piece.text;
    if (tokens.length === 20) break;
  }
  assert.equal(tokens, expected);
  assert.is(text, vocabulary.decode([...vocabulary.encode(prompt), ...expected]));
});

// ---- arguments

const isInputError = (start: string) => (error: unknown) =>
  error instanceof InputError && error.message.startsWith(start);

/** A text that has read some tokens. */
function busyText(plan: Model): TextModel {
  const session = new TextModel(plan);
  for (const token of [3, 1, 4]) session.next(token);
  return session;
}

test('numbers near 0 in a frame count as 0: as denormal ones they would slow down every product', () => {
  const model = makeFrames('doped-kron', 24);
  const answer = (scale: number) => {
    const x = Float32Array.from({ length: 24 }, (_, i) => (i % 3 ? scale * (i - 12) : 0.5));
    return model.session().step(x).slice();
  };
  for (const scale of [1e-20, 1e-38, 1e-40, -1e-44]) assert.equal(answer(scale), answer(0), `${scale}`);
  assert.not.equal(answer(1e-3), answer(0));
});

test('arguments that cannot be used are rejected by name, and the state stays as it was', () => {
  initSync();
  const H = 8;
  const plan = loadSync(encodeModel(makeModel('kron', H)));
  const n = 4 * H;
  const text = busyText(plan);
  const frames = makeFrames('kron', H);
  const session = frames.session();
  session.step(new Float32Array(H).fill(0.5));
  const [before, textBefore] = [session.state, text.state];
  const list = (length: number, place: number, value: unknown) =>
    Object.assign(new Array<unknown>(length).fill(0.5), { [place]: value });
  const notNumbers = ['1', null, undefined, {}, 1n, true];
  const notFinite = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const notLists = [null, undefined, 5, {}, new DataView(new ArrayBuffer(4 * H))];
  const setState = (state: unknown) => {
    text.state = state as Float32Array;
  };
  const calls: Record<string, [length: number, call: (values: unknown) => unknown]> = {
    frame: [H, (frame) => session.step(frame as Float32Array)],
    sequence: [3 * H, (sequence) => frames.run(sequence as Float32Array)],
    state: [n, setState],
  };
  const rejected = (name: string, call: () => unknown, what: unknown) => {
    assert.throws(call, isInputError(name), `${name}: ${String(what)}`);
    assert.equal(session.state, before, `${name}: ${String(what)} changed the state`);
    assert.equal(text.state, textBefore, `${name}: ${String(what)} changed the state`);
  };
  for (const [name, [length, call]] of Object.entries(calls)) {
    for (const value of notLists) rejected(`${name}: got `, () => call(value), value);
    rejected(`${name}: got `, () => call(new Float32Array(length - 1)), 'too short');
    rejected(`${name}: got `, () => call(new Float32Array(length + 1)), 'too long');
    rejected(`${name}[0]: got `, () => call(new BigInt64Array(length)), 'BigInt');
    rejected(`${name}[0]: got `, () => call('1'.repeat(length)), 'text');
    for (const place of [0, 3, length - 1]) {
      for (const value of notNumbers)
        rejected(`${name}[${place}]: got `, () => call(list(length, place, value)), value);
      // Also finite numbers that are infinite as floats.
      for (const value of [...notFinite, 1e39, -1e39]) {
        rejected(`${name}[${place}]: got ${value}; expected`, () => call(list(length, place, value)), value);
      }
      for (const value of notFinite) {
        const floats = Float32Array.from(list(length, place, value) as number[]);
        rejected(`${name}[${place}]: got ${value}; expected a finite`, () => call(floats), value);
      }
    }
  }
  for (const token of [-1, vocabulary.size, 1.5, Number.NaN, '1', null, undefined, [1]]) {
    rejected('token: got ', () => text.next(token as number), token);
  }
  for (const k of [0, -1, 1.5, '3', Number.NaN, null, undefined]) {
    rejected('k: got ', () => text.suggest(k as number), k);
  }
  for (const words of [null, undefined, 5, ['the'], {}]) {
    rejected('text: got ', () => text.read(words as string), words);
  }

  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0); // a module of nothing
  for (const module of [new WebAssembly.Module(empty), empty as unknown as WebAssembly.Module]) {
    assert.throws(() => initSync({ module }), isInputError('module'));
  }
  initSync({ module: new WebAssembly.Module(kernelBytes('plain')) });
  initSync({});
});

test('lists of numbers do as well as floats', () => {
  const frames = makeFrames('kron', 8);
  const x = Array.from({ length: 8 }, (_, i) => Math.fround(Math.sin(i)));
  const expected = [...frames.session().step(Float32Array.from(x))];
  for (const values of [x, Float64Array.from(x)]) {
    assert.equal([...frames.session().step(values)], expected);
    assert.equal([...frames.run(values)[0]], expected);
  }
  const model = loadSync(encodeModel(makeModel('kron', 8)));
  const text = busyText(model);
  const other = new TextModel(model);
  other.state = [...text.state] as unknown as Float32Array;
  assert.equal([...other.next(2)], [...text.next(2)]);
});

test('a session of another model is rejected', () => {
  const bytes = encodeModel(makeModel('kron', 8));
  const [model, same, larger] = [loadSync(bytes), loadSync(bytes), loadSync(encodeModel(makeModel('kron', 12)))];
  const session = model.session();
  for (const token of [3, 1, 4]) session.step(token);
  const expected = [...busyText(model).next(1)];
  for (const other of [same, larger]) {
    assert.throws(() => other.step(session, 1), isInputError('session: got '));
    assert.throws(() => other.read(session, 1), isInputError('session: got '));
    assert.throws(() => other.predict(session), isInputError('session: got '));
  }
  assert.throws(() => {
    larger.session().state = session.state;
  }, isInputError('state: got 32 numbers; expected 48'));
  assert.equal([...session.step(1)], expected);
});

test('numbers so large that sums overflow are rejected; the largest that pass give finite answers', () => {
  const file = framesFile('doped-kron', 8);
  for (const scale of [1, 1e10, 1e30, 1e36]) {
    const { tensors, metadata } = decodeSafetensors(file);
    for (const [name, tensor] of tensors) {
      if (name !== 'lstm.0.ih.0.B.weight') continue;
      tensors.set(name, { ...tensor, data: (tensor.data as Float32Array).map((w) => w * scale) } as NamedTensor);
    }
    const plan = loadSync(encodeSafetensors(tensors, metadata));
    const limit = Math.fround(plan.limit * (1 - 2 ** -20));
    for (const sign of [1, -1]) {
      const session = plan.session();
      const x = new Float32Array(8).map((_, i) => (i % 2 ? sign : 1) * limit);
      const state = new Float32Array(32).map((_, i) => (i % 3 ? 1 : -1) * (i % 16 < 8 ? limit : 3e38));
      session.state = state;
      for (let t = 0; t < 3; t++) assert.ok(session.step(x).every(Number.isFinite), `scale ${scale}, step ${t}`);
      assert.ok(session.state.every(Number.isFinite), `scale ${scale}`);
      assert.throws(() => session.step(x.fill(plan.limit * 1.01, 2, 3)), isInputError('frame[2]: got '));
      // h of either layer.
      for (const place of [5, 21]) {
        assert.throws(
          () => {
            session.state = state.slice().fill(plan.limit * 1.01, place, place + 1);
          },
          isInputError(`state[${place}]: got `),
        );
      }
    }
  }
});

// ---- generating

const makePlan = () => loadSync(encodeModel(makeModel('doped-hmd', 16)));

/** A plan whose weights are so large that what it says next depends on all that was said. */
function makeLivelyPlan(): Model {
  const model = makeModel('dense', 16);
  for (const [, { data }] of model.parameters()) data.set(data.map((value) => 6 * value));
  return loadSync(encodeModel(model));
}

/** All that a generator yields. */
async function all(pieces: AsyncIterable<GeneratedToken>): Promise<GeneratedToken[]> {
  const result: GeneratedToken[] = [];
  for await (const piece of pieces) result.push(piece);
  return result;
}

const textOf = (pieces: readonly GeneratedToken[]) => pieces.map(({ text }) => text).join('');

/** Runs `act` with a clock that a look at it moves on, so that there is a pause wherever there may be one. */
async function withFastClock<T>(act: () => Promise<T>): Promise<T> {
  const { now } = Date;
  let time = 0;
  Date.now = () => {
    time += 10;
    return time;
  };
  try {
    return await act();
  } finally {
    Date.now = now;
  }
}

test('generate() draws at temperature 0.8 with seed 1 where nothing else is asked for', async () => {
  const plan = makeLivelyPlan();
  const draw = (options: object) => all(new TextModel(plan).generate('the cat', { ...options, maxTokens: 40 }));
  const expected = await draw({});
  assert.equal(await draw({ temperature: 0.8, seed: 1 }), expected);
  for (const other of [{ temperature: 0.7 }, { temperature: 1 }, { seed: 0 }, { seed: 2 }]) {
    assert.not.equal(await draw(other), expected);
  }
});

test('behind a state that was set, what was read before is not known', async () => {
  const plan = makeLivelyPlan();
  const options = { temperature: 0, maxTokens: 1 };
  const session = new TextModel(plan);
  session.read('the cat');
  const { state } = session;
  const [expected] = await all(session.generate('', options));
  session.state = state;
  const [piece] = await all(session.generate('', options));
  assert.is(piece.token, expected.token);
  assert.is(expected.text, ` ${piece.text}`);
});

test('maxTokens ends the text', async () => {
  const plan = makePlan();
  const expected = await all(new TextModel(plan).generate('the cat', { maxTokens: 30 }));
  for (const maxTokens of [0, 1, 7, 30]) {
    assert.equal(await all(new TextModel(plan).generate('the cat', { maxTokens })), expected.slice(0, maxTokens));
  }
});

test('topK and topP are those of the training side', async () => {
  const model = makeModel('doped-hmd', 16);
  const session = () => new TextModel(loadSync(encodeModel(model)));
  for (const options of [{ topK: 3 }, { topP: 0.4 }, { topK: 5, topP: 0.8 }]) {
    const settings = { temperature: 2, seed: 3, ...options };
    const slow = generate(model, vocabulary.encode('the cat'), settings);
    const expected = Array.from({ length: 30 }, () => slow.next().value);
    const pieces = await all(session().generate('the cat', { ...settings, maxTokens: 30 }));
    assert.equal(
      pieces.map(({ token }) => token),
      expected,
    );
  }
});

test('generating goes on from what the session has read, wherever it was stopped', async () => {
  const plan = makeLivelyPlan();
  const options = { temperature: 0 };
  const prompt = 'the cat sat';
  const expected = await all(new TextModel(plan).generate(prompt, { ...options, maxTokens: 20 }));
  assert.ok(new Set(expected.map(({ token }) => token)).size > 2, 'the text should vary');

  const read = new TextModel(plan);
  read.read('the');
  read.read('cat sat');
  assert.equal(await all(read.generate('', { ...options, maxTokens: 20 })), expected, 'read() and an empty prompt');

  const ended = new TextModel(plan);
  const pieces = await all(ended.generate(prompt, { ...options, maxTokens: 8 }));
  pieces.push(...(await all(ended.generate('', { ...options, maxTokens: 12 }))));
  assert.equal(pieces, expected, 'after maxTokens');

  const left = new TextModel(plan);
  const first: GeneratedToken[] = [];
  for await (const piece of left.generate(prompt, options)) {
    first.push(piece);
    // What was yielded was read.
    const [best] = left.suggest(1);
    assert.is(best.token, expected[first.length].token);
    if (first.length === 5) break;
  }
  first.push(...(await all(left.generate('', { ...options, maxTokens: 15 }))));
  assert.equal(first, expected, 'after break');
  assert.is(
    vocabulary.decode([...vocabulary.encode(prompt), ...expected.map(({ token }) => token)]),
    prompt + textOf(expected),
  );
});

test('sessions that generate in turns do not mix', async () => {
  const plan = makePlan();
  const prompts = ['the cat', 'a b c', 'dog'];
  const start = (prompt: string, seed: number) => all(new TextModel(plan).generate(prompt, { seed, maxTokens: 20 }));
  const expected = [];
  for (const [i, prompt] of prompts.entries()) expected.push(await start(prompt, i));
  const together = await withFastClock(() => Promise.all(prompts.map(start)));
  assert.equal(together, expected);
});

/** Runs `act` on a host that lacks some globals. */
async function without<T>(names: readonly string[], act: () => Promise<T>): Promise<T> {
  const scope = globalThis as unknown as Record<string, unknown>;
  const before = names.map((name) => [name, scope[name]] as const);
  for (const name of names) scope[name] = undefined;
  try {
    return await act();
  } finally {
    for (const [name, value] of before) scope[name] = value;
  }
}

const HOSTS = [[], ['setImmediate'], ['setImmediate', 'MessageChannel']];

/** Calls back at the next frame in a page, otherwise in a timer. */
const later = (act: () => void) => ('document' in globalThis ? requestAnimationFrame(act) : setTimeout(act));

for (const lacking of HOSTS) {
  const host = lacking.length ? `a host without ${lacking.join(' and ')}` : 'this host';
  test(`pages repaint and timers fire while a text without end is generated: ${host}`, async () => {
    const plan = makePlan();
    let fired = false;
    later(() => {
      fired = true;
    });
    let n = 0;
    await without(lacking, async () => {
      for await (const _ of new TextModel(plan).generate('the cat')) {
        if (fired || ++n === 1_000_000) break;
      }
    });
    assert.ok(fired, `nothing else ran during ${n} tokens`);
  });

  test(`a timer can abort while a long prompt is read: ${host}`, async () => {
    const plan = makePlan();
    const controller = new AbortController();
    const reason = { because: 'enough' };
    setTimeout(() => controller.abort(reason));
    const prompt = 'the cat '.repeat(100_000);
    const reading = () => all(new TextModel(plan).generate(prompt, { maxTokens: 0, signal: controller.signal }));
    const error = await without(lacking, () => reading().catch((thrown: unknown) => thrown));
    assert.is(error, reason);
  });
}

test('a host without any tasks to wait for generates all the same', async () => {
  const plan = makePlan();
  const options = { maxTokens: 50 };
  const expected = await all(new TextModel(plan).generate('the cat', options));
  const lacking = ['setImmediate', 'MessageChannel', 'setTimeout'];
  const actual = await without(lacking, () =>
    withFastClock(() => all(new TextModel(plan).generate('the cat', options))),
  );
  assert.equal(actual, expected);
});

test('generate() throws the reason of a signal: aborted before, within the loop, or without a reason of its own', async () => {
  const plan = makePlan();
  const reason = new Error('stop');
  const thrown = async (signal: AbortSignal, act?: () => void) => {
    const session = new TextModel(plan);
    let n = 0;
    try {
      for await (const _ of session.generate('the cat', { signal, maxTokens: 50 })) if (++n === 3) act?.();
    } catch (error) {
      return { error, n, state: session.state };
    }
    return { n };
  };
  assert.is((await thrown(AbortSignal.abort(reason))).error, reason);
  assert.is((await thrown(AbortSignal.abort(reason))).n, 0);
  assert.is(((await thrown(AbortSignal.abort())).error as Error).name, 'AbortError');

  const controller = new AbortController();
  const { error, n, state } = await thrown(controller.signal, () => controller.abort(reason));
  assert.is(error, reason);
  assert.is(n, 3);
  // No token was read that was not yielded.
  const other = new TextModel(plan);
  await all(other.generate('the cat', { maxTokens: 3 }));
  assert.equal(state, other.state);

  assert.is((await thrown(new AbortController().signal)).n, 50);
  assert.is((await all(new TextModel(plan).generate('a', { signal: null, maxTokens: 2 }))).length, 2);
});

test('generate() rejects options out of range by name, before it reads anything', async () => {
  const session = busyText(makePlan());
  const before = session.state;
  const bad: Record<string, unknown[]> = {
    temperature: [-1, Number.NaN, '1', null],
    seed: [-1, 1.5, 'abc', 2 ** 53],
    maxTokens: [-1, 1.5, '5', Number.NaN, null],
    topK: [0, -1, 1.5, '3'],
    topP: [0, -0.5, 1.5, '1'],
    signal: [new AbortController(), {}, 'stop', true],
  };
  const rejected = async (name: string, pieces: AsyncGenerator<GeneratedToken>) => {
    const error = await pieces.next().catch((thrown: unknown) => thrown);
    assert.ok(isInputError(`${name}: got `)(error), `${name}: ${error}`);
    assert.equal(session.state, before);
  };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) await rejected(name, session.generate('the cat', { [name]: value }));
  }
  for (const prompt of [null, undefined, 5, ['the']])
    await rejected('prompt', session.generate(prompt as unknown as string));
});

// ---- suggesting

test('suggest() gives the most probable tokens, the best first, without <unk>', () => {
  const plan = makePlan();
  const session = busyText(plan);
  const other = new TextModel(plan);
  const before = session.state;
  const logits = Array.from(loadedLogits(plan, [3, 1, 4]));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  const expected = logits
    .map((logit, token) => ({ token, text: vocabulary.decode([token]), probability: Math.exp(logit) / sum }))
    .filter(({ token }) => token !== vocabulary.unknown)
    .sort((a, b) => b.probability - a.probability || a.token - b.token);
  for (const k of [1, 3, vocabulary.size, 10 ** 6]) {
    other.next(5); // another's step leaves its logits behind
    const suggestions = session.suggest(k);
    assert.is(suggestions.length, Math.min(k, vocabulary.size - 1));
    for (const [i, { token, text, probability }] of suggestions.entries()) {
      assert.equal({ token, text }, { token: expected[i].token, text: expected[i].text });
      assert.ok(Math.abs(probability - expected[i].probability) < 1e-9, `${text}: ${probability}`);
    }
  }
  assert.equal(session.state, before);
});

/** The logits after these tokens, in a session of their own. */
function loadedLogits(plan: Model, tokens: readonly number[]): Float32Array {
  const session = new TextModel(plan);
  let logits = new Float32Array();
  for (const token of tokens) logits = session.next(token) as Float32Array<ArrayBuffer>;
  return logits.slice();
}

test('a session that has read nothing suggests how a text starts, and still has read nothing', async () => {
  const plan = makePlan();
  const fresh = new TextModel(plan);
  const [first] = await all(new TextModel(plan).generate('', { temperature: 0, maxTokens: 1 }));
  const suggestions = fresh.suggest(3);
  assert.equal(suggestions[0].token, first.token);
  assert.ok(fresh.state.every((value) => value === 0));
  assert.equal(fresh.suggest(3), suggestions);
  const used = busyText(plan);
  assert.not.equal(used.suggest(3), suggestions);
  used.reset();
  assert.equal(used.suggest(3), suggestions);
  // So read() and generate() start.
  fresh.read('the cat');
  const expected = await all(new TextModel(plan).generate('the cat', { temperature: 0, maxTokens: 1 }));
  assert.is(fresh.suggest(1)[0].token, expected[0].token);
});

test('a damaged model file is refused, or its answers are finite', () => {
  const bytes = encodeModel(makeModel('doped-kron', 8));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, cut) => {
      const damaged = cut ? bytes.slice(0, at) : bytes.slice();
      if (!cut) damaged[at] ^= change;
      try {
        const session = new TextModel(loadSync(damaged));
        for (let token = 0; token < 5; token++) {
          assert.ok(session.next(token).every((logit) => !Number.isNaN(logit)));
        }
      } catch (error) {
        assert.instance(error, FileFormatError);
      }
    }),
    { numRuns: 2000, seed: 5 },
  );
});

test('memory stays as it is over many steps and sessions', () => {
  const plan = loadSync(encodeModel(makeModel('doped-kron', 16)));
  const first = new TextModel(plan);
  first.next(1);
  const before = plan.memoryBytes;
  for (let i = 0; i < 100_000; i++) first.next(i % vocabulary.size);
  for (let i = 0; i < 1000; i++) new TextModel(plan).next(i % vocabulary.size);
  assert.is(plan.memoryBytes, before);
});

test.run();
