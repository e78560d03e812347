import type { Model } from '../nn/model.js';
import { shuffledBatches } from './by-length.js';
import { Training, type TrainingOptions } from './training.js';

/** A training on sequences, in batches of similar length that are shuffled anew for each epoch. */
export abstract class SequenceTraining<
  M extends Model = Model,
  Options extends TrainingOptions = TrainingOptions,
> extends Training<M, Options> {
  private order: { epoch: number; batches: Int32Array[] } | undefined;

  /** The training sequences; only their lengths count here. */
  protected abstract readonly sequences: readonly { readonly length: number }[];

  /** The places of the sequences of the next piece. */
  protected get chosen(): Int32Array {
    const { epoch, piece } = this;
    if (this.order?.epoch !== epoch) this.order = { epoch, batches: this.batches() };
    return this.order.batches[piece];
  }

  /** The batches of this epoch, as places of sequences. */
  protected batches(): Int32Array[] {
    const { epoch, options, sequences } = this;
    return shuffledBatches(sequences, options.batch, options.seed, epoch);
  }

  protected get batchSize(): number {
    return this.chosen.length;
  }
}
