import { checkWhole } from '../../checks.js';
import { InputError, invalid } from '../../errors.js';

/**
 * A text as `batch` parallel streams, cut into pieces of `steps` time steps; each piece continues the one before. Inputs
 * and targets, which are the tokens that follow them, are i32[steps batch], rows of one time step together.
 */
export class Streams {
  /** Pieces in one pass over the text. */
  readonly pieces: number;
  private readonly length: number; // of a stream, targets included

  /**
   * @param what what the text is called in errors
   * @throws InputError for sizes that are not whole numbers >= 1, and a text shorter than one piece
   */
  constructor(
    private readonly ids: Int32Array,
    readonly batch: number,
    readonly steps: number,
    what = 'the text',
  ) {
    checkWhole('batch', batch, 1);
    checkWhole('bptt', steps, 1);
    if (!ArrayBuffer.isView(ids)) throw invalid('ids', ids, 'an Int32Array of token ids');
    this.length = Math.floor(ids.length / batch);
    this.pieces = Math.floor((this.length - 1) / steps);
    if (this.pieces < 1) {
      throw new InputError(
        `${what}: got ${ids.length} tokens, fewer than one batch; expected at least ${batch * (steps + 1)}, for ${batch} streams of ${steps} steps. Use a smaller batch or bptt, or more text`,
      );
    }
  }

  /**
   * Writes a piece, counted from 0.
   *
   * @throws InputError for a piece that there is not, and arrays of another length than steps batch
   */
  fill(piece: number, inputs: Int32Array, targets: Int32Array): void {
    const { ids, batch, steps, length } = this;
    checkWhole('piece', piece, 0, this.pieces - 1);
    for (const [name, array] of Object.entries({ inputs, targets })) {
      if (array?.length !== steps * batch) throw invalid(`${name}.length`, array?.length, `${steps * batch}`);
    }
    for (let b = 0; b < batch; b++) {
      const from = b * length + piece * steps;
      for (let t = 0; t < steps; t++) {
        inputs[t * batch + b] = ids[from + t];
        targets[t * batch + b] = ids[from + t + 1];
      }
    }
  }
}
