import { join } from 'node:path';
import { InputError } from '../../errors.js';
import { initSync, loadSync } from '../../infer/index.js';
import { readFileBytes } from '../../io/files.js';
import { Evaluation, LanguageModelTraining } from '../../tasks/language-model.js';
import { Vocabulary } from '../../tasks/text.js';
import type { TrainRecord } from '../../train/records.js';
import { Runtime } from '../../wasm/runtime.js';
import { readCorpus } from '../corpus.js';
import { loadModel } from '../model.js';
import { timeSteps } from '../timing.js';
import { runSource, type TrainArguments, trainingOptions } from '../train.js';
import {
  encodeTexts,
  hasCheckpoint,
  type RunWatcher,
  readCheckpoint,
  resumeTraining,
  runTraining,
  trainingTexts,
} from '../training.js';
import type { Quality, RunResult, Timing } from './record.js';

/** What an experiment asks of a task. `given` are the options of `dopant train TASK`, as Commander gives them. */
export interface Task {
  /** Throws InputError for options that make no training; says what one costs. */
  check(given: Given): Promise<Cost>;
  /** Trains, or goes on where the folder's checkpoint is, and leaves the model in the folder. */
  train(given: Given, folder: string, watcher: RunWatcher): Promise<Outcome>;
  /** The quality of that model on the test split; undefined where there is none. */
  test(given: Given, folder: string): Promise<Quality | undefined>;
}

export type Given = Record<string, unknown>;

/** Numbers in the LSTM's matrices and the output layer, as trained; tokens trained on, all epochs together. */
export interface Cost {
  weights: number;
  tokens: number;
}

export interface Outcome {
  result: Omit<RunResult, 'fileBytes'>;
  records: TrainRecord[];
  timing: Pick<Timing, 'seconds' | 'tokensPerSecond' | 'step' | 'resumed'>;
}

/** A checkpoint this often, in seconds: what a kill may cost. */
const CHECKPOINT_EVERY = 45;

export const modelPath = (folder: string) => join(folder, 'model.safetensors');

/** What was read of a text is needed by every cell. */
const sources = new Map<string, Promise<{ tokens: number; vocabulary: number }>>();

const languageModel: Task = {
  async check(given) {
    const source = runSource(given as unknown as TrainArguments);
    const options = trainingOptions(given as unknown as TrainArguments);
    const { hidden, layers, batch, bptt, epochs } = options;
    // The training itself knows best what it takes: one of the smallest text there is.
    const vocabulary = Vocabulary.build(['a'], source.level);
    const text = { train: new Int32Array(batch * (bptt + 1)), valid: new Int32Array(2) };
    LanguageModelTraining.create(new Runtime(), vocabulary, options, text);
    const key = JSON.stringify(source);
    const known = sources.get(key) ?? measure();
    sources.set(key, known);
    const { tokens, vocabulary: V } = await known;
    if (tokens < batch * (bptt + 1)) {
      throw new InputError(`batch ${batch} and bptt ${bptt} need ${batch * (bptt + 1)} tokens; the text has ${tokens}`);
    }
    return { weights: 8 * layers * hidden * hidden + V * hidden, tokens: tokens * epochs };

    async function measure() {
      const texts = trainingTexts(await readCorpus(source.data), source);
      const vocabulary = Vocabulary.build(texts, source.level, source.vocab);
      const tokens = Math.min(encodeTexts(texts, vocabulary).length, source.maxTokens ?? Number.POSITIVE_INFINITY);
      return { tokens, vocabulary: vocabulary.size };
    }
  },

  async train(given, folder, watcher) {
    const out = modelPath(folder);
    const places = { checkpoint: folder, checkpointEvery: CHECKPOINT_EVERY, out, withoutTest: true };
    const args = given as unknown as TrainArguments;
    const resumed = await hasCheckpoint(folder);
    const { result, records } = resumed
      ? await resumeTraining(await readCheckpoint(folder), places, watcher)
      : await runTraining(runSource(args), trainingOptions(args), places, watcher);
    const { valid, parameters, compression, seconds, tokensPerSecond } = result;
    initSync();
    const [step] = timeSteps([loadSync(await readFileBytes(out))]);
    return {
      result: { valid, parameters, compression },
      records,
      timing: { seconds, tokensPerSecond, step, ...(resumed && { resumed }) },
    };
  },

  async test(given, folder) {
    const { data } = runSource(given as unknown as TrainArguments);
    const model = await loadModel(modelPath(folder));
    const ids = encodeTexts((await readCorpus(data)).test, model.vocabulary);
    return { perplexity: Math.exp(new Evaluation(model).meanLoss(ids).loss) };
  },
};

const TASKS: Record<string, Task> = { lm: languageModel };

export function taskOf(name: string): Task {
  const task = TASKS[name];
  if (!task) throw new InputError(`task: '${name}' was given; it must be one of ${Object.keys(TASKS).join(', ')}`);
  return task;
}
