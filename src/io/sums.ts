import { FileFormatError } from '../errors.js';
import {
  clustersOf,
  directionsOf,
  ENCODER,
  GATES,
  isTied,
  memoryWidth,
  type NetworkSpec,
  resolveLayers,
  tiedScale,
} from '../network/spec.js';
import type { OperatorSpec } from '../operators/spec.js';
import type { Header } from './model-header.js';
import type { TensorSource } from './tensor-source.js';

// Finite weights may be so large that sums of them are infinite, and differences of those NaN. They are checked once, after
// loading, so that a step needs no check.

/** Half of the largest float: neither rounding nor a second such sum takes a sum from here to infinity. */
const LARGEST_SUM = 1.7e38;

/** A bound on the magnitude of numbers: A times that of inputs and states from outside, plus B. */
interface Bound {
  A: number;
  B: number;
}

/**
 * Bounds the sums of a model's forward pass by the largest weight of each tensor. Returns the largest magnitude that inputs and
 * states from outside may have. Throws FileFormatError where a sum might be infinite.
 */
export function checkSums(network: NetworkSpec, spec: Header['spec'], source: TensorSource): number {
  const limits = [LARGEST_SUM];
  if (network.encoder) checkPart(network.encoder, ENCODER, spec, source, []);
  checkPart(network, '', spec, source, limits);
  return Math.min(...limits);
}

/** The same of a network whose tensors' names begin with `prefix`; what limits numbers from outside is added to `limits`. */
function checkPart(
  network: NetworkSpec,
  prefix: string,
  spec: Header['spec'],
  source: TensorSource,
  limits: number[],
): void {
  const check = (name: string, { A, B }: Bound) => {
    if (!(B < LARGEST_SUM)) {
      throw new FileFormatError(
        `'${name}': got weights so large that sums of them may be infinite; expected smaller ones`,
      );
    }
    if (A > 0) limits.push((LARGEST_SUM - B) / Math.max(1, A));
  };
  const gain = (name: string, M: number, N: number) => gainOf(spec(prefix + name, M, N), prefix + name, source);
  const largest = (name: string) => source.largest(prefix + name);
  // Rows of an embedding may be replaced by vectors from outside.
  const input: Bound = {
    A: 1,
    B: 'tokens' in network.input ? Math.max(1, largest('embedding') * tiedScale(network)) : 0,
  };
  const bounds = new Map([['input', input]]);
  for (const { spec: layer, from, inputs } of resolveLayers(network)) {
    const read = from.map((name) => bounds.get(name)!);
    const x = read.reduce((most, one) => ({ A: Math.max(most.A, one.A), B: Math.max(most.B, one.B) }));
    let y = x;
    if (layer.kind === 'lstm' || layer.kind === 'gru') {
      const { units: H } = layer;
      for (const { name } of directionsOf(layer)) {
        const [ih, hh] = [
          gain(`${name}.ih`, GATES[layer.kind] * H, inputs),
          gain(`${name}.hh`, GATES[layer.kind] * H, H),
        ];
        const bias = largest(`${name}.bias_ih`) + largest(`${name}.bias_hh`);
        // Without a state from outside, h is never beyond 1.
        check(name, { A: ih * x.A + hh, B: ih * x.B + hh + bias });
      }
      y = { A: layer.kind === 'gru' ? 1 : 0, B: 1 };
    } else if (layer.kind === 'adaptive') {
      for (const { name, rows, width, down } of clustersOf(layer, inputs)) {
        const before = down ? gain(down, width, inputs) : 1;
        if (down) check(down, { A: before * x.A, B: before * x.B });
        const weight = gain(name, rows, width) * Math.max(1, before);
        check(name, { A: weight * x.A, B: 4 * (weight * x.B + largest(`${name}.bias`)) });
      }
    } else if (layer.kind === 'attention') {
      // An encoder ends with a recurrent layer: its outputs are never beyond 1, and neither is a mean of them.
      const { name, score, outputs } = layer;
      const memory = memoryWidth(network);
      const key = score === 'general' ? gain(`${name}.score`, inputs, memory) : 1;
      check(`${name}.score`, { A: inputs * key * x.A, B: inputs * key * x.B });
      const weight = gain(`${name}.combine`, outputs, memory + inputs);
      check(name, { A: weight * x.A, B: weight * Math.max(1, x.B) + largest(`${name}.bias`) });
      y = { A: 0, B: 1 };
    } else if (layer.kind === 'linear' || layer.kind === 'conv') {
      const { name, activation, outputs } = layer;
      const weight = isTied(layer)
        ? inputs * largest('embedding')
        : gain(name, outputs, inputs * (layer.kind === 'conv' ? layer.width : 1));
      y = { A: weight * x.A, B: weight * x.B + largest(`${name}.bias`) };
      check(name, y);
      if (activation === 'tanh' || activation === 'sigmoid') y = { A: 0, B: 1 };
    }
    bounds.set(layer.name, y);
  }
}

/** Bounds a matrix W: no element of W x, nor any intermediate result, is larger than this times the largest of x. */
function gainOf(spec: OperatorSpec, name: string, source: TensorSource): number {
  switch (spec.type) {
    case 'dense':
      return spec.shape[1] * source.largest(`${name}.weight`);
    case 'sparse':
      return spec.shape[1] * source.largest(`${name}.values`);
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
