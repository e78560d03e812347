import type { invalid } from '../errors.js';

/** Returns the names of a model's intents; throws `wrong`, for an argument or for a file, for anything else. */
export function checkLabels(name: string, value: unknown, wrong: typeof invalid): string[] {
  if (!Array.isArray(value) || value.length < 2) throw wrong(name, value, 'at least two names');
  const seen = new Set<string>();
  for (const [i, label] of value.entries()) {
    if (typeof label !== 'string' || label === '' || seen.size === seen.add(label).size) {
      throw wrong(`${name}[${i}]`, label, 'a name that no other has');
    }
  }
  return value;
}
