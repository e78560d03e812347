/** Whether a value has fields of its own: an object that is neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as an error message prints it: at most about 80 characters, however long or deep the value is. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (isObject(value)) return 'an object';
  const text = Array.isArray(value) ? showList(value) : typeof value === 'string' ? JSON.stringify(value) : name(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}...`;
}

/** A symbol cannot be put into a string by itself, and a bigint would look like a number. */
const name = (value: unknown) => `${String(value)}${typeof value === 'bigint' ? 'n' : ''}`;

function showList(values: unknown[]): string {
  // Not map(), which skips holes.
  const shown = Array.from(values.slice(0, 8), (value) => (Array.isArray(value) ? 'a list' : show(value)));
  return `[${shown.join(', ')}${values.length > 8 ? ', ...' : ''}]`;
}
