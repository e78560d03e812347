// Whole trainings: they learn, they are the same for the same seed, and a checkpoint is all that they need to go on.

import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError, TrainingError } from '../../src/errors.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { defaultOptions, type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { defaultAnnealing } from '../../src/train/annealing.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { sparseOf, tinyOptions, tokens, vocabulary, weightsOf } from '../nn/oracle.js';
import { matrixPlan } from '../nn/parts.js';
import { stopAfter } from './parts.js';

const corpus = { train: tokens(80, 1), valid: tokens(20, 2) };

function create(changes: Partial<LanguageModelOptions> = {}): LanguageModelTraining {
  return LanguageModelTraining.create(new Runtime(), vocabulary, tinyOptions(changes), corpus);
}

function finish(training: LanguageModelTraining): LanguageModelTraining {
  while (!training.done) training.step();
  return training;
}

// ---- learning

const TEXT =
  `we the people of the united states, in order to form a more perfect union, establish justice, insure domestic tranquility,
provide for the common defense, promote the general welfare, and secure the blessings of liberty`.slice(0, 201);

for (const method of ['doped-kron', 'doped-hmd'] as const) {
  test(`${method} learns a text of 200 characters by heart`, () => {
    const words = buildVocabulary([TEXT], 'char');
    const ids = words.encode(TEXT);
    const options: LanguageModelOptions = {
      ...defaultOptions('char'),
      method,
      compression: 5,
      hidden: 32,
      layers: 1,
      learningRate: 0.025,
      dropout: 0,
      // One stream, so that every token is trained on but the first.
      batch: 1,
      bptt: 40,
      epochs: 150,
    };
    assert.is((ids.length - 1) % options.bptt, 0);
    const training = LanguageModelTraining.create(new Runtime(), words, options, { train: ids, valid: ids });
    const perplexity = () => Math.exp(new Evaluation(training.model, 1, options.bptt).meanLoss(ids).loss);
    assert.ok(perplexity() > words.size / 2, 'it knew the text before');
    finish(training);
    const alive = sparseOf(training.model).reduce((sum, { nonzeros }) => sum + nonzeros, 0);
    assert.is(alive, 2 * matrixPlan(options).nonzeros!);
    assert.ok(perplexity() < 1.1, `the perplexity is ${perplexity()}`);
  });
}

// ---- the same bits

// Not as arrays: to show where large ones differ takes uvu minutes.
const same = (a: Uint8Array, b: Uint8Array, what: string) => assert.is(Buffer.compare(a, b), 0, what);

const busy: Partial<LanguageModelOptions> = {
  dropout: 0.3,
  coMatrixDropout: { structure: 0.2, dopants: 0.3, hold: false, until: 0.8 },
  annealing: { ...defaultAnnealing, every: 2 },
};

test('the same seed gives the same weights and records, another seed others', () => {
  const [a, b, other] = [1, 1, 2].map((seed) => finish(create({ ...busy, seed })));
  assert.ok(a.records.length > 8);
  assert.equal(a.records, b.records);
  same(encodeModel(a.model), encodeModel(b.model), 'the models differ');
  const weights = weightsOf(other.model);
  for (const [name, numbers] of weightsOf(a.model)) assert.is.not(numbers, weights.get(name), name);
  const losses = ({ records }: LanguageModelTraining) =>
    records.map((record) => (record.kind === 'step' ? record.loss : 0));
  assert.not.equal(losses(a), losses(other));
});

const trainings = fc.record({
  method: fc.constantFrom('doped-kron' as const, 'doped-hmd' as const, 'pruned' as const, 'dense' as const),
  optimizer: fc.constantFrom('sgd' as const, 'adam' as const),
  learningRate: fc.constantFrom(0.01, 0.5),
  schedule: fc.constantFrom(
    { kind: 'constant' as const },
    { kind: 'cosine' as const },
    { kind: 'decay' as const, after: 1, by: 1.5 },
  ),
  clip: fc.constantFrom(0, 0.1),
  dropout: fc.constantFrom(0, 0.3),
  coMatrixDropout: fc.record({
    structure: fc.constantFrom(0, 0.3),
    dopants: fc.constantFrom(0, 0.4),
    hold: fc.boolean(),
    until: fc.constantFrom(0.5, 1),
  }),
  alternate: fc.constantFrom(0, 1, 3),
  annealing: fc.record({
    start: fc.constantFrom(0, 0.2),
    end: fc.constantFrom(0.3, 0.9),
    every: fc.constantFrom(1, 3),
    threshold: fc.constantFrom('global' as const, 'matrix' as const),
    compress: fc.boolean(),
  }),
  small: fc.constantFrom(
    {},
    { tied: true as const },
    { bits: 3 as const },
    { tied: true as const, bits: 8 as const },
    { cutoffs: [2, 4] },
  ),
  seed: fc.constantFrom(0, 1, 2 ** 53 - 1),
  measureEvery: fc.constantFrom(1, 2),
});

