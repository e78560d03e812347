import { InputError, invalid } from '../errors.js';
import { readHeader, type TaskData } from '../io/model-header.js';
import {
  directionsOf,
  fedLayer,
  inputWidth,
  memoryWidth,
  type NetworkSpec,
  recurrentOf,
  whyNotCausal,
} from '../network/spec.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkNumbers, type Frames, flatFrames } from './checks.js';
import { Engine } from './engine.js';
import { type Carried, type Layer, lookUp, type Network, packNetwork } from './network.js';
import { runLayers, stepLayer } from './run.js';
import { Session } from './session.js';

const LARGEST_FLOAT = (2 - 2 ** -23) * 2 ** 127;

/** A sequence that the encoder of a model has read: what attention reads, and the state that sessions start with. */
export interface Source {
  /** Its steps. */
  readonly steps: number;
  /** Outputs of the encoder, [steps, its outputs]. */
  readonly values: Float32Array;
  /** What each layer of attention compares with its inputs, [steps, inputs]. */
  readonly keys: readonly Float32Array[];
  /** A state as Session has it. */
  readonly state: Float32Array;
}

/** A network of any kind, packed to run. Any number of sessions share a model. */
export class Model {
  /** What it is made of. */
  readonly network: NetworkSpec;
  /** What the numbers mean, as its task stored it. */
  readonly task: TaskData;
  /** Different tokens, or numbers of a frame. */
  readonly inputs: number;
  /** Numbers that it gives: at each step, or for the sequence. */
  readonly outputs: number;
  /** The largest magnitude of numbers in frames and states with which all sums stay finite. */
  readonly limit: number;
  /** Numbers in the state of a session. */
  readonly stateSize: number;
  private readonly engine: Engine;
  private readonly packed: Network;
  private readonly whyNotStepped: string | undefined;
  /** What is carried between steps, in order. */
  private readonly parts: readonly Carried[];
  /** The layers from here on carry nothing. */
  private readonly tail: number;
  /** Where each layer's outputs lie at a step; 0 is the input's. */
  private readonly outs: Pointer[];
  /** All of the memory; made anew after it has grown. */
  private memory: Float32Array;
  private view: Float32Array;
  private viewAt: Pointer = 0;
  private active: Session | undefined;
  /** See roomForHead(). */
  private headRoom: Pointer = 0;
  private headSessions = 0;
  /** What attention reads now. */
  private source: Source | undefined;

  /** Throws FileFormatError for bytes that are not a model, saying what is wrong. */
  constructor(bytes: Uint8Array) {
    const header = readHeader(bytes);
    const { network, task } = header;
    this.network = network;
    this.task = task;
    const engine = new Engine(1.5 * bytes.length);
    this.engine = engine;
    this.packed = packNetwork(engine, header);
    const { layers, limit } = this.packed;
    this.inputs = 'tokens' in network.input ? network.input.tokens : inputWidth(network);
    this.outputs = layers[layers.length - 1].outputs;
    this.limit = limit;
    this.whyNotStepped = whyNotCausal(network);
    this.outs = [0, ...layers.map(({ out }) => out)];
    const carried = this.whyNotStepped ? [] : layers.map((layer) => layer.carried);
    this.tail = carried.findLastIndex(({ length }) => length) + 1;
    this.parts = carried.flat();
    this.stateSize = this.parts.reduce((sum, { n }) => sum + n, 0);
    this.memory = new Float32Array(engine.kernels.memory.buffer);
    this.view = this.memory.subarray(0, 0);
  }

  /** WebAssembly memory held, in bytes. Steps do not change it; it grows with the longest sequence of run(). */
  get memoryBytes(): number {
    return this.engine.kernels.memory.buffer.byteLength;
  }

  /**
   * A new session, its state zero; for a model with an encoder, one that continues a source, with its state.
   *
   * @throws InputError where the network reads what comes later, and so cannot be stepped, and without the source that it needs
   */
  session(source?: Source): Session {
    if (this.whyNotStepped) {
      throw new InputError(
        `session: got a network that cannot be stepped, since ${this.whyNotStepped}; expected a causal one; run() takes whole sequences`,
      );
    }
    if (!source !== !this.packed.encoder) {
      const expected = source ? 'none: the model has no encoder' : 'what encode() returns: the model has an encoder';
      throw invalid('source', source, expected);
    }
    return new Session(this, source);
  }

