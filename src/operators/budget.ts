import { checkNumber, checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import type { Runtime } from '../wasm/runtime.js';
import { type BlockSize, checkBlock, rowsOf } from './csr.js';
import { dense, doped, hmd, kron, lmf } from './factories.js';
import { bestShape, factorsOf, isFormable, kronSize } from './kron-search.js';
import { type KronShape, LARGEST_SIDE, METHODS, type Method, MOST_FACTORS } from './methods.js';
import type { Operator } from './operator.js';
import { type Pattern, Sparse } from './sparse.js';

/** The structured part of a matrix: Kronecker factors, or the sizes of LMF and HMD. */
export type Structure =
  | { kind: 'kron'; shape: KronShape }
  | { kind: 'lmf'; rank: number }
  | { kind: 'hmd'; rows: number; rank: number };

/** How an M x N matrix is composed within a budget of parameters. */
export interface Plan {
  M: number;
  N: number;
  method: Method;
  structure: Structure | undefined;
  /** How many rows of the sparse matrix are pruned together. */
  block: BlockSize;
  /** Nonzeros of the sparse matrix at the end of training; undefined without a sparse matrix. */
  nonzeros: number | undefined;
  /** Parameters of the structure plus nonzeros. */
  parameters: number;
  /** M N / parameters */
  compression: number;
}

// The share of the budget that the structure of a doped matrix may take. A small structure and many dopants did better:
// with half the budget in Kronecker factors, perplexity was 4 % higher.
const STRUCTURE_BUDGET = 0.25;

// The share of a doped matrix's budget that two Kronecker factors may take; above it, three are used. Where two take four
// fifths, three did better by 1 % (words, 100x: bench/experiments); where two take two fifths, worse by as much (characters,
// 25x, one run).
const KRON_SHARE = 0.5;

/**
 * Divides the budget of M N / compression parameters.
 *
 * - kron: the factor shapes with the most parameters within the budget; doped-kron: those with the fewest of all. Two
 *   factors; three if two exceed the budget, or half of it beside dopants. Among equals, the squarest factors, then m2 a
 *   multiple of 8 (whole SIMD registers), then the cheapest product.
 * - lmf: the largest rank within the budget; doped-lmf: within a quarter of it, at least 1.
 * - hmd: half the budget in free rows, the largest rank within the rest; doped-hmd: the same within a quarter, at least
 *   one row and rank 1.
 * - The dopants get the rest, and with `pruned` everything, in whole blocks of `block` rows.
 *
 * @param compression parameters of the dense matrix / parameters of this one, >= 1
 * @param kronShape the factors' sides m1, n1, m2, n2, and so on; searched for unless given
 * @throws InputError for arguments out of range, and for a compression that the method cannot reach; the message then
 * names the nearest possible one
 * @example planMatrix(800, 200, 'doped-kron', 25)
 */
export function planMatrix(
  M: number,
  N: number,
  method: Method,
  compression: number,
  kronShape?: KronShape,
  block: BlockSize = 1,
): Plan {
  checkWhole('M', M, 1, LARGEST_SIDE);
  checkWhole('N', N, 1, LARGEST_SIDE);
  checkMethod(method);
  checkNumber('compression', compression, compression >= 1, 'a number >= 1');
  if (kronShape && !method.endsWith('kron')) {
    throw new InputError(`kron: got factor shapes; expected none, since method '${method}' has no Kronecker factors`);
  }
  const withSparse = method === 'pruned' || method.startsWith('doped-');
  checkBlock(M, N, block);
  const { size: rows } = rowsOf(block, M);
  if (block !== 1 && !withSparse) {
    throw invalid('block', block, `1, since method '${method}' has no sparse matrix`);
  }
  const total = M * N;
  const plan = (structure: Structure | undefined, left?: number): Plan => {
    const nonzeros = left === undefined ? undefined : left - (left % rows);
    const parameters = structureSize(M, N, structure) + (nonzeros ?? 0);
    return { M, N, method, structure, block, nonzeros, parameters, compression: total / parameters };
  };
  if (method === 'dense') return { ...plan(undefined), parameters: total, compression: 1 };

  // Allows for rounding: 28 / 1.12 is 25, although the nearest double to 1.12 is slightly larger.
  const budget = Math.floor((total / compression) * (1 + 2 * Number.EPSILON));
  const impossible = (fewest: number): never => {
    const nearest = Math.floor((100 * total) / fewest) / 100;
    const way = nearest < 1 ? 'no compression is possible' : `the nearest possible compression is ${nearest}`;
    throw new InputError(
      `compression: got ${compression}, which leaves ${budget} parameters for a matrix of ${M} x ${N}; expected at least the ${fewest} that method '${method}' needs; ${way}`,
    );
  };
  if (method === 'pruned') return budget < rows ? impossible(rows) : plan(undefined, budget);

  const withDopants = method.startsWith('doped-');
  // A doped matrix has at least one dopant, or block.
  const most = withDopants ? budget - rows : budget;
  const structure = solveStructure(M, N, method, most, budget, kronShape);
  const size = structureSize(M, N, structure);
  if (size > most) return impossible(size + (withDopants ? rows : 0));
  return plan(structure, withDopants ? budget - size : undefined);
}

/** A method's structure: within its share of the budget if possible, else the smallest there is. */
function solveStructure(
  M: number,
  N: number,
  method: Method,
  most: number,
  budget: number,
  kronShape?: KronShape,
): Structure {
  if (method.endsWith('kron')) {
    if (kronShape) checkKronShape(M, N, kronShape);
    return { kind: 'kron', shape: kronShape ?? kronFactors(M, N, method, budget) };
  }
  const aim = method.startsWith('doped-') ? budget * STRUCTURE_BUDGET : budget;
  if (method.endsWith('lmf')) return { kind: 'lmf', rank: Math.max(1, Math.floor(aim / (M + N))) };
  if (M < 2) throw invalid('method', method, `another one for a matrix of ${M} x ${N}; this one needs at least 2 rows`);
  const rows = Math.min(M - 1, Math.max(1, Math.floor(aim / 2 / N)));
  const rank = Math.max(1, Math.floor((aim - rows * N) / (M - rows + N)));
  const fits = rows * N + rank * (M - rows + N) <= most;
  return fits ? { kind: 'hmd', rows, rank } : { kind: 'hmd', rows: 1, rank: 1 };
}

function structureSize(M: number, N: number, structure: Structure | undefined): number {
  switch (structure?.kind) {
    case undefined:
      return 0;
    case 'kron':
      return kronSize(structure.shape);
    case 'lmf':
      return structure.rank * (M + N);
    case 'hmd':
      return structure.rows * N + structure.rank * (M - structure.rows + N);
  }
}

/** Two factors, or three if two take more than they may. */
function kronFactors(M: number, N: number, method: Method, budget: number): KronShape {
  const doped = method === 'doped-kron';
  const best = (count: number) => bestShape(M, N, count, doped ? 0 : budget);
  const two = best(2);
  if (kronSize(two) <= (doped ? budget * KRON_SHARE : budget)) return two;
  const three = best(3);
  return kronSize(three) < kronSize(two) && isFormable(three) ? three : two;
}

function checkKronShape(M: number, N: number, shape: KronShape): void {
  if (!Array.isArray(shape)) throw invalid('kron', shape, 'a list of sides, such as [m1, n1, m2, n2]');
  const factors = factorsOf(shape);
  const whole = shape.length >= 4 && shape.length % 2 === 0 && shape.every((n) => Number.isSafeInteger(n) && n >= 1);
  const [m, n] = factors.reduce(([rows, columns], [m, n]) => [rows * m, columns * n], [1, 1]);
  if (!whole || m !== M || n !== N) {
    throw new InputError(
      `kron: got ${describeFactors(factors, ' and ')}, which make ${m} x ${n}; expected factors of ${M} x ${N}`,
    );
  }
  if (factors.length > MOST_FACTORS) throw invalid('kron', factors.length, `at most ${MOST_FACTORS} factors`);
  if (!isFormable(shape)) {
    throw invalid(
      'kron',
      describeFactors(factors, ','),
      'smaller products of the factors after the first; put the largest first',
    );
  }
}

function describeFactors(factors: readonly [number, number][], between: string): string {
  return factors.map(([m, n]) => `${m}x${n}`).join(between);
}

function describeBlock(block: BlockSize): string {
  if (block === 'gates') return ' in blocks of the four gates of a unit';
  return block > 1 ? ` in ${block}x1 blocks` : '';
}

/** A plan in words, such as '800x200: 20x10 (x) 40x20 + 5400 nonzeros = 6400 parameters, 25.00x'. */
export function describePlan({ M, N, structure, block, nonzeros, parameters, compression }: Plan): string {
  const parts: string[] = [];
  if (structure?.kind === 'kron') parts.push(describeFactors(factorsOf(structure.shape), ' (x) '));
  if (structure?.kind === 'lmf') parts.push(`rank ${structure.rank}`);
  if (structure?.kind === 'hmd') parts.push(`${structure.rows} free rows + rank ${structure.rank}`);
  if (nonzeros !== undefined) parts.push(`${nonzeros} nonzeros${describeBlock(block)}`);
  if (!parts.length) parts.push('dense');
  return `${M}x${N}: ${parts.join(' + ')} = ${parameters} parameters, ${compression.toFixed(2)}x`;
}

/** The name that the sparse matrix of a plan has in the files of the matrix called `name`, if there is one. */
export function sparseName({ method }: Plan, name: string): string | undefined {
  if (method === 'pruned') return name;
  return method.startsWith('doped-') ? `${name}.1` : undefined;
}

/**
 * The operator of a plan; its sparse matrix starts dense, or with a pattern.
 *
 * @throws InputError for a plan that planMatrix() cannot have made
 */
export function buildOperator(runtime: Runtime, { M, N, method, structure, block }: Plan, pattern?: Pattern): Operator {
  checkMethod(method);
  if (method === 'dense') return dense(runtime, M, N);
  if (method === 'pruned') return new Sparse(runtime, M, N, pattern, block);
  if (structure?.kind === 'kron') checkKronShape(M, N, structure.shape);
  const s = buildStructure(runtime, M, N, structure);
  return method.startsWith('doped-') ? doped(runtime, s, block, pattern) : s;
}

function checkMethod(method: Method): void {
  if (!METHODS.includes(method)) throw invalid('method', method, `one of ${METHODS.join(', ')}`);
}

function buildStructure(runtime: Runtime, M: number, N: number, structure: Structure | undefined): Operator {
  switch (structure?.kind) {
    case 'kron':
      return kron(runtime, structure.shape);
    case 'lmf':
      return lmf(runtime, M, N, structure.rank);
    case 'hmd':
      return hmd(runtime, M, N, structure.rows, structure.rank);
    default:
      throw invalid('structure', structure, "one of kind 'kron', 'lmf' or 'hmd'");
  }
}
