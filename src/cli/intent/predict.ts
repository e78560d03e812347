import { Intents, type Model } from '../../infer/index.js';
import type { PredictArguments, Predictor } from '../task.js';

/** Prints the probabilities of all intents of a text, the most probable first. */
function predictIntent(model: Model, text: string, { json, threshold }: PredictArguments): void {
  const intents = new Intents(model);
  const ids = intents.vocabulary.encode(text);
  const unknown = ids.filter((id) => id === intents.vocabulary.unknown).length;
  if (unknown) process.stderr.write(`${unknown} of ${ids.length} words are not in the vocabulary\n`);
  const { intent, probabilities } = intents.classify(text, { threshold });
  // Not Object.entries(), which puts labels such as '7' first.
  const ranked = intents.labels.map((label) => [label, probabilities[label]] as const).sort(([, a], [, b]) => b - a);
  if (json) {
    process.stdout.write(`${JSON.stringify({ intent, probabilities: Object.fromEntries(ranked) })}\n`);
    return;
  }
  const padded = (p: number) => `${(100 * p).toFixed(2).padStart(6)} %`;
  const lines = ranked.map(([label, p]) => `${padded(p)}  ${label}`);
  if (intent !== ranked[0][0]) lines.unshift(`${intent}: no intent has a probability of ${threshold} or more`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

export const predictor: Predictor = { reads: 'a sentence', predict: predictIntent };
