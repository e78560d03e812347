import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { learnPieces } from './subwords.js';
import { checkTexts, EOS, type Level, levelOf, type Rule, readTokens, ruleOf, UNK } from './tokens.js';
import { Vocabulary } from './vocabulary.js';

const NOUN: Record<Level, string> = { word: 'word', char: 'character' };

/** Where no size is given: 10,000 tokens, but 256 characters where they leave at most 1 % of the text unknown. */
const DEFAULT_SIZE = 10_000;
const DEFAULT_SUBWORDS = 4000;
const FEW_CHARACTERS = 256;
const UNKNOWN_AT_MOST = 0.01;

/**
 * The vocabulary of the most frequent tokens of the texts; of equally frequent ones, those seen first.
 *
 * `how` is the rule by which text becomes tokens, or a level: 'word' chooses the rule `prose`, or `lines` where no
 * sentence ends by punctuation in any of the texts. The vocabulary keeps the rule for all text that it encodes.
 *
 * `size` counts all tokens, `<unk>` included. The default is 10,000 words, or 256 characters, or more characters where
 * those would leave over 1 % of the texts unknown (10,000 at most); fewer where the texts have no more. Tokens seen fewer
 * than `least` times are left to `<unk>`, which is then trained, too.
 *
 * With `subwords`, tokens are pieces of words, learnt by byte-pair encoding, see subwords.ts: at most `size` of them, 4,000 by
 * default, from words seen at least `least` times. Any word of known characters can then be read and written.
 *
 * @example buildVocabulary(['the cat sat. the dog lay.'], 'word').encode('the cat') // Int32Array [1, 3]
 * @throws InputError for arguments of another kind, for a size that is no integer >= 2 or exceeds what the texts have, and for
 * texts without a token
 */
export function buildVocabulary(
  texts: readonly string[],
  how: Level | Rule,
  size?: number,
  least = 1,
  subwords = false,
): Vocabulary {
  checkTexts(texts);
  checkWhole('least', least, 0);
  if (size !== undefined && (!Number.isInteger(size) || size < 2)) throw invalid('vocab', size, 'an integer >= 2');
  const { rule, counts } = countTokens(texts, how);
  const level = levelOf(rule);
  counts.delete(UNK);
  for (const [token, count] of counts) if (count < least && token !== EOS) counts.delete(token);
  if (counts.size === (counts.has(EOS) ? 1 : 0)) {
    const often = least > 1 ? ` that occurs ${least} times` : '';
    throw new InputError(`texts: got no ${NOUN[level]}${often}; expected at least one`);
  }
  if (level === 'word' && !counts.has(EOS)) counts.set(EOS, 0);

  if (subwords) return subwordVocabulary(rule, counts, size ?? DEFAULT_SUBWORDS);
  const distinct = counts.size + 1;
  if (size !== undefined && size > distinct) {
    const marks = level === 'word' ? `${UNK} and ${EOS}` : UNK;
    throw invalid('vocab', size, `at most ${distinct}, the different ${NOUN[level]}s of the text with ${marks}`);
  }
  const ranked = [...counts].sort((a, b) => b[1] - a[1]);
  const kept = ranked.slice(0, (size ?? defaultSize(level, ranked)) - 1).map(([token]) => token);
  if (level === 'word' && !kept.includes(EOS)) kept[kept.length - 1] = EOS;

  // A text starts where another ended; where that does not show, with what training sees most.
  const wasSeen = (token: string) => (counts.get(token) ?? 0) > 0;
  const start = [EOS, '\n', ' ', ...kept].find((token) => wasSeen(token) && kept.includes(token));
  const tokens = [UNK, ...kept];
  return Vocabulary.fromJSON({ rule, start: start === undefined ? 0 : tokens.indexOf(start), tokens });
}

function subwordVocabulary(rule: Rule, counts: Map<string, number>, size: number): Vocabulary {
  if (levelOf(rule) === 'char') throw invalid('subwords', true, 'words: characters have no pieces');
  const ended = (counts.get(EOS) ?? 0) > 0;
  counts.delete(EOS);
  const tokens = [UNK, EOS, ...learnPieces(counts, size - 2)];
  // Where no sentence ends, with the most frequent character.
  return Vocabulary.fromJSON({ rule, start: ended || tokens.length < 3 ? 1 : 2, tokens, subwords: true });
}

/** How often each token occurs, in the order of first appearance. */
function countTokens(texts: readonly string[], how: Level | Rule): { rule: Rule; counts: Map<string, number> } {
  const rule = ruleOf(how);
  const counts = new Map<string, number>();
  for (const text of texts) readTokens(text, rule, (token) => counts.set(token, (counts.get(token) ?? 0) + 1));
  return how === 'word' && !counts.has(EOS) ? countTokens(texts, 'lines') : { rule, counts };
}

function defaultSize(level: Level, ranked: readonly [string, number][]): number {
  if (level === 'word') return DEFAULT_SIZE;
  let unknown = ranked.reduce((sum, [, count]) => sum + count, 0);
  const most = UNKNOWN_AT_MOST * unknown;
  let size = 1;
  while (size < Math.min(DEFAULT_SIZE, ranked.length + 1) && (size < FEW_CHARACTERS || unknown > most)) {
    unknown -= ranked[size - 1][1];
    size++;
  }
  return size;
}
