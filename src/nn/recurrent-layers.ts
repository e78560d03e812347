import type { PoolSpec, RecurrentSpec } from '../network/spec.js';
import type { ModelConfig } from './config.js';

/** The recurrent layers of a model, one above the other: `lstm.0`, `lstm.1`, or `gru.0` and so on. */
export function recurrentLayers({ hidden, layers, cell = 'lstm' }: ModelConfig, directions: 1 | 2): RecurrentSpec[] {
  return Array.from({ length: layers }, (_, l) => ({
    name: `${cell}.${l}`,
    kind: cell,
    units: hidden,
    ...(directions === 2 && { direction: 'both' as const }),
  }));
}

/** What recurrent layers know of a whole sequence: the last output of each direction. */
export const lastOutputs = (directions: 1 | 2): PoolSpec =>
  directions === 2 ? { name: 'ends', kind: 'pool', over: 'ends' } : { name: 'last', kind: 'pool', over: 'last' };
