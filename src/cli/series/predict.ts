import { invalid } from '../../errors.js';
import { type Model, Series, type SeriesAnswer } from '../../infer/index.js';
import type { PredictArguments, Predictor } from '../task.js';
import { percent } from '../unknown.js';
import { readExamples } from './read.js';

/** Prints the answer for each line of a file of series. */
async function predictSeries(model: Model, path: string, { json, threshold }: PredictArguments): Promise<void> {
  if (threshold !== undefined) throw invalid('--threshold', threshold, 'only for a model of intents');
  const series = new Series(model);
  const F = series.schema.frame.length;
  const { sequences } = await readExamples(path, { frames: F }, '<input>');
  const show = (answer: SeriesAnswer) =>
    'value' in answer ? String(answer.value) : `${answer.label}  ${percent(answer.probabilities[answer.label], 2)}`;
  for (const sequence of sequences) {
    const frames = Array.from({ length: sequence.length / F }, (_, t) => sequence.subarray(t * F, (t + 1) * F));
    const answer = series.predict(frames);
    const shown = Array.isArray(answer) ? answer.map(show).join(', ') : show(answer);
    process.stdout.write(`${json ? JSON.stringify(answer) : shown}\n`);
  }
}

export const predictor: Predictor = { reads: 'a .jsonl or .npz file of series', predict: predictSeries };