test('a training that goes on from a checkpoint ends with the same bits as one that was never stopped', () => {
  fc.assert(
    fc.property(trainings, fc.nat(), ({ small, ...options }, random) => {
      const whole = create({ ...options, ...small });
      const stopAt = random % (whole.totalSteps + 1);
      const run = { path: 'somewhere', n: random };
      const checkpointAt = () => (whole.trainer.stepsDone === stopAt ? encodeCheckpoint(whole, run) : undefined);
      let checkpoint = checkpointAt();
      while (!whole.done) {
        whole.step();
        checkpoint ??= checkpointAt();
      }
      const decoded = decodeCheckpoint(checkpoint!, LanguageModelTraining);
      assert.equal(decoded.run, run);
      const runtime = new Runtime();
      // Nothing may depend on where it lies, or on what was there.
      runtime.bytes(runtime.alloc(100_000), 100_000).fill(255);
      runtime.release(runtime.mark() - 99_000);
      const resumed = decoded.resume(runtime, corpus);
      assert.is(resumed.trainer.stepsDone, stopAt);
      same(encodeCheckpoint(resumed, run), checkpoint!, 'the checkpoint, written again, differs');
      finish(resumed);
      assert.is(resumed.trainer.stepsDone, whole.totalSteps);
      same(encodeModel(resumed.model), encodeModel(whole.model), 'the models differ');
      assert.equal(resumed.records, whole.records);
      same(encodeCheckpoint(resumed, run), encodeCheckpoint(whole, run), 'the checkpoints differ');
    }),
    { seed: 1, numRuns: 40 },
  );
});

test('a training that is stopped in any part of a pruning or an evaluation ends with the same bits', () => {
  // Enough validation text for an evaluation of several parts.
  const texts = { train: tokens(60, 1), valid: tokens(2000, 2) };
  for (const changes of [
    { coMatrixDropout: { structure: 0.3, dopants: 0.4, hold: false, until: 1 }, measureEvery: 2 },
    { method: 'pruned', optimizer: 'sgd', measureEvery: 1 },
    { method: 'dense' },
    { method: 'doped-kron', tied: true, bits: 3 },
  ] as const) {
    const options = tinyOptions({ ...changes, annealing: { ...defaultAnnealing, end: 0.8, every: 1 } });
    const begin = () => LanguageModelTraining.create(new Runtime(), vocabulary, options, texts);
    const whole = finish(begin());
    const wanted = encodeCheckpoint(whole, 'run');
    let parts = 0;
    const at = new Set<string>();
    for (let training = begin(); stopAfter(parts, training); training = begin(), parts++) {
      const checkpoint = encodeCheckpoint(training, 'run');
      at.add(training.records.at(-1)?.kind ?? 'start');
      const resumed = decodeCheckpoint(checkpoint, LanguageModelTraining).resume(new Runtime(), texts);
      assert.is(resumed.evaluationDue, training.evaluationDue);
      same(encodeCheckpoint(resumed, 'run'), checkpoint, `part ${parts}: the checkpoint, written again`);
      for (const next of [training, resumed]) {
        same(encodeCheckpoint(finish(next), 'run'), wanted, `part ${parts}: the checkpoints at the end`);
      }
    }
    assert.ok(parts >= 2 * 3, `${parts} parts`);
    if (options.method === 'doped-kron') assert.equal(at, new Set(['start', 'prune', 'step', 'cma', 'valid']));
  }
});

test('a rehearsal that is stopped changes no bit either', () => {
  const training = create();
  training.step();
  const before = encodeCheckpoint(training, 'run');
  let parts = 0;
  for (let stopped = true; stopped; parts++) {
    const work = training.rehearseInParts();
    for (let i = 0; i < parts; i++) work.next();
    stopped = !work.next().done;
    work.return(0);
    same(encodeCheckpoint(training, 'run'), before, `part ${parts}`);
  }
  assert.ok(parts > 2);
});

