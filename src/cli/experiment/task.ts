import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { initSync, loadIntentSync, loadSync } from '../../infer/index.js';
import { readFileBytes } from '../../io/files.js';
import type { Training } from '../../tasks/training.js';
import type { TrainRecord } from '../../train/records.js';
import { Runtime } from '../../wasm/runtime.js';
import { accuracy, perplexity } from '../eval.js';
import { readIntents } from '../intents.js';
import { loadModel } from '../model.js';
import { timeSentence, timeSteps } from '../timing.js';
import { intentCommand, languageModelCommand, startOf, type TrainArguments, type TrainCommand } from '../train.js';
import { hasCheckpoint, type RunSource, type RunWatcher, resumeTraining, runTraining } from '../training.js';
import type { Quality, RunResult, Timing } from './record.js';

/** What an experiment asks of a task. `given` are the options of `dopant train TASK`, as Commander gives them. */
export interface ExperimentTask {
  /** Throws InputError for options that make no training; says what one costs. */
  check(given: Given): Promise<Cost>;
  /** Trains, or goes on where the folder's checkpoint is, and leaves the model in the folder. */
  train(given: Given, folder: string, watcher: RunWatcher): Promise<Trained>;
}

export type Given = Record<string, unknown>;

/** Numbers in the LSTM's matrices and the head, as trained; tokens trained on, all epochs together. */
export interface Cost {
  weights: number;
  tokens: number;
}

export interface Trained {
  result: Omit<RunResult, 'fileBytes'>;
  records: TrainRecord[];
  timing: Pick<Timing, 'seconds' | 'tokensPerSecond' | 'step' | 'resumed'>;
}

/** A checkpoint this often, in seconds: what a kill may cost. */
const CHECKPOINT_EVERY = 45;

export const modelPath = (folder: string) => join(folder, 'model.safetensors');

function experimentTask<S extends RunSource, D, T extends Training, E, A extends TrainArguments>(
  command: TrainCommand<S, D, T, E, A>,
): ExperimentTask {
  const { task } = command;
  // The same data serve most of a grid.
  const known = new Map<string, ReturnType<typeof read>>();
  const read = async (source: S) => {
    const data = await task.read(source);
    const vocabulary = task.vocabulary(data, source);
    return { data, vocabulary, encoded: task.encode(data, source, vocabulary) };
  };
  return {
    async check(given) {
      const { source, options } = startOf(command, given as unknown as A);
      const key = JSON.stringify(source);
      const reading = known.get(key) ?? read(source);
      known.set(key, reading);
      const { data, vocabulary, encoded } = await reading;
      // The training itself knows best what it takes.
      const training = task.training.create(new Runtime(), vocabulary, options, encoded);
      task.test(training, data);
      const weights = training.model.operators().reduce((sum, [, { M, N }]) => sum + M * N, 0);
      return { weights, tokens: training.totalSteps * training.tokensPerStep };
    },

    async train(given, folder, watcher) {
      const out = modelPath(folder);
      const places = { checkpoint: folder, checkpointEvery: CHECKPOINT_EVERY, out, withoutTest: true };
      const resumed = await hasCheckpoint(folder);
      const { source, options } = startOf(command, given as unknown as A);
      const { result, records } = resumed
        ? await resumeTraining(task, folder, () => places, watcher)
        : await runTraining(task, source, options, places, watcher);
      const { valid, parameters, compression, seconds, tokensPerSecond } = result;
      const step = await timeModel(out);
      return {
        result: { valid, parameters, compression },
        records,
        timing: { seconds, tokensPerSecond, step, ...(resumed && { resumed }) },
      };
    },
  };
}

async function timeModel(path: string): Promise<Timing['step']> {
  const bytes = await readFileBytes(path);
  initSync();
  if ((await loadModel(path)).kind === 'intent-model') return { whole: timeSentence(loadIntentSync(bytes)) };
  const [{ lstm, token }] = timeSteps([loadSync(bytes)]);
  return { lstm, whole: token };
}

/** The quality of a trained model on the test split; undefined where there is none. */
export async function testModel(path: string, data: string): Promise<Quality | undefined> {
  const quietly = <R>(_: string, __: string, run: (onProgress: () => void) => R): R => run(() => {});
  const model = await loadModel(path);
  if (model.kind === 'language-model') {
    const { result } = await perplexity(model, { data, split: 'test' }, quietly);
    return { perplexity: result.perplexity };
  }
  if (!(await readIntents(data)).test) return undefined;
  const { result } = await accuracy(model, { data, split: 'test' }, quietly);
  return { accuracy: result.accuracy, exact: result.exact };
}

const TASKS: Record<string, ExperimentTask> = {
  lm: experimentTask(languageModelCommand),
  intent: experimentTask(intentCommand),
};

export function taskOf(name: string): ExperimentTask {
  const task = TASKS[name];
  if (!task) throw new InputError(`task: '${name}' was given; it must be one of ${Object.keys(TASKS).join(', ')}`);
  return task;
}
