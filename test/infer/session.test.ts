import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { FileFormatError, InputError, initSync, kernelBytes, loadSync } from '../../src/infer/index.js';
import { encodeLanguageModel } from '../../src/io/model-file.js';
import type { LanguageModel } from '../../src/nn/language-model.js';
import { METHODS } from '../../src/operators/methods.js';
import { generate } from '../../src/tasks/generate.js';
import { makeModel, vocabulary } from './models.js';

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

function assertAgrees(model: LanguageModel, steps: number, what: string, tolerance = 1e-5): void {
  const session = loadSync(encodeLanguageModel(model)).session();
  const slow = slowLogits(model);
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
        assertAgrees(makeModel('pruned', hidden, sparsity, block).withInt8Head(), 40, `${what}, int8`, 1e-3);
      }
    }
  }
  assertAgrees(makeModel('doped-kron', 24, 0.96, 4), 1000, 'blocks of 4');
});

test('many sessions over one plan do not mix, and a state can be kept and set', () => {
  const plan = loadSync(encodeLanguageModel(makeModel('doped-kron', 12)));
  const alone = (tokens: number[]) => {
    const session = plan.session();
    return tokens.map((token) => [...session.next(token)]);
  };
  const texts = [
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 8, 7, 6],
  ];
  const expected = texts.map(alone);
  const sessions = texts.map(() => plan.session());
  for (let t = 0; t < 4; t++) {
    sessions.forEach((session, s) => {
      assert.equal([...session.next(texts[s][t])], expected[s][t]);
    });
  }
  const first = plan.session();
  first.next(1);
  first.next(2);
  const kept = first.state;
  first.next(9);
  const second = plan.session();
  second.state = kept;
  assert.equal([...second.next(3)], expected[0][2]);
  second.reset();
  assert.equal([...second.next(1)], expected[0][0]);
  assert.ok(kept.some((value) => value !== 0));
});

test('a state that is set in the middle takes the place of the one in use', () => {
  const plan = loadSync(encodeLanguageModel(makeModel('doped-kron', 12)));
  const session = plan.session();
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

test('run() gives what step() gives, one vector after another', () => {
  const plan = loadSync(encodeLanguageModel(makeModel('doped-lmf', 10)));
  const sequence = Float32Array.from({ length: 50 }, (_, i) => Math.fround(Math.sin(i)));
  const session = plan.session();
  const expected = [0, 1, 2, 3, 4].flatMap((t) => [...session.step(sequence.subarray(10 * t, 10 * t + 10))]);
  assert.equal([...plan.session().run(sequence)], expected);
});

test('generate() writes what the training side generates, and stops when the loop does', async () => {
  const model = makeModel('doped-hmd', 16);
  const settings = { temperature: 0.7, seed: 3 };
  const prompt = 'the cat';
  const slow = generate(model, vocabulary.encode(prompt), settings);
  const expected = Array.from({ length: 20 }, () => slow.next().value);
  const tokens: number[] = [];
  let text = prompt;
  for await (const piece of loadSync(encodeLanguageModel(model)).session().generate(prompt, settings)) {
    tokens.push(piece.token);
    text += piece.text;
    if (tokens.length === 20) break;
  }
  assert.equal(tokens, expected);
  assert.is(text, vocabulary.decode([...vocabulary.encode(prompt), ...expected]));
});

test('what cannot be is refused by name', () => {
  initSync();
  const plan = loadSync(encodeLanguageModel(makeModel('kron', 8)));
  const session = plan.session();
  const refused = (name: string, act: () => unknown) =>
    assert.throws(act, (error: Error) => error instanceof InputError && error.message.startsWith(name));
  refused('token', () => session.next(vocabulary.size));
  refused('token', () => session.next(-1));
  refused('token', () => session.next(1.5));
  refused('x', () => session.step(new Float32Array(7)));
  refused('sequence', () => session.run(new Float32Array(12)));
  refused('state', () => {
    session.state = new Float32Array(3);
  });
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0); // a module of nothing
  for (const module of [new WebAssembly.Module(empty), empty as unknown as WebAssembly.Module]) {
    refused('module', () => initSync({ module }));
  }
  initSync({ module: new WebAssembly.Module(kernelBytes('plain')) });
  initSync({});
});

test('a damaged model file is refused, or its answers are finite', () => {
  const bytes = encodeLanguageModel(makeModel('doped-kron', 8));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, cut) => {
      const damaged = cut ? bytes.slice(0, at) : bytes.slice();
      if (!cut) damaged[at] ^= change;
      try {
        const session = loadSync(damaged).session();
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
  const plan = loadSync(encodeLanguageModel(makeModel('doped-kron', 16)));
  const first = plan.session();
  first.next(1);
  const before = plan.memoryBytes;
  for (let i = 0; i < 100_000; i++) first.next(i % vocabulary.size);
  for (let i = 0; i < 1000; i++) plan.session().next(i % vocabulary.size);
  assert.is(plan.memoryBytes, before);
});

test.run();