test('the losses since the last record are not forgotten either', () => {
  const options = { layers: 1, bptt: 1, batch: 1, epochs: 4 };
  const whole = create(options);
  assert.ok(whole.totalSteps >= 300, 'there should be fewer records than steps');
  while (whole.trainer.stepsDone < 100 || whole.lossCount !== 2) whole.step();
  const resumed = decodeCheckpoint(encodeCheckpoint(whole, null), LanguageModelTraining).resume(new Runtime(), corpus);
  for (const training of [whole, resumed]) while (training.lossCount > 0) training.step();
  assert.is(resumed.trainer.stepsDone, whole.trainer.stepsDone);
  assert.equal(resumed.records, whole.records);
});

// ---- checkpoints that are not what they should be

const refuses = (act: () => unknown, type: typeof InputError | typeof FileFormatError, message: RegExp) =>
  assert.throws(act, (error: unknown) => error instanceof type && message.test(error.message), `${message} is wanted`);

const refusesFile = (act: () => unknown, what: string) =>
  assert.throws(act, (error: unknown) => error instanceof FileFormatError || error instanceof InputError, what);

/** With M_sp compressed, as it is by then, or masked. */
function halfWay(compress: boolean): Uint8Array {
  const training = create({ ...busy, annealing: { ...defaultAnnealing, every: 2, compress } });
  for (let step = 0; step < 7; step++) training.step();
  return encodeCheckpoint(training, null);
}

const good = halfWay(true);
const masked = halfWay(false);
const runtime = new Runtime();

function resume(bytes: Uint8Array, other = corpus): LanguageModelTraining {
  const mark = runtime.mark();
  try {
    return decodeCheckpoint(bytes, LanguageModelTraining).resume(runtime, other);
  } finally {
    runtime.release(mark);
  }
}

test('a checkpoint is not resumed with another text', () => {
  resume(good);
  const changed = (ids: Int32Array, i: number) => ids.map((id, j) => (i === j ? (id + 1) % vocabulary.size : id));
  const { train, valid } = corpus;
  for (const other of [
    { train: changed(train, 0), valid },
    { train: changed(train, train.length - 1), valid },
    { train, valid: changed(valid, 3) },
    { train: train.subarray(1), valid },
    { train, valid: valid.subarray(0, valid.length - 1) },
    { train: Int32Array.of(...train, valid[0]), valid: valid.subarray(1) },
  ]) {
    refuses(() => resume(good, other), InputError, /^data: /);
  }
});

test('a checkpoint that was cut short is refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: good.length - 1 }), (length) => {
      refuses(() => resume(good.subarray(0, length)), FileFormatError, /./);
    }),
    { seed: 1 },
  );
});

test('a checkpoint with a byte changed is refused by name, or is one that can be gone on with', () => {
  const headerLength = Number(new DataView(good.buffer).getBigUint64(0, true));
  // What is told in words is the more delicate part.
  const places = fc.oneof(fc.nat({ max: 8 + headerLength }), fc.nat({ max: good.length - 1 }));
  fc.assert(
    fc.property(places, fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const bytes = good.slice();
      bytes[at] ^= difference;
      const mark = runtime.mark();
      try {
        decodeCheckpoint(bytes, LanguageModelTraining).resume(runtime, corpus).step();
      } catch (error) {
        // The text's own fingerprint may have been hit, or a weight have become too large to train.
        const named = [FileFormatError, InputError, TrainingError].some((type) => error instanceof type);
        assert.ok(named, `byte ${at}: ${error}`);
      }
      runtime.release(mark);
    }),
    { seed: 1, numRuns: 400 },
  );
});

/** The checkpoint with other tensors or other metadata. */
function rewritten(
  change: (tensors: Map<string, NamedTensor>, metadata: Record<string, string>) => void,
  checkpoint = good,
): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(checkpoint);
  const copies = new Map(
    [...tensors].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() } as NamedTensor]),
  );
  change(copies, metadata);
  return encodeSafetensors(copies, metadata);
}

test('every tensor and every field must be there', () => {
  for (const checkpoint of [good, masked]) {
    const { tensors } = decodeSafetensors(checkpoint);
    assert.ok(tensors.size > 40);
    resume(rewritten(() => {}, checkpoint));
    for (const name of tensors.keys()) {
      refuses(() => resume(rewritten((all) => all.delete(name), checkpoint)), FileFormatError, /./);
    }
  }
  const { metadata } = decodeSafetensors(good);
  for (const field of Object.keys(metadata)) {
    const without = rewritten((_, all) => {
      delete all[field];
    });
    refuses(() => resume(without), FileFormatError, /./);
    for (const text of ['', '{', '3', '[]', '{}', 'true', '"x"']) {
      const other = rewritten((_, all) => {
        all[field] = text;
      });
      // The caller's own may be any JSON, and there need not be records.
      const fine = (field === 'run' && text !== '' && text !== '{') || (field === 'records' && text === '[]');
      if (fine) resume(other);
      else refusesFile(() => resume(other), `${field}: ${text}`);
    }
  }
});

