import { type ClassifyOptions, initSync, loadIntentSync } from '../infer/index.js';
import { readFileBytes } from '../io/files.js';
import { naming } from './model.js';

interface PredictArguments extends ClassifyOptions {
  json?: boolean;
}

/** Prints the probabilities of all intents of a text, the most probable first. */
export async function predict(path: string, text: string, { json, threshold }: PredictArguments): Promise<void> {
  const bytes = await readFileBytes(path);
  // Plain SIMD: the same figures on every machine.
  initSync({ simd: 'plain' });
  const plan = naming(path, () => loadIntentSync(bytes));
  const ids = plan.vocabulary.encode(text);
  const unknown = ids.filter((id) => id === plan.vocabulary.unknown).length;
  if (unknown) process.stderr.write(`${unknown} of ${ids.length} words are not in the vocabulary\n`);
  const { intent, probabilities } = plan.classify(text, { threshold });
  // Not Object.entries(), which puts labels such as '7' first.
  const ranked = plan.labels.map((label) => [label, probabilities[label]] as const).sort(([, a], [, b]) => b - a);
  if (json) {
    process.stdout.write(`${JSON.stringify({ intent, probabilities: Object.fromEntries(ranked) })}\n`);
    return;
  }
  const percent = (p: number) => `${(100 * p).toFixed(2).padStart(6)} %`;
  const lines = ranked.map(([label, p]) => `${percent(p)}  ${label}`);
  if (intent !== ranked[0][0]) lines.unshift(`${intent}: no intent has a probability of ${threshold} or more`);
  process.stdout.write(`${lines.join('\n')}\n`);
}
