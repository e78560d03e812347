import { InputError } from '../errors.js';
import { exp } from '../math.js';
import { Stream, uniform } from '../random.js';

/**
 * Draws tokens from logits, one after another. `temperature` divides the logits: 0 always takes the likeliest token, 1
 * draws from the distribution that they stand for. The token `never` is not drawn. The same seed gives the same draws.
 */
export function sampler(temperature: number, seed: number, never: number): (logits: Float32Array) => number {
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new InputError(`temperature: ${temperature} was given; it must be at least 0`);
  }
  let drawn = 0;
  return (logits) => draw(logits, temperature, uniform(seed, Stream.sampling, drawn++), never);
}

/** The token at which the running sum of probabilities passes u, in [0, 1). */
function draw(logits: Float32Array, temperature: number, u: number, never: number): number {
  let best = never === 0 ? 1 : 0;
  for (let i = 0; i < logits.length; i++) if (i !== never && logits[i] > logits[best]) best = i;
  if (temperature === 0) return best;
  const weight = (i: number) => (i === never ? 0 : exp((logits[i] - logits[best]) / temperature));
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += weight(i);
  let left = u * total;
  for (let i = 0; i < logits.length; i++) {
    left -= weight(i);
    if (left < 0) return i;
  }
  return best;
}
