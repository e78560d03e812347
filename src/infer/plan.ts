import { InputError, invalid } from '../errors.js';
import { readHeader } from '../io/model-header.js';
import { readLanguageMeaning } from '../tasks/meaning.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkNumbers } from './checks.js';
import { Engine } from './engine.js';
import { type Network, packNetwork } from './network.js';
import { Session } from './session.js';

const LARGEST_FLOAT = (2 - 2 ** -23) * 2 ** 127;

/** A language model, packed to run. Any number of sessions share a plan. */
export class Plan {
  readonly vocabulary: Vocabulary;
  readonly hidden: number;
  readonly layers: number;
  private readonly engine: Engine;
  private readonly network: Network;
  private readonly input: Float32Array; // [H], for input vectors of callers
  private readonly inputAt: Pointer;
  private readonly output: Float32Array; // [H], h of the last layer
  private readonly logits: Float32Array; // [V]
  /** h and c of every layer, of the session that ran last. */
  private readonly state: Float32Array[];
  private active: Session | undefined;

  /** Throws FileFormatError for bytes that are not a language model, saying what is wrong. */
  constructor(bytes: Uint8Array) {
    const header = readHeader(bytes);
    const { config, vocabulary } = readLanguageMeaning(header);
    const { hidden: H, layers } = config;
    this.vocabulary = vocabulary;
    this.hidden = H;
    this.layers = layers;
    const engine = new Engine(1.5 * bytes.length);
    this.engine = engine;
    this.network = packNetwork(engine, header);
    this.inputAt = engine.alloc(4 * H);

    // No memory is requested from here on, so views stay valid.
    const { layers: packed, logits } = this.network;
    this.input = engine.floats(this.inputAt, H);
    this.output = engine.floats(packed[layers - 1].h, H);
    this.logits = engine.floats(logits, this.vocabulary.size);
    this.state = packed.flatMap(({ h, c }) => [engine.floats(h, H), engine.floats(c, H)]);
  }

  /** WebAssembly memory held, in bytes; it does not change after loading. */
  get memoryBytes(): number {
    return this.engine.kernels.memory.buffer.byteLength;
  }

  /** The largest magnitude of numbers in input vectors and states with which all sums stay finite. */
  get limit(): number {
    return this.network.limit;
  }

  /** A new session, its state zero. */
  session(): Session {
    return new Session(this);
  }

  // Sessions call these.

  /** See Session.step. */
  step(session: Session, x: ArrayLike<number>): Float32Array {
    const { hidden: H, limit } = this;
    this.activate(session);
    if (x instanceof Float32Array && x.length === H) {
      this.input.set(x);
      // Not `>`, which NaN would pass.
      if (!(this.engine.kernels.f32_largest(this.inputAt, H) <= limit)) checkNumbers('x', x, H, limit);
    } else {
      checkNumbers('x', x, H, limit);
      this.input.set(x);
    }
    this.engine.kernels.f32_flush(this.inputAt, H);
    this.runLayers(this.inputAt);
    return this.output;
  }

  /** See Session.next. */
  next(session: Session, token: number): Float32Array {
    this.read(session, token);
    return this.predict(session);
  }

  /** Reads a token. */
  read(session: Session, token: number): void {
    if (!(Number.isInteger(token) && token >= 0 && token < this.vocabulary.size)) {
      throw invalid('token', token, `an integer from 0 to ${this.vocabulary.size - 1}`);
    }
    this.activate(session);
    const { embedding, stride } = this.network;
    this.runLayers(embedding + token * stride);
  }

  /** The logits of the next token, [V], given everything that a session has read; overwritten by the next call. */
  predict(session: Session): Float32Array {
    this.activate(session);
    const { layers, head } = this.network;
    this.engine.kernels.run(head, layers[this.layers - 1].h);
    return this.logits;
  }

  /** Whether a session has read nothing: its state is zero. */
  isNew(session: Session): boolean {
    this.release(session);
    return session.saved.every((value) => value === 0);
  }

  /** Throws InputError for anything that cannot be the state of a session. */
  checkState(state: ArrayLike<number>): void {
    const { hidden: H, layers, limit } = this;
    const n = 2 * layers * H;
    checkNumbers('state', state, n, LARGEST_FLOAT);
    // h is multiplied by weights, c is not.
    for (let at = 0; at < n; at += 2 * H) checkNumbers('state', state, n, limit, at, at + H);
  }

  private runLayers(input: Pointer): void {
    const { lstm_step } = this.engine.kernels;
    const { layers, gates } = this.network;
    let x = input;
    for (let l = 0; l < this.layers; l++) {
      const { ih, hh, h, c } = layers[l];
      lstm_step(ih, hh, x, gates, c, h, this.hidden);
      x = h;
    }
  }

  /** Loads a session's state into the kernels' memory, after storing the one that is there. */
  private activate(session: Session): void {
    if (this.active === session) return;
    if (session.plan !== this)
      throw new InputError('session: got one of another model; expected one that this plan made');
    this.store();
    let at = 0;
    for (const part of this.state) {
      part.set(session.saved.subarray(at, at + this.hidden));
      at += this.hidden;
    }
    this.active = session;
  }

  private store(): void {
    if (!this.active) return;
    let at = 0;
    for (const part of this.state) {
      this.active.saved.set(part, at);
      at += this.hidden;
    }
  }

  /** Brings `saved` of a session up to date, to be read or changed. */
  release(session: Session): void {
    if (this.active !== session) return;
    this.store();
    this.active = undefined;
  }
}