  /**
   * Reads a whole sequence with the encoder, for sessions to continue. Any number of sources and of their sessions take turns.
   *
   * @param sequence numbers of tokens of the encoder, at least one
   * @throws InputError for a model without an encoder, for what is not a token, and for a sequence too long for memory
   * @example
   * const session = model.session(model.encode([5, 9, 2]));
   * const logits = session.step(1);
   */
  encode(sequence: ArrayLike<number>): Source {
    const { engine, packed, network } = this;
    const { encoder } = packed;
    if (!encoder || !network.encoder)
      throw new InputError('encode: got a model without an encoder; expected one that has it');
    const { input } = network.encoder;
    if (!('tokens' in input)) throw new InputError('encode: got an encoder of frames; expected one of tokens');
    const S = (sequence as ArrayLike<number> | null | undefined)?.length;
    if (!S) throw invalid('sequence', S ?? sequence, 'at least one token');
    for (let s = 0; s < S; s++) this.checkToken(sequence[s], `sequence[${s}]`, input.tokens);
    this.store();
    this.active = this.source = undefined;
    return withinMemory(S, () => {
      this.makeRoom(S);
      const ends: Float32Array[] = [];
      const { at } = runLayers(
        engine,
        encoder,
        S,
        input.width,
        (at) => this.lookUpAll(encoder, input.width, sequence, at),
        (state) => ends.push(state),
      );
      const layers = this.attending;
      const width = memoryWidth(network);
      const values = engine.floats(at, S * width).slice();
      const keys = layers.map(({ attention, inputs }) => {
        const { score, keys } = attention!;
        if (!score) return values;
        const from = engine.scratch(4 * S * width + packed.scratch + 64);
        engine.floats(from, S * width).set(values);
        engine.kernels.run_many(score, from, 4 * width, S, keys, 4 * inputs, from + 4 * S * width + 64);
        return engine.floats(keys, S * inputs).slice();
      });
      return { steps: S, values, keys, state: this.firstState(network.encoder!, ends) };
    });
  }

  /** The state that sessions start with: h and c of each recurrent layer, both directions side by side; zeros elsewhere. */
  private firstState(encoder: NetworkSpec, ends: readonly Float32Array[]): Float32Array {
    const state = new Float32Array(this.stateSize);
    let to = 0;
    let next = 0;
    const sizes = recurrentOf(encoder).map((layer) => directionsOf(layer).length);
    for (const { cells, carried } of this.packed.layers) {
      const directions = cells.length ? sizes.shift()! : 0;
      for (const [i, { n }] of carried.entries()) {
        for (let d = 0; d < directions; d++) {
          const end = ends[next + d * carried.length + i];
          state.set(end, to + d * end.length);
        }
        to += n;
      }
      next += directions * carried.length;
    }
    return state;
  }

  private get attending(): Layer[] {
    return this.packed.layers.filter(({ attention }) => attention);
  }

  /** Room for S steps of a source, twice as much as before where there is too little. */
  private makeRoom(S: number): void {
    const { engine } = this;
    for (const { attention, inputs } of this.attending) {
      if (attention!.room >= S) continue;
      const room = Math.max(S, 2 * attention!.room, 32);
      const { score, width } = attention!;
      const values = engine.alloc(4 * room * width);
      const keys = score ? engine.alloc(4 * room * inputs) : values;
      Object.assign(attention!, { values, keys, weights: engine.alloc(4 * room), room });
    }
  }

  /** Lays a source where attention reads it. */
  private attendTo(source: Source): void {
    if (this.source === source) return;
    this.makeRoom(source.steps);
    for (const [i, { attention }] of this.attending.entries()) {
      const { values, keys } = attention!;
      this.engine.floats(values, source.values.length).set(source.values);
      if (keys !== values) this.engine.floats(keys, source.keys[i].length).set(source.keys[i]);
      attention!.steps = source.steps;
    }
    this.source = source;
  }

  /** A copy of how much the last step attended to each step of its source; of the last such layer. */
  attention(): Float32Array {
    const { weights, steps } = this.attending.at(-1)?.attention ?? { weights: 0, steps: 0 };
    return this.engine.floats(weights, steps).slice();
  }

  /** The rows of tokens, one after another. */
  private lookUpAll(packed: Network, width: number, tokens: ArrayLike<number>, at: Pointer): void {
    const { engine } = this;
    const memory = engine.floats(0, engine.kernels.memory.buffer.byteLength / 4);
    for (let t = 0; t < tokens.length; t++) {
      const from = lookUp(engine, packed, tokens[t]) / 4;
      memory.copyWithin(at / 4 + t * width, from, from + width);
    }
  }

