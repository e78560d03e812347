import { invalid } from './errors.js';

/** Throws InputError unless the value is a whole number from `least` to `most`. */
export function checkWhole(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `>= ${least}` : `from ${least} to ${most}`;
  throw invalid(name, value, `a whole number ${range}`);
}
