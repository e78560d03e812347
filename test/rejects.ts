import * as assert from 'uvu/assert';
import { InputError } from '../src/errors.js';
import type { Runtime } from '../src/wasm/runtime.js';

/**
 * Checks that a call throws an InputError that names the argument, and that it changes nothing in memory, the constants
 * of the kernels at its beginning included.
 */
export function assertRejects(runtime: Runtime, name: string, call: () => unknown): void {
  const { used } = runtime.usage();
  const memory = () => runtime.bytes(0, used).slice();
  const before = memory();
  let error: unknown;
  try {
    call();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof InputError, `${call}: ${error ?? 'no error'}; expected an InputError for ${name}`);
  assert.ok(error.message.startsWith(`${name}: got `), `${call}: ${error.message}; expected it to begin with ${name}`);
  assert.match(error.message, '; expected ');
  assert.is(runtime.usage().used, used, `${call} kept memory`);
  assert.is(Buffer.compare(memory(), before), 0, `${call} wrote to memory`);
}
