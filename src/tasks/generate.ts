import { Tape } from '../autograd/tape.js';
import type { LanguageModel } from '../nn/language-model.js';
import { sampler } from './sampling.js';

/**
 * Token numbers drawn one after another, each given all before it; the prompt is read first. `temperature` divides the
 * logits: 0 always takes the likeliest token, 1 draws from the model's own distribution. `<unk>` is never drawn. The
 * same seed gives the same text.
 */
export function* generate(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  { temperature, seed }: { temperature: number; seed: number },
): Generator<number, never> {
  const { runtime, vocabulary } = model;
  const draw = sampler(temperature, seed, vocabulary.unknown);
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
  read(vocabulary.start);
  for (let i = 0; i < prompt.length; i++) read(prompt[i]);
  while (true) {
    const token = draw(logits);
    yield token;
    read(token);
  }
}
