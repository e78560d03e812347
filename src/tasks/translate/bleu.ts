// BLEU (Papineni et al., 2002) as sacrebleu 2 counts it by default: four orders, one reference, the 'exp' smoothing (Post, 2018).

import { InputError, invalid } from '../../errors.js';
import { exp, log } from '../../math.js';

/** How text becomes the words that are compared: by the rules of mteval-v13a, or only at white space. */
export type BleuTokenisation = '13a' | 'none';

/** What bleu() takes besides texts. */
export interface BleuOptions {
  /** Default '13a'. */
  tokenise?: BleuTokenisation;
  /** Whether letters are compared in lower case; default false. */
  lowercase?: boolean;
}

/** The BLEU of translations, and what it is made of. */
export interface Bleu {
  /** 0 to 100. */
  score: number;
  /** Of each order from 1 to 4, the share of n-grams that the reference has, in percent. */
  precisions: number[];
  /** What short translations are multiplied with. */
  brevityPenalty: number;
  /** Words of all translations, and of all references. */
  words: number;
  referenceWords: number;
}

const ORDERS = 4;

/**
 * The BLEU of translations of a whole corpus, each compared with one reference.
 *
 * @throws InputError for other numbers of translations and references, for none, and for options that are none
 * @example bleu(['the cat sat on the mat'], ['the cat sat on a mat'], { tokenise: 'none' }).score
 */
export function bleu(translations: readonly string[], references: readonly string[], options: BleuOptions = {}): Bleu {
  const { tokenise = '13a', lowercase = false } = options;
  if (tokenise !== '13a' && tokenise !== 'none') throw invalid('tokenise', tokenise, "'13a' or 'none'");
  if (translations.length !== references.length || translations.length === 0) {
    throw new InputError(
      `translations: got ${translations.length}, and ${references.length} references; expected one reference for each, and at least one`,
    );
  }
  const wordsOf = (text: string) => {
    const cased = lowercase ? text.toLowerCase() : text;
    return (tokenise === '13a' ? separate(cased) : cased).split(/\s+/).filter((word) => word !== '');
  };
  const right = new Array<number>(ORDERS).fill(0);
  const all = new Array<number>(ORDERS).fill(0);
  let [words, referenceWords] = [0, 0];
  for (const [i, translation] of translations.entries()) {
    const [got, wanted] = [wordsOf(translation), wordsOf(references[i])];
    words += got.length;
    referenceWords += wanted.length;
    for (let n = 1; n <= ORDERS; n++) {
      const known = countOf(wanted, n);
      all[n - 1] += Math.max(0, got.length - n + 1);
      for (const [gram, count] of countOf(got, n)) right[n - 1] += Math.min(count, known.get(gram) ?? 0);
    }
  }
  const precisions = new Array<number>(ORDERS).fill(0);
  const brevityPenalty = words >= referenceWords ? 1 : words > 0 ? exp(1 - referenceWords / words) : 0;
  const result = { precisions, brevityPenalty, words, referenceWords };
  if (right.every((count) => count === 0)) return { score: 0, ...result };
  let smoothing = 1;
  let sum = 0;
  for (let n = 0; n < ORDERS; n++) {
    if (all[n] === 0) return { score: 0, ...result };
    if (right[n] === 0) smoothing *= 2;
    precisions[n] = right[n] === 0 ? 100 / (smoothing * all[n]) : (100 * right[n]) / all[n];
    sum += log(precisions[n]);
  }
  return { score: brevityPenalty * exp(sum / ORDERS), ...result };
}

function countOf(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const gram = words.slice(i, i + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** Puts spaces around punctuation and symbols as mteval-v13a does. */
function separate(text: string): string {
  const plain = text
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  return ` ${plain} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ');
}
