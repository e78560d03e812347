import { FileFormatError } from '../errors.js';
import type { Architecture } from '../nn/architecture.js';
import type { OperatorSpec } from '../operators/spec.js';
import type { Header } from './model-header.js';
import type { TensorSource } from './tensor-source.js';

// Finite weights may be so large that sums of them are infinite, and differences of those NaN. They are checked once, after
// loading, so that a step needs no check.

/** Half of the largest float: neither rounding nor a second such sum takes a sum from here to infinity. */
const LARGEST_SUM = 1.7e38;

/**
 * Bounds the sums of a model's forward pass by the largest weight of each tensor. Returns the largest magnitude that inputs and
 * states from outside may have. Throws FileFormatError where a sum might be infinite.
 */
export function checkSums(
  { layers, hidden: H, head }: Architecture,
  spec: Header['spec'],
  source: TensorSource,
): number {
  const check = (name: string, sum: number) => {
    if (sum < LARGEST_SUM) return;
    throw new FileFormatError(
      `'${name}': got weights so large that sums of them may be infinite; expected smaller ones`,
    );
  };
  const gain = (name: string, M: number, N: number) => gainOf(spec(name, M, N), name, source);
  // What later layers read, h, is never beyond 1.
  const input = Math.max(1, source.largest('embedding'));
  let limit = LARGEST_SUM;
  for (const { name, inputs } of layers) {
    const [ih, hh] = [gain(`${name}.ih`, 4 * H, inputs), gain(`${name}.hh`, 4 * H, H)];
    const bias = source.largest(`${name}.bias_ih`) + source.largest(`${name}.bias_hh`);
    check(name, input * ih + hh + bias);
    limit = Math.min(limit, (LARGEST_SUM - bias) / Math.max(1, ih + hh));
  }
  check('head', gain('head', ...head) + source.largest('head.bias'));
  return limit;
}

/** Bounds a matrix W: no element of W x, nor any intermediate result, is larger than this times the largest of x. */
function gainOf(spec: OperatorSpec, name: string, source: TensorSource): number {
  switch (spec.type) {
    case 'dense':
      return spec.shape[1] * source.largest(`${name}.weight`);
    case 'sparse':
      return spec.shape[1] * source.largest(`${name}.values`);
    case 'int8':
      return spec.shape[1] * 127 * source.largest(`${name}.scales`);
    case 'kronecker': {
      const factor = ([, N]: [number, number], part: string) =>
        Math.max(1, N * source.largest(`${name}.${part}.weight`));
      const { B, C } = spec;
      return factor(B, 'B') * (Array.isArray(C) ? factor(C, 'C') : gainOf(C, `${name}.C`, source));
    }
    case 'product':
      return Math.max(1, gainOf(spec.V, `${name}.V`, source)) * Math.max(1, gainOf(spec.U, `${name}.U`, source));
    case 'vstack':
      return spec.blocks.reduce((most, block, i) => Math.max(most, gainOf(block, `${name}.${i}`, source)), 0);
    case 'sum':
      return spec.terms.reduce((total, term, i) => total + gainOf(term, `${name}.${i}`, source), 0);
  }
}
