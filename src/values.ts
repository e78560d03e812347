/** Whether a value has fields of its own: an object that is neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as an error message prints it: at most about 80 characters, however long or deep the value is. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (isObject(value)) return 'an object';
  const text = Array.isArray(value) ? showList(value) : typeof value === 'string' ? JSON.stringify(value) : `${value}`;
  return text.length <= 80 ? text : `${text.slice(0, 80)}...`;
}

function showList(values: unknown[]): string {
  const shown = values.slice(0, 8).map((value) => (Array.isArray(value) ? 'a list' : show(value)));
  return `[${shown.join(', ')}${values.length > 8 ? ', ...' : ''}]`;
}
