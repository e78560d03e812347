import { FileFormatError, InputError } from '../errors.js';
import { blamingTheFile, headerOf } from '../io/model-header.js';
import type { Vocabulary } from '../tasks/text.js';
import type { Pointer } from '../wasm/kernels.js';
import { Engine } from './engine.js';
import { packMatrix } from './pack.js';
import { Session } from './session.js';

/** A layer as assembly/step.ts wants it. */
interface Layer {
  ih: Pointer;
  hh: Pointer;
  h: Pointer;
  c: Pointer;
}

/** Half of the largest float. */
const LARGEST_SUM = 1.7e38;

/** A language model, packed to run: immutable, and shared by any number of sessions. */
export class Plan {
  readonly vocabulary: Vocabulary;
  readonly hidden: number;
  readonly layers: number;
  private readonly engine: Engine;
  private readonly packed: Layer[];
  private readonly gates: Pointer;
  private readonly input: Float32Array; // [H], for vectors from outside
  private readonly inputAt: Pointer;
  private readonly output: Float32Array; // [H], h of the last layer
  private readonly logits: Float32Array; // [V]
  private readonly head: Pointer;
  private readonly embedding: Pointer;
  private readonly stride: number; // bytes of an embedding, padded to whole vectors
  /** h and c of every layer, those of the session that ran last. */
  private readonly state: Float32Array[];
  private active: Session | undefined;

  /** Throws FileFormatError for bytes that are no model file, saying what is wrong. */
  constructor(bytes: Uint8Array) {
    const { config, vocabulary, spec, source, finish } = headerOf(bytes, 'language-model');
    const { hidden: H, layers } = config;
    const V = vocabulary.size;
    const engine = new Engine(bytes.length);
    this.engine = engine;
    this.vocabulary = vocabulary;
    this.hidden = H;
    this.layers = layers;

    const table = source.floats('embedding', [V, H]);
    this.stride = 16 * Math.ceil(H / 4);
    this.embedding = engine.alloc(this.stride * V);
    const rows = engine.floats(this.embedding, (this.stride / 4) * V);
    for (let v = 0; v < V; v++) rows.set(table.subarray(v * H, (v + 1) * H), (this.stride / 4) * v);
    this.gates = engine.alloc(16 * H);
    // The input of the first layer is an embedding; h is never beyond 1.
    let inputs = engine.kernels.f32_largest(this.embedding, rows.length);
    const checkSums = (name: string, largest: number, bias: Float32Array) => {
      const all = bias.reduce((most, value) => Math.max(most, Math.abs(value)), 0) + largest;
      if (!(all < LARGEST_SUM)) {
        throw new FileFormatError(`'${name}' has weights so large that sums of them may be infinite`);
      }
    };
    const packLayer = (_: unknown, l: number): Layer => {
      const matrix = (name: string, add: true | Float32Array) =>
        packMatrix(engine, spec(name, 4 * H, H), name, source, this.gates, add);
      const [biasIh, biasHh] = ['bias_ih', 'bias_hh'].map((name) => source.floats(`lstm.${l}.${name}`, [4 * H]));
      const bias = biasIh.map((value, i) => value + biasHh[i]);
      const ih = matrix(`lstm.${l}.ih`, bias);
      const hh = matrix(`lstm.${l}.hh`, true);
      checkSums(`lstm.${l}`, inputs * ih.gain + hh.gain, bias);
      inputs = 1;
      return { ih: ih.program, hh: hh.program, h: engine.alloc(4 * H), c: engine.alloc(4 * H) };
    };
    this.packed = blamingTheFile(() => Array.from({ length: layers }, packLayer));
    const logits = engine.alloc(4 * V);
    const headBias = source.floats('head.bias', [V]);
    const head = blamingTheFile(() => packMatrix(engine, spec('head', V, H), 'head', source, logits, headBias));
    checkSums('head', head.gain, headBias);
    this.head = head.program;
    finish();
    this.inputAt = engine.alloc(4 * H);

    // Nothing is handed out from here on, so views stay where they are.
    this.input = engine.floats(this.inputAt, H);
    this.output = engine.floats(this.packed[layers - 1].h, H);
    this.logits = engine.floats(logits, V);
    this.state = this.packed.flatMap(({ h, c }) => [engine.floats(h, H), engine.floats(c, H)]);
  }

  /** WebAssembly memory held; it does not change after loading. */
  get memoryBytes(): number {
    return this.engine.kernels.memory.buffer.byteLength;
  }

  /** A new session, its state zero. */
  session(): Session {
    return new Session(this);
  }

  /** One step from a vector; see Session.step. */
  step(session: Session, x: ArrayLike<number>): Float32Array {
    if (x.length !== this.hidden) throw new InputError(`x: ${x.length} numbers given; ${this.hidden} are wanted`);
    this.activate(session);
    this.input.set(x);
    this.runLayers(this.inputAt);
    return this.output;
  }

  /** One step from a token; see Session.next. */
  next(session: Session, token: number): Float32Array {
    if (!(Number.isInteger(token) && token >= 0 && token < this.vocabulary.size)) {
      throw new InputError(`token: ${token} given; a whole number from 0 to ${this.vocabulary.size - 1} is wanted`);
    }
    this.activate(session);
    this.runLayers(this.embedding + token * this.stride);
    this.engine.kernels.run(this.head, this.packed[this.layers - 1].h);
    return this.logits;
  }

  private runLayers(input: Pointer): void {
    const { lstm_step } = this.engine.kernels;
    let x = input;
    for (let l = 0; l < this.layers; l++) {
      const { ih, hh, h, c } = this.packed[l];
      lstm_step(ih, hh, x, this.gates, c, h, this.hidden);
      x = h;
    }
  }

  /** Puts a session's state where the kernels work, and the one that is there back. */
  private activate(session: Session): void {
    if (this.active === session) return;
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

  /** Makes `saved` of a session the truth, to be read or changed. */
  release(session: Session): void {
    if (this.active !== session) return;
    this.store();
    this.active = undefined;
  }
}
