import { invalid } from '../errors.js';
import { exp } from '../math.js';
import type { IntentModel } from '../nn/intent-model.js';
import type { LanguageModel } from '../nn/language-model.js';
import { evaluateIntentsInParts } from '../tasks/intent.js';
import { Evaluation } from '../tasks/language-model.js';
import { readCorpus } from './corpus.js';
import { encodeExamples, readIntents, unknownOf } from './intents.js';
import { encodeTexts } from './language-model.js';
import { loadModel } from './model.js';
import { showing } from './progress.js';
import { percent, type Unknown, unknownTokens, warningsOf } from './unknown.js';

interface EvalArguments {
  data: string;
  /** The default is test; for intents without a folder test, valid. */
  split?: 'valid' | 'test';
  json?: boolean;
}

/** Measures a model on a split of a data set, and prints the result. */
export async function evaluate(path: string, given: EvalArguments): Promise<void> {
  const model = await loadModel(path);
  const measured = await (model.task === 'intent' ? accuracy(model, given) : perplexity(model, given));
  const { result, text, unknown } = measured;
  for (const line of warningsOf(result.split, unknown)) process.stderr.write(`${line}\n`);
  process.stdout.write(given.json ? `${JSON.stringify(result)}\n` : `${result.split}: ${text}\n`);
}

async function perplexity(model: LanguageModel, { data, split = 'test' }: EvalArguments) {
  const ids = encodeTexts((await readCorpus(data, model.vocabulary.level))[split], model.vocabulary);
  const unknown: Unknown = { tokens: unknownTokens([ids]) };
  const work = new Evaluation(model).meanLossInParts(ids);
  const { loss, tokens } = await showing(`evaluating ${split}`, `${ids.length} tokens`, work);
  const bits = loss / Math.LN2;
  return {
    unknown,
    result: { split, perplexity: exp(loss), bitsPerToken: bits, tokens, unknown: unknown.tokens },
    text: `perplexity ${exp(loss).toFixed(2)}, ${bits.toFixed(3)} bits per token, ${tokens} tokens, ${percent(unknown.tokens)} of them unknown`,
  };
}

async function accuracy(model: IntentModel, { data, split: asked }: EvalArguments) {
  const corpus = await readIntents(data);
  const split = asked ?? (corpus.test ? 'test' : 'valid');
  const found = corpus[split];
  if (!found) throw invalid('--split', split, `valid: ${data} has no folder test`);
  if (!asked && split === 'valid') process.stderr.write(`${data} has no folder test: evaluating valid\n`);
  const examples = encodeExamples(found, model.vocabulary);
  const unknown = unknownOf(examples, model.labels);
  const work = evaluateIntentsInParts(model, examples);
  const count = examples.sentences.length;
  const { accuracy, exact } = await showing(`evaluating ${split}`, `${count} sentences`, work);
  return {
    unknown,
    result: { split, accuracy, exact, examples: count, unknown: unknown.tokens, unknownLabels: unknown.labels },
    text: `accuracy ${percent(accuracy, 2)}, exact ${percent(exact, 2)}, ${count} sentences; unknown: ${percent(unknown.tokens)} of the tokens, ${percent(unknown.labels)} of the labels`,
  };
}
