import { Tape } from '../autograd/tape';
import { InputError } from '../errors';
import type { LanguageModel } from '../nn/language-model';
import { Stream, uniform } from '../random';

/**
 * Token numbers drawn one after another, each given all before it; the prompt is read first. `temperature` divides the logits: 0 always takes the likeliest
 * token, 1 draws from the model's own distribution. `<unk>` is never drawn. The same seed gives the same text.
 */
export function* generate(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  { temperature, seed }: { temperature: number; seed: number },
): Generator<number, never> {
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new InputError(`temperature: ${temperature} was given; it must be at least 0`);
  }
  const { runtime, vocabulary } = model;
  vocabulary.check(prompt, 'prompt');
  const state = model.newState(1);
  const input = runtime.alloc(4);
  const logits = new Float32Array(vocabulary.size);
  const read = (token: number) => {
    const mark = runtime.mark();
    runtime.ints(input, 1)[0] = token;
    const { value } = model.forward(new Tape(runtime, false), input, 1, 1, state);
    logits.set(runtime.floats(value, vocabulary.size));
    runtime.release(mark);
  };
  // A text starts where another ended.
  read(vocabulary.eos >= 0 ? vocabulary.eos : vocabulary.unknown);
  for (let i = 0; i < prompt.length; i++) read(prompt[i]);
  for (let drawn = 0; ; drawn++) {
    logits[vocabulary.unknown] = Number.NEGATIVE_INFINITY;
    const token = draw(logits, temperature, uniform(seed, Stream.sampling, drawn));
    yield token;
    read(token);
  }
}

/** The token at which the running sum of probabilities passes u, in [0, 1). */
function draw(logits: Float32Array, temperature: number, u: number): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  if (temperature === 0) return best;
  const weights = logits.map((logit) => Math.exp((logit - logits[best]) / temperature));
  let left = u * weights.reduce((sum, weight) => sum + weight, 0);
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i];
    if (left < 0) return i;
  }
  return best;
}
