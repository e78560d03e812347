/** Text to token ids and back, for language models of words or of characters. */

import { FileFormatError, InputError } from '../errors.js';
import { isObject, show } from '../io/safetensors.js';

export type Level = 'word' | 'char';

export const UNK = '<unk>';
export const EOS = '<eos>';
const NUMBER = 'N';

// Written by markSentences, looked for by readTokens; the newline makes it unlikely in any other text.
const SENTENCE_MARK = `${EOS}\n`;

/**
 * The tokens of a model: the id of a token is its place in `tokens`, and id 0 is `<unk>`, any token that is not there.
 */
export class Vocabulary {
  readonly level: Level;
  readonly tokens: readonly string[];
  readonly unknown = 0;
  /** The id of `<eos>`, the end of a sentence; -1 at character level, which has none. */
  readonly eos: number;
  readonly #ids: ReadonlyMap<string, number>;

  private constructor(level: Level, tokens: readonly string[]) {
    this.level = level;
    this.tokens = tokens;
    this.#ids = new Map(tokens.map((token, id) => [token, id]));
    this.eos = this.#ids.get(EOS) ?? -1;
  }

  get size(): number {
    return this.tokens.length;
  }

  encode(text: string): Int32Array {
    const ids = new Int32Array(text.length); // a token takes at least one character
    let length = 0;
    readTokens(text, this.level, (token) => {
      ids[length++] = this.#ids.get(token) ?? this.unknown;
    });
    return ids.slice(0, length);
  }

  /** A text that stands by itself, for a vocabulary of words: it ends with `<eos>` whether or not its writer ended it. */
  encodeSentence(text: string): Int32Array {
    const ids = this.encode(text);
    return ids.at(-1) === this.eos ? ids : Int32Array.of(...ids, this.eos);
  }

  /**
   * Text to be read: words with spaces between, each sentence on a line of its own; an unknown character is shown as
   * U+FFFD.
   *
   * @throws InputError for an id out of range
   */
  decode(ids: ArrayLike<number>): string {
    const parts: string[] = [];
    let atLineStart = true;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      const token = this.tokens[id];
      if (token === undefined) {
        throw new InputError(`ids[${i}]: ${id} given; an integer from 0 to ${this.size - 1} is needed`);
      }
      if (this.level === 'char') {
        parts.push(id === this.unknown ? '\ufffd' : token);
      } else if (id === this.eos) {
        parts.push('\n');
        atLineStart = true;
      } else {
        parts.push(atLineStart ? token : ` ${token}`);
        atLineStart = false;
      }
    }
    return parts.join('');
  }

  /** @throws InputError for an id that is no token's: kernels, which look it up, check nothing */
  check(ids: ArrayLike<number>, what: string): void {
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (!(Number.isInteger(id) && id >= 0 && id < this.size)) {
        throw new InputError(`${what}[${i}]: ${id} given; an integer from 0 to ${this.size - 1} is needed`);
      }
    }
  }

  toJSON(): { level: Level; tokens: string[] } {
    return { level: this.level, tokens: [...this.tokens] };
  }

  /** @throws FileFormatError for anything that toJSON cannot have written */
  static fromJSON(value: unknown): Vocabulary {
    if (!isObject(value)) {
      throw new FileFormatError(`vocabulary: ${show(value)} found; an object with level and tokens is needed`);
    }
    const { level, tokens } = value;
    if (!isLevel(level)) {
      throw new FileFormatError(`vocabulary: level ${show(level)} found; 'word' or 'char' is needed`);
    }
    if (!Array.isArray(tokens) || tokens.length < 2) {
      throw new FileFormatError('vocabulary: tokens must be an array of at least two strings');
    }
    if (tokens[0] !== UNK) {
      throw new FileFormatError(`vocabulary: tokens[0] is ${show(tokens[0])}; ${UNK} is needed`);
    }
    const seen = new Set<string>();
    for (let id = 0; id < tokens.length; id++) {
      const token: unknown = tokens[id];
      if (typeof token !== 'string' || (id > 0 && !isToken(token, level))) {
        throw new FileFormatError(`vocabulary: tokens[${id}] is ${show(token)}; one ${level} is needed`);
      }
      if (seen.has(token)) {
        throw new FileFormatError(`vocabulary: tokens[${id}] is ${show(token)}, as is an earlier one`);
      }
      seen.add(token);
    }
    if (level === 'word' && !seen.has(EOS)) {
      throw new FileFormatError(`vocabulary: no ${EOS} among the tokens; a vocabulary of words needs it`);
    }
    return new Vocabulary(level, [...seen]);
  }
}

/**
 * Marks the end of every line as the end of a sentence, for text that is already in tokens, one sentence a line, as the
 * Penn Treebank files are. Word level then takes what lies between spaces as it stands; character level sees plain
 * newlines.
 */
