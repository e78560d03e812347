import { type Level, readTokens } from './tokens.js';

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
