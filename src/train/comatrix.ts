import { InputError } from '../errors.js';
import { type Operator, walk } from '../operators/operator.js';
import { Sum } from '../operators/sum.js';
import { Stream } from '../random.js';
import type { Runtime } from '../wasm/runtime.js';
import type { MatrixAdaptation } from './records.js';

/** Co-matrix row dropout. */
export interface CoMatrixDropoutOptions {
  /** Rates of the masks over S x and M_sp x. */
  structure: number;
  dopants: number;
  /** Hold each stream's mask over the sequence, instead of a fresh one at every step of it. */
  hold: boolean;
  /** Share of training after which it is off. */
  until: number;
}

export const noCoMatrixDropout: CoMatrixDropoutOptions = { structure: 0, dopants: 0, hold: false, until: 1 };

export function checkCoMatrixDropout({ structure, dopants, until }: CoMatrixDropoutOptions): void {
  for (const [name, rate] of Object.entries({ structure, dopants })) {
    if (!(rate >= 0 && rate < 1))
      throw new InputError(`cmr: rate ${rate} for the ${name}; it must be at least 0 and below 1`);
  }
  if (!(until >= 0 && until <= 1)) throw new InputError(`cmr: until ${until} of training; it must be from 0 to 1`);
}

/** The doped matrices among these, by name. */
export function dopedMatrices(matrices: readonly (readonly [string, Operator])[]): [string, Sum][] {
  return matrices
    .flatMap(([name, operator]) => [...walk(operator, name)])
    .filter((entry): entry is [string, Sum] => entry[1] instanceof Sum);
}

/**
 * Sets the masks for one training step over sequences of `batch` streams; `progress` is the share of training that is
 * over.
 */
export function setCoMatrixDropout(
  sums: readonly (readonly [string, Sum])[],
  options: CoMatrixDropoutOptions,
  { seed, step, batch, progress }: { seed: number; step: number; batch: number; progress: number },
): void {
  const { structure, dopants, hold, until } = options;
  const on = (structure > 0 || dopants > 0) && progress < until;
  sums.forEach(([, sum], i) => {
    const stream = Stream.coMatrixDropout + 2 * i;
    const period = hold ? batch : 0;
    sum.dropout = on ? { rates: [structure, dopants], seed, step, stream, period } : undefined;
  });
}

/** Evaluates with no masks, as at inference. */
export function withoutMasks<T>(sums: readonly (readonly [string, Sum])[], evaluate: () => T): T {
  const before = sums.map(([, sum]) => sum.dropout);
  for (const [, sum] of sums) sum.dropout = undefined;
  const result = evaluate();
  sums.forEach(([, sum], i) => {
    sum.dropout = before[i];
  });
  return result;
}

/** Evaluates with one of the two matrices alone: 0 the structure, 1 the dopants. */
export function alone<T>(sums: readonly (readonly [string, Sum])[], which: 0 | 1, evaluate: () => T): T {
  for (const [, sum] of sums) sum.active[1 - which] = false;
  const result = evaluate();
  for (const [, sum] of sums) sum.active[1 - which] = true;
  return result;
}

/** How the two matrices share the work in what is evaluated. */
export function measureAdaptation(
  runtime: Runtime,
  sums: readonly (readonly [string, Sum])[],
  evaluate: () => void,
): MatrixAdaptation[] {
  const mark = runtime.mark();
  // f64: the Gram matrix of the two products, and the number of rows.
  const places = sums.map(([, sum]) => {
    const gram = runtime.zeros(40);
    sum.probe = { gram, rows: gram + 32 };
    return gram;
  });
  // The products of all rows are summed up in one place.
  runtime.alone(evaluate);
  const result = sums.map(([name, sum], i) => {
    sum.probe = undefined;
    const [ss, sm, , mm, rows] = runtime.doubles(places[i], 5);
    return {
      name,
      structureNorm: Math.sqrt(ss / rows),
      dopantsNorm: Math.sqrt(mm / rows),
      cosine: ss > 0 && mm > 0 ? sm / Math.sqrt(ss * mm) : 0,
    };
  });
  runtime.release(mark);
  return result;
}
