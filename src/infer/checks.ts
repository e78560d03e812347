import { InputError, invalid } from '../errors.js';

/**
 * Throws InputError where `values` does not have n numbers, or one of those in [start, end) is not a number or larger in
 * magnitude than the limit.
 */
export function checkNumbers(
  name: string,
  values: ArrayLike<number>,
  n: number,
  limit: number,
  start = 0,
  end = n,
): void {
  const length = (values as ArrayLike<number> | null | undefined)?.length;
  if (length === undefined) throw invalid(name, values, `${n} numbers`);
  if (length !== n) throw new InputError(`${name}: got ${length} numbers; expected ${n}`);
  for (let i = start; i < end; i++) {
    const value: unknown = values[i];
    if (typeof value === 'number' && Math.abs(value) <= limit) continue;
    const expected = Number.isFinite(value)
      ? `a number from ${-limit} to ${limit}, for finite sums`
      : 'a finite number';
    throw invalid(`${name}[${i}]`, value, expected);
  }
}

/** Frames of F numbers, each a list of its own or all one after another. */
export type Frames = ArrayLike<number> | ArrayLike<ArrayLike<number>>;

/** Frames one after another. Throws InputError for a frame of another size, or with a number larger than the limit. */
export function flatFrames(name: string, frames: Frames, F: number, limit: number): ArrayLike<number> {
  if (typeof frames?.[0] !== 'object') return frames as ArrayLike<number>;
  return Array.from(frames as ArrayLike<ArrayLike<number>>).flatMap((frame, t) => {
    checkNumbers(`${name}[${t}]`, frame, F, limit);
    return Array.from(frame);
  });
}

/** Throws InputError for anything but an integer >= `least`. */
export function checkInteger(name: string, n: number, least: number): void {
  if (!(Number.isInteger(n) && n >= least)) throw invalid(name, n, `an integer >= ${least}`);
}
