// Words of text that somebody typed, found where they stand, for models that were trained on text already in words.

import { checkText, normalise, regex, UNSPACED_SCRIPTS } from './tokens.js';
import type { Vocabulary } from './vocabulary.js';

/** What stands between white space, which of NEL (U+0085) JavaScript does not know. Bounded, as all loops: see tokens.ts. */
const BETWEEN_SPACES = /[^\s\x85]{1,9999}/gu;

/** The words of a text that is already in words. */
export const splitWords = (text: string): string[] => text.match(BETWEEN_SPACES) ?? [];

/** The word with every digit as 0: what numbers that are rare have in common. */
export const shapeOf = (word: string): string => word.replace(regex(String.raw`\p{Nd}`), '0');

/** A word of a text: its id, and where it stands, [start, end) in UTF-16 units. */
export interface FoundWord {
  id: number;
  start: number;
  end: number;
}

// Letters, digits, and any other character, each with its marks; letters of scripts without spaces stand alone. Joiners
// (U+200C, U+200D) are within words of Persian and Indic scripts.
const UNIT = /* @__PURE__ */ (() =>
  String.raw`([^\P{L}${UNSPACED_SCRIPTS}](?:[^\P{L}${UNSPACED_SCRIPTS}]|[\p{M}\u200c\u200d]){0,999}|\p{N}[\p{N}\p{M}]{0,999})|(\p{L}\p{M}{0,999})|.\p{M}{0,999}`)();
const unitPattern = () => regex(UNIT, 'gsu');

const fold = (unit: string): string =>
  normalise(unit)
    .toLowerCase()
    .normalize('NFC') // again: some letters are composed in lower case alone
    .replace(/[\u2019\u02bc\uff07]/, "'")
    .replace(/[\u2010\u2011]/, '-');

/** A word as vocabularies have it: in NFC and lower case, with plain apostrophes and hyphens. */
export const foldWord = (word: string): string => word.replace(unitPattern(), fold);

/** The id of a folded word, of its shape where it has no id, or that of `<unk>`. */
export function idOfWord(word: string, vocabulary: Vocabulary): number {
  return vocabulary.idOf(word) || (word.search(regex(String.raw`\p{Nd}`)) >= 0 ? vocabulary.idOf(shapeOf(word)) : 0);
}

/** Units that a word of the vocabulary may have: "o'clock" has three. More would take longer to look for. */
const MOST_UNITS = 8;

/**
 * Finds the words of a text, in time proportional to its length. What the vocabulary has as one word is one ("st.",
 * "o'clock"), the longest first; where it has none, letters and digits are taken apart ("5pm") and "jean-pierre" is one
 * unknown word. Punctuation that the vocabulary does not have is left out.
 *
 * @throws InputError for anything but a string
 */
export function findWords(text: string, vocabulary: Vocabulary): FoundWord[] {
  checkText('text', text);
  const words: FoundWord[] = [];
  for (const { 0: chunk, index } of text.matchAll(BETWEEN_SPACES)) {
    const units = [...chunk.matchAll(unitPattern())];
    const folded = units.map(([unit]) => fold(unit));
    let unknown: FoundWord | undefined; // that a further unit may be part of
    for (let i = 0, next: number; i < units.length; i = next) {
      let id = 0;
      next = i + 1;
      let word = '';
      for (let end = i + 1; end <= Math.min(i + MOST_UNITS, units.length); end++) {
        word += folded[end - 1];
        const known = idOfWord(word, vocabulary);
        if (known) [id, next] = [known, end];
      }
      const [, inWord, alone] = units[i];
      const start = index + units[i].index;
      const end = index + (units[next]?.index ?? chunk.length);
      if (unknown && inWord && !id) {
        unknown.end = end;
      } else if (id || inWord || alone) {
        words.push({ id, start, end });
        unknown = id || alone ? undefined : words[words.length - 1];
      }
    }
  }
  return words;
}