export function markSentences(text: string): string {
  return `${text.trim().replace(/\s*\n\s*/g, ` ${SENTENCE_MARK}`)} ${SENTENCE_MARK}`;
}

/**
 * The last two twentieths are kept for validation and for test. A cut moves on past the next whitespace, so that no
 * word is cut; the three parts make up the text again, and the last ones are empty if there is no whitespace to cut at.
 */
export function splitText(text: string): { train: string; valid: string; test: string } {
  const valid = cutAfterSpace(text, Math.floor((text.length * 18) / 20));
  const test = Math.max(valid, cutAfterSpace(text, Math.floor((text.length * 19) / 20)));
  return { train: text.slice(0, valid), valid: text.slice(valid, test), test: text.slice(test) };
}

function cutAfterSpace(text: string, from: number): number {
  const space = /\s+/g;
  space.lastIndex = from;
  return space.test(text) ? space.lastIndex : text.length;
}

type Emit = (token: string) => void;

export function readTokens(text: string, level: Level, emit: Emit): void {
  if (level === 'char') readChars(text, emit);
  else if (text.includes(SENTENCE_MARK)) readMarked(text, emit);
  else readProse(text, emit);
}

function readChars(text: string, emit: Emit): void {
  for (const char of text.replaceAll('\r\n', '\n').replaceAll(SENTENCE_MARK, '\n')) emit(char);
}

function readMarked(text: string, emit: Emit): void {
  for (const [token] of text.matchAll(/\S+/g)) emit(token);
}

// What prose is made of, once in lower case and with plain apostrophes and hyphens. Abbreviations keep their dots, as
// they do in the Penn Treebank, and end no sentence: titles, a few words before a number, initials ("u.s.", "f.
// kennedy"). A lone "i." is none of these: the pronoun ends more sentences than the initial begins names. Punctuation
// that matches nothing is dropped.
const TITLE = String.raw`(?:mr|mrs|ms|messrs|dr|prof|hon|rev|st|gen|col|capt|lt|maj|gov|sen|rep)\.`;
const BEFORE_NUMBER = String.raw`(?:no|nos|vol|jan|feb|aug|sept|oct|nov|dec)\.(?=\s\p{N})`;
const INITIALS = String.raw`(?:\p{L}\.){2,}|(?!i)\p{L}\.(?=\s)`;
const WORD = String.raw`\p{L}[\p{L}\p{M}]*(?:['-]\p{L}[\p{L}\p{M}]*)*`;
const DIGITS = String.raw`\p{N}+(?:[.,:\/]\p{N}+)*(?:(?:st|[nr]?d|th|'?s)(?![\p{L}\p{M}]))?`; // 1,000.50  9:30  21st  1930's
const SENTENCE_END = String.raw`[.!?]+(?=["'\u201d\u00bb)\]]*(?:\s|$))`; // a sentence may end within quotes
const PROSE = `<unk>|<eos>|${TITLE}|${BEFORE_NUMBER}|${INITIALS}|${WORD}|(${DIGITS})|(${SENTENCE_END})`;
let prose: RegExp | undefined; // compiled when first asked for: it takes a millisecond, which loading need not spend

function readProse(text: string, emit: Emit): void {
  const plain = text
    .replace(/(?<!\S)N(?!\S)/g, '0') // a number already written as N must not become the letter
    .toLowerCase()
    .replace(/[\u2019\u02bc]/g, "'")
    .replaceAll('\u2011', '-');
  prose ??= new RegExp(PROSE, 'gu');
  let last = '';
  for (const [match, digits, end] of plain.matchAll(prose)) {
    const token = digits ? NUMBER : end ? EOS : match;
    if (token !== EOS || last !== EOS) emit(token); // ". . ." is one end
    last = token;
  }
}

function isLevel(value: unknown): value is Level {
  return value === 'word' || value === 'char';
}

function isToken(token: string, level: Level): boolean {
  return level === 'word' ? /^\S+$/.test(token) : [...token].length === 1;
}

/**
 * Texts with about `maxTokens` tokens in all: whole ones at regular distances, so that a corpus in order of time, or of
 * subject, is sampled over all of it. The first is always there; it, or the last, may hold more than is wanted.
 */
export function sampleTexts(texts: readonly string[], level: Level, maxTokens: number): string[] {
  const lengths = texts.map((text) => {
    let length = 0;
    readTokens(text, level, () => length++);
    return length;
  });
  const share = maxTokens / lengths.reduce((sum, length) => sum + length, 0);
  let seen = 0;
  let kept = 0;
  return texts.filter((_, i) => {
    const keep = kept <= share * seen;
    seen += lengths[i];
    if (keep) kept += lengths[i];
    return keep;
  });
}
