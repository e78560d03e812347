import { initSync, loadIntentSync } from '../infer/index.js';
import { readFileBytes } from '../io/files.js';
import { naming } from './model.js';

export async function predict(path: string, text: string, { json }: { json?: boolean }): Promise<void> {
  const bytes = await readFileBytes(path);
  // Plain SIMD: the same figures on every machine.
  initSync({ simd: 'plain' });
  const plan = naming(path, () => loadIntentSync(bytes));
  const ids = plan.vocabulary.encode(text);
  const unknown = ids.filter((id) => id === plan.vocabulary.unknown).length;
  if (unknown) process.stderr.write(`${unknown} of the ${ids.length} words are not in the vocabulary\n`);
  const { intent, probabilities } = plan.classify(text);
  const likeliestFirst = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
  process.stdout.write(
    json
      ? `${JSON.stringify({ intent, probabilities: Object.fromEntries(likeliestFirst) })}\n`
      : likeliestFirst.map(([label, p]) => `${(100 * p).toFixed(2).padStart(6)} %  ${label}\n`).join(''),
  );
}
