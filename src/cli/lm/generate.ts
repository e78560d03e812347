import { invalid } from '../../errors.js';
import { generate } from '../../tasks/lm/generate.js';
import { decodeLanguageModel } from '../../tasks/lm/model.js';
import type { SamplingOptions } from '../../tasks/lm/sampling.js';
import { Runtime } from '../../wasm/runtime.js';
import { naming } from '../model.js';
import { readModelBytes } from '../model-bytes.js';
import { flagOf } from '../parsers.js';

interface GenerateArguments extends SamplingOptions {
  prompt: string;
  tokens: number;
  json?: boolean;
}

/** Prints the prompt, as the model reads it, and text that continues it, token by token. */
export async function generateText(
  path: string,
  { prompt, tokens, json, ...sampling }: GenerateArguments,
): Promise<void> {
  const useless = (['topK', 'topP'] as const).find((name) => sampling[name] !== undefined);
  if (sampling.temperature === 0 && useless) {
    throw invalid(flagOf(useless), sampling[useless], 'only with a --temperature > 0');
  }
  const { bytes } = await readModelBytes(path);
  const model = naming(path, () => decodeLanguageModel(new Runtime(), bytes));
  const { vocabulary } = model;
  const start = vocabulary.encode(prompt);
  const unknown = start.filter((id) => id === vocabulary.unknown).length;
  if (unknown) process.stderr.write(`${unknown} of ${start.length} tokens of the prompt are not in the vocabulary\n`);
  const shownPrompt = vocabulary.decode(start);
  let before = [...start.slice(-1)];
  let text = '';
  let left = tokens;
  for (const id of generate(model, start, sampling)) {
    // How a token is shown depends on the one before.
    const piece = vocabulary.decode([...before, id]).slice(vocabulary.decode(before).length);
    // The prompt is printed with the first token: not at all where the options cannot be used.
    if (!json) process.stdout.write(left === tokens ? shownPrompt + piece : piece);
    text += piece;
    before = [id];
    if (--left === 0) break;
    await new Promise(setImmediate); // so that a signal, or the end of a closed pipe, is seen
  }
  process.stdout.write(json ? `${JSON.stringify({ prompt: shownPrompt, text, tokens })}\n` : '\n');
}
