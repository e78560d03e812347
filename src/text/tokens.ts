/** Text to tokens, at word or character level. */

export type Level = 'word' | 'char';

export const UNK = '<unk>';
export const EOS = '<eos>';
const NUMBER = 'N';

// Written by markSentences, looked for by readTokens; the newline makes it unlikely in any other text.
const SENTENCE_MARK = `${EOS}\n`;

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

/**
 * Marks the end of every line as the end of a sentence, for text that is already in tokens, one sentence a line, as the
 * Penn Treebank files are. Word level then takes what lies between spaces as it stands; character level sees plain
 * newlines.
 */
export function markSentences(text: string): string {
  return `${text.trim().replace(/\s*\n\s*/g, ` ${SENTENCE_MARK}`)} ${SENTENCE_MARK}`;
}
