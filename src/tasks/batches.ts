import { InputError } from '../errors.js';

/**
 * A text as `batch` parallel streams, cut into pieces of `steps` time steps, so that each piece goes on where the one
 * before stopped. Inputs and targets, the tokens one further on, are i32[steps batch], rows of one time step together.
 */
export class Streams {
  /** Pieces in one pass over the text. */
  readonly pieces: number;
  private readonly length: number; // of a stream, targets included

  constructor(
    private readonly ids: Int32Array,
    readonly batch: number,
    readonly steps: number,
    what: string,
  ) {
    for (const [name, value] of Object.entries({ batch, bptt: steps })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new InputError(`${name}: ${value} was given; it must be a whole number of at least 1`);
      }
    }
    this.length = Math.floor(ids.length / batch);
    this.pieces = Math.floor((this.length - 1) / steps);
    if (this.pieces < 1) {
      throw new InputError(
        `${what} has ${ids.length} tokens, fewer than one batch: ${batch} streams of ${steps} steps need ${batch * (steps + 1)}. A smaller batch or bptt, or more text, would do`,
      );
    }
  }

  fill(piece: number, inputs: Int32Array, targets: Int32Array): void {
    const { ids, batch, steps, length } = this;
    for (let b = 0; b < batch; b++) {
      const from = b * length + piece * steps;
      for (let t = 0; t < steps; t++) {
        inputs[t * batch + b] = ids[from + t];
        targets[t * batch + b] = ids[from + t + 1];
      }
    }
  }
}
