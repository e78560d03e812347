import { generate } from '../tasks/generate.js';
import { loadLanguageModel } from './model.js';

export async function generateText(
  path: string,
  { prompt, tokens, temperature, seed }: { prompt: string; tokens: number; temperature: number; seed: number },
): Promise<void> {
  const model = await loadLanguageModel(path);
  const { vocabulary } = model;
  const start = vocabulary.encode(prompt);
  const unknown = start.filter((id) => id === vocabulary.unknown).length;
  if (unknown) process.stderr.write(`${unknown} of the prompt's ${start.length} tokens are not in the vocabulary\n`);
  let before = [...start];
  let left = tokens;
  for (const id of generate(model, start, { temperature, seed })) {
    // How a token is shown depends on the one before.
    const shown = left === tokens ? '' : vocabulary.decode(before);
    process.stdout.write(vocabulary.decode([...before, id]).slice(shown.length));
    before = [id];
    if (--left === 0) break;
    await new Promise(setImmediate); // lets the end of a closed pipe through
  }
  process.stdout.write('\n');
}
