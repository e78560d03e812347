/**
 * What was given is wrong: an argument, an option, a corpus. The message names it, says what was given and what would
 * do.
 */
export class InputError extends Error {
  override name = 'InputError';
}

/** A file that is not what it claims to be: truncated, inconsistent, out of range. */
export class FileFormatError extends Error {
  override name = 'FileFormatError';
}

/** Training cannot go on, for instance because the loss is no longer a number. */
export class TrainingError extends Error {
  override name = 'TrainingError';
}
