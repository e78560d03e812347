import type { Tape, Tensor } from '../autograd/tape.js';
import { checkNumber, checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import {
  type AdaptiveSpec,
  type AttentionSpec,
  checkNetwork,
  clustersOf,
  directionsOf,
  ENCODER,
  fedLayer,
  isTied,
  MOST_LAYERS,
  type NetworkSpec,
  type RecurrentSpec,
  type ResolvedLayer,
  recurrentOf,
  resolveLayers,
  type TensorShape,
  tensorsOf,
  tiedScale,
} from '../network/spec.js';
import { buildOperator, type Plan, planMatrix, sparseName } from '../operators/budget.js';
import type { BlockSize } from '../operators/csr.js';
import { Dense } from '../operators/dense.js';
import type { KronShape, Method } from '../operators/methods.js';
import { type Noise, type Operator, parametersOf, walk } from '../operators/operator.js';
import { Parameter } from '../operators/parameter.js';
import type { Pattern } from '../operators/sparse.js';
import { Sum } from '../operators/sum.js';
import { Stream, seedWords } from '../random.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';
import { activate } from './activation.js';
import { adaptiveLogits, adaptiveLoss, type Cluster } from './adaptive.js';
import { attend } from './attention.js';
import { dropout, type StepDropout } from './dropout.js';
import { embed } from './embedding.js';
import { GruLayer, gru } from './gru.js';
import { linear, project } from './linear.js';
import { type SoftmaxHead, type SoftTargets, softmaxLoss } from './loss.js';
import { LstmLayer, lstm } from './lstm.js';
import { largestOverTime, meanOverTime } from './pool.js';
import { joinColumns, rowsOf, scaled, selectRows, stackRows } from './rows.js';
import { convolved, windows } from './window.js';

/** How a matrix is made; dense where nothing is said. */
export interface MatrixRecipe {
  /** The structure: see METHODS. */
  method: Method;
  /** Parameters of the dense matrix over those kept, at least 1. */
  compression: number;
  /** Kronecker factor shapes; the budget solver chooses where there are none. */
  kron?: KronShape;
  /** Rows of the sparse matrix that are pruned together; default 1. */
  block?: BlockSize;
}

/** B sequences side by side, in the runtime's memory, rows of one time step together; shorter ones are padded behind their ends. */
export interface Batch {
  /** Steps of the longest. */
  T: number;
  /** Sequences. */
  B: number;
  /** i32[T B], numbers of tokens, or f32[T B, frames]. */
  input: Pointer;
  /** Steps of each, at least 1; all have T where they are left out. */
  lengths?: readonly number[];
  /** For a network with an encoder, what that reads: as many sequences, all of the same length. */
  source?: Batch;
}

/** The state of a recurrent layer in one direction, [B, units] each; c is 0 where the layer has none. */
export interface LayerState {
  /** What the names of its tensors begin with. */
  name: string;
  h: Pointer;
  c: Pointer;
  units: number;
}

/** Those of all recurrent layers, in order. */
export type NetworkState = readonly LayerState[];

/** What a forward pass may have besides a batch. */
export interface ForwardOptions {
  /** The state before the first step, updated to that after the last; zeros unless given. */
  state?: NetworkState;
  /** Masks over what each layer with weights reads, but not over frames as they come: the network is being trained. */
  dropout?: StepDropout;
}

/** How Network.create() makes the matrices. */
export interface CreateOptions {
  /** How a matrix is made; dense where it returns nothing. */
  recipe?: Recipe;
  /** Of the variance of a new doped matrix, what its structure has; default 0.01. */
  structureShare?: number;
  /** Which weights of the sparse matrices are alive; all are unless given. */
  patternOf?: PatternOf;
}

/** How the matrix of this shape and role is made; dense where nothing is returned. */
export type Recipe = (tensor: TensorShape) => MatrixRecipe | undefined;

/** Which weights of a sparse matrix are alive when it is made, by the name that it has in files. */
export type PatternOf = (name: string, plan: Plan) => Pattern;

/** What a layer gives: rows of one time step together, or one row for each sequence. */
interface Sequence {
  x: Tensor;
  lengths: readonly number[] | undefined;
}

/** The outputs of a network; keep() updates its state, once nothing can fail any more. */
interface Outcome {
  x: Tensor;
  keep(): void;
}

/** A network to be trained or evaluated: a spec with its weights. */
export class Network {
  /** The layers in order, with their sizes. */
  readonly layers: readonly ResolvedLayer[];
  /** Called with what each matrix is multiplied with, by its name, and that of a tied layer. */
  get onInput(): ((name: string, x: Tensor) => void) | undefined {
    return this.listener;
  }
  set onInput(listener: ((name: string, x: Tensor) => void) | undefined) {
    this.listener = listener;
    if (this.encoder) this.encoder.onInput = listener && ((name, x) => listener(ENCODER + name, x));
  }
  private listener: ((name: string, x: Tensor) => void) | undefined;
  /** The network whose outputs attention reads, if any; it shares its parameters with this one. */
  readonly encoder: Network | undefined;
  private readonly shapes: readonly TensorShape[];
  /** The embedding as a matrix, where a layer is tied to it. */
  private readonly tied: Dense | undefined;
  private readonly recurrences: readonly { name: string; kind: 'lstm' | 'gru'; units: number }[];

  /** @throws InputError where the tensors are not those of the spec */
  constructor(
    readonly runtime: Runtime,
    readonly spec: NetworkSpec,
    /** The embedding and the biases, by name. */
    private readonly vectors: ReadonlyMap<string, Parameter>,
    /** The matrices, by name. */
    private readonly weights: ReadonlyMap<string, Operator>,
  ) {
    checkRuntime(runtime);
    this.layers = resolveLayers(spec);
    this.shapes = tensorsOf(spec);
    const inner = <T>(all: ReadonlyMap<string, T>) =>
      new Map([...all].flatMap(([name, one]) => (name.startsWith(ENCODER) ? [[name.slice(ENCODER.length), one]] : [])));
    this.encoder = spec.encoder && new Network(runtime, spec.encoder, inner(vectors), inner(weights));
    const embedding = vectors.get('embedding');
    if (embedding && spec.layers.some(isTied)) {
      const [V, E] = embedding.shape;
      this.tied = new Dense(runtime, V, E, embedding);
    }
    this.recurrences = this.layers.flatMap(({ spec: layer }) =>
      layer.kind === 'lstm' || layer.kind === 'gru'
        ? directionsOf(layer).map(({ name }) => ({ name, kind: layer.kind as 'lstm' | 'gru', units: layer.units }))
        : [],
    );
    for (const { name, shape } of this.shapes) {
      const operator = weights.get(name);
      const found = operator ? [operator.M, operator.N] : vectors.get(name)?.shape;
      if (found?.join() !== shape.join()) throw invalid(`tensor '${name}'`, found, `the shape ${shape.join(' x ')}`);
      if ((operator ?? vectors.get(name))?.runtime !== runtime) {
        throw new InputError(`tensor '${name}': got one of another runtime; expected one of the same runtime`);
      }
    }
  }

  /**
   * A new network, its weights drawn from the seed: embeddings of variance 1, recurrent weights of 1 / (3 units), others of
   * 1 / (3 inputs), as PyTorch has them; biases are zero.
   *
   * @throws InputError for a spec that is none, and where a budget cannot be met
   *
   * @example
   * const spec = { input: { frames: 64 }, layers: [{ name: 'lstm', kind: 'lstm', units: 64 }, { name: 'out', kind: 'linear', outputs: 1 }] };
   * const network = Network.create(runtime, spec, 1, { recipe: ({ role }) => (role === 'recurrent' ? { method: 'doped-kron', compression: 10 } : undefined) });
   */
  static create(runtime: Runtime, given: NetworkSpec, seed: number, options: CreateOptions = {}): Network {
    checkRuntime(runtime);
    const spec = checked(given);
    checkWhole('seed', seed, 0);
    const { structureShare } = options;
    if (structureShare !== undefined) {
      checkNumber('structureShare', structureShare, structureShare > 0 && structureShare < 1, 'a number > 0 and < 1');
    }
    // Keeps no memory if it throws.
    return runtime.within(Number.POSITIVE_INFINITY, () => make(runtime, spec, seed, options));
  }

  /** The parameters that are no matrix of their own: the embedding and the biases, by their names in files. */
  plainParameters(): [string, Parameter][] {
    return [...this.vectors];
  }

  /** All matrices, by their names in files. */
  operators(): [string, Operator][] {
    return [...this.weights];
  }

  /** The matrices of recurrent layers and of attention, and all others that are compressed. */
  matrices(): [string, Operator][] {
    const counts = ({ name, role }: TensorShape) =>
      role === 'recurrent' || role === 'attention' || (role === 'matrix' && !(this.weights.get(name) instanceof Dense));
    return this.shapes.filter(counts).map(({ name }) => [name, this.weights.get(name)!]);
  }

  /** The parameters of the last layer, and the embedding where the layer is tied to it. */
  headParameters(): Parameter[] {
    const { name } = this.layers[this.layers.length - 1].spec;
    const matrices = this.shapes.filter(({ layer }) => layer === name).map((shape) => this.weights.get(shape.name));
    const own = this.shapes
      .filter(({ layer }) => layer === name)
      .flatMap((shape) => this.vectors.get(shape.name) ?? []);
    return [
      ...own,
      ...matrices.flatMap((matrix) => (matrix ? parametersOf(matrix) : [])),
      ...(this.tied ? [this.tied.weight] : []),
    ];
  }

  /** Every parameter by a name of its own. */
  parameters(): [string, Parameter][] {
    const inside = this.operators().flatMap(([name, operator]) =>
      [...walk(operator, name)].flatMap(([path, inner]) => inner.own().map((p): [string, Parameter] => [path, p])),
    );
    return [...this.plainParameters(), ...inside];
  }

  /**
   * A copy of a tensor's numbers, row-major; of a compressed matrix, those of the dense matrix that it stands for.
   *
   * @throws InputError for a name that is none
   */
  tensor(name: string): Float32Array {
    const operator = this.weights.get(name);
    return operator ? operator.toDense() : this.vector(name).data.slice();
  }

  /**
   * Sets a tensor: a dense one to these numbers, a compressed matrix to the nearest that it can be.
   *
   * @throws InputError for a name that is none, or another number of numbers
   */
  setTensor(name: string, values: ArrayLike<number>): void {
    const shape = this.shapes.find((tensor) => tensor.name === name)?.shape ?? this.vector(name).shape;
    const size = shape.reduce((product, n) => product * n, 1);
    if (values.length !== size)
      throw invalid('values', values.length, `${size} numbers for '${name}', ${shape.join(' x ')}`);
    const operator = this.weights.get(name);
    if (operator) operator.fit(values);
    else this.vector(name).data.set(values);
  }

  /**
   * The parameter of this name: the embedding or a bias.
   *
   * @throws InputError for a name that is none
   */
  vector(name: string): Parameter {
    const found = this.vectors.get(name);
    if (!found) throw invalid('tensor', name, `one of ${this.shapes.map((shape) => shape.name).join(', ')}`);
    return found;
  }

  /**
   * The matrix of this name.
   *
   * @throws InputError for a name that is none
   */
  operator(name: string): Operator {
    const found = this.weights.get(name);
    if (!found) throw invalid('matrix', name, `one of ${[...this.weights.keys()].join(', ')}`);
    return found;
  }

  /** The same network with another operator, of the same shape, for one of its matrices. */
  withOperator(name: string, operator: Operator): Network {
    const { runtime, spec, vectors, weights } = this;
    return new Network(runtime, spec, vectors, new Map([...weights, [name, operator]]));
  }

  /**
   * A state of zeros for B sequences, in the runtime's memory.
   *
   * @throws InputError unless B is a whole number of at least 1
   */
  newState(B: number): NetworkState {
    checkWhole('batch', B, 1);
    return this.recurrences.map(({ name, kind, units }) => {
      const zeros = () => this.runtime.zeros(4 * B * units);
      return { name, h: zeros(), c: kind === 'lstm' ? zeros() : 0, units };
    });
  }

  /**
   * Sets a state of B sequences to zeros.
   *
   * @throws InputError for a state that is not of B sequences of this network
   */
  resetState(state: NetworkState, B: number): void {
    this.checkState(state, B);
    for (const { h, c, units } of state) {
      for (const at of [h, c]) if (at) this.runtime.floats(at, B * units).fill(0);
    }
  }

  /** Throws InputError unless a state is that of B sequences, in the runtime's memory. */
  private checkState(state: NetworkState, B: number): void {
    checkWhole('B', B, 1);
    const expected = this.recurrences;
    if (state?.length !== expected.length) {
      throw invalid('state.length', state?.length, `${expected.length}, one for each recurrent layer and direction`);
    }
    for (const [i, { name, kind, units }] of expected.entries()) {
      const { h, c } = state[i];
      if (state[i].name !== name || state[i].units !== units)
        throw invalid(`state[${i}]`, state[i].name, `that of '${name}'`);
      if (!this.runtime.holds(h, B * units)) this.runtime.check(`state[${i}].h`, h, B * units);
      if (kind === 'lstm' && !this.runtime.holds(c, B * units)) this.runtime.check(`state[${i}].c`, c, B * units);
    }
  }

  /**
   * Lays sequences side by side: numbers of tokens, or frames one after another; none of them empty. The memory is the caller's to
   * take back.
   *
   * @throws InputError for a token out of range, a number that is not finite, and a length that is no multiple of a frame's
   */
  batch(sequences: readonly ArrayLike<number>[], name = 'sequences'): Batch {
    return this.runtime.within(Number.POSITIVE_INFINITY, () => {
      const { runtime, spec } = this;
      const tokens = 'tokens' in spec.input ? spec.input.tokens : 0;
      const width = 'frames' in spec.input ? spec.input.frames : 1;
      const B = sequences.length;
      if (B === 0) throw invalid(name, sequences, 'at least one');
      const lengths = sequences.map((sequence, b) => {
        const length = sequence?.length;
        if (length > 0 && length % width === 0) return length / width;
        throw invalid(`${name}[${b}]`, sequence, tokens ? 'at least one token' : `a multiple of ${width} numbers`);
      });
      const T = lengths.reduce((most, length) => Math.max(most, length), 0);
      const n = T * B * width;
      const input = runtime.zeros(4 * n);
      const to = tokens ? runtime.ints(input, n) : runtime.floats(input, n);
      for (const [b, sequence] of sequences.entries()) {
        for (let i = 0; i < sequence.length; i++) {
          const value = sequence[i];
          const good = tokens ? Number.isInteger(value) && value >= 0 && value < tokens : Number.isFinite(value);
          if (!good) {
            throw invalid(
              `${name}[${b}][${i}]`,
              value,
              tokens ? `an integer from 0 to ${tokens - 1}` : 'a finite number',
            );
          }
          to[(Math.floor(i / width) * B + b) * width + (i % width)] = value;
        }
      }
      return { T, B, input, lengths };
    });
  }

  /**
   * The outputs of the last layer: [T' B, outputs], rows of one time step together, or [B, outputs] behind a pool.
   *
   * @param state that before the first step, updated to that after the last; zeros unless given
   * @param dropout masks over what each layer with weights reads, in training
   * @throws InputError for a batch or a state that is not of this network, and where memory runs out
   */
  forward(tape: Tape, batch: Batch, state?: NetworkState, dropout?: StepDropout): Tensor {
    const { x, keep } = this.run(tape, batch, { state, dropout }, this.layers.length);
    keep();
    return x;
  }

  /**
   * Passes the last layer, which is linear, and what it reads to `use`, such as softmaxLoss(), which stores the logits, the
   * largest tensor there is, only once. The state changes at the very end: not if anything throws.
   *
   * @throws InputError where the last layer is another
   */
  throughHead<Result>(
    tape: Tape,
    batch: Batch,
    options: ForwardOptions,
    use: (head: SoftmaxHead, x: Tensor) => Result,
  ): Result {
    const last = this.layers[this.layers.length - 1].spec;
    if (last.kind !== 'linear' || last.activation) {
      throw invalid(`layer '${last.name}'`, last.kind, 'a linear layer without activation at the end');
    }
    const { x, keep } = this.run(tape, batch, options, this.layers.length - 1);
    const result = use(this.linearOf(last.name), x);
    keep();
    return result;
  }

  /**
   * The loss of the targets, i32[T B], under the last layer, which is linear, see softmaxLoss(), or an adaptive softmax, see
   * adaptiveLoss(). The state changes at the very end: not if anything throws.
   *
   * @throws InputError where the last layer is another, and for soft targets of an adaptive softmax
   */
  softmaxLoss(
    tape: Tape,
    batch: Batch,
    options: ForwardOptions,
    targets: Pointer,
    softTargets?: SoftTargets,
    smoothing = 0,
  ): { sum: number; count: number } {
    const last = this.layers[this.layers.length - 1];
    if (last.spec.kind !== 'adaptive') {
      return this.throughHead(tape, batch, options, (head, x) =>
        softmaxLoss(tape, head, x, targets, softTargets, undefined, smoothing),
      );
    }
    if (smoothing) throw invalid('label smoothing', smoothing, '0 for an adaptive softmax');
    if (softTargets)
      throw invalid('distillation', 'an adaptive softmax', 'a softmax over all outputs, to learn from a teacher');
    const { x, keep } = this.run(tape, batch, options, this.layers.length - 1);
    const result = adaptiveLoss(tape, this.clusters(last), x, targets, this.onInput);
    keep();
    return result;
  }

  private clusters({ spec, inputs }: ResolvedLayer): Cluster[] {
    return clustersOf(spec as AdaptiveSpec, inputs).map((shape) => ({
      ...shape,
      weight: this.weights.get(shape.name)!,
      bias: this.vectors.get(`${shape.name}.bias`)!,
      ...(shape.down && { projection: this.weights.get(shape.down)! }),
    }));
  }

  private linearOf(name: string): SoftmaxHead {
    return { weight: this.weights.get(name) ?? this.tied!, bias: this.vectors.get(`${name}.bias`)! };
  }

  /** What the first `count` layers give; for a head, what it would read. */
  private run(tape: Tape, batch: Batch, { state, dropout }: ForwardOptions, count: number): Outcome {
    const pass = this.begin(tape, batch, state, dropout);
    const x = this.through(pass, batch, count);
    const keep = () => {
      for (const one of pass.after) one();
    };
    return { x, keep };
  }

  /** Checks a batch, and runs the encoder over its source. */
  private begin(tape: Tape, batch: Batch, state: NetworkState | undefined, drop: StepDropout | undefined): Pass {
    const { T, B, lengths } = batch;
    checkWhole('T', T, 1);
    checkWhole('B', B, 1);
    if (lengths) {
      if (lengths.length !== B) throw invalid('lengths.length', lengths.length, `${B}, one for each sequence`);
      for (const [b, length] of lengths.entries()) checkWhole(`lengths[${b}]`, length, 1, T);
    }
    const places = new Places(this.runtime, B);
    const pass: Pass = { tape, B, places, state, drop, keys: new Map(), states: new Map(), after: [] };
    const { encoder } = this;
    if (!encoder) {
      if (state) this.checkState(state, B);
      return pass;
    }
    if (state) throw invalid('state', state, 'none: a network with an encoder starts with the states of that');
    const { source } = batch;
    if (!source) throw invalid('batch.source', source, 'what the encoder reads');
    if (source.B !== B) throw invalid('batch.source.B', source.B, `${B}, a source for each sequence`);
    const short = source.lengths?.findIndex((length) => length !== source.T) ?? -1;
    if (short >= 0) {
      throw invalid(
        `batch.source.lengths[${short}]`,
        source.lengths![short],
        `${source.T}, as all sources of the batch`,
      );
    }
    const read = { ...encoder.begin(tape, source, undefined, drop), firstStream: MOST_LAYERS };
    pass.memory = encoder.through(read, source, encoder.layers.length);
    const own = recurrentOf(this.spec);
    for (const [i, layer] of recurrentOf(encoder.spec).entries()) {
      const ends = directionsOf(layer).map(({ name }) => read.states.get(name)!);
      const joined = (parts: readonly Tensor[]) => parts.slice(1).reduce((a, b) => joinColumns(tape, a, b), parts[0]);
      const cells = ends.flatMap(({ c }) => c ?? []);
      pass.states.set(own[i].name, { h: joined(ends.map(({ h }) => h)), ...(cells.length && { c: joined(cells) }) });
    }
    return pass;
  }

  /** Runs the first `count` layers. */
  private through(pass: Pass, { T, B, input, lengths }: Batch, count: number): Tensor {
    const { runtime } = this;
    const { tape } = pass;
    const isTokens = 'tokens' in this.spec.input;
    const table = this.vectors.get('embedding');
    const frames = 'frames' in this.spec.input ? this.spec.input.frames : 0;
    let x: Tensor = isTokens ? embed(tape, table!, input, T * B) : frameTensor(runtime, input, T * B, frames);
    if (this.tied) x = scaled(tape, x, tiedScale(this.spec));
    const fed = fedLayer(this.spec);
    if (!fed) return this.layersOf(pass, new Map([['input', { x, lengths }]]), 0, count);
    // One step after another: each reads what the fed layer gave at the step before.
    const behind = this.layers.findIndex(({ spec }) => spec === fed) + 1;
    const outputs: Tensor[] = [];
    let before = zeroTensor(runtime, B, fed.outputs);
    for (let t = 0; t < T; t++) {
      const step = joinColumns(tape, rowsOf(tape, x, t * B, B), before);
      const read = { ...pass, firstRow: t * B };
      before = this.layersOf(read, new Map([['input', { x: step, lengths: undefined }]]), 0, behind, fed.name);
      outputs.push(before);
    }
    return this.layersOf(pass, new Map([[fed.name, { x: stackRows(tape, outputs), lengths }]]), behind, count);
  }

  /** Runs the layers from `first` on: what layer `count` would read, or, before there is one, what the layer `until` gives. */
  private layersOf(
    pass: Pass,
    done: Map<string, Sequence>,
    first: number,
    count: number,
    until = this.layers[this.layers.length - 1].spec.name,
  ): Tensor {
    const { tape, drop, firstStream = 0, firstRow = 0 } = pass;
    const isTokens = 'tokens' in this.spec.input;
    // Pools have no dropout of their own.
    let place = this.layers.slice(0, first).filter(({ spec }) => spec.kind !== 'pool').length;
    for (let i = first; i < this.layers.length; i++) {
      const layer = this.layers[i];
      const { spec, from } = layer;
      const parts = from.map((name) => done.get(name)!);
      let read = parts.slice(1).reduce((joined, { x }) => joinColumns(tape, joined, x), parts[0].x);
      const raw = !isTokens && from.every((name) => name === 'input');
      if (spec.kind !== 'pool') {
        const stream = Stream.dropout + firstStream + place;
        if (drop && !raw) read = dropout(tape, read, { ...drop, stream, firstRow });
        place++;
      }
      const { lengths } = parts[0];
      if (spec.kind === 'linear') this.onInput?.(spec.name, read);
      if (i === count) return read;
      done.set(spec.name, this.layer(layer, { x: read, lengths }, pass));
      if (spec.name === until) break;
    }
    return done.get(until)!.x;
  }

  private layer(layer: ResolvedLayer, { x, lengths }: Sequence, pass: Pass): Sequence {
    const { spec } = layer;
    const { tape, B, places } = pass;
    switch (spec.kind) {
      case 'lstm':
      case 'gru':
        return { x: this.recurrent(spec, x, lengths, pass), lengths };
      case 'attention':
        return { x: this.attention(spec, x, pass), lengths };
      case 'linear': {
        const { weight, bias } = this.linearOf(spec.name);
        const y = linear(tape, weight, bias, x);
        return { x: spec.activation ? activate(tape, spec.activation, y) : y, lengths };
      }
      case 'adaptive':
        if (tape.recording)
          throw invalid(`layer '${spec.name}'`, 'a pass to be trained', 'softmaxLoss(), which trains it');
        return { x: adaptiveLogits(tape, this.clusters(layer), x), lengths };
      case 'conv': {
        const { weight, bias } = this.linearOf(spec.name);
        const T = x.rows / B;
        // What lies behind a sequence's end must not be seen through a window that reaches past it.
        const own = lengths?.some((length) => length < T) ? places.masked(tape, x, lengths) : x;
        const window = windows(tape, spec, own, B);
        this.onInput?.(spec.name, window);
        const y = linear(tape, weight, bias, window);
        const left = lengths?.map((length) => convolved(length, spec));
        return { x: spec.activation ? activate(tape, spec.activation, y) : y, lengths: left };
      }
      case 'pool': {
        const T = x.rows / B;
        const all = lengths ?? Array.from({ length: B }, () => T);
        if (all.some((length) => length < 1))
          throw invalid('sequences', 'one too short', `a step for '${spec.name}' to pool`);
        switch (spec.over) {
          case 'last':
            return { x: selectRows(tape, x, places.last(all), B), lengths: undefined };
          case 'ends':
            return { x: places.ends(tape, x, all), lengths: undefined };
          case 'mean':
            return { x: meanOverTime(tape, x, all), lengths: undefined };
          case 'max':
            return { x: largestOverTime(tape, x, all), lengths: undefined };
        }
      }
    }
  }

  private attention({ name, score }: AttentionSpec, x: Tensor, { tape, B, memory, keys }: Pass): Tensor {
    let compared = keys.get(name);
    if (!compared) {
      if (score === 'general') this.onInput?.(`${name}.score`, memory!);
      compared = score === 'general' ? project(tape, this.weights.get(`${name}.score`)!, memory!) : memory!;
      keys.set(name, compared);
    }
    const { context } = attend(tape, x, compared, memory!, B);
    const both = joinColumns(tape, context, x);
    this.onInput?.(`${name}.combine`, both);
    const y = linear(tape, this.weights.get(`${name}.combine`)!, this.vectors.get(`${name}.bias`)!, both);
    return activate(tape, 'tanh', y);
  }

  private recurrent(spec: RecurrentSpec, x: Tensor, lengths: readonly number[] | undefined, pass: Pass): Tensor {
    const { runtime } = this;
    const { tape, B, places, state, states, after } = pass;
    const { units: H } = spec;
    const R = x.rows;
    const outputs = directionsOf(spec).map(({ name, backward }) => {
      const carried = state?.find((one) => one.name === name);
      const first = states.get(name);
      const h0 = first?.h ?? zeroTensor(runtime, B, H, carried?.h);
      const keep = (to: Pointer, { value }: Tensor) =>
        after.push(() => runtime.floats(to, B * H).set(runtime.floats(value, B * H)));
      // What lies behind a sequence's end is read after all of it, in both directions: it changes nothing that is used.
      const input = backward ? selectRows(tape, x, places.mirror(R / B, lengths), R) : x;
      const weights = [
        this.weights.get(`${name}.ih`)!,
        this.weights.get(`${name}.hh`)!,
        this.vectors.get(`${name}.bias_ih`)!,
        this.vectors.get(`${name}.bias_hh`)!,
      ] as const;
      this.onInput?.(`${name}.ih`, input);
      if (spec.kind === 'lstm') {
        const c0 = first?.c ?? zeroTensor(runtime, B, H, carried?.c);
        const { y, h, c } = lstm(tape, new LstmLayer(...weights), input, { h: h0, c: c0 });
        this.onInput?.(`${name}.hh`, y); // but for the first step, what the matrix has read
        states.set(name, { h, c });
        if (carried) {
          keep(carried.h, h);
          keep(carried.c, c);
        }
        return backward ? selectRows(tape, y, places.mirror(R / B, lengths), R) : y;
      }
      const { y, h } = gru(tape, new GruLayer(...weights), input, { h: h0 });
      this.onInput?.(`${name}.hh`, y);
      states.set(name, { h });
      if (carried) keep(carried.h, h);
      return backward ? selectRows(tape, y, places.mirror(R / B, lengths), R) : y;
    });
    return outputs.slice(1).reduce((joined, y) => joinColumns(tape, joined, y), outputs[0]);
  }
}

/** What the layers of a pass over a batch share. */
interface Pass {
  tape: Tape;
  B: number;
  places: Places;
  /** That of the caller, to start with and to be updated. */
  state: NetworkState | undefined;
  drop: StepDropout | undefined;
  /** What tells its dropout masks apart from those of another network, and of another step. */
  firstStream?: number;
  firstRow?: number;
  /** Of a network with an encoder, the outputs of that, [S B, M]. */
  memory?: Tensor;
  /** What each layer of attention compares its queries with. */
  keys: Map<string, Tensor>;
  /** The last states of the recurrent layers and directions, by name; before those, the ones to start with, if any. */
  states: Map<string, { h: Tensor; c?: Tensor }>;
  /** What is to be done once nothing can fail any more. */
  after: (() => void)[];
}

/** Rows of a batch by their part in its sequences, made when first asked for. */
class Places {
  private readonly mirrors = new Map<string, Pointer>();

  constructor(
    private readonly runtime: Runtime,
    private readonly B: number,
  ) {}

  /** i32[T B]: the row as many steps before a sequence's end as this one is behind its start; padding stays where it is. */
  mirror(T: number, lengths: readonly number[] | undefined): Pointer {
    const { runtime, B } = this;
    const key = `${T}:${lengths?.join()}`;
    const made = this.mirrors.get(key);
    if (made !== undefined) return made;
    const at = runtime.alloc(4 * T * B);
    const rows = runtime.ints(at, T * B);
    for (let b = 0; b < B; b++) {
      const length = lengths ? lengths[b] : T;
      for (let t = 0; t < T; t++) rows[t * B + b] = (t < length ? length - 1 - t : t) * B + b;
    }
    this.mirrors.set(key, at);
    return at;
  }

  /** i32[B]: the row of each sequence's last step. */
  last(lengths: readonly number[]): Pointer {
    const at = this.runtime.alloc(4 * this.B);
    this.runtime.ints(at, this.B).set(lengths.map((length, b) => (length - 1) * this.B + b));
    return at;
  }

  /** The forward half of each sequence's last step beside the backward half of its first, [B, N]. */
  ends(tape: Tape, x: Tensor, lengths: readonly number[]): Tensor {
    const { runtime, B } = this;
    const last = selectRows(tape, x, this.last(lengths), B);
    const at = runtime.alloc(4 * B);
    runtime.ints(at, B).set(lengths.map((_, b) => b));
    const first = selectRows(tape, x, at, B);
    const half = x.cols / 2;
    return joinColumns(tape, columns(tape, last, 0, half), columns(tape, first, half, half));
  }

  /** x with zeros behind each sequence's end. */
  masked(tape: Tape, x: Tensor, lengths: readonly number[]): Tensor {
    const { runtime, B } = this;
    const N = x.cols;
    const T = x.rows / B;
    const y = tape.tensor(x.rows, N);
    const clear = (at: Pointer) => {
      for (const [b, length] of lengths.entries()) {
        for (let t = length; t < T; t++) runtime.floats(at + 4 * (t * B + b) * N, N).fill(0);
      }
    };
    runtime.floats(y.value, x.rows * N).set(runtime.floats(x.value, x.rows * N));
    clear(y.value);
    if (tape.recording) tape.gradient(x);
    tape.record(() => {
      const dy = tape.gradient(y);
      clear(dy);
      runtime.kernels.f32_add(dy, x.grad, x.rows * N);
    });
    return y;
  }
}

/** y[R,n] = columns of x[R,*] from `first` on. */
function columns(tape: Tape, x: Tensor, first: number, n: number): Tensor {
  const { f32_copy_columns } = tape.runtime.kernels;
  const y = tape.tensor(x.rows, n);
  f32_copy_columns(x.value + 4 * first, x.cols, y.value, n, x.rows, n, false);
  if (tape.recording) tape.gradient(x);
  tape.record(() => f32_copy_columns(tape.gradient(y), n, x.grad + 4 * first, x.cols, x.rows, n, true));
  return y;
}

/** Numbers at an address, or else zeros. */
function zeroTensor(runtime: Runtime, rows: number, cols: number, at: Pointer = 0): Tensor {
  return { rows, cols, value: at || runtime.zeros(4 * rows * cols), grad: 0, runtime };
}

function frameTensor(runtime: Runtime, value: Pointer, rows: number, cols: number): Tensor {
  runtime.check('input', value, rows * cols);
  return { rows, cols, value, grad: 0, runtime };
}

/** How each matrix is made, by name. @throws InputError where a budget cannot be met */
export function planNetwork(spec: NetworkSpec, recipe: Recipe = () => undefined): Map<string, Plan> {
  const plans = new Map<string, Plan>();
  // Layers have few shapes, and a plan may take long.
  const known = new Map<string, Plan>();
  for (const tensor of tensorsOf(spec)) {
    const { name, shape, role } = tensor;
    if (role === 'table' || role === 'vector') continue;
    const { method, compression, kron, block } = recipe(tensor) ?? { method: 'dense', compression: 1 };
    const [M, N] = shape as [number, number];
    const key = JSON.stringify([M, N, method, compression, kron, block]);
    const plan = known.get(key) ?? planMatrix(M, N, method, method === 'dense' ? 1 : compression, kron, block);
    known.set(key, plan);
    plans.set(name, plan);
  }
  return plans;
}

function make(
  runtime: Runtime,
  spec: NetworkSpec,
  seed: number,
  { recipe, structureShare, patternOf }: CreateOptions,
): Network {
  const plans = planNetwork(spec, recipe);
  const [low, high] = seedWords(seed);
  let stream = Stream.initialisation;
  const noise: Noise = ({ value, size }, halfWidth) =>
    runtime.kernels.f32_uniform(value, size, -halfWidth, halfWidth, low, high, stream++);
  const vectors = new Map<string, Parameter>();
  const operators = new Map<string, Operator>();
  for (const { name, shape, role, layer } of tensorsOf(spec)) {
    if (role === 'table' || role === 'vector') {
      const parameter = new Parameter(runtime, shape);
      // What is read has variance 1, PyTorch's. With entries a tenth of that, or forget gates that start open, a dense model of words ended at a
      // third more perplexity.
      if (role === 'table') noise(parameter, Math.sqrt(3) / tiedScale(name === 'embedding' ? spec : spec.encoder!));
      vectors.set(name, parameter);
      continue;
    }
    const plan = plans.get(name)!;
    const sparse = sparseName(plan, name);
    const operator = buildOperator(runtime, plan, sparse === undefined ? undefined : patternOf?.(sparse, plan));
    if (structureShare !== undefined && operator instanceof Sum) operator.structureShare = structureShare;
    const fan = role === 'recurrent' ? unitsOf(spec, layer) : shape[1]!;
    operator.initialise(1 / (3 * fan), noise);
    operators.set(name, operator);
  }
  return new Network(runtime, spec, vectors, operators);
}

function unitsOf(spec: NetworkSpec, layer: string): number {
  if (layer.startsWith(ENCODER)) return unitsOf(spec.encoder!, layer.slice(ENCODER.length));
  return (spec.layers.find(({ name }) => name === layer) as RecurrentSpec).units;
}

/** A caller's spec: what is wrong with it is the caller's. */
function checked(given: NetworkSpec): NetworkSpec {
  try {
    return checkNetwork(given);
  } catch (error) {
    throw new InputError((error as Error).message, { cause: error });
  }
}
