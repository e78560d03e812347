// Text files and folders that --data names.

import { constants } from 'node:buffer';
import { stat } from 'node:fs/promises';
import { InputError } from '../errors.js';
import { readFileBytes } from '../io/files.js';

/** Whether a path is a folder. Throws InputError if it does not exist: `expected` says what should. */
export async function isFolder(path: string, expected: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw unreadable(path, error);
    throw new InputError(`--data: got '${path}', which does not exist; expected ${expected}`, { cause: error });
  }
}

/** The text of a UTF-8 file, without a byte order mark. Throws InputError, naming the option, when there is none. */
export async function readText(path: string, option = '--data'): Promise<string> {
  const text = await decodeText(path, option);
  if (isBlank(text)) throw new InputError(`${option}: got ${path}, which is empty; expected text`);
  return text;
}

export const isBlank = (text: string) => text.trim() === '';

/** The text of a UTF-8 file, as it is. Throws InputError when there is none. */
export async function decodeText(path: string, option = '--data'): Promise<string> {
  const bytes = await readFileBytes(path).catch((error: Error) => {
    throw new InputError(`${option}: ${error.message}`, { cause: error });
  });
  if (bytes.length > constants.MAX_STRING_LENGTH) {
    throw new InputError(
      `${option}: got ${bytes.length} bytes in ${path}; expected at most ${constants.MAX_STRING_LENGTH}`,
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new InputError(`${option}: got ${path}, which is not UTF-8; expected UTF-8 text`, { cause: error });
  }
}

/** The error for what cannot be read. */
export function unreadable(path: string, error: unknown): InputError {
  const reason = error instanceof Error ? error.message : String(error);
  return new InputError(`--data: cannot read ${path}: ${reason}`, { cause: error });
}

/** The code of a system error, such as ENOENT. */
export function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code);
}
