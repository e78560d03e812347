import { invalid } from '../errors.js';

/** Tokens are words or characters. */
export type Level = 'word' | 'char';

/**
 * How a text becomes tokens. A vocabulary stores its rule and reads every text by it.
 *
 * - `prose`: words, numbers and sentence ends, found in running text. Punctuation and symbols are dropped. Words are in
 *   lower case; every number is `N`. In scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each
 *   character is a word.
 * - `lines`: the same, and a line break ends a sentence.
 * - `tokens`: text that is already in tokens, as the Penn Treebank files are. Whatever stands between spaces is a token,
 *   and a line break ends a sentence.
 * - `typed`: words, numbers and punctuation, each a token, of text as people type it or already in tokens, in lower case. In
 *   scripts without spaces each character is a word.
 * - `char`: code points.
 */
export type Rule = 'prose' | 'lines' | 'tokens' | 'typed' | 'char';

export const RULES: readonly Rule[] = ['prose', 'lines', 'tokens', 'typed', 'char'];

export const isRule = (value: unknown): value is Rule => RULES.includes(value as Rule);

export const levelOf = (rule: Rule): Level => (rule === 'char' ? 'char' : 'word');

/** The rule that `how` names; 'word' stands for `prose`. Throws InputError for what names none. */
export function ruleOf(how: Level | Rule): Rule {
  if (how === 'word') return 'prose';
  if (!isRule(how)) throw invalid('how', how, "'word' or a rule: prose, lines, tokens, typed or char");
  return how;
}

/** Throws InputError for anything but a string. */
export function checkText(name: string, text: string): void {
  if (typeof text !== 'string') throw invalid(name, text, 'a string');
}

/** Throws InputError for anything but an array: a string would be read as a list of its characters. */
export function checkTexts(texts: readonly string[]): void {
  if (!Array.isArray(texts)) throw invalid('texts', texts, 'an array of strings');
}

export const UNK = '<unk>';
export const EOS = '<eos>';
const NUMBER = 'N';

/**
 * Calls `emit` with each token of a text, in time proportional to its length. Every rule reads the text in NFC, without
 * soft hyphens and byte order marks. `<eos>` ends a sentence; an empty sentence has none.
 *
 * @throws InputError for a text that is not a string
 */
export function readTokens(text: string, rule: Rule, emit: (token: string) => void): void {
  checkText('text', text);
  const normal = normalise(text);
  if (rule === 'char') {
    for (const char of normal.replaceAll('\r\n', '\n')) emit(char);
    return;
  }
  if (rule === 'typed') {
    for (const [token] of matchTyped(normal)) emit(token);
    return;
  }
  const marked = rule === 'prose' ? normal : normal.replace(/[\n\v\f\r\u2028\u2029]+/g, ` ${EOS} `);
  let last = EOS;
  for (const [match, number, end] of rule === 'tokens' ? marked.matchAll(/\S+/g) : matchProse(marked)) {
    const token = number ? NUMBER : end ? EOS : match;
    if (token !== EOS || last !== EOS) emit(token); // ". . ." is one end
    last = token;
  }
}

/** Text without such characters is in NFC, and skips half of the work: a sentence takes two microseconds. */
const BEYOND_ASCII = /[\x80-\uffff]/;

/**
 * NFC, without the characters that never show: the soft hyphen, and the byte order mark wherever files were joined. NEL
 * (U+0085), which JavaScript does not count as white space, becomes a line feed. NFC sorts the marks of a character in
 * quadratic time, so a joiner (U+034F) comes after every 30 of them, as in the Stream-Safe Text Format of Unicode (UAX #15).
 */
export function normalise(text: string): string {
  if (!BEYOND_ASCII.test(text)) return text;
  return text
    .replace(/[\u00ad\ufeff]/g, '')
    .replace(/\x85/g, '\n')
    .replace(regex(String.raw`\p{M}{30}(?=\p{M})`), '$&\u034f')
    .normalize('NFC');
}

