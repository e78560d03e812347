import { type CellSummary, qualityOf, ratioLess1, type Spread, spreadOf } from '../../src/cli/experiment/summary.js';

// What is quoted of the experiments: every figure by its name, with its definition. Shares, so 0.014 is 1.4 %; all on
// the test split (Snips has none: validation), from means over the seeds.

/** The cell of a grid by its label; undefined as long as it has no final run. */
export type Find = (grid: string, label: string) => CellSummary | undefined;

export interface Figure {
  what: string;
  /** What the paper (MLSys 2021) says of its own data and sizes, where it does. */
  paper?: string;
  of(find: Find): Spread | undefined;
}

/** Perplexity over that of the other, less 1: what is lost to it. */
const loss =
  (grid: string, label: string, other = 'dense') =>
  (find: Find) => {
    const [a, b] = [find(grid, label), find(grid, other)];
    return a && b && ratioLess1(qualityOf(a), qualityOf(b));
  };

/** 1 less the perplexity over that of the other: the share of the other's that is saved. */
const lead = (grid: string, label: string, other: string) => (find: Find) => {
  const ratio = loss(grid, label, other)(find);
  return ratio && { ...ratio, mean: -ratio.mean };
};

/** Accuracy, or F1, of dense less that of the cell. */
const gap = (grid: string, label: string, dense: string) => (find: Find) => {
  const [a, b] = [find(grid, label), find(grid, dense)].map((cell) => cell && qualityOf(cell));
  if (!a || !b) return undefined;
  const deviation = Math.hypot(a.deviation, b.deviation);
  return { mean: b.mean - a.mean, deviation, count: Math.min(a.count, b.count) };
};

/** What a cell itself has. */
const quality = (grid: string, label: string) => (find: Find) => {
  const cell = find(grid, label);
  return cell && qualityOf(cell);
};

/** The lead over none of whichever co-matrix dropout did best on the validation split, of those with records. */
const cmrGain = (none: string, variants: string[]) => (find: Find) => {
  const tried = variants.flatMap((label) => find('cma', label) ?? []);
  if (tried.length === 0) return undefined;
  const best = tried.reduce((a, b) => (b.valid.mean < a.valid.mean ? b : a));
  return lead('cma', best.label, none)(find);
};

/** Bytes of the dense f32 file over those of a small one, compressed with gzip. */
const file = (grid: string, label: string, dense: string) => (find: Find) => {
  const [small, whole] = [find(grid, label), find(dense, 'dense')];
  if (!small || !whole) return undefined;
  const bytes = whole.runs[0].result!.fileBytes;
  return spreadOf(small.runs.map(({ result }) => bytes / (result!.gzipBytes ?? result!.fileBytes)));
};

/** Perplexity over that of a cell of another grid, less 1. */
const lossTo =
  (grid: string, label: string, ...other: [grid: string, label: string]) =>
  (find: Find) => {
    const [a, b] = [find(grid, label), find(...other)];
    return a && b && ratioLess1(qualityOf(a), qualityOf(b));
  };

/**
 * The lead of the best doped cell with a share of the bytes over the best of all others, each the best on validation; `bits` is
 * what some have besides the 4 of all.
 */
const equalBytes =
  (share: number, bits: number, ...more: string[]) =>
  (find: Find) => {
    const best = (names: string[]) => {
      const cells = names.flatMap((name) => find('equal', `${name} ${share}`) ?? []);
      return cells.length ? cells.reduce((a, b) => (b.valid.mean < a.valid.mean ? b : a)) : undefined;
    };
    const both = (name: string) => [name, `${name} ${bits} bits`];
    const doped = best(both('doped-kron'));
    const other = best([...both('pruned'), 'kron', 'lmf', ...both('small-dense'), ...more]);
    const ratio = doped && other && ratioLess1(qualityOf(doped), qualityOf(other));
    return ratio && { ...ratio, mean: -ratio.mean };
  };

/** BLEU on the test split. */
const bleuOf = (cell: CellSummary) => {
  const scores = cell.runs.flatMap(({ result }) => result!.test?.bleu ?? []);
  return scores.length ? spreadOf(scores) : undefined;
};

const translationBleu =
  (label: string, grid = 'translate') =>
  (find: Find) => {
    const cell = find(grid, label);
    return cell && bleuOf(cell);
  };

/** BLEU of the one less that of the other. */
const bleuLead = (label: string, other: string, grid?: string) => (find: Find) => {
  const [a, b] = [translationBleu(label, grid)(find), translationBleu(other, grid)(find)];
  if (!a || !b) return undefined;
  return {
    mean: a.mean - b.mean,
    deviation: Math.hypot(a.deviation, b.deviation),
    count: Math.min(a.count, b.count),
  };
};