  /**
   * Runs the network over a whole sequence, from a state of zeros. Sessions keep their states. The products of the inputs with
   * a layer's matrix are computed for all steps at once.
   *
   * @param sequence numbers of tokens; or frames, each a list, [T][inputs], or one after another, [T inputs]
   * @returns the outputs of each step, [outputs]; only one array where the network pools the sequence
   * @throws InputError for an empty sequence, what is not a token or a finite number, and a sequence too long for memory
   * @example
   * const [scores] = model.run(frames);
   */
  run(sequence: Frames): Float32Array[] {
    const { inputs, network, limit } = this;
    const isTokens = 'tokens' in network.input;
    return this.runFlat(isTokens ? (sequence as ArrayLike<number>) : flatFrames('sequence', sequence, inputs, limit));
  }

  private runFlat(sequence: ArrayLike<number>): Float32Array[] {
    const { engine, packed, network, limit } = this;
    if (packed.encoder)
      throw new InputError('run: got a model with an encoder; expected encode() and a session of the source');
    const width = inputWidth(network);
    const n = (sequence as ArrayLike<number> | null | undefined)?.length;
    const isTokens = 'tokens' in network.input;
    const T = isTokens ? n : n && n / width;
    if (!T || !Number.isInteger(T)) {
      throw invalid('sequence', n ?? sequence, isTokens ? 'at least one token' : `a multiple of ${width} numbers`);
    }
    if (isTokens) for (let t = 0; t < T; t++) this.checkToken(sequence[t], `sequence[${t}]`);
    else if (!(sequence instanceof Float32Array)) checkNumbers('sequence', sequence, n!, limit);
    const steps = withinMemory(T, () =>
      runLayers(engine, packed, T, width, (at) => {
        if (isTokens) {
          this.lookUpAll(packed, width, sequence, at);
        } else {
          engine.floats(at, n!).set(sequence);
          // Not `>`, which NaN would pass.
          if (!(engine.kernels.f32_largest(at, n!) <= limit)) checkNumbers('sequence', sequence, n!, limit);
          engine.kernels.f32_flush(at, T * width);
        }
      }),
    );
    const { outputs } = this;
    return Array.from({ length: steps.T }, (_, t) => engine.floats(steps.at + 4 * t * outputs, outputs).slice());
  }

  // Sessions call these.

  /** See Session.step. */
  step(session: Session, input: number | ArrayLike<number>): Float32Array {
    this.read(session, input);
    return this.finish();
  }

  /**
   * Steps sessions, each by its input, and returns the logarithms of the probabilities of what comes next, [sessions][outputs], one
   * after another: a view that the next step overwrites. For a network that ends with a softmax head. The head takes four
   * sessions together, which is faster than one after another. With `attention`, what each session attended to is added to it.
   */
  logProbabilities(sessions: readonly Session[], inputs: ArrayLike<number>, attention?: Float32Array[]): Float32Array {
    const { packed, engine, outputs, outs } = this;
    const { layers, scratch } = packed;
    const head = layers[layers.length - 1];
    const B = sessions.length;
    const rows = 4 * head.inputs;
    const together = head.spec.kind === 'linear' && B > 1;
    const at = this.roomForHead(B);
    const logits = at + B * rows;
    for (const [b, session] of sessions.entries()) {
      this.read(session, inputs[b]);
      if (together) this.advance(this.tail, layers.length - 1);
      else this.finish();
      const from = outs[together ? head.from[0] : layers.length];
      engine.kernels.f32_scale(
        1,
        from,
        together ? at + b * rows : logits + 4 * b * outputs,
        together ? head.inputs : outputs,
      );
      attention?.push(this.attention());
    }
    if (together) {
      const room = engine.scratch(scratch + 64);
      engine.kernels.run_many(head.weight, at, rows, B, logits, 4 * outputs, room);
    }
    for (let b = 0; b < B; b++) engine.kernels.f32_share(0, logits + 4 * b * outputs, outputs);
    return engine.floats(logits, B * outputs);
  }

  /** Memory for what the head reads and gives of so many sessions; kept, and made anew where there must be more. */
  private roomForHead(sessions: number): Pointer {
    if (sessions <= this.headSessions) return this.headRoom;
    const { layers } = this.packed;
    const { inputs } = layers[layers.length - 1];
    this.headRoom = this.engine.alloc(4 * sessions * (inputs + this.outputs) + 64);
    this.headSessions = sessions;
    return this.headRoom;
  }

  /** Reads a token or a frame, without computing what only the outputs need. */
  read(session: Session, input: number | ArrayLike<number>): void {
    const { network, packed, limit, engine } = this;
    if ('tokens' in network.input) {
      this.checkToken(input, 'token');
      this.activate(session);
      this.outs[0] = this.beside(lookUp(engine, packed, input as number));
    } else {
      const n = this.inputs;
      const at = packed.input;
      const frame = input as ArrayLike<number>;
      if (!(frame instanceof Float32Array && frame.length === n)) checkNumbers('frame', frame, n, limit);
      this.refresh();
      this.memory.set(frame, at / 4);
      // Not `>`, which NaN would pass.
      if (!(engine.kernels.f32_largest(at, n) <= limit)) checkNumbers('frame', frame, n, limit);
      engine.kernels.f32_flush(at, n);
      this.activate(session);
      this.outs[0] = this.beside(at);
    }
    this.advance(0, this.tail);
  }

