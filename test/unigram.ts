// What a model must beat to have learned anything of what follows what.

/**
 * The least perplexity that any model comes to on a text, first token left out, which knows how often each of its tokens
 * occurs but looks at none that came before. More than one that was trained on other text can come to.
 */
export function unigramPerplexity(ids: ArrayLike<number>): number {
  const counts = new Map<number, number>();
  const n = ids.length - 1;
  for (let i = 1; i <= n; i++) counts.set(ids[i], (counts.get(ids[i]) ?? 0) + 1);
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / n) * Math.log(count / n);
  return Math.exp(entropy);
}
