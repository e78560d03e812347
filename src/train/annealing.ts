import { checkNumber, checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import type { Parameter } from '../operators/parameter.js';
import { Sparse } from '../operators/sparse.js';
import type { Pointer } from '../wasm/kernels.js';

/** When and how M_sp, the dopants, is pruned. Times are shares of the whole training. */
export interface AnnealingOptions {
  /** When pruning begins, from 0. */
  start: number;
  /** When the last weights are pruned, below 1. */
  end: number;
  /** Training steps from one pruning to the next. */
  every: number;
  /** One threshold for all matrices, or one for each. */
  threshold: 'global' | 'matrix';
  /**
   * What is pruned first: weights of the least magnitude, as by default, or those of the least abs(w) v^(1/4), where v is
   * Adam's second moment.
   */
  saliency?: 'magnitude' | 'moment';
  /** Share of M_sp's weights that are 0 in the end; by default what the compression needs in each matrix. */
  finalSparsity?: number;
  /** Whether M_sp changes from a mask to the compressed form once that is faster; by default it does. */
  compress?: boolean;
}

/** Pruning every 20 steps from 10 to 60 % of the training, one threshold for all matrices. */
export const defaultAnnealing: AnnealingOptions = {
  start: 0.1,
  end: 0.6,
  every: 20,
  threshold: 'global',
};

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
    /** The second moments of a sparse matrix's weights, for a saliency that needs them. */
    private readonly secondOf: (weight: Parameter) => Pointer | undefined = () => undefined,
  ) {
    const { start, end, every, threshold, saliency = 'magnitude', finalSparsity } = options;
    if (!(start >= 0 && start <= end && end < 1)) {
      throw new InputError(`annealing: got start ${start} and end ${end}; expected 0 <= start <= end < 1`);
    }
    checkWhole('annealing every', every, 1);
    if (threshold !== 'global' && threshold !== 'matrix') {
      throw invalid('annealing threshold', threshold, "'global' or 'matrix'");
    }
    if (saliency !== 'magnitude' && saliency !== 'moment') {
      throw invalid('annealing saliency', saliency, "'magnitude' or 'moment'");
    }
    if (finalSparsity !== undefined) {
      checkNumber('final sparsity', finalSparsity, finalSparsity >= 0 && finalSparsity <= 1, 'a number from 0 to 1');
    }
    for (const { sparse, nonzeros } of matrices) checkWhole('nonzeros', nonzeros, 0, sparse.M * sparse.N);
    this.first = Math.floor(start * totalSteps);
    this.last = Math.floor(end * totalSteps);
  }

  /** Whether weights are pruned before this training step, counted from 0. They always are at the end of the schedule. */
  due(step: number): boolean {
    const { first, last, options } = this;
    return step === last || (step >= first && step < last && (step - first) % options.every === 0);
  }

  /** Prunes to the sparsity that the schedule has at this step. */
  prune(step: number): void {
    const keeps = this.matrices.map(({ sparse, nonzeros }) =>
      keptAt(this.progress(step), sparse, this.final(sparse, nonzeros)),
    );
    const { threshold, compress, saliency } = this.options;
    const secondOf = saliency === 'moment' ? this.secondOf : undefined;
    if (threshold === 'matrix') {
      for (const [i, { sparse }] of this.matrices.entries()) Sparse.prune([sparse], keeps[i], compress, secondOf);
    } else {
      Sparse.prune(
        this.matrices.map(({ sparse }) => sparse),
        keeps.reduce((sum, keep) => sum + keep, 0),
        compress,
        secondOf,
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

/** The number of weights left when a share `progress` of the annealing is over. */
function keptAt(progress: number, { M, N }: Sparse, final: number): number {
  const left = 1 - progress;
  return final + Math.round((M * N - final) * left * left * left);
}
