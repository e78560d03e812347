import { join } from 'node:path';
import { invalid, TrainingError } from '../../errors.js';
import { initSync, loadIntentSync, loadSync } from '../../infer/index.js';
import { readFileBytes } from '../../io/files.js';
import { exp } from '../../math.js';
import type { IntentModel } from '../../nn/intent-model.js';
import type { LanguageModel } from '../../nn/language-model.js';
import { type Examples, evaluateIntentsInParts } from '../../tasks/intent.js';
import { Evaluation } from '../../tasks/language-model.js';
import { decodeIntentModel, decodeLanguageModel } from '../../tasks/models.js';
import type { Training } from '../../tasks/training.js';
import type { TrainRecord } from '../../train/records.js';
import { Runtime } from '../../wasm/runtime.js';
import type { Work } from '../../work.js';
import { encodeExamples, intentTask, unknownOf } from '../intents.js';
import { encodeTexts, languageModelTask } from '../language-model.js';
import type { Input } from '../outputs.js';
import { startIntent, startLm } from '../start.js';
import { stoppable } from '../stopping.js';
import { timeSentence, timeSteps } from '../timing.js';
import {
  hasCheckpoint,
  inputsOf,
  type RunSource,
  type RunWatcher,
  resumeTraining,
  runTraining,
  type TestSplit,
  type Task as TrainedTask,
} from '../training.js';
import { sharesOf, type Unknown, type UnknownShares, unknownTokens } from '../unknown.js';
import type { Quality, RunResult, Timing } from './record.js';

/** What an experiment needs from a task. `given` holds the options of `dopant train TASK` as Commander passes them. */
export interface Task {
  /** Throws InputError for impossible options; returns what a training costs, reads, and cannot know. */
  check(given: Given): Promise<{ cost: Cost; inputs: Input[]; shares: UnknownShares }>;
  /** Trains, or resumes from the checkpoint in the folder, and writes the model to the folder. */
  train(given: Given, folder: string, watcher: RunWatcher): Promise<Outcome>;
  /** Evaluates that model on the test split; undefined if there is none. */
  test(given: Given, folder: string, interrupted: () => boolean): Promise<Tested | undefined>;
}

export type Given = Record<string, unknown>;

/** Trained parameters of the LSTM matrices and the output layer; training tokens of all epochs together. */
export interface Cost {
  weights: number;
  tokens: number;
}

/** The results of a model on the test split. */
export interface Tested {
  quality: Quality;
  unknown: Unknown;
}

export interface Outcome {
  result: Omit<RunResult, 'fileBytes'>;
  records: TrainRecord[];
  timing: Pick<Timing, 'seconds' | 'tokensPerSecond' | 'step' | 'sentence' | 'resumed'>;
}

/** Seconds between checkpoints: what a kill may cost. */
const CHECKPOINT_EVERY = 45;

export const modelPath = (folder: string) => join(folder, 'model.safetensors');

interface Ways<S extends RunSource, D, T extends Training, E> {
  task: TrainedTask<S, D, T, E>;
  start(given: Given): { source: S; options: T['options'] };
  /** Evaluates the model of a file on the test split. */
  test(bytes: Uint8Array, data: D): TestSplit | undefined;
  time(bytes: Uint8Array): Pick<Timing, 'step' | 'sentence'>;
}

function experimentTask<S extends RunSource, D, T extends Training, E>(ways: Ways<S, D, T, E>): Task {
  const { task, start } = ways;
  // Most cells of a grid use the same data.
  const known = new Map<string, ReturnType<typeof read>>();
  const read = async (source: S) => {
    const data = await task.read(source);
    const vocabulary = task.vocabulary(data, source);
    return { data, vocabulary, encoded: task.encode(data, source, vocabulary) };
  };
  return {
    async check(given) {
      const { source, options } = start(given);
      const key = JSON.stringify(source);
      const reading = known.get(key) ?? read(source);
      known.set(key, reading);
      const { data, vocabulary, encoded } = await reading;
      // The training itself checks its options. The models that it starts from may not exist yet.
      const alone = { ...options, distillation: undefined };
      const training = task.training.create(new Runtime(), vocabulary, alone, encoded);
      const test = task.test(training, data);
      const shares = sharesOf({ ...task.unknown(training), ...(test && { test: test.unknown }) });
      const matrices = training.model.operators();
      const weights = matrices.reduce((sum, [, { M, N }]) => sum + M * N, 0);
      const tokens = Math.round(training.tokensPerStep * training.totalSteps);
      return { cost: { weights, tokens }, inputs: inputsOf(task, source), shares };
    },

    async train(given, folder, watcher) {
      const out = modelPath(folder);
      const places = { checkpoint: folder, checkpointEvery: CHECKPOINT_EVERY, out, withoutTest: true };
      const resumed = await hasCheckpoint(folder);
      const { source, options } = start(given);
      const { result, records } = resumed
        ? await resumeTraining(task, folder, source, () => places, watcher)
        : await runTraining(task, source, options, places, watcher);
      const { valid, unknown, unknownLabels, parameters, compression, seconds, tokensPerSecond } = result;
      initSync();
      const times = ways.time(await readFileBytes(out));
      return {
        result: { valid, unknown, ...(unknownLabels && { unknownLabels }), parameters, compression },
        records,
        timing: { seconds, tokensPerSecond, ...times, ...(resumed && { resumed }) },
      };
    },

    async test(given, folder, interrupted) {
      const split = ways.test(await readFileBytes(modelPath(folder)), await task.read(start(given).source));
      return split && { quality: await stoppable(split.measure(), interrupted), unknown: split.unknown };
    },
  };
}

const TASKS: Record<string, Task> = {
  lm: experimentTask({
    task: languageModelTask,
    start: (given) => startLm(given as unknown as Parameters<typeof startLm>[0]),
    test(bytes, { test }) {
      const model = decodeLanguageModel(new Runtime(), bytes);
      const ids = encodeTexts(test, model.vocabulary);
      return { unknown: { tokens: unknownTokens([ids]) }, measure: () => textQuality(model, ids) };
    },
    time: (bytes) => ({ step: timeSteps([loadSync(bytes)])[0] }),
  }),
  intent: experimentTask({
    task: intentTask,
    start: (given) => startIntent(given as unknown as Parameters<typeof startIntent>[0]),
    test(bytes, { test }) {
      if (!test) return undefined;
      const model = decodeIntentModel(new Runtime(), bytes);
      const examples = encodeExamples(test, model.vocabulary);
      return { unknown: unknownOf(examples, model.labels), measure: () => intentQuality(model, examples) };
    },
    time: (bytes) => ({ sentence: timeSentence(loadIntentSync(bytes)) }),
  }),
};

function* textQuality(model: LanguageModel, ids: Int32Array): Work<Quality> {
  const { loss } = yield* new Evaluation(model).meanLossInParts(ids);
  const perplexity = exp(loss);
  if (!Number.isFinite(perplexity)) throw new TrainingError(`test: the perplexity is ${perplexity}`);
  return { perplexity };
}

function* intentQuality(model: IntentModel, examples: Examples): Work<Quality> {
  const { accuracy, exact } = yield* evaluateIntentsInParts(model, examples);
  return { accuracy, exact };
}

export function taskOf(name: string): Task {
  if (!Object.hasOwn(TASKS, name)) throw invalid('task', name, `one of ${Object.keys(TASKS).join(', ')}`);
  return TASKS[name];
}
