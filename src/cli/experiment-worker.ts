import { parentPort, workerData } from 'node:worker_threads';
import { readFileBytes } from '../io/files.js';
import { type Given, modelPath, type Outcome, type Tested, taskOf } from './experiment/task.js';
import { compressedFor } from './model-bytes.js';
import { Interrupted, isSet } from './stopping.js';
import type { StepReport } from './training.js';

/** A run of an experiment, in a thread of its own. */
export interface ExperimentJob {
  task: string;
  given: Given;
  /** Folder for the checkpoint and the model. */
  folder: string;
  train: boolean;
  test: boolean;
  /** A flag; when it is set, the run writes a checkpoint and stops. */
  stop: Int32Array;
}

export type ExperimentMessage =
  | { kind: 'step'; report: StepReport }
  | { kind: 'done'; outcome?: Outcome; fileBytes: number; gzipBytes: number; test?: Tested }
  /** Training cannot continue, which is a result too. */
  | { kind: 'failed'; message: string }
  | { kind: 'stopped' };

const { task: name, given, folder, train, test, stop } = workerData as ExperimentJob;
const task = taskOf(name);
const send = (message: ExperimentMessage) => parentPort!.postMessage(message);
let told = 0;
const watcher = {
  announce: () => {},
  step: (report: StepReport) => {
    if (Date.now() - told < 200) return;
    told = Date.now();
    send({ kind: 'step', report });
  },
  evaluating: () => {},
  interrupted: () => isSet(stop),
};
try {
  const outcome = train ? await task.train(given, folder, watcher) : undefined;
  const file = await readFileBytes(modelPath(folder));
  send({
    kind: 'done',
    outcome,
    fileBytes: file.length,
    gzipBytes: compressedFor('.gz', file).length,
    test: test ? await task.test(given, folder, watcher.interrupted) : undefined,
  });
} catch (error) {
  if (error instanceof Interrupted) send({ kind: 'stopped' });
  else if ((error as Error).name === 'TrainingError') send({ kind: 'failed', message: (error as Error).message });
  else throw error;
}
