import { InputError } from '../errors.js';
import { EOS, type Level, readTokens, UNK } from './tokens.js';
import { Vocabulary } from './vocabulary.js';

const NOUN: Record<Level, string> = { word: 'word', char: 'character' };

const DEFAULT_SIZE: Record<Level, number> = { word: 10_000, char: 256 };

/**
 * The most frequent tokens of the texts; of equally frequent ones, the one seen first. `size` counts everything,
 * `<unk>` included. Left out, it is 10,000 words or 256 characters, or what the texts have if that is less. Tokens
 * seen fewer than `least` times are left to `<unk>`, which so is trained too.
 *
 * @throws InputError when the size is no integer >= 2, or is more than the texts have, or when they hold no token at all
 */
export function buildVocabulary(texts: readonly string[], level: Level, size?: number, least = 1): Vocabulary {
  if (size !== undefined && (!Number.isInteger(size) || size < 2)) {
    throw new InputError(`vocab: ${size} given; an integer of at least 2 is needed`);
  }
  const counts = new Map<string, number>(); // a Map keeps the order of first appearance
  for (const text of texts) {
    readTokens(text, level, (token) => counts.set(token, (counts.get(token) ?? 0) + 1));
  }
  counts.delete(UNK);
  for (const [token, count] of counts) if (count < least && token !== EOS) counts.delete(token);
  if ([...counts.keys()].every((token) => token === EOS)) {
    const often = least > 1 ? ` comes ${least} times` : '';
    throw new InputError(`texts: no ${NOUN[level]}${often} in them; a vocabulary needs at least one`);
  }
  if (level === 'word' && !counts.has(EOS)) counts.set(EOS, 0);

  const distinct = counts.size + 1;
  if (size !== undefined && size > distinct) {
    const marks = level === 'word' ? `${UNK} and ${EOS}` : UNK;
    throw new InputError(
      `vocab: ${size} given; at most ${distinct} is possible, all the different ${NOUN[level]}s of the text with ${marks}`,
    );
  }
  const ranked = [...counts].sort((a, b) => b[1] - a[1]).map(([token]) => token);
  const kept = ranked.slice(0, (size ?? DEFAULT_SIZE[level]) - 1);
  if (level === 'word' && !kept.includes(EOS)) kept[kept.length - 1] = EOS;
  return Vocabulary.fromJSON({ level, tokens: [UNK, ...kept] });
}
