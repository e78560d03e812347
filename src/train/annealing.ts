import { InputError } from '../errors.js';
import { Sparse } from '../operators/sparse.js';

/** When and how M_sp is pruned. Times are shares of the whole training. */
export interface AnnealingOptions {
  start: number;
  end: number;
  /** Steps between two prunings. */
  every: number;
  /** One threshold over all matrices, or one for each. */
  threshold: 'global' | 'matrix';
  /** Share of M_sp's weights that are 0 in the end; undefined: what the compression asks of each matrix. */
  finalSparsity?: number;
  /** Whether M_sp leaves its mask for the compressed form once that is the faster one; undefined: it does. */
  compress?: boolean;
}

export const defaultAnnealing: AnnealingOptions = { start: 0.1, end: 0.6, every: 20, threshold: 'global' };

/**
 * Sparsity annealing: the sparse matrices start dense and are pruned by magnitude along s(t) = s_f (1 - (1 - (t - t0) /
 * (t1 - t0))^3) (Zhu and Gupta, 2017).
 */
export class SparsityAnnealing {
  private readonly first: number; // t0, in steps
  private readonly last: number; // t1

  constructor(
    private readonly matrices: readonly { sparse: Sparse; nonzeros: number }[],
    private readonly options: AnnealingOptions,
    totalSteps: number,
  ) {
    const { start, end, every, threshold, finalSparsity } = options;
    if (!(start >= 0 && start <= end && end < 1)) {
      throw new InputError(
        `annealing: it starts at ${start} and ends at ${end} of training; 0 <= start <= end < 1 is wanted`,
      );
    }
    if (!Number.isInteger(every) || every < 1) {
      throw new InputError(`annealing: every ${every} steps; it must be a whole number of at least 1`);
    }
    if (threshold !== 'global' && threshold !== 'matrix') {
      throw new InputError(`annealing: threshold '${threshold}'; it must be global or matrix`);
    }
    if (finalSparsity !== undefined && !(Number.isFinite(finalSparsity) && finalSparsity >= 0 && finalSparsity <= 1)) {
      throw new InputError(`annealing: final sparsity ${finalSparsity}; it must be from 0 to 1`);
    }
    this.first = Math.floor(start * totalSteps);
    this.last = Math.floor(end * totalSteps);
  }

  /**
   * Whether weights are pruned before the training step of this number, counted from 0. The last time is always one of
   * them.
   */
  due(step: number): boolean {
    const { first, last, options } = this;
    return step === last || (step >= first && step < last && (step - first) % options.every === 0);
  }

  /** Prunes to where the schedule is at this step. */
  prune(step: number): void {
    const keeps = this.matrices.map(({ sparse, nonzeros }) =>
      keptAt(this.progress(step), sparse, this.final(sparse, nonzeros)),
    );
    const { threshold, compress } = this.options;
    if (threshold === 'matrix') {
      for (const [i, { sparse }] of this.matrices.entries()) Sparse.prune([sparse], keeps[i], compress);
    } else {
      Sparse.prune(
        this.matrices.map(({ sparse }) => sparse),
        keeps.reduce((sum, keep) => sum + keep, 0),
        compress,
      );
    }
  }

  private progress(step: number): number {
    return step >= this.last ? 1 : (step - this.first) / (this.last - this.first);
  }

  private final({ M, N }: Sparse, nonzeros: number): number {
    const { finalSparsity } = this.options;
    return finalSparsity === undefined ? nonzeros : Math.round(M * N * (1 - finalSparsity));
  }
}

/** Weights alive when `progress`, 0 to 1, of the annealing is over. */
function keptAt(progress: number, { M, N }: Sparse, final: number): number {
  const left = 1 - progress;
  return final + Math.round((M * N - final) * left * left * left);
}
