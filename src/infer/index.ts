// dopant/infer: runs trained models. Nothing of training is in here, and nothing of Node.
import { InputError } from '../errors.js';
import { init, initSync } from './engine.js';
import { IntentPlan } from './intent.js';
import { Plan } from './plan.js';

export { FileFormatError, InputError } from '../errors.js';
export { Vocabulary } from '../text/vocabulary.js';
export { hasRelaxedSimd, type SimdChoice } from '../wasm/simd.js';
export { type InitOptions, init, initSync, kernelBytes } from './engine.js';
export type { Classification, IntentPlan } from './intent.js';
export type { Plan } from './plan.js';
export type { Session } from './session.js';

/** A language model from its bytes, from a URL, or, in Node, from a path. */
export async function load(source: Uint8Array | ArrayBuffer | URL | string): Promise<Plan> {
  const [bytes] = await Promise.all([read(source), init()]);
  return new Plan(bytes);
}

/** The same from bytes, at once. */
export function loadSync(bytes: Uint8Array | ArrayBuffer): Plan {
  initSync();
  return new Plan(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
}

/** An intent model from its bytes, from a URL, or, in Node, from a path. */
export async function loadIntent(source: Uint8Array | ArrayBuffer | URL | string): Promise<IntentPlan> {
  const [bytes] = await Promise.all([read(source), init()]);
  return new IntentPlan(bytes);
}

/** The same from bytes, at once. */
export function loadIntentSync(bytes: Uint8Array | ArrayBuffer): IntentPlan {
  initSync();
  return new IntentPlan(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
}

interface FileReader {
  readFile(path: string | URL, done: (error: Error | null, bytes: Uint8Array) => void): void;
}

async function read(source: Uint8Array | ArrayBuffer | URL | string): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  // Asked for by name at run time, so that no bundler looks for it.
  const host = (globalThis as { process?: { getBuiltinModule?(name: string): FileReader | undefined } }).process;
  const files = host?.getBuiltinModule?.('node:fs');
  const isFile = source instanceof URL ? source.protocol === 'file:' : !/^[a-z][a-z0-9+.-]*:/i.test(source);
  if (files && isFile) {
    return new Promise((resolve, reject) =>
      files.readFile(source, (error, bytes) => (error ? reject(error) : resolve(bytes))),
    );
  }
  const response = await fetch(source);
  if (!response.ok) throw new InputError(`model: ${source} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
