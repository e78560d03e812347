// dopant/infer: runs trained models. It contains no training code and needs nothing of Node.

// First, so that the kernels come first in a bundle: gzip, which looks back 32 kB, then sees all of the code at once.
export { type InitOptions, init, initSync, kernelBytes } from './engine.js';

import { type ByteSource, toBytes } from '../io/bytes.js';
import { init, initSync } from './engine.js';
import { IntentPlan } from './intent.js';
import { Plan } from './plan.js';
import { type ModelSource, naming, readSource } from './source.js';

export { FileFormatError, InputError } from '../errors.js';
export type { ByteSource } from '../io/bytes.js';
export { Vocabulary } from '../text/vocabulary.js';
export { hasRelaxedSimd, type SimdChoice } from '../wasm/simd.js';
export type { Classification, ClassifyOptions, IntentPlan } from './intent.js';
export type { Plan } from './plan.js';
export type { GeneratedToken, GenerateOptions, Session, Suggestion } from './session.js';
export type { ModelSource } from './source.js';

/**
 * Loads a language model.
 *
 * @throws InputError for a source that cannot be read, FileFormatError for one that is not a language model; both name it
 * @example
 * const plan = await load('/models/cats.safetensors'); // or a file's bytes, a URL, a File, fetch(url)
 */
export function load(source: ModelSource | PromiseLike<ModelSource>): Promise<Plan> {
  return loadPlan(source, Plan);
}

/** Loads a language model from its bytes, synchronously. Throws FileFormatError for other bytes. */
export function loadSync(bytes: ByteSource): Plan {
  initSync();
  return new Plan(toBytes(bytes));
}

/**
 * Loads an intent model.
 *
 * @throws InputError for a source that cannot be read, FileFormatError for one that is not an intent model; both name it
 */
export function loadIntent(source: ModelSource | PromiseLike<ModelSource>): Promise<IntentPlan> {
  return loadPlan(source, IntentPlan);
}

/** Loads an intent model from its bytes, synchronously. Throws FileFormatError for other bytes. */
export function loadIntentSync(bytes: ByteSource): IntentPlan {
  initSync();
  return new IntentPlan(toBytes(bytes));
}

async function loadPlan<P>(
  source: ModelSource | PromiseLike<ModelSource>,
  PlanOf: new (bytes: Uint8Array) => P,
): Promise<P> {
  const [{ name, bytes }] = await Promise.all([readSource(source), init()]);
  return naming(name, () => new PlanOf(bytes));
}