/** The loss of blocks to dense, less that of single dopants. */
const extraLoss = (label: string, single: string) => (find: Find) => {
  const [a, b, dense] = [label, single, 'dense'].map((name) => find('blocks', name));
  if (!a || !b || !dense) return undefined;
  const [p, q, d] = [a, b, dense].map(qualityOf);
  const deviation = Math.hypot(p.deviation, q.deviation) / d.mean;
  return { mean: (p.mean - q.mean) / d.mean, deviation, count: Math.min(p.count, q.count, d.count) };
};

/**
 * The compression at which cells come to this perplexity, on straight lines over the logarithm of the compression;
 * undefined where they never do.
 */
function compressionAt(cells: readonly CellSummary[], perplexity: number): number | undefined {
  const points = cells.map((cell) => ({
    x: Math.log(cell.runs[0].result!.compression.parameters!),
    y: qualityOf(cell).mean,
  }));
  // The last crossing: beyond it the method is worse.
  for (let i = points.length - 1; i > 0; i--) {
    const [a, b] = [points[i - 1], points[i]];
    if (a.y <= perplexity && perplexity <= b.y) {
      return Math.exp(a.x + ((perplexity - a.y) / (b.y - a.y || 1)) * (b.x - a.x));
    }
  }
  return undefined;
}

/** The compression of a doped cell over that at which the best of other methods, from dense on, is as good. */
const factorAtEqualQuality =
  (grid: string, label: string, others: string[], compressions: string[]) => (find: Find) => {
    const doped = find(grid, label);
    const lines = others.map((method) =>
      ['dense', ...compressions.map((c) => `${method} ${c}`)].flatMap((name) => find(grid, name) ?? []),
    );
    if (!doped || lines.some((cells) => cells.length <= compressions.length)) return undefined;
    const { mean, deviation, count } = qualityOf(doped);
    const { parameters } = doped.runs[0].result!.compression;
    const factor = (perplexity: number) => {
      const reached = lines.flatMap((cells) => compressionAt(cells, perplexity) ?? []);
      return reached.length ? parameters! / Math.max(...reached) : undefined;
    };
    const value = factor(mean);
    if (value === undefined) return undefined;
    const [better, worse] = [factor(mean - deviation) ?? value, factor(mean + deviation) ?? value];
    return { mean: value, deviation: Math.abs(better - worse) / 2, count };
  };