test('every option must be there, and make sense', () => {
  const { metadata } = decodeSafetensors(good);
  const options = JSON.parse(metadata.options) as Record<string, unknown>;
  const withOptions = (changed: Record<string, unknown>) =>
    rewritten((_, all) => {
      all.options = JSON.stringify(changed);
    });
  for (const key of Object.keys(options)) {
    for (const value of [undefined, null, 'x', -1, {}]) {
      refuses(() => resume(withOptions({ ...options, [key]: value })), FileFormatError, /./);
    }
  }
});

test('tensors of other sizes, types or contents are refused', () => {
  const change = (name: RegExp, changed: (tensor: NamedTensor) => NamedTensor, checkpoint = good) =>
    rewritten((all) => {
      const found = [...all.keys()].find((key) => name.test(key))!;
      all.set(found, changed(all.get(found)!));
    }, checkpoint);
  const floats = (data: Float32Array): NamedTensor => ({ dtype: 'F32', shape: [data.length], data });
  const flags = (data: Uint8Array): NamedTensor => ({ dtype: 'U8', shape: [data.length], data });
  const indices = (...data: number[]): NamedTensor => ({
    dtype: 'U32',
    shape: [data.length],
    data: Uint32Array.from(data),
  });
  const bad: [Uint8Array, RegExp][] = [
    [change(/^value\./, ({ data }) => floats(new Float32Array(data.length + 1))), /./],
    [
      change(/^value\./, ({ data }) => floats(new Float32Array(data.length).fill(Number.NaN))),
      /^tensor 'value\..* NaN/,
    ],
    [change(/^m\./, ({ data }) => floats(new Float32Array(data.length).fill(-1 / 0))), /^tensor 'm\..* -Infinity/],
    [change(/^v\./, ({ data }) => flags(new Uint8Array(data.length))), /^tensor 'v\..* U8 .*; expected F32/],
    [change(/^state\./, ({ data }) => floats(new Float32Array(data.length - 1))), /^tensor 'state\..* shape/],
    [
      change(/^mask\./, ({ data }) => flags(new Uint8Array(data.length).fill(2)), masked),
      /^tensor 'mask\..*': got 2; expected 0 or 1/,
    ],
    [
      change(/^mask\./, ({ data }) => floats(new Float32Array(data.length)), masked),
      /^tensor 'mask\..*': got F32 of shape .*; expected U8/,
    ],
    [change(/^columns\./, ({ data }) => indices(...data.subarray(1))), /^tensor 'columns\..* shape/],
    [
      change(/^columns\./, ({ data }) => floats(Float32Array.from(data))),
      /^tensor 'columns\..* F32 .*; expected U16 or U32/,
    ],
    [change(/^starts\./, ({ data }) => indices(...data.subarray(1))), /^tensor 'starts\..* shape/],
    [rewritten((all) => all.set('more', floats(new Float32Array(3)))), /^tensors: got "more"; expected none/],
  ];
  for (const [bytes, message] of bad) refuses(() => resume(bytes), FileFormatError, message);
  for (const name of [/^columns\./, /^starts\./]) {
    const backwards = change(name, ({ data }) => indices(...data.slice().reverse()));
    refusesFile(() => resume(backwards), `${name}`);
    const large = change(name, ({ data }) => indices(...data.fill(2 ** 32 - 1)));
    refusesFile(() => resume(large), `${name}`);
  }
});

test('a position that the training cannot have been at is refused', () => {
  const { metadata } = decodeSafetensors(good);
  const position = JSON.parse(metadata.position) as Record<string, number>;
  for (const changes of [
    { epoch: -1 },
    { epoch: 0.5 },
    { epoch: position.epoch + 1 },
    { piece: position.piece + 1 },
    { piece: 10 ** 9, steps: 10 ** 9 },
    { steps: position.steps + 1 },
    { steps: null },
    { lossSum: null },
    { lossCount: -1 },
  ]) {
    const bytes = rewritten((_, all) => {
      all.position = JSON.stringify({ ...position, ...changes });
    });
    refuses(() => resume(bytes), FileFormatError, /^position: /);
  }
});

test.run();
