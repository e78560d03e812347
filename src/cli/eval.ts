import { InputError } from '../errors.js';
import { exp } from '../math.js';
import type { IntentModel } from '../nn/intent-model.js';
import type { LanguageModel } from '../nn/language-model.js';
import { evaluateIntents } from '../tasks/intent.js';
import { Evaluation } from '../tasks/language-model.js';
import { readCorpus } from './corpus.js';
import { encodeExamples, readIntents } from './intents.js';
import { encodeTexts } from './language-model.js';
import { loadModel } from './model.js';
import { startProgress } from './progress.js';

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
  const { loss, tokens } = showing(split, `${ids.length} tokens`, (onProgress) =>
    new Evaluation(model).meanLoss(ids, onProgress),
  );
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
  const { accuracy, exact, examples } = showing(split, `${found.sentences.length} sentences`, (onProgress) =>
    evaluateIntents(model, sentences, onProgress),
  );
  const result = { split, accuracy, exact, examples };
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  return {
    result,
    said: `accuracy ${percent(accuracy)}, ${percent(exact)} with the very label, ${examples} sentences`,
  };
}

function showing<T>(split: string, what: string, run: (onProgress: (share: number) => void) => T): T {
  const progress = startProgress(`evaluating ${split}`, 100);
  const result = run((share) => progress.update(Math.floor(100 * share), what));
  progress.stop();
  return result;
}