export const FIGURES: Record<string, Figure> = {
  'word.loss25': {
    what: 'word level, doped-kron at 25x, perplexity loss to dense',
    paper: '0.014',
    of: loss('word', 'doped-kron 25x'),
  },
  'word.loss10': { what: 'the same at 10x', of: loss('word', 'doped-kron 10x') },
  'char.dense': { what: 'character level, test perplexity of dense', of: quality('char', 'dense') },
  'char.loss25': {
    what: 'character level, doped-kron at 25x, perplexity loss to dense',
    of: loss('char', 'doped-kron 25x'),
  },
  'char.lead25.pruned': {
    what: 'character level at 25x, lead of doped-kron over pruned',
    paper: '0.08 or more',
    of: lead('char', 'doped-kron 25x', 'pruned 25x'),
  },
  'char.lead25.lmf': {
    what: 'the same over lmf',
    paper: '0.08 or more',
    of: lead('char', 'doped-kron 25x', 'lmf 25x'),
  },
  'char.lead25.hmd': {
    what: 'the same over hmd',
    paper: '0.08 or more',
    of: lead('char', 'doped-kron 25x', 'hmd 25x'),
  },
  'char.lead100.pruned': {
    what: 'character level at 100x, lead of doped-kron over pruned',
    of: lead('char', 'doped-kron 100x', 'pruned 100x'),
  },
  'char.lead25.pruned.anneal': {
    what: "character level at 25x, Adam's usual settings: lead over pruned when both are tuned in when to prune, too",
    of: lead('anneal', 'anneal tuned doped-kron 25x', 'anneal tuned pruned 25x'),
  },
  'char.lead50.pruned.anneal': {
    what: 'the same at 50x',
    of: lead('anneal', 'anneal tuned doped-kron 50x', 'anneal tuned pruned 50x'),
  },
  'char.lead100.pruned.anneal': {
    what: 'the same at 100x',
    of: lead('anneal', 'anneal tuned doped-kron 100x', 'anneal tuned pruned 100x'),
  },
  'char.factor_at_equal_quality.100x': {
    what: "character level, compression of doped-kron (100x) over that of pruned or kron at equal quality, Adam's usual settings, all tuned in when to prune",
    paper: '1.3-2.4',
    of: factorAtEqualQuality(
      'anneal',
      'anneal tuned doped-kron 100x',
      ['anneal tuned pruned', 'kron'],
      ['25x', '50x', '100x'],
    ),
  },
  'char4M.loss25': {
    what: "character level, four times as many characters, Adam's usual settings, doped-kron at 25x, loss to dense; when to prune tuned, too",
    of: loss('long', 'doped-kron 25x'),
  },
  'char4M.lead25.pruned': {
    what: 'the same, lead over pruned at 25x',
    of: lead('long', 'doped-kron 25x', 'pruned 25x'),
  },
  'char4M.lead100.pruned': {
    what: 'the same at 100x',
    of: lead('long', 'doped-kron 100x', 'pruned 100x'),
  },
  'word.lead100.pruned': {
    what: 'word level at 100x, lead of doped-kron over pruned',
    of: lead('word', 'doped-kron 100x', 'pruned 100x'),
  },
  'char.factor_at_equal_quality': {
    what: 'character level, compression of doped-kron (25x) over that of the best method without dopants at equal quality',
    paper: '1.3-2.4',
    of: factorAtEqualQuality('char', 'doped-kron 25x', ['pruned', 'kron', 'lmf', 'hmd', 'small-dense'], ['10x', '25x']),
  },
  'dlmf.gain25': {
    what: 'word level at 25x, lead of doped-lmf over lmf',
    paper: 'better',
    of: lead('word', 'doped-lmf 25x', 'lmf 25x'),
  },
  'dhmd.gain25': {
    what: 'word level at 25x, lead of doped-hmd over hmd',
    paper: 'better',
    of: lead('word', 'doped-hmd 25x', 'hmd 25x'),
  },
  'cmr.gain25.adam': {
    what: 'word level at 25x, Adam: lead of the co-matrix dropout that is best on validation over none',
    paper: 'better',
    of: cmrGain('doped-kron 25x', [
      'doped-kron 25x cmr 0.05',
      'doped-kron 25x cmr 0.1',
      'doped-kron 25x cmr 0.3',
      'doped-kron 25x cmr 0.5',
      'doped-kron 25x cmr 0.1 on M',
      'doped-kron 25x cmr 0.1 until 0.6',
    ]),
  },
  'cmr.gain25.sgd': {
    what: 'the same with SGD',
    paper: 'better',
    of: cmrGain('doped-kron 25x sgd', [
      'doped-kron 25x sgd cmr 0.1',
      'doped-kron 25x sgd cmr 0.1 on M',
      'doped-kron 25x sgd cmr 0.1 until 0.6',
    ]),
  },
  'block4.extra_loss25': {
    what: 'word level at 25x, loss to dense of doped-kron in 4x1 blocks less that in single dopants',
    of: extraLoss('doped-kron 25x 4x1', 'doped-kron 25x'),
  },
  'atis.accuracy_gap10': {
    what: 'ATIS, accuracy of dense less that of doped-kron at 10x',
    paper: 'minor',
    of: gap('intent', 'atis doped-kron 10x', 'atis dense'),
  },
  'snips.accuracy_gap10': {
    what: 'Snips, the same, on the validation split',
    paper: 'minor',
    of: gap('intent', 'snips doped-kron 10x', 'snips dense'),
  },
  'atis.f1': { what: 'slots of ATIS, F1 of dense', of: quality('tag', 'atis dense') },
  'atis.f1_gap10': {
    what: 'the same, dense less doped-kron at 10x',
    of: gap('tag', 'atis doped', 'atis dense'),
  },
  'snips.f1': { what: 'slots of Snips, F1 of dense on the validation split', of: quality('tag', 'snips dense') },
  'snips.f1_gap10': {
    what: 'the same, dense less doped-kron at 10x',
    of: gap('tag', 'snips doped', 'snips dense'),
  },
  'small.word.file': {
    what: 'words: bytes of the dense f32 file over those of the small one: doped-kron 25x, tied, 2 bits, gzip',
    of: file('small-word', 'small 2 bits', 'word'),
  },
  'small.word.loss': {
    what: 'its perplexity loss to dense f32, not tied',
    of: lossTo('small-word', 'small 2 bits', 'word', 'dense'),
  },
  'small.word.loss_tied': {
    what: 'the same to dense f32, tied',
    of: lossTo('small-word', 'small 2 bits', 'small-word', 'dense tied'),
  },
  'small.word.file3': { what: 'the file with 3 bits (--small)', of: file('small-word', 'small', 'word') },
  'small.word.loss3': {
    what: 'its perplexity loss to dense f32, not tied',
    of: lossTo('small-word', 'small', 'word', 'dense'),
  },
  'small.char.file': {
    what: 'characters: bytes of the dense f32 file over those of the small one: doped-kron 25x, 8 bits, gzip',
    of: file('small-char', 'small', 'char'),
  },
  'small.char.loss': {
    what: 'its perplexity loss to doped-kron 25x in f32',
    of: lossTo('small-char', 'small', 'char', 'doped-kron 25x'),
  },
  'small.char.file4': { what: 'the file with 4 bits', of: file('small-char', 'small 4 bits', 'char') },
  'small.char.loss4': {
    what: 'its perplexity loss to doped-kron 25x in f32',
    of: lossTo('small-char', 'small 4 bits', 'char', 'doped-kron 25x'),
  },
  'small.lstm.bytes': {
    what: 'words: compression in bytes of the recurrent matrices, doped-kron 25x, 3 bits',
    of: (find) => {
      const cell = find('small-word', 'small');
      return cell && spreadOf(cell.runs.map(({ result }) => result!.compression.bytes));
    },
  },
  'equal.bytes.lead10': {
    what: 'characters, files of 1/10 of dense f32: lead of doped-kron over the best of pruned, kron, lmf, dense and small dense, all tied and in few bits',
    of: equalBytes(10, 8, 'dense 3 bits'),
  },
  'equal.bytes.lead20': { what: 'the same at 1/20', of: equalBytes(20, 8) },
  'equal.bytes.lead40': { what: 'the same at 1/40', of: equalBytes(40, 3) },
  'adaptive.loss': {
    what: '200,000 words of WikiText-2, vocabulary 12,000, 2 x 256: perplexity loss of adaptive to full softmax (one seed of full)',
    of: loss('adaptive', 'adaptive', 'full'),
  },
  'translate.dense.bleu': {
    what: 'Multi30k, German to English: BLEU of dense, beam 4, lower case, words as they are',
    of: translationBleu('dense'),
  },
  'translate.loss10': {
    what: 'BLEU of dense less that of doped-kron at 10x',
    paper: 'minor',
    of: bleuLead('dense', 'doped-kron 10x'),
  },
  'translate.loss25': { what: 'the same at 25x', paper: 'minor', of: bleuLead('dense', 'doped-kron 25x') },
  'translate.lead25.pruned': {
    what: 'BLEU of doped-kron less that of pruned, at 25x',
    of: bleuLead('doped-kron 25x', 'pruned 25x'),
  },
  'translate.lead25.lmf': {
    what: 'the same less that of lmf, both trained for five epochs',
    of: bleuLead('doped-kron 25x', 'lmf 25x', 'translate-short'),
  },
  'translate.small.file': {
    what: 'bytes of the dense f32 file, tied, over those of the small one: doped-kron 25x, tied, 3 bits, gzip; trained for five epochs',
    of: file('translate-short', 'small', 'translate-short'),
  },
  'translate.small.loss': {
    what: 'BLEU of doped-kron 25x in f32 less that of the small one, both trained for five epochs',
    of: bleuLead('doped-kron 25x', 'small', 'translate-short'),
  },
  'medium.loss25': {
    what: '929,000 words of WikiText-2, vocabulary 10,000, 2 x 650: perplexity loss of doped-kron at 25x to dense',
    paper: '0.014',
    of: loss('medium', 'doped-kron 25x'),
  },
  'medium.lead25.pruned': {
    what: 'the same, lead over pruned',
    paper: '0.06',
    of: lead('medium', 'doped-kron 25x', 'pruned 25x'),
  },
  'medium.lead25.lmf': {
    what: 'the same over lmf',
    paper: '0.25',
    of: lead('medium', 'doped-kron 25x', 'lmf 25x'),
  },
  'medium.lead25.kron': {
    what: 'the same over kron',
    paper: '0.24',
    of: lead('medium', 'doped-kron 25x', 'kron 25x'),
  },
  'vowels.lstm': { what: 'Japanese vowels, accuracy of a dense LSTM', of: quality('series', 'lstm dense') },
  'vowels.lstm_gap10': {
    what: 'the same, dense less doped-kron at 10x',
    of: gap('series', 'lstm doped', 'lstm dense'),
  },
  'vowels.gru': { what: 'Japanese vowels, accuracy of a dense GRU', of: quality('series', 'gru dense') },
  'vowels.gru_gap10': {
    what: 'the same, dense less doped-kron at 10x',
    of: gap('series', 'gru doped', 'gru dense'),
  },
};
