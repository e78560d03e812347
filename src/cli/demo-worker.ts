import { parentPort, workerData } from 'node:worker_threads';
import type { LanguageModelOptions } from '../tasks/language-model.js';
import { type RunPlaces, type RunSource, runTraining, type StepReport } from './training.js';

/** One of the demo's trainings, on a thread of its own. */
export interface DemoJob {
  source: RunSource;
  options: LanguageModelOptions;
  places: RunPlaces;
}

export type DemoMessage =
  | { kind: 'step'; report: StepReport }
  | { kind: 'done'; outcome: Awaited<ReturnType<typeof runTraining>> };

const { source, options, places } = workerData as DemoJob;
const send = (message: DemoMessage) => parentPort!.postMessage(message);
const watcher = {
  announce: () => {},
  step: (report: StepReport) => send({ kind: 'step', report }),
  evaluating: () => {},
  interrupted: () => false,
};
send({ kind: 'done', outcome: await runTraining(source, options, places, watcher) });
