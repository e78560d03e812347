import { join } from 'node:path';
import { TrainingError } from '../../errors.js';
import { initSync, loadSync } from '../../infer/index.js';
import { readFileBytes } from '../../io/files.js';
import type { Quality } from '../../tasks/training.js';
import type { TrainRecord } from '../../train/records.js';
import { Runtime } from '../../wasm/runtime.js';
import type { Input } from '../outputs.js';
import { stoppable } from '../stopping.js';
import type { AnyTask, RunSource } from '../task.js';
import { taskNamed } from '../tasks.js';
import type { TrainArguments } from '../train-options.js';
import { hasCheckpoint, inputsOf, type RunWatcher, resumeTraining, runTraining } from '../training.js';
import { sharesOf, type Unknown, type UnknownShares } from '../unknown.js';
import type { RunResult, Timing } from './record.js';

/** What an experiment needs from a task. `given` holds the options of `dopant train TASK` as Commander passes them. */
export interface ExperimentTask {
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
  result: Omit<RunResult, 'fileBytes' | 'gzipBytes'>;
  records: TrainRecord[];
  timing: Pick<Timing, 'seconds' | 'tokensPerSecond' | 'step' | 'sentence' | 'resumed'>;
}

/** Seconds between checkpoints: what a kill may cost. */
const CHECKPOINT_EVERY = 45;

export const modelPath = (folder: string) => join(folder, 'model.safetensors');

/** What decides between models, as `eval` prints it. */
const SCORES = ['perplexity', 'accuracy', 'exact', 'f1', 'mse', 'bleu'] as const;

function experimentTask(task: AnyTask): ExperimentTask {
  const start = (given: Given) => task.start(given as TrainArguments);
  // Most cells of a grid use the same data.
  const known = new Map<string, ReturnType<typeof read>>();
  const read = async (source: RunSource) => {
    const data = await task.read(source);
    const schema = task.schema(data, source);
    return { data, schema, encoded: task.encode(data, source, schema) };
  };
  return {
    async check(given) {
      const { source, options } = start(given);
      const key = JSON.stringify(source);
      const reading = known.get(key) ?? read(source);
      known.set(key, reading);
      const { data, schema, encoded } = await reading;
      // The training itself checks its options. The models that it starts from may not exist yet.
      const withoutTeacher = { ...options, distillation: undefined };
      const training = task.training.create(new Runtime(), schema, withoutTeacher, encoded);
      const test = task.measurement(training.model, data, 'test');
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
      const times = task.time(loadSync(await readFileBytes(out)));
      return {
        result: { valid, unknown, ...(unknownLabels && { unknownLabels }), parameters, compression },
        records,
        timing: { seconds, tokensPerSecond, ...times, ...(resumed && { resumed }) },
      };
    },

    async test(given, folder, interrupted) {
      const model = task.decode(new Runtime(), await readFileBytes(modelPath(folder)));
      const split = task.measurement(model, await task.read(start(given).source), 'test');
      if (!split) return undefined;
      const { json } = await stoppable(split.measureInParts(), interrupted);
      const quality: Quality = Object.fromEntries(
        SCORES.flatMap((name) => (name in json ? [[name, json[name] as number]] : [])),
      );
      const bad = Object.entries(quality).find(([, value]) => !Number.isFinite(value));
      if (bad) throw new TrainingError(`test: the ${bad[0]} is ${bad[1]}`);
      return { quality, unknown: split.unknown };
    },
  };
}

/** What an experiment needs from the task of a name. Throws InputError for one that does not exist. */
export const taskOf = (name: string): ExperimentTask => experimentTask(taskNamed(name));
