/** What of a data set a model cannot know: tokens outside its vocabulary, and labels that training lacks. */

/** Shares of one split, from 0 to 1. */
export interface Unknown {
  /** Only where the task has a vocabulary. */
  tokens?: number;
  /** Only where the task has labels. */
  labels?: number;
}

type Split = 'train' | 'valid' | 'test';

/** The same of all splits, as results and records have it. */
export interface UnknownShares {
  unknown: Partial<Record<Split, number>>;
  unknownLabels?: Partial<Record<Split, number>>;
}

/** A perplexity or accuracy says little where more than this share is unknown. */
const MUCH = 0.05;

export const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/** The share of `<unk>`, id 0, among the tokens of texts. */
export function unknownTokens(texts: readonly Int32Array[]): number {
  let unknown = 0;
  let all = 0;
  for (const ids of texts) {
    for (const id of ids) if (id === 0) unknown++;
    all += ids.length;
  }
  return all === 0 ? 0 : unknown / all;
}

/** The share of labels that are not among those of the model. */
export function unknownLabels(labels: readonly string[], known: readonly string[]): number {
  const set = new Set(known);
  return labels.filter((label) => !set.has(label)).length / labels.length;
}

export function sharesOf(splits: Partial<Record<Split, Unknown>>): UnknownShares {
  const shares: UnknownShares = { unknown: {} };
  for (const [split, { tokens, labels }] of Object.entries(splits) as [Split, Unknown][]) {
    if (tokens !== undefined) shares.unknown[split] = tokens;
    if (labels !== undefined) {
      shares.unknownLabels ??= {};
      shares.unknownLabels[split] = labels;
    }
  }
  return shares;
}

/** One line with all shares, and a warning for each that is large. */
export function describeShares({ unknown, unknownLabels }: UnknownShares): string[] {
  const list = (shares: Partial<Record<Split, number>>) =>
    Object.entries(shares)
      .map(([split, share]) => `${split} ${percent(share)}`)
      .join(', ');
  const lines = [
    Object.keys(unknown).length ? `unknown tokens: ${list(unknown)}` : '',
    unknownLabels ? `unknown labels: ${list(unknownLabels)}` : '',
  ].filter(Boolean);
  return [
    ...(lines.length ? [lines.join('; ')] : []),
    ...Object.entries(unknown).flatMap(([split, share]) => warningsOf(split, { tokens: share })),
    ...Object.entries(unknownLabels ?? {}).flatMap(([split, share]) => warningsOf(split, { tokens: 0, labels: share })),
  ];
}

/** A warning for each share of a split that is large. */
export function warningsOf(split: string, { tokens = 0, labels = 0 }: Unknown): string[] {
  const warnings: string[] = [];
  if (tokens > MUCH) {
    warnings.push(
      `warning: ${percent(tokens)} of the ${split} tokens are not in the vocabulary; all of them count as one token, <unk>. A larger --vocab in training leaves fewer`,
    );
  }
  if (labels > MUCH) {
    warnings.push(
      `warning: ${percent(labels)} of the ${split} labels do not occur in training; they count as answered wrongly`,
    );
  }
  return warnings;
}
