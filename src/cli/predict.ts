import { initSync, loadSync } from '../infer/index.js';
import { named, naming } from './model.js';
import { readModelBytes } from './model-bytes.js';
import type { PredictArguments } from './task.js';
import { TASKS, taskOfFile } from './tasks.js';

/** Prints what a model answers to an input, which its task reads. */
export async function predict(path: string, input: string, given: PredictArguments): Promise<void> {
  const { bytes } = await readModelBytes(path);
  // Plain SIMD: the same figures on every machine.
  initSync({ simd: 'plain' });
  const model = naming(path, () => loadSync(bytes));
  const answering = TASKS.filter(({ predictor }) => predictor);
  const { predictor } = naming(path, () => taskOfFile(model.task.name, answering));
  try {
    await predictor!.predict(model, input, given);
  } catch (error) {
    throw named(path, error);
  }
}
