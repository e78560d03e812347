// What goes on from one step to the next, and from one process to the next: a teacher's state is part of it. And what a
// rehearsal must not touch.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NetworkState as State } from '../../src/nn/network.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { defaultIntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import type { Training } from '../../src/tasks/training.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { defaultAnnealing } from '../../src/train/annealing.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { tinyOptions, tokens, vocabulary } from '../nn/oracle.js';

const corpus = { train: tokens(100, 1), valid: tokens(20, 2) };
const distillation = { weight: 0.7, temperature: 2 };

const options = tinyOptions({
  epochs: 3,
  dropout: 0.2,
  coMatrixDropout: { structure: 0.2, dopants: 0.1, hold: false, until: 0.8 },
  annealing: { ...defaultAnnealing, every: 2 },
  alternate: 3,
  measureEvery: 2,
});

/** Of another width than the student, so that their states cannot be mistaken. */
function makeTeacher(runtime: Runtime, { layers }: LanguageModelOptions): LanguageModel {
  const config = { hidden: 6, layers, method: 'dense', compression: 1 } as const;
  const teacher = LanguageModel.create(runtime, config, vocabulary, 9);
  for (const [, { data }] of teacher.parameters()) for (let i = 0; i < data.length; i++) data[i] *= 4;
  return teacher;
}

function createLm(softTargets: boolean): { training: LanguageModelTraining; teacher?: LanguageModel } {
  const runtime = new Runtime();
  if (!softTargets) return { training: LanguageModelTraining.create(runtime, vocabulary, options, corpus) };
  const teacher = makeTeacher(runtime, options);
  const settings = { ...options, distillation };
  return { training: LanguageModelTraining.create(runtime, vocabulary, settings, corpus, { teacher }), teacher };
}

const finish = (training: Training) => {
  while (!training.done) training.step();
  return encodeCheckpoint(training, null);
};

const same = (a: Uint8Array, b: Uint8Array, what: string) => assert.is(Buffer.compare(a, b), 0, what);

test('a teacher reads on from piece to piece, and from nothing at the start of each epoch', () => {
  const { training, teacher } = createLm(true);
  const { runtime, config } = teacher!;
  const numbers = (state: State) =>
    state.flatMap(({ h, c }) => [h, c].flatMap((at) => [...runtime.floats(at, options.batch * config.hidden)]));
  let left: number[] = [];
  const begins: number[] = [];
  const { forward } = teacher!;
  teacher!.forward = (...args) => {
    const [, , , , state] = args;
    if (training.piece === 0) {
      begins.push(training.epoch);
      assert.ok(
        numbers(state).every((v) => v === 0),
        `epoch ${training.epoch}`,
      );
    } else assert.equal(numbers(state), left);
    const logits = forward.apply(teacher, args);
    left = numbers(state);
    assert.ok(left.every((v) => v !== 0));
    return logits;
  };
  finish(training);
  assert.equal(begins, [0, 1, 2]);
});

test('a softTargets training goes on from a checkpoint after any step to the same bits', () => {
  const { training } = createLm(true);
  const checkpoints = [encodeCheckpoint(training, null)];
  while (!training.done) {
    training.step();
    checkpoints.push(encodeCheckpoint(training, null));
  }
  for (const [step, checkpoint] of checkpoints.slice(0, -1).entries()) {
    const runtime = new Runtime();
    const { options, resume } = decodeCheckpoint(checkpoint, LanguageModelTraining);
    const resumed = resume(runtime, corpus, makeTeacher(runtime, options));
    same(finish(resumed), checkpoints.at(-1)!, `gone on after ${step} steps`);
  }
});

// ---- rehearsals

const words = buildVocabulary(['a b c d e f g h'], 'word');
const sentences = (stream: number, n: number) => ({
  sentences: Array.from({ length: n }, (_, i) => tokens(1 + (i % 5), stream + i)), // both vocabularies have 9
  intents: Array.from({ length: n }, (_, i) => ['a', 'b', 'c'][i % 3]),
});
const data = { train: sentences(1, 30), valid: sentences(50, 9) };

function createIntents(): IntentTraining {
  const settings = { ...defaultIntentOptions(), ...options, embedding: 6, batch: 4 };
  return IntentTraining.create(new Runtime(), words, settings, data);
}

const trainings: Record<string, () => Training> = {
  'a language model': () => createLm(false).training,
  'a language model with a teacher': () => createLm(true).training,
  'an intent model': createIntents,
};

for (const [name, create] of Object.entries(trainings)) {
  test(`${name}: a rehearsal changes nothing, whenever it is made`, () => {
    const plain = create();
    const rehearsed = create();
    rehearsed.rehearse();
    while (!plain.done) {
      assert.is(rehearsed.step(), plain.step());
      const before = encodeCheckpoint(rehearsed, null);
      same(before, encodeCheckpoint(plain, null), `after ${plain.trainer.stepsDone} steps`);
      if (rehearsed.done) break;
      rehearsed.rehearse();
      same(encodeCheckpoint(rehearsed, null), before, `the rehearsal after ${plain.trainer.stepsDone} steps`);
    }
  });
}

test.run();
