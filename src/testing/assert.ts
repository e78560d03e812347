// Assertions that need no test runner: whatever runs the battery reports what they throw.

/** Throws an Error with this message unless the condition holds. */
export function ok(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Throws an Error unless two numbers, texts, or lists and objects of them are the same. */
export function equal(got: unknown, expected: unknown, what: string): void {
  if (Object.is(got, expected)) return;
  const [left, right] = [JSON.stringify(got), JSON.stringify(expected)];
  ok(typeof got === 'object' && left === right, `${what}: got ${left}; expected ${right}`);
}
