import { parentPort, workerData } from 'node:worker_threads';
import type { LanguageModelOptions } from '../tasks/language-model.js';
import { languageModelTask, type TextSource } from './language-model.js';
import { type Outcome, type RunPlaces, runTraining, type StepReport } from './training.js';

/** One of the demo's trainings, on a thread of its own. */
export interface DemoJob {
  source: TextSource;
  options: LanguageModelOptions;
  places: RunPlaces;
}

export type DemoMessage = { kind: 'step'; report: StepReport } | { kind: 'done'; outcome: Outcome };

const { source, options, places } = workerData as DemoJob;
const send = (message: DemoMessage) => parentPort!.postMessage(message);
const watcher = {
  announce: () => {},
  step: (report: StepReport) => send({ kind: 'step', report }),
  evaluating: () => {},
  interrupted: () => false,
};
send({ kind: 'done', outcome: await runTraining(languageModelTask, source, options, places, watcher) });
