/** What a training run leaves behind, beside its weights. No times in here: the same seed gives the same records. */
export type TrainRecord =
  /**
   * Mean over the steps since the last such record. Losses are natural logarithms; sparsity is that of all M_sp
   * together.
   */
  | { kind: 'step'; step: number; epoch: number; loss: number; learningRate: number; sparsity: number }
  /** On the whole validation split; accuracy where the task has such. */
  | { kind: 'valid'; step: number; epoch: number; perplexity: number; accuracy?: number; exact?: number }
  /** Perplexity of the probe batches just before and just after a pruning step. */
  | { kind: 'prune'; step: number; sparsity: number; before: number; after: number }
  /** Co-matrix adaptation: how S and M_sp share the work, measured on the probe batches. */
  | {
      kind: 'cma';
      step: number;
      sparsity: number;
      both: number; // perplexity as it is
      structureOnly: number; // with S alone
      dopantsOnly: number; // with M_sp alone
      matrices: MatrixAdaptation[];
    };

export interface MatrixAdaptation {
  name: string;
  structureNorm: number; // root mean square over probe vectors of |S x|
  dopantsNorm: number; // the same of |M_sp x|
  cosine: number; // between S x and M_sp x, all probe vectors taken as one
}
