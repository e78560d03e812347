import { invalid } from '../errors.js';
import { loadModel } from './model.js';
import { showing } from './progress.js';
import type { SplitName } from './task.js';
import { taskNamed } from './tasks.js';
import { warningsOf } from './unknown.js';

interface EvalArguments {
  data: string;
  /** The default is test, or valid where there is no test split. */
  split?: SplitName;
  json?: boolean;
}

/** Measures a model on a split of a data set, and prints the result. */
export async function evaluate(path: string, { data, split: asked, json }: EvalArguments): Promise<void> {
  const model = await loadModel(path);
  const task = taskNamed(model.task);
  const corpus = await task.readFor(model, data);
  let split = asked ?? 'test';
  let measurement = task.measurement(model, corpus, split);
  if (!measurement) {
    if (asked) throw invalid('--split', asked, `valid: ${data} has no ${task.testName}`);
    process.stderr.write(`${data} has no ${task.testName}: evaluating valid\n`);
    split = 'valid';
    measurement = task.measurement(model, corpus, split)!;
  }
  const { size, unknown } = measurement;
  const { json: figures, text } = await showing(`evaluating ${split}`, size, measurement.measureInParts());
  for (const line of warningsOf(split, unknown)) process.stderr.write(`${line}\n`);
  process.stdout.write(json ? `${JSON.stringify({ split, ...figures })}\n` : `${split}: ${text}\n`);
}
