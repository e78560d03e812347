import { InputError } from '../errors.js';
import { exp } from '../math.js';
import type { IntentModel } from '../nn/intent-model.js';
import type { LanguageModel } from '../nn/language-model.js';
import { evaluateIntentsInParts } from '../tasks/intent.js';
import { Evaluation } from '../tasks/language-model.js';
import { readCorpus } from './corpus.js';
import { encodeExamples, readIntents } from './intents.js';
import { encodeTexts } from './language-model.js';
import { loadModel } from './model.js';
import { showing } from './progress.js';

interface EvalArguments {
  data: string;
  /** Test where nothing is said. */
  split?: 'valid' | 'test';
  json?: boolean;
}

export async function evaluate(path: string, given: EvalArguments): Promise<void> {
  const model = await loadModel(path);
  const { result, said } = await (model.kind === 'intent-model' ? accuracy(model, given) : perplexity(model, given));
  process.stdout.write(given.json ? `${JSON.stringify(result)}\n` : `${result.split}: ${said}\n`);
}

async function perplexity(model: LanguageModel, { data, split = 'test' }: EvalArguments) {
  const ids = encodeTexts((await readCorpus(data, model.vocabulary.level))[split], model.vocabulary);
  const work = new Evaluation(model).meanLossInParts(ids);
  const { loss, tokens } = await showing(`evaluating ${split}`, `${ids.length} tokens`, work);
  const result = { split, perplexity: exp(loss), bitsPerToken: loss / Math.LN2, tokens };
  const said = `perplexity ${result.perplexity.toFixed(2)}, ${result.bitsPerToken.toFixed(3)} bits a token, ${tokens} tokens`;
  return { result, said };
}

async function accuracy(model: IntentModel, { data, split: asked }: EvalArguments) {
  const corpus = await readIntents(data);
  const split = asked ?? (corpus.test ? 'test' : 'valid');
  const found = corpus[split];
  if (!found) throw new InputError(`split: ${data} has no folder test; --split valid would do`);
  if (!asked && split === 'valid') process.stderr.write(`${data} has no folder test: valid is what is evaluated\n`);
  const sentences = encodeExamples(found, model.vocabulary);
  const work = evaluateIntentsInParts(model, sentences);
  const text = `${found.sentences.length} sentences`;
  const { accuracy, exact, examples } = await showing(`evaluating ${split}`, text, work);
  const result = { split, accuracy, exact, examples };
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  return {
    result,
    said: `accuracy ${percent(accuracy)}, ${percent(exact)} with the very label, ${examples} sentences`,
  };
}
