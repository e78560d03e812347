// Chunks of tagged text and their F1, as the script conlleval of the CoNLL-2000 shared task counts them.

/** Tokens `first` to `end` - 1, which bear one name. */
export interface Chunk {
  name: string;
  first: number;
  end: number;
}

/** 'B-city' is B of city, 'I-city' I of city; 'O', and what has no dash, is outside unless it begins with B or I. */
function parse(tag: string): [prefix: string, name: string] {
  const dash = tag.indexOf('-');
  return dash < 0 ? [tag, ''] : [tag.slice(0, dash), tag.slice(dash + 1)];
}

/**
 * The chunks that tags stand for, in order. B begins a chunk; so does an I that follows a tag of another name, or O: what a
 * model says need not be well-formed.
 */
export function chunksOf(tags: readonly string[]): Chunk[] {
  const chunks: Chunk[] = [];
  let open: Chunk | undefined;
  for (const [i, tag] of tags.entries()) {
    const [prefix, name] = parse(tag);
    const inside = prefix === 'B' || prefix === 'I';
    if (inside && open && prefix === 'I' && open.name === name) {
      open.end = i + 1;
      continue;
    }
    open = inside ? { name, first: i, end: i + 1 } : undefined;
    if (open) chunks.push(open);
  }
  return chunks;
}

/** Counts over texts: chunks that are right, that a model found, and that there are; tokens with the right tag, and all. */
export class ChunkScore {
  private right = 0;
  private found = 0;
  private wanted = 0;
  private rightTokens = 0;
  private tokens = 0;

  /** One text: the tags that it has and those that a model gave, as many. */
  add(gold: readonly string[], given: readonly string[]): void {
    const key = ({ name, first, end }: Chunk) => `${first} ${end} ${name}`;
    const wanted = new Set(chunksOf(gold).map(key));
    const found = chunksOf(given).map(key);
    this.wanted += wanted.size;
    this.found += found.length;
    this.right += found.filter((chunk) => wanted.has(chunk)).length;
    this.tokens += gold.length;
    this.rightTokens += gold.filter((tag, i) => tag === given[i]).length;
  }

  /** Harmonic mean of precision and recall over all chunks, 0 to 1; 0 where there are none. */
  get f1(): number {
    return this.found + this.wanted === 0 ? 0 : (2 * this.right) / (this.found + this.wanted);
  }

  /** Share of the tokens with the right tag. */
  get accuracy(): number {
    return this.tokens === 0 ? 0 : this.rightTokens / this.tokens;
  }
}
