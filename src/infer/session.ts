import type { Source } from './model.js';

/** What a session needs of the model that made it. */
interface SessionModel {
  readonly stateSize: number;
  step(session: Session, input: number | ArrayLike<number>): Float32Array;
  release(session: Session): void;
  checkState(state: ArrayLike<number>): void;
}

/** A sequence that a model reads step by step, and the state between steps. step() allocates nothing. */
export class Session {
  /** The state, which is stale while the model works on this session. */
  readonly saved: Float32Array;

  /** Made by model.session(). */
  constructor(
    readonly model: SessionModel,
    /** What it continues, for a model with an encoder. */
    readonly source?: Source,
  ) {
    this.saved = source ? source.state.slice() : new Float32Array(model.stateSize);
  }

  /**
   * Reads the number of a token, or a frame, [inputs]. Returns the network's outputs given everything that was read, [outputs]: a
   * view that the model's next step overwrites, whichever session's. Do not write to it.
   *
   * @throws InputError for anything but a token, or as many finite numbers as a frame has
   */
  step(input: number | ArrayLike<number>): Float32Array {
    return this.model.step(this, input);
  }

  /** A session in the same state. */
  copy(): Session {
    this.model.release(this);
    const copy = new Session(this.model, this.source);
    copy.saved.set(this.saved);
    return copy;
  }

  /** Returns to the state of a new session. */
  reset(): void {
    this.model.release(this);
    if (this.source) this.saved.set(this.source.state);
    else this.saved.fill(0);
  }

  /**
   * A copy of the state, which can be set later in this session, or in another of the same model: of each layer in order h and,
   * for an LSTM, c; or the last frames that a convolution read.
   */
  get state(): Float32Array {
    this.model.release(this);
    return this.saved.slice();
  }

  /** @throws InputError for a state of another size, and for values that no state of this model has */
  set state(state: ArrayLike<number>) {
    this.model.checkState(state);
    this.model.release(this);
    this.saved.set(state);
  }
}