// Patterns for prose in lower case with plain apostrophes and hyphens. Abbreviations keep their dots, as in the Penn
// Treebank, and end no sentence: titles, a few words before a number, initials ("u.s.", "f.
// kennedy"). A lone "i." is none of these: the pronoun ends more sentences than the initial begins names. Punctuation
// that matches nothing is dropped.
//
// Every loop has a bound, because engines keep a place to return to for each round, and run out of stack after a few
// million. Longer words and numbers come apart.
// Marked as pure, as those below, so that a bundle without texts leaves the patterns out.
const PROSE = /* @__PURE__ */ (() => {
  const REST = String.raw`[\p{L}\p{M}]{0,999}`;
  const TITLE = String.raw`(?:mr|mrs|ms|messrs|dr|prof|hon|rev|st|gen|col|capt|lt|maj|gov|sen|rep)\.`;
  const BEFORE_NUMBER = String.raw`(?:no|nos|vol|jan|feb|aug|sept|oct|nov|dec)\.(?=\s\p{N})`;
  const INITIALS = String.raw`(?:\p{L}\.){2,99}|(?!i)\p{L}\.(?=\s)`;
  // Inside words: hyphen, apostrophe, Catalan middle dot, Hebrew geresh; the joiners of Persian and Indic scripts (U+200C,
  // U+200D), of which the second may also end a word, behind a mark.
  const WORD = String.raw`\p{L}${REST}(?:(?:['\xb7\u05f3\u05f4-]\p{L}|[\u200c\u200d]{1,9}[\p{L}\p{M}])${REST}){0,99}(?:(?<=\p{M})\u200d)?`;
  // 1,000.50  9:30  21st  1930's
  const DIGITS = String.raw`\p{N}{1,999}(?:[.,:\/\u066b\u066c\uff0e]\p{N}{1,999}){0,99}(?:(?:st|[nr]?d|th|'?s)(?![\p{L}\p{M}]))?`;
  // These need white space behind them, and a sentence may end within quotes. Those of other scripts (U+3002, U+0964,
  // U+061F, ...) end a sentence wherever they stand; older engines do not count the Khmer ones, Unicode not the Hebrew and
  // Tibetan.
  const SPACED_END = String.raw`[.!?\u2026](?=[\p{STerm}\u2026\p{Pe}\p{Pf}\p{Pi}"']{0,9}(?:\s|$))`;
  const SENTENCE_END = String.raw`${SPACED_END}|(?![.!?])[\p{STerm}\u05c3\u0f0d\u0f0e\u17d4\u17d5]`;
  return `<unk>|<eos>|${TITLE}|${BEFORE_NUMBER}|${INITIALS}|${WORD}|(${DIGITS})|(${SENTENCE_END})`;
})();
/** Scripts without spaces between words, for a class of characters. */
export const UNSPACED_SCRIPTS = /* @__PURE__ */ (() =>
  String.raw`\p{scx=Hani}\p{scx=Hira}\p{scx=Kana}\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}`)();
/** A letter of such a script. */
export const UNSPACED = /* @__PURE__ */ (() => String.raw`[${UNSPACED_SCRIPTS}](?<=\p{L})`)();

/** Whether a word is of a script without spaces, so that none belongs beside it. */
export const isUnspaced = (word: string) => word.search(regex(`^${UNSPACED}`)) === 0;

const compiled: Record<string, RegExp> = {};

/**
 * The pattern of a source, compiled when it is first needed. Classes of Unicode take milliseconds, which importing the library
 * and loading a model should not spend: even a literal is compiled when its file is parsed.
 */
export function regex(source: string, flags = 'gu'): RegExp {
  const key = flags + source;
  compiled[key] ??= new RegExp(source, flags);
  return compiled[key];
}

// Letters and digits with what joins them: "t-shirt", "o'clock", "3.5", "u.s". Any other character stands alone, with its marks.
const TYPED = /* @__PURE__ */ (() => {
  const LETTER = String.raw`[^\P{L}${UNSPACED_SCRIPTS}]|\p{N}`;
  return String.raw`(?:${LETTER})(?:${LETTER}|[\p{M}\u200c\u200d]|[-'.,:\/&@_](?=${LETTER})){0,999}|\S\p{M}{0,999}`;
})();

function matchTyped(text: string): Iterable<RegExpMatchArray> {
  const plain = text
    .toLowerCase()
    .normalize('NFC') // again: some letters are composed in lower case alone
    .replace(/[\u2019\u02bc\uff07]/g, "'")
    .replace(/[\u2010\u2011]/g, '-');
  return plain.matchAll(regex(TYPED));
}

function matchProse(text: string): Iterable<RegExpMatchArray> {
  // A number already written as N must not become the letter.
  let plain = text.replace(/(?<!\S)N(?!\S)/g, '0').toLowerCase();
  if (BEYOND_ASCII.test(plain)) {
    plain = plain
      .replace(regex(String.raw`[\p{Bidi_C}\u2060\u055b\u055c\u055e]`), '') // marks of direction, and Armenian accents of a sentence
      .replace(/[\u2019\u02bc\uff07]/g, "'")
      .replace(/[\u2010\u2011]/g, '-')
      .replace(regex(String.raw`;(?<=\p{sc=Grek}\p{M}{0,9};{1,9})`), '?') // NFC makes the Greek question mark a semicolon
      .replace(regex(String.raw`"(?<=\p{sc=Hebr}\p{M}{0,9}")(?=\p{L}(?![\p{L}\p{M}]))`), '\u05f4') // typed for gershayim
      .replace(regex(String.raw`${UNSPACED}\p{M}{0,99}`), ' $& ')
      .normalize('NFC'); // again: some letters are composed in lower case alone
  }
  return plain.matchAll(regex(PROSE));
}
