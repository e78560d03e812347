import { type KronShape, mostFormed } from './methods.js';

/**
 * Finds the shape of `count` >= 2 Kronecker factors of an M x N matrix with the most parameters within the budget, or with the
 * fewest if no shape is within it. Among equals, the squarest factors win, then those with m2 a multiple of 8 (whole SIMD
 * registers), then the cheapest product.
 *
 * Sides may have hundreds of divisors, which make millions of shapes: each costs one comparison, and most of those that cannot
 * win are skipped.
 */
export function bestShape(M: number, N: number, count: number, budget: number): KronShape {
  const divisors = divisorsOf();
  let best = Number.POSITIVE_INFINITY; // parameters
  let equals: number[][] = [];
  /** `first` holds the factors chosen so far, of `size` parameters; `left` more must multiply to m x n. */
  const search = (first: readonly number[], size: number, m: number, n: number, left: number): void => {
    const total = m * n;
    // The sizes of the last two factors multiply to m n, so their sum is least if they are equal.
    if (left === 2 && size + 2 * Math.sqrt(total) * (1 - 1e-9) > (best <= budget ? budget : best)) return;
    for (const m1 of divisors(m)) {
      for (const n1 of divisors(n)) {
        const own = m1 * n1;
        if (left > 2) {
          search([...first, m1, n1], size + own, m / m1, n / n1, left - 1);
          continue;
        }
        const sum = size + own + total / own;
        if (sum === best) equals.push([...first, m1, n1, m / m1, n / n1]);
        else if (sum <= budget ? best > budget || sum > best : sum < best) {
          best = sum;
          equals = [[...first, m1, n1, m / m1, n / n1]];
        }
      }
    }
  };
  search([], 0, M, N, count);
  return equals.sort(byMerit)[0];
}

/** Compares shapes of the same size: the better one first. */
function byMerit(a: KronShape, b: KronShape): number {
  return (
    tooLarge(a) - tooLarge(b) ||
    elongation(a) - elongation(b) ||
    aligned(b) - aligned(a) ||
    cost(a) - cost(b) ||
    byRows(a, b)
  );
}

const tooLarge = (shape: KronShape) => (isFormable(shape) ? 0 : 1);

/** Orders shapes of one matrix as the product of their factors' side ratios does, without rounding. */
function elongation(shape: KronShape): number {
  return factorsOf(shape).reduce((product, [m, n]) => product * Math.max(m, n), 1);
}

const aligned = (shape: KronShape) => (pairOf(shape)[2] % 8 === 0 ? 1 : 0);

/** Multiplications of the two products, with all factors but the first taken as one: see assembly/kron.ts. */
function cost(shape: KronShape): number {
  const [m1, n1, m2, n2] = pairOf(shape);
  return Math.min(m1 * n2 * (n1 + m2), n1 * m2 * (n2 + m1));
}

/** Breaks ties, so that there is one best shape: the smaller m first, then the smaller n. */
function byRows(a: KronShape, b: KronShape): number {
  const differs = (at: number) => a[at] !== b[at];
  const places = [...a.keys()];
  const at = places.filter((i) => i % 2 === 0).find(differs) ?? places.filter((i) => i % 2 === 1).find(differs);
  return at === undefined ? 0 : a[at] - b[at];
}

/** The first factor, and the product of the others: m1, n1, m2, n2. */
function pairOf([m1, n1, ...others]: KronShape): [number, number, number, number] {
  const [m2, n2] = factorsOf(others).reduce(([rows, columns], [m, n]) => [rows * m, columns * n], [1, 1]);
  return [m1, n1, m2, n2];
}

export function factorsOf(shape: KronShape): [m: number, n: number][] {
  return Array.from({ length: Math.ceil(shape.length / 2) }, (_, i) => [shape[2 * i], shape[2 * i + 1]]);
}

/** Whether training forms few enough numbers: the products of the factors from the second, third, ... on. */
export function isFormable(shape: KronShape): boolean {
  const [m1, n1, m2, n2] = pairOf(shape);
  return formedSize(shape) <= mostFormed(m1 * m2, n1 * n2);
}

function formedSize(shape: KronShape): number {
  let formed = 0;
  let product = 1;
  const [, ...others] = factorsOf(shape);
  for (const [i, [m, n]] of others.reverse().entries()) {
    product *= m * n;
    if (i > 0) formed += product;
  }
  return formed;
}

export function kronSize(shape: KronShape): number {
  return factorsOf(shape).reduce((sum, [m, n]) => sum + m * n, 0);
}

/** Lists the divisors of a number, ascending; computes each list once. */
function divisorsOf(): (n: number) => readonly number[] {
  const known = new Map<number, number[]>();
  return (n) => {
    let all = known.get(n);
    if (!all) {
      const small: number[] = [];
      for (let d = 1; d * d <= n; d++) if (n % d === 0) small.push(d);
      const large = small.filter((d) => d * d < n).map((d) => n / d);
      all = [...small, ...large.reverse()];
      known.set(n, all);
    }
    return all;
  };
}
