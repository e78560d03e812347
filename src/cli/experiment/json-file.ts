import { readFileBytes } from '../../io/files.js';

/**
 * Reads a JSON file. Throws InputError if it cannot be read, and SyntaxError if it is not JSON, or has a name twice in one
 * object: JSON.parse would silently take the last.
 */
export async function readJson(path: string): Promise<unknown> {
  const text = decode(await readFileBytes(path));
  const value: unknown = JSON.parse(text);
  const twice = firstDuplicate(text);
  if (twice !== undefined) throw new SyntaxError(`${twice} occurs twice in one object`);
  return value;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new SyntaxError('it is not UTF-8 text');
  }
}

/** The first name that occurs twice in an object of this JSON, in quotes. */
function firstDuplicate(text: string): string | undefined {
  const around: (Set<string> | undefined)[] = []; // the names so far in each enclosing object; undefined for a list
  let start = -1; // of the current string; -1 outside of strings
  let string = '';
  for (const { 0: mark, index } of text.matchAll(/\\.|["{}[\]:]/gs)) {
    if (start >= 0) {
      if (mark !== '"') continue;
      string = text.slice(start, index + 1);
      start = -1;
    } else if (mark === '"') start = index;
    else if (mark === '{') around.push(new Set());
    else if (mark === '[') around.push(undefined);
    else if (mark !== ':') around.pop();
    else {
      const name = JSON.parse(string) as string;
      if (around.at(-1)?.has(name)) return string;
      around.at(-1)?.add(name);
    }
  }
  return undefined;
}
