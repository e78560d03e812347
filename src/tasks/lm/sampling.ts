import { invalid } from '../../errors.js';
import { exp } from '../../math.js';
import { checkSeed, Stream, uniform } from '../../random.js';
import { largestFirst } from '../softmax.js';

/** How tokens are drawn. */
export interface SamplingOptions {
  /** Divides the logits: 0 always takes the most likely token, 1 draws from the model's distribution. */
  temperature: number;
  /** An integer from 0 to 2^53 - 1; the same seed gives the same tokens. */
  seed: number;
  /** Draws from this many of the most likely tokens only: an integer >= 1; all by default. */
  topK?: number | undefined;
  /**
   * Draws from the fewest most likely tokens whose probabilities, after temperature and topK, add up to this share: a number > 0
   * and <= 1, the default.
   */
  topP?: number | undefined;
}

/**
 * Returns a function that draws a token from logits, [V], each time it is called. It never draws the token `never`.
 * Throws InputError for options out of range; the function throws it for logits that are not finite.
 */
export function sampler(
  { temperature, seed, topK = Number.POSITIVE_INFINITY, topP = 1 }: SamplingOptions,
  never: number,
): (logits: Float32Array) => number {
  if (!(Number.isFinite(temperature) && temperature >= 0)) throw invalid('temperature', temperature, 'a number >= 0');
  checkSeed(seed);
  if (topK !== Number.POSITIVE_INFINITY && !(Number.isInteger(topK) && topK >= 1)) {
    throw invalid('topK', topK, 'an integer >= 1');
  }
  if (!(typeof topP === 'number' && topP > 0 && topP <= 1)) throw invalid('topP', topP, 'a number > 0 and <= 1');
  let weights = new Float64Array();
  let drawn = 0;
  return (logits) => {
    const u = uniform(seed, Stream.sampling, drawn++);
    const best = mostLikely(logits, never);
    if (temperature === 0) return best;
    if (weights.length !== logits.length) weights = new Float64Array(logits.length);
    for (let i = 0; i < weights.length; i++) {
      weights[i] = i === never ? 0 : exp((logits[i] - logits[best]) / temperature);
    }
    if (topK < weights.length || topP < 1) keepLargest(weights, topK, topP);
    return indexAt(weights, u * sum(weights)) ?? best;
  };
}

function mostLikely(logits: Float32Array, never: number): number {
  let best = never === 0 ? 1 : 0;
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    total += logits[i];
    if (i !== never && logits[i] > logits[best]) best = i;
  }
  if (!Number.isFinite(total)) throw invalid('logits', total, 'finite numbers');
  return best;
}

function sum(weights: Float64Array): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  return total;
}

/** Sets all but the largest weights to 0; keeps at most topK, and of those the fewest that add up to the share topP. */
function keepLargest(weights: Float64Array, topK: number, topP: number): void {
  let ranked: Iterable<number> = largestFirst(weights);
  let total: number;
  if (topK < weights.length) {
    const kept: number[] = [];
    total = 0;
    for (const i of ranked) {
      kept.push(i);
      total += weights[i];
      if (kept.length === topK) break;
    }
    ranked = kept;
  } else {
    total = sum(weights);
  }
  let last = 0;
  let reached = 0;
  for (const i of ranked) {
    last = i;
    reached += weights[i];
    if (reached >= topP * total) break;
  }
  const least = weights[last];
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] < least || (weights[i] === least && i > last)) weights[i] = 0;
  }
}

/** The index at which the running sum of the weights exceeds u; undefined where rounding keeps it below. */
function indexAt(weights: Float64Array, u: number): number | undefined {
  for (let i = 0; i < weights.length; i++) {
    u -= weights[i];
    if (u < 0) return i;
  }
  return undefined;
}
