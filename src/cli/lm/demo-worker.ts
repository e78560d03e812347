import { parentPort, workerData } from 'node:worker_threads';
import type { LanguageModelOptions } from '../../tasks/lm/training.js';
import { Interrupted, isSet } from '../stopping.js';
import {
  hasCheckpoint,
  type Outcome,
  type RunPlaces,
  resumeTraining,
  runTraining,
  type StepReport,
} from '../training.js';
import { languageModelTask } from './task.js';
import type { TextSource } from './text.js';

/** A training of the demo, which runs in a thread of its own. */
export interface DemoJob {
  source: TextSource;
  options: LanguageModelOptions;
  places: RunPlaces & { checkpoint: string };
  /** A flag; when it is set, the training writes a checkpoint and stops. */
  stop: Int32Array;
}

export type DemoMessage =
  | { kind: 'step'; report: StepReport }
  | { kind: 'done'; outcome: Pick<Outcome, 'result' | 'records'> }
  | { kind: 'stopped' };

const { source, options, places, stop } = workerData as DemoJob;
const send = (message: DemoMessage) => parentPort!.postMessage(message);
const watcher = {
  announce: () => {},
  step: (report: StepReport) => send({ kind: 'step', report }),
  evaluating: () => {},
  interrupted: () => isSet(stop),
};
try {
  const { problems, result, records } = (await hasCheckpoint(places.checkpoint))
    ? await resumeTraining(languageModelTask, places.checkpoint, {}, () => places, watcher)
    : await runTraining(languageModelTask, source, options, places, watcher);
  if (problems.length) throw problems[0];
  send({ kind: 'done', outcome: { result, records } });
} catch (error) {
  if (!(error instanceof Interrupted)) throw error;
  send({ kind: 'stopped' });
}
