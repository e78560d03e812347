/** What a training run records besides its weights. There are no times in it: the same seed gives the same records. */
export type TrainRecord =
  /**
   * The mean over the steps since the last such record. Losses are in nats; sparsity is that of all M_sp together.
   */
  | { kind: 'step'; step: number; epoch: number; loss: number; learningRate: number; sparsity: number }
  /** On the whole validation split: what the task measures. */
  | {
      kind: 'valid';
      step: number;
      epoch: number;
      perplexity?: number;
      accuracy?: number;
      exact?: number;
      f1?: number;
      mse?: number;
    }
  /** Perplexity of the probe batches just before and just after pruning. */
  | { kind: 'prune'; step: number; sparsity: number; before: number; after: number }
  /** Co-matrix adaptation: how S and M_sp share the work, measured on the probe batches. */
  | {
      kind: 'cma';
      step: number;
      sparsity: number;
      both: number; // perplexity of the whole model
      structureOnly: number; // with S alone
      dopantsOnly: number; // with M_sp alone
      matrices: MatrixAdaptation[];
    };

/** How the structure and the dopants of one matrix share the work, measured on probe vectors x. */
export interface MatrixAdaptation {
  name: string;
  structureNorm: number; // root mean square over probe vectors of |S x|
  dopantsNorm: number; // the same of |M_sp x|
  cosine: number; // between S x and M_sp x, with all probe vectors concatenated
}
