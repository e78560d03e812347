import { type Leaf, leavesOf, type StoredBits } from '../nn/leaves.js';
import type { Network } from '../nn/network.js';
import { storedValues } from '../nn/quantise.js';

/** A Network or a Model. */
type Rounded = Pick<Network, 'runtime' | 'spec' | 'plainParameters' | 'operators'>;

/**
 * Quantisation-aware training: a model computes with its weights as a small file stores them, and the optimiser changes the
 * weights behind them with the gradients at the rounded ones (the straight-through estimator of Bengio et al., 2013).
 */
export class Quantisation {
  private active = false;

  constructor(
    private readonly model: Rounded,
    readonly bits: StoredBits,
  ) {}

  /** Runs `act` on rounded weights. */
  around<T>(act: () => T): T {
    if (this.active) return act();
    const leaves = leavesOf(this.model);
    const weights = leaves.map(({ parameter }) => parameter.data.slice());
    this.active = true;
    try {
      for (const leaf of leaves) this.round(leaf);
      return act();
    } finally {
      this.active = false;
      for (const [i, { parameter }] of leaves.entries()) parameter.data.set(weights[i]);
    }
  }

  private round(leaf: Leaf): void {
    const values = storedValues(this.model.runtime, leaf, this.bits[leaf.role] ?? 32);
    const { data } = leaf.parameter;
    const { places } = leaf;
    if (!places) data.set(values);
    else for (let i = 0; i < places.length; i++) data[places[i]] = values[i];
  }
}
