import { generate } from '../tasks/generate';
import { loadModel } from './model';

export async function generateText(
  path: string,
  { prompt, tokens, temperature, seed }: { prompt: string; tokens: number; temperature: number; seed: number },
): Promise<void> {
  const model = await loadModel(path);
  const { vocabulary } = model;
  const start = vocabulary.encode(prompt);
  const unknown = start.filter((id) => id === vocabulary.unknown).length;
  if (unknown) process.stderr.write(`${unknown} of the prompt's ${start.length} tokens are not in the vocabulary\n`);
  const ids = [...start];
  let written = '';
  for (const id of generate(model, start, { temperature, seed })) {
    ids.push(id);
    // Decoded whole each time, since how a token is shown depends on the one before.
    const text = vocabulary.decode(ids);
    process.stdout.write(text.slice(written.length));
    written = text;
    if (ids.length === start.length + tokens) break;
  }
  process.stdout.write('\n');
}
