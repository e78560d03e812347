// Subwords by byte-pair encoding (Sennrich et al., 2016), of characters: frequent words are one piece, rare ones several.

/**
 * Ends a piece that does not end its word: a soft hyphen, where a word may be broken. Text that any rule reads has none; see
 * normalise().
 */
export const JOINER = '\u00ad';

/** Longer words are cut into pieces of so many characters first, so that the time for a text is bounded by its length. */
const LONGEST = 100;

/** The characters of a word as pieces. */
const charactersOf = (word: string): string[] =>
  Array.from(word, (char) => char + JOINER).map((piece, i, { length }) =>
    i < length - 1 ? piece : piece.slice(0, -1),
  );

/** Two pieces, the first of which does not end the word, as one. */
const joined = (a: string, b: string): string => a.slice(0, -1) + b;

/**
 * Cuts a word into pieces: its characters, of which the two neighbours that form the piece of the lowest rank are joined, until none
 * form a piece.
 *
 * @param rankOf the place of a piece among all in the order in which they were learnt; undefined for others
 */
export function piecesOf(word: string, rankOf: (piece: string) => number | undefined): string[] {
  const characters = charactersOf(word);
  const pieces: string[] = [];
  for (let from = 0; from < characters.length; from += LONGEST) {
    const part = characters.slice(from, from + LONGEST);
    for (;;) {
      let best = -1;
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < part.length; i++) {
        const rank = rankOf(joined(part[i], part[i + 1])) ?? Number.POSITIVE_INFINITY;
        if (rank < least) [best, least] = [i, rank];
      }
      if (best < 0) break;
      part.splice(best, 2, joined(part[best], part[best + 1]));
    }
    pieces.push(...part);
  }
  return pieces;
}

/**
 * Learns at most `size` pieces from the counts of words: their characters, the most frequent first, then, as long as one occurs
 * twice, the most frequent pair of neighbours as one piece. Of equally frequent ones, the first seen is taken.
 *
 * @example learnPieces(new Map([['low', 5], ['lower', 2]]), 7) // l-, o-, w, w-, e-, r, lo-, with soft hyphens
 */
export function learnPieces(counts: ReadonlyMap<string, number>, size: number): string[] {
  const words = [...counts].map(([word, count]) => ({ pieces: charactersOf(word), count }));
  const characters = new Map<string, number>();
  for (const { pieces, count } of words) {
    for (const piece of pieces) characters.set(piece, (characters.get(piece) ?? 0) + count);
  }
  const learnt = [...characters]
    .sort(([, a], [, b]) => b - a)
    .map(([piece]) => piece)
    .slice(0, size);

  // Every pair that has ever been seen, by its place: how often it occurs now, and the words that have had it.
  const places = new Map<string, number>();
  const pairs: [string, string][] = [];
  const frequencies: number[] = [];
  const holders: Set<number>[] = [];
  const add = (word: number, by: number) => {
    const { pieces, count } = words[word];
    for (let i = 0; i + 1 < pieces.length; i++) {
      const key = `${pieces[i]} ${pieces[i + 1]}`;
      let place = places.get(key);
      if (place === undefined) {
        place = pairs.push([pieces[i], pieces[i + 1]]) - 1;
        places.set(key, place);
        frequencies.push(0);
        holders.push(new Set());
      }
      frequencies[place] += by * count;
      if (by > 0) holders[place].add(word);
    }
  };
  for (const word of words.keys()) add(word, 1);
  const known = new Set(learnt);
  while (learnt.length < size) {
    let best = 0;
    for (let place = 1; place < frequencies.length; place++) if (frequencies[place] > frequencies[best]) best = place;
    if (!(frequencies[best] >= 2)) break;
    const [a, b] = pairs[best];
    const piece = joined(a, b);
    for (const word of holders[best]) {
      add(word, -1);
      const { pieces } = words[word];
      for (let i = 0; i + 1 < pieces.length; i++)
        if (pieces[i] === a && pieces[i + 1] === b) pieces.splice(i, 2, piece);
      add(word, 1);
    }
    // Other pairs may have made the same piece.
    if (!known.has(piece)) learnt.push(piece);
    known.add(piece);
  }
  return learnt;
}
