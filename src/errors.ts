import { show } from './values.js';

/** An argument, an option or a data set cannot be used. The message names it, the value given, and what would work. */
export class InputError extends Error {
  override name = 'InputError';
}

/** A file is damaged or of another kind: truncated, inconsistent, out of range. */
export class FileFormatError extends Error {
  override name = 'FileFormatError';
}

/** Training cannot continue, for instance because the loss is not finite. */
export class TrainingError extends Error {
  override name = 'TrainingError';
}

/**
 * The error for an unusable argument, in the grammar that all messages share: `name: got VALUE; expected WHAT`.
 *
 * @example throw invalid('lr', -1, 'a positive number') // lr: got -1; expected a positive number
 */
export function invalid(name: string, value: unknown, expected: string): InputError {
  return new InputError(mismatch(name, value, expected));
}

/** The same for a value read from a file. */
export function malformed(name: string, value: unknown, expected: string): FileFormatError {
  return new FileFormatError(mismatch(name, value, expected));
}

const mismatch = (name: string, value: unknown, expected: string) =>
  `${name}: got ${show(value)}; expected ${expected}`;
