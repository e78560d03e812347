import { Tape } from '../../autograd/tape.js';
import type { LanguageModel } from './model.js';
import { type SamplingOptions, sampler } from './sampling.js';

/**
 * Draws tokens one after another, each given all before it, after having read the prompt. `<unk>` is never drawn.
 *
 * Between two tokens nothing is kept in the model's memory: it may be released to an earlier mark, or the model trained.
 *
 * @throws InputError, at the first token, for options out of range and for a prompt with tokens that are not the model's
 * @example
 * for (const token of generate(model, vocabulary.encode('the cat'), { temperature: 0.8, seed: 1 })) { ... }
 */
export function* generate(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  options: SamplingOptions,
): Generator<number, never> {
  const { runtime, vocabulary, config } = model;
  const draw = sampler(options, vocabulary.unknown);
  vocabulary.check(prompt, 'prompt');
  const saved = Array.from({ length: config.layers }, () => ({
    h: new Float32Array(config.hidden),
    c: new Float32Array(config.hidden),
  }));
  const logits = new Float32Array(vocabulary.size);
  const read = (token: number) => {
    const mark = runtime.mark();
    try {
      const input = runtime.alloc(4);
      runtime.ints(input, 1)[0] = token;
      const state = model.newState(1);
      const parts = state.flatMap(({ h, c }, l) => [
        { at: h, kept: saved[l].h },
        ...(c ? [{ at: c, kept: saved[l].c }] : []),
      ]);
      for (const { at, kept } of parts) runtime.floats(at, kept.length).set(kept);
      const { value } = model.forward(new Tape(runtime, false), input, 1, 1, state);
      for (const { at, kept } of parts) kept.set(runtime.floats(at, kept.length));
      logits.set(runtime.floats(value, vocabulary.size));
    } finally {
      runtime.release(mark);
    }
  };
  read(vocabulary.start);
  for (let i = 0; i < prompt.length; i++) read(prompt[i]);
  while (true) {
    const token = draw(logits);
    yield token;
    read(token);
  }
}
