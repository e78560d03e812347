import { invalid, malformed } from '../errors.js';
import { isObject } from '../values.js';
import { JOINER, piecesOf } from './subwords.js';
import {
  checkText,
  EOS,
  isRule,
  isUnspaced,
  type Level,
  levelOf,
  RULES,
  type Rule,
  readTokens,
  UNK,
} from './tokens.js';

/** How many words a vocabulary remembers the pieces of, and how long they are. */
const [MOST_KNOWN, LONGEST_KNOWN] = [20_000, 50];

/** What a model file stores of a vocabulary. */
export interface VocabularyJson {
  rule: Rule;
  start: number;
  /** Without `<unk>`, as one text: words with a space between, or characters; or a list of all. */
  tokens: string | string[];
  /** Whether words become pieces, see subwords.ts, which are listed as they were learnt. */
  subwords?: true;
}

/**
 * The tokens of a model and the rule by which it reads text. The id of a token is its index in `tokens`; id 0 is `<unk>`,
 * which stands for every token that is not in the list.
 */
export class Vocabulary {
  /** How text becomes tokens, whatever file it comes from. */
  readonly rule: Rule;
  readonly tokens: readonly string[];
  readonly unknown = 0;
  /** The id of `<eos>`, the end of a sentence; -1 at character level, which has none. */
  readonly eos: number;
  /** The id that generation reads first: one that marks the beginning of a text and that training has seen. */
  readonly start: number;
  /** Whether tokens are pieces of words. */
  readonly subwords: boolean;
  readonly #ids: ReadonlyMap<string, number>;
  /** The ids of the pieces of words that were read before. */
  readonly #known = new Map<string, readonly number[]>();

  private constructor(rule: Rule, start: number, ids: ReadonlyMap<string, number>, subwords: boolean) {
    this.subwords = subwords;
    this.rule = rule;
    this.start = start;
    this.tokens = [...ids.keys()];
    this.#ids = ids;
    this.eos = ids.get(EOS) ?? -1;
  }

  get level(): Level {
    return levelOf(this.rule);
  }

  get size(): number {
    return this.tokens.length;
  }

  /** The id of a token; 0, that of `<unk>`, for one that is not in the list. */
  idOf(token: string): number {
    return this.#ids.get(token) ?? this.unknown;
  }

  /** The ids of a text's tokens, by the rule of this vocabulary. Throws InputError for anything but a string. */
  encode(text: string): Int32Array {
    checkText('text', text);
    let ids = new Int32Array((text.length >> 2) + 16); // enough for most words; grows for characters
    let length = 0;
    const push = (id: number) => {
      if (length === ids.length) {
        const larger = new Int32Array(2 * length);
        larger.set(ids);
        ids = larger;
      }
      ids[length++] = id;
    };
    readTokens(text, this.rule, (token) => {
      if (this.subwords) for (const id of this.#piecesOf(token)) push(id);
      else push(this.idOf(token));
    });
    return ids.slice(0, length);
  }

  /** The ids of a word's pieces; what it has of unknown characters one after another is one `<unk>`. */
  #piecesOf(word: string): readonly number[] {
    const id = this.#ids.get(word);
    if (id !== undefined) return [id];
    const known = this.#known.get(word);
    if (known) return known;
    const pieces = piecesOf(word, (piece) => this.#ids.get(piece)).map((piece) => this.idOf(piece));
    const ids = pieces.filter((id, i) => id !== this.unknown || pieces[i - 1] !== id);
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    if (word.length <= LONGEST_KNOWN) this.#known.set(word, ids);
    return ids;
  }

  /**
   * The same for a text that stands by itself: at word level, it ends with `<eos>` whether or not its writer ended it. At
   * character level, where nothing marks an end, it is encode().
   */
  encodeSentence(text: string): Int32Array {
    const ids = this.encode(text);
    if (this.eos < 0 || ids.at(-1) === this.eos) return ids;
    const ended = new Int32Array(ids.length + 1);
    ended.set(ids);
    ended[ids.length] = this.eos;
    return ended;
  }

  /**
   * Readable text: each sentence on a line of its own, and spaces between words where their script has them. An unknown
   * character becomes U+FFFD.
   *
   * @throws InputError for an id out of range
   */
  decode(ids: ArrayLike<number>): string {
    this.check(ids, 'ids');
    const parts: string[] = [];
    let last: string | undefined; // the word before, if it is on the same line
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      const token = this.tokens[id];
      if (this.level === 'char') {
        parts.push(id === this.unknown ? '\ufffd' : token);
      } else if (id === this.eos) {
        parts.push('\n');
        last = undefined;
      } else {
        const text = this.subwords && token.endsWith(JOINER) ? token.slice(0, -1) : token;
        parts.push(last === undefined || this.#joins(last, token) ? text : ` ${text}`);
        last = token;
      }
    }
    return parts.join('');
  }

  #joins(a: string, b: string): boolean {
    if (this.subwords && a.endsWith(JOINER)) return true;
    return this.rule !== 'tokens' && isUnspaced(a) && isUnspaced(b);
  }