  /** The input with what is fed beside it. */
  private beside(input: Pointer): Pointer {
    const { fed } = this.packed;
    if (!fed) return input;
    this.engine.kernels.f32_scale(1, input, fed, inputWidth(this.network));
    return fed;
  }

  /**
   * The outputs given everything that a session has read, where what carries nothing reads only layers that do; overwritten by
   * the next call.
   */
  predict(session: Session): Float32Array {
    this.activate(session);
    return this.finish();
  }

  /** Whether a session has read nothing: its state is zero. */
  isNew(session: Session): boolean {
    this.release(session);
    return session.saved.every((value) => value === 0);
  }

  /** Throws InputError for anything that cannot be the state of a session. */
  checkState(state: ArrayLike<number>): void {
    const { parts, limit, stateSize } = this;
    checkNumbers('state', state, stateSize, LARGEST_FLOAT);
    let at = 0;
    for (const { n, multiplied } of parts) {
      if (multiplied) checkNumbers('state', state, stateSize, limit, at, at + n);
      at += n;
    }
  }

  private checkToken(token: unknown, name: string, tokens = this.inputs): void {
    if (!(Number.isInteger(token) && (token as number) >= 0 && (token as number) < tokens)) {
      throw invalid(name, token, `an integer from 0 to ${tokens - 1}`);
    }
  }

  /** Runs the layers that carry nothing and follow those that do. */
  private finish(): Float32Array {
    const { layers } = this.packed;
    this.advance(this.tail, layers.length);
    const at = this.outs[layers.length];
    this.refresh();
    if (at !== this.viewAt) {
      this.view = this.engine.floats(at, this.outputs);
      this.viewAt = at;
    }
    return this.view;
  }

  private advance(first: number, end: number): void {
    const { outs, packed, engine } = this;
    for (let l = first; l < end; l++) {
      const layer = packed.layers[l];
      const x = layer.gathered && !layer.attention ? this.gather(layer) : outs[layer.from[0]];
      outs[l + 1] = stepLayer(engine, packed, layer, x);
      if (layer.attention && layer.carried.length) {
        engine.kernels.f32_scale(1, layer.out, layer.carried[0].at, layer.outputs);
      }
    }
  }

  /** Lays what a layer reads side by side, behind the frames that a convolution still has. */
  private gather({ from, gathered, window, inputs }: Layer): Pointer {
    this.refresh();
    const { memory, outs, packed, network } = this;
    let to = gathered / 4;
    // Frames before this one, if any.
    const before = (window - 1) * inputs;
    memory.copyWithin(to, to + inputs, to + inputs + before);
    to += before;
    for (const one of from) {
      const n = one ? packed.layers[one - 1].outputs : inputWidth(network) + (fedLayer(network)?.outputs ?? 0);
      memory.copyWithin(to, outs[one] / 4, outs[one] / 4 + n);
      to += n;
    }
    return gathered;
  }

  /** Views are lost when memory grows, as in run(). */
  private refresh(): void {
    if (this.memory.length) return;
    this.memory = new Float32Array(this.engine.kernels.memory.buffer);
    this.viewAt = 0;
  }

  /** Loads a session's state into the kernels' memory, after storing the one that is there. */
  private activate(session: Session): void {
    if (this.active === session) return;
    if (session.model !== this)
      throw new InputError('session: got one of another model; expected one that this model made');
    this.store();
    if (session.source) this.attendTo(session.source);
    this.refresh();
    let from = 0;
    for (const { at, n } of this.parts) {
      this.memory.set(session.saved.subarray(from, from + n), at / 4);
      from += n;
    }
    this.active = session;
  }

  private store(): void {
    this.refresh();
    if (!this.active) return;
    let to = 0;
    for (const { at, n } of this.parts) {
      this.active.saved.set(this.memory.subarray(at / 4, at / 4 + n), to);
      to += n;
    }
  }

  /** Brings `saved` of a session up to date, to be read or changed. */
  release(session: Session): void {
    if (this.active !== session) return;
    this.store();
    this.active = undefined;
  }
}

/** Runs a sequence of so many steps; an error of the memory says how many they are. */
function withinMemory<T>(steps: number, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof InputError) || !cause.message.startsWith('memory')) throw cause;
    throw new InputError(`sequence: got ${steps} steps; expected no more than fit in memory`, { cause });
  }
}
