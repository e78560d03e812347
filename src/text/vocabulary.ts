import { FileFormatError, InputError } from '../errors.js';
import { isObject, show } from '../values.js';
import { EOS, type Level, readTokens, UNK } from './tokens.js';

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

function isLevel(value: unknown): value is Level {
  return value === 'word' || value === 'char';
}

function isToken(token: string, level: Level): boolean {
  return level === 'word' ? /^\S+$/.test(token) : [...token].length === 1;
}
