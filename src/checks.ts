import { invalid } from './errors.js';

/** Throws InputError unless the value is a whole number from `least` to `most`. */
export function checkWhole(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `>= ${least}` : `from ${least} to ${most}`;
  throw invalid(name, value, `a whole number ${range}`);
}

/** Throws InputError unless the value is a finite number and in its range. */
export function checkNumber(name: string, value: number, isInRange: boolean, expected: string): void {
  if (!Number.isFinite(value) || !isInRange) throw invalid(name, value, expected);
}
