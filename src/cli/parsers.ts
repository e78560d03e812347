import { InputError, invalid } from '../errors.js';

/** Parses the text of an option. Throws an InputError that names the option. */
export type Parser<T> = (text: string, name: string) => T;

const NUMBER = /^-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** A finite decimal number, with or without an exponent. */
export const number: Parser<number> = (text, name) => {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw invalid(name, text, 'a decimal number, such as 25, 0.5 or 1e-3');
  return value;
};

/** A number that fits; `expected` says which do. */
export const numberThat =
  (fits: (value: number) => boolean, expected: string): Parser<number> =>
  (text, name) => {
    const value = number(text, name);
    if (!fits(value)) throw invalid(name, text, expected);
    return value;
  };

export const numberFrom = (least: number): Parser<number> =>
  numberThat((value) => value >= least, `a number >= ${least}`);

/** A whole number in decimal digits. */
export const whole =
  (least: number): Parser<number> =>
  (text, name) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < least) throw invalid(name, text, `a whole number >= ${least}`);
    return value;
  };

export const oneOf =
  (values: readonly string[]): Parser<string> =>
  (text, name) => {
    if (values.includes(text)) return text;
    throw invalid(name, text, values.length === 2 ? values.join(' or ') : `one of ${values.join(', ')}`);
  };

/** A path. An empty one comes from an unset shell variable. */
export const path: Parser<string> = (text, name) => {
  if (text === '') throw invalid(name, text, 'a path');
  return text;
};

/** Several numbers separated by commas, such as 0.1,0.6; `what` names each of them. */
export function numbers(text: string, name: string, what: readonly string[]): number[] {
  const parts = text.split(/, */);
  try {
    if (parts.length === what.length) return parts.map((part) => number(part, name));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  throw invalid(name, text, `${what.join(' and ')} as decimal numbers with a comma between them, such as 0.1,0.6`);
}

/** The flag of an option from its camel-case name. */
export const flagOf = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Names of the library's settings that options abbreviate. */
const ABBREVIATED: Record<string, string> = { annealing: 'anneal' };

/**
 * Puts the flag of an option where a message starts with the library's name of it: `final sparsity: got 2` is about
 * --final-sparsity.
 */
export function withFlag(message: string, flags: readonly string[]): string {
  const end = message.indexOf(': got ');
  if (end < 0) return message;
  const words = message
    .slice(0, end)
    .split(' ')
    .map((word) => (Object.hasOwn(ABBREVIATED, word) ? ABBREVIATED[word] : word));
  for (let n = words.length; n > 0; n--) {
    const flag = flagOf(words.slice(0, n).join('-'));
    if (flags.includes(flag)) return [flag, ...words.slice(n)].join(' ') + message.slice(end);
  }
  return message;
}
