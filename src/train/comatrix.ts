import { checkNumber } from '../checks.js';
import { checkRate } from '../nn/dropout.js';
import { type Operator, walk } from '../operators/operator.js';
import { type Probe, Sum } from '../operators/sum.js';
import { Stream } from '../random.js';
import type { Runtime } from '../wasm/runtime.js';
import type { MatrixAdaptation } from './records.js';

/** Co-matrix row dropout. */
export interface CoMatrixDropoutOptions {
  /** Rates of the masks over S x and M_sp x, >= 0 and < 1. */
  structure: number;
  dopants: number;
  /** Keep each stream's mask for the whole sequence, instead of drawing a new one at every time step. */
  hold: boolean;
  /** Share of training after which it is off, 0 to 1. */
  until: number;
}

/** No co-matrix dropout, the default. */
export const noCoMatrixDropout: CoMatrixDropoutOptions = { structure: 0, dopants: 0, hold: false, until: 1 };

/** Throws InputError for a number out of range. */
export function checkCoMatrixDropout({ structure, dopants, until }: CoMatrixDropoutOptions): void {
  checkRate('cmr structure', structure);
  checkRate('cmr dopants', dopants);
  checkNumber('cmr until', until, until >= 0 && until <= 1, 'a number from 0 to 1');
}

/** All doped matrices in these, by name. */
export function dopedMatrices(matrices: readonly (readonly [string, Operator])[]): [string, Sum][] {
  return matrices
    .flatMap(([name, operator]) => [...walk(operator, name)])
    .filter((entry): entry is [string, Sum] => entry[1] instanceof Sum);
}

/**
 * Sets the masks of one training step over sequences of `batch` streams; `progress` is the share of training that is over.
 * Every term of a sum has its own mask, at the rate of the dopants for the last of several terms, of the structure for others.
 */
export function setCoMatrixDropout(
  sums: readonly (readonly [string, Sum])[],
  options: CoMatrixDropoutOptions,
  { seed, step, batch, progress }: { seed: number; step: number; batch: number; progress: number },
): void {
  const { structure, dopants, hold, until } = options;
  const on = (structure > 0 || dopants > 0) && progress < until;
  let stream: number = Stream.coMatrixDropout;
  for (const [, sum] of sums) {
    const rates = sum.terms.map((_, i) => (sum.isDopants(i) ? dopants : structure));
    sum.dropout = on ? { rates, seed, step, stream, period: hold ? batch : 0 } : undefined;
    stream += rates.length;
  }
}

/** Runs `act` with no masks, as at inference. */
export function withoutMasks<T>(sums: readonly (readonly [string, Sum])[], act: () => T): T {
  return restoringMasks(sums, () => {
    for (const [, sum] of sums) sum.dropout = undefined;
    return act();
  });
}

/** Runs `act`, which may set masks, and then restores the masks that were set before. */
export function restoringMasks<T>(sums: readonly (readonly [string, Sum])[], act: () => T): T {
  const before = sums.map(([, { dropout }]) => dropout);
  try {
    return act();
  } finally {
    sums.forEach(([, sum], i) => {
      sum.dropout = before[i];
    });
  }
}

/** Runs `act` with only one of the two matrices of every sum: 0 the structure, 1 the dopants. */
export function withOnly<T>(sums: readonly (readonly [string, Sum])[], which: 0 | 1, act: () => T): T {
  const before = sums.map(([, { active }]) => [...active]);
  try {
    for (const [, sum] of sums) {
      for (const i of sum.terms.keys()) if (sum.isDopants(i) !== (which === 1)) sum.active[i] = false;
    }
    return act();
  } finally {
    sums.forEach(([, { active }], s) => {
      active.splice(0, active.length, ...before[s]);
    });
  }
}

/** Measures how structure and dopants share the work in what `evaluate` computes. */
export function measureAdaptation(
  runtime: Runtime,
  sums: readonly (readonly [string, Sum])[],
  evaluate: () => void,
): MatrixAdaptation[] {
  const before = sums.map(([, { probe }]) => probe);
  return runtime.scoped(() => {
    const probes = sums.map(([, { terms }]): Probe => {
      const squares = terms.length * terms.length;
      const gram = runtime.zeros(8 * (squares + 1));
      return { gram, rows: gram + 8 * squares };
    });
    try {
      sums.forEach(([, sum], i) => {
        sum.probe = probes[i];
      });
      // The products of all rows are added up in one place.
      runtime.onThisThread(evaluate);
    } finally {
      sums.forEach(([, sum], i) => {
        sum.probe = before[i];
      });
    }
    return sums.map(([name, sum], i) => adaptationOf(runtime, name, sum, probes[i]));
  });
}

function adaptationOf(runtime: Runtime, name: string, sum: Sum, { gram, rows }: Probe): MatrixAdaptation {
  const n = sum.terms.length;
  const products = runtime.doubles(gram, n * n);
  const [count] = runtime.doubles(rows, 1);
  // <S x, S x>, <S x, M_sp x> and <M_sp x, M_sp x>, where S is the sum of all terms but the dopants.
  let [ss, sm, mm] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const product = products[i * n + j];
      if (!sum.isDopants(i) && !sum.isDopants(j)) ss += product;
      else if (!sum.isDopants(i)) sm += product;
      else if (sum.isDopants(j)) mm += product;
    }
  }
  // Products that leave the range of floats have no finite norm, and no direction.
  const norm = (squares: number) => (Number.isNaN(squares) ? Number.POSITIVE_INFINITY : Math.sqrt(squares / count));
  const cosine = sm / Math.sqrt(ss * mm);
  return {
    name,
    structureNorm: count > 0 ? norm(ss) : 0,
    dopantsNorm: count > 0 ? norm(mm) : 0,
    cosine: Number.isFinite(cosine) ? cosine : 0,
  };
}