  /** @throws InputError for what is no list of ids, or has one out of range: kernels look it up unchecked */
  check(ids: ArrayLike<number>, name: string): void {
    const length: unknown = (ids as ArrayLike<number> | null | undefined)?.length;
    if (typeof length !== 'number') throw invalid(name, ids, 'a list of integers');
    for (let i = 0; i < length; i++) {
      if (typeof ids[i] !== 'number' || this.tokens[ids[i]] === undefined) {
        throw invalid(`${name}[${i}]`, ids[i], `an integer from 0 to ${this.size - 1}`);
      }
    }
  }

  toJSON(): VocabularyJson {
    const text = this.tokens.slice(1).join(this.level === 'word' ? ' ' : '');
    // Halves of a pair, each a character by itself, would become one.
    const isWhole = tokensIn(text, this.level).length === this.size;
    const tokens = isWhole ? text : [...this.tokens];
    return { rule: this.rule, start: this.start, tokens, ...(this.subwords && { subwords: true }) };
  }

  /** @throws FileFormatError for anything that toJSON cannot have written */
  static fromJSON(value: unknown): Vocabulary {
    if (!isObject(value)) throw malformed('vocabulary', value, 'an object with rule, start and tokens');
    const { rule, start, subwords } = value;
    if (!isRule(rule)) throw malformed('vocabulary.rule', rule, `one of ${RULES.join(', ')}`);
    const level = levelOf(rule);
    const tokens = typeof value.tokens === 'string' ? tokensIn(value.tokens, level) : value.tokens;
    if (!Array.isArray(tokens) || tokens.length < 2) {
      throw malformed('vocabulary.tokens', tokens, 'a text, or a list of at least two strings');
    }
    const ids = new Map<string, number>();
    for (let id = 0; id < tokens.length; id++) {
      const token: unknown = tokens[id];
      if (typeof token !== 'string' || ids.has(token) || !(id === 0 ? token === UNK : isToken(token, level))) {
        throw malformed(`vocabulary.tokens[${id}]`, token, id === 0 ? UNK : `a ${level} that is not in the list yet`);
      }
      ids.set(token, id);
    }
    if (level === 'word' && !ids.has(EOS)) throw malformed('vocabulary.tokens', tokens, `${EOS} among them`);
    if (typeof start !== 'number' || tokens[start] === undefined) {
      throw malformed('vocabulary.start', start, `an integer from 0 to ${tokens.length - 1}`);
    }
    if (subwords !== undefined && (subwords !== true || level === 'char')) {
      throw malformed('vocabulary.subwords', subwords, 'true, for words, or nothing');
    }
    return new Vocabulary(rule, start, ids, subwords === true);
  }
}

/** `<unk>` and the tokens of a text: words with a space between, or characters. */
const tokensIn = (text: string, level: Level) => [UNK, ...(level === 'word' ? text.split(' ') : text)];

function isToken(token: string, level: Level): boolean {
  // A code point takes at most two places.
  return level === 'word' ? token !== '' && !/\s/.test(token) : [...token.slice(0, 3)].length === 1;
}
