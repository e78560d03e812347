import { checkWhole } from '../checks.js';
import { invalid } from '../errors.js';
import { checkText, checkTexts, type Level, type Rule, readTokens, ruleOf, UNSPACED } from './tokens.js';

/** What is trained on, what decides, and what measures the result. */
export interface Splits<T> {
  train: T;
  valid: T;
  test: T;
}

/** Words or characters that a text must have to be cut: two in each part, so that one of them is predicted. */
export const FEWEST_UNITS = 6;
/** Those that a text among others must have: of fewer, the twentieths would be scraps. */
const ENOUGH_UNITS: Record<Level, number> = { word: 100, char: 500 };

/**
 * Splits a text 18 : 1 : 1. Each cut moves on past the next white space, so that no word is cut. Where that leaves less
 * than half of a part, the text is cut between words or, at character level, between characters with their combining
 * marks. The parts make up the text again. A text of fewer than six words or characters is all for training.
 *
 * @throws InputError for arguments of another kind
 */
export function splitText(text: string, level: Level = 'word'): Splits<string> {
  checkText('text', text);
  checkLevel(level);
  return cutAtSpaces(text) ?? cutBetween(text, level) ?? { train: text, valid: '', test: '' };
}

/**
 * Splits many texts. Each of at least 100 words, or 500 characters at character level, is cut by itself as in splitText.
 * Shorter ones go whole: one in twenty for validation and one in twenty for test, at regular distances; more often where
 * there are fewer than twenty texts and all are short. One or two texts are always cut.
 *
 * @throws InputError for arguments of another kind
 */
export function splitTexts(texts: readonly string[], level: Level): Splits<string[]> {
  checkTexts(texts);
  checkLevel(level);
  const isCut = texts.map(
    (text) => texts.length < 3 || countUnits(text, level, ENOUGH_UNITS[level]) >= ENOUGH_UNITS[level],
  );
  const period = isCut.includes(true) ? PERIOD : Math.min(PERIOD, texts.length);
  let whole = 0;
  const splits: Splits<string[]> = { train: [], valid: [], test: [] };
  for (const [i, text] of texts.entries()) {
    if (!isCut[i]) {
      splits[splitOf(whole++, period)].push(text);
      continue;
    }
    const parts = splitText(text, level);
    for (const split of SPLITS) if (parts[split] !== '') splits[split].push(parts[split]);
  }
  return splits;
}

const SPLITS = ['train', 'valid', 'test'] as const;
const PERIOD = 20;

/** The split that a whole text goes to, by its place among others: two of every `period` are held out. */
export function splitOf(index: number, period = PERIOD): (typeof SPLITS)[number] {
  const place = index % period;
  if (place === Math.floor((3 * period) / PERIOD)) return 'valid';
  return place === Math.floor((13 * period) / PERIOD) ? 'test' : 'train';
}

function checkLevel(level: Level): void {
  if (level !== 'word' && level !== 'char') throw invalid('level', level, "'word' or 'char'");
}

function cutAtSpaces(text: string): Splits<string> | undefined {
  const after = (from: number) => {
    const space = /\s+/g;
    space.lastIndex = from;
    return space.test(text) ? space.lastIndex : text.length;
  };
  const valid = after(Math.floor((text.length * 18) / 20));
  const parts = partsOf(text, valid, Math.max(valid, after(Math.floor((text.length * 19) / 20))));
  const enough = (part: string) => /\S/.test(part) && part.length >= text.length / 40;
  return SPLITS.every((split) => enough(parts[split])) ? parts : undefined;
}

const partsOf = (text: string, valid: number, test: number): Splits<string> => ({
  train: text.slice(0, valid),
  valid: text.slice(valid, test),
  test: text.slice(test),
});

// Where words and characters begin. No character begins with a mark, behind a joiner, or inside a Korean syllable.
const BEGINNING: Record<Level, RegExp> = {
  word: new RegExp(String.raw`(?<!\S)\S|${UNSPACED}`, 'gu'),
  char: /(?<!\u200d)(?!\n|\u200d|\p{M}|\p{Emoji_Modifier}|[\u1160-\u11ff])./gsu,
};

/** The words or characters of a text, roughly as its tokens will be; no more than `most` are counted. */
export function countUnits(text: string, level: Level, most = Number.POSITIVE_INFINITY): number {
  let units = 0;
  for (const _ of text.matchAll(BEGINNING[level])) if (++units >= most) break;
  return units;
}

/** Undefined for a text of too few units. */
function cutBetween(text: string, level: Level): Splits<string> | undefined {
  const units = countUnits(text, level);
  if (units < FEWEST_UNITS) return undefined;
  const valid = Math.min(Math.floor((units * 18) / 20), units - 4);
  const test = Math.min(Math.floor((units * 19) / 20), units - 2);
  const cuts: number[] = [];
  let unit = 0;
  for (const { index } of text.matchAll(BEGINNING[level])) {
    if (unit === valid || unit === test) cuts.push(index);
    unit++;
  }
  return partsOf(text, cuts[0], cuts[1]);
}

/**
 * Texts with about `maxTokens` tokens in all: whole ones at regular distances, so that a corpus in order of time or
 * subject is sampled over all of it. The first is always among them; it, or the last, may hold more than is needed.
 *
 * @throws InputError for arguments of another kind
 */
export function sampleTexts(texts: readonly string[], how: Level | Rule, maxTokens: number): string[] {
  checkTexts(texts);
  checkWhole('maxTokens', maxTokens, 1);
  const rule = ruleOf(how);
  const lengths = texts.map((text) => {
    let length = 0;
    readTokens(text, rule, () => length++);
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
