import { invalid } from '../../errors.js';
import { type Model, Tagger } from '../../infer/index.js';
import type { PredictArguments, Predictor } from '../task.js';

/** Prints the slots of a text. */
function predictTags(model: Model, text: string, { json, threshold }: PredictArguments): void {
  if (threshold !== undefined) throw invalid('--threshold', threshold, 'only for a model of intents');
  const tagged = new Tagger(model).tag(text);
  const { tokens, slots } = tagged;
  process.stdout.write(
    json
      ? `${JSON.stringify(tagged)}\n`
      : `${slots.map(({ name, text }) => `${name}: ${text}\n`).join('') || `no slots in ${tokens.length} words\n`}`,
  );
}

export const predictor: Predictor = { reads: 'a text', predict: predictTags };
