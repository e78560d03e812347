import type { Tape, Tensor } from '../autograd/tape.js';
import { InputError } from '../errors.js';
import { buildOperator, type Plan, planMatrix } from '../operators/budget.js';
import { Dense } from '../operators/dense.js';
import { Int8, quantise } from '../operators/int8.js';
import { type Noise, type Operator, walk } from '../operators/operator.js';
import { Parameter } from '../operators/parameter.js';
import { Stream, seedWords } from '../random.js';
import type { Vocabulary } from '../tasks/text.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { LARGEST_HIDDEN, type LanguageModelConfig, MOST_LAYERS } from './config.js';
import { dropout } from './dropout.js';
import { embed } from './embedding.js';
import { linear } from './linear.js';
import { type SoftmaxHead, softmaxLoss, type Taught } from './loss.js';
import { LstmLayer, lstm } from './lstm.js';

/** Everything that a language model is made of: what files hold. */
export interface LanguageModelParts {
  embedding: Parameter; // [V,H]
  layers: readonly LstmLayer[];
  head: SoftmaxHead; // [V,H], [V]
}

/** h and c of every layer, [B,H] each, carried from one piece of text to the next. */
export type State = readonly { h: Pointer; c: Pointer }[];

/** Tokens i32[T B] and what goes with them, see LanguageModel.features. */
type Tokens = [ids: Pointer, T: number, B: number, state: State, drop?: { rate: number; seed: number; step: number }];

/**
 * Predicts the next token: embedding, LSTM layers, softmax head; dropout on what goes up, not on what goes on (Zaremba
 * et al., 2014).
 */
export class LanguageModel {
  constructor(
    readonly runtime: Runtime,
    readonly config: LanguageModelConfig,
    readonly vocabulary: Vocabulary,
    readonly parts: LanguageModelParts,
  ) {}

  /** A new model, its weights drawn from the seed. */
  static create(runtime: Runtime, config: LanguageModelConfig, vocabulary: Vocabulary, seed: number): LanguageModel {
    const { hidden: H, layers: L } = config;
    for (const [name, value, most] of [
      ['hidden', H, LARGEST_HIDDEN],
      ['layers', L, MOST_LAYERS],
    ] as const) {
      if (!Number.isInteger(value) || value < 1 || value > most) {
        throw new InputError(`${name}: ${value} was given; it must be a whole number from 1 to ${most}`);
      }
    }
    const plan = matrixPlan(config);
    const [low, high] = seedWords(seed);
    let stream = Stream.initialisation;
    const noise: Noise = ({ value, size }, halfWidth) =>
      runtime.kernels.f32_uniform(value, size, -halfWidth, halfWidth, low, high, stream++);
    // PyTorch's variance for LSTM weights, whatever the structure.
    const variance = 1 / (3 * H);
    const matrix = () => {
      const operator = buildOperator(runtime, plan);
      operator.initialise(variance, noise);
      return operator;
    };
    const embedding = new Parameter(runtime, [vocabulary.size, H]);
    // Variance 1, PyTorch's. With entries a tenth of that, or forget gates that start open, a dense model of words ended at a
    // third more perplexity.
    noise(embedding, Math.sqrt(3));
    const bias = () => new Parameter(runtime, [4 * H]);
    const layers = Array.from({ length: L }, () => new LstmLayer(matrix(), matrix(), bias(), bias()));
    const weight = new Dense(runtime, vocabulary.size, H);
    weight.initialise(variance, noise);
    const head = { weight, bias: new Parameter(runtime, [vocabulary.size]) };
    return new LanguageModel(runtime, config, vocabulary, { embedding, layers, head });
  }

  /** The LSTM's matrices, which are what is compressed, by their names in files. */
  matrices(): [string, Operator][] {
    return this.parts.layers.flatMap(({ ih, hh }, l): [string, Operator][] => [
      [`lstm.${l}.ih`, ih],
      [`lstm.${l}.hh`, hh],
    ]);
  }

  /** The parameters that belong to no operator, by their names in files. */
  loose(): [string, Parameter][] {
    const { embedding, layers, head } = this.parts;
    return [
      ['embedding', embedding],
      ...layers.flatMap(({ biasIh, biasHh }, l): [string, Parameter][] => [
        [`lstm.${l}.bias_ih`, biasIh],
        [`lstm.${l}.bias_hh`, biasHh],
      ]),
      ['head.bias', head.bias],
    ];
  }

  /** All operators by their names in files: the LSTM's and the head's. */
  operators(): [string, Operator][] {
    return [...this.matrices(), ['head', this.parts.head.weight]];
  }

  /** Every parameter by a name of its own. */
  parameters(): [string, Parameter][] {
    const inside = this.operators().flatMap(([name, operator]) =>
      [...walk(operator, name)].flatMap(([path, inner]) => inner.own().map((p): [string, Parameter] => [path, p])),
    );
    return [...this.loose(), ...inside];
  }

  /** The same model, the weights of its softmax head in 8 bits: for files, and not to be trained. */
  withInt8Head(): LanguageModel {
    const { runtime, config, vocabulary, parts } = this;
    const { weight, bias } = parts.head;
    const { M, N } = weight;
    const int8 = new Int8(runtime, M, N, quantise(weight.toDense(), M, N));
    return new LanguageModel(runtime, config, vocabulary, { ...parts, head: { weight: int8, bias } });
  }

  newState(batch: number): State {
    const bytes = 4 * batch * this.config.hidden;
    return this.parts.layers.map(() => ({ h: this.runtime.zeros(bytes), c: this.runtime.zeros(bytes) }));
  }

  resetState(state: State, batch: number): void {
    for (const { h, c } of state) {
      for (const at of [h, c]) this.runtime.floats(at, batch * this.config.hidden).fill(0);
    }
  }

  /** Logits [T B, V] of what comes after the tokens; the arguments are those of features(). */
  forward(tape: Tape, ...tokens: Tokens): Tensor {
    const { weight, bias } = this.parts.head;
    return linear(tape, weight, bias, this.features(tape, ...tokens));
  }

  /** The loss of the targets, i32[T B], see softmaxLoss(). */
  loss(tape: Tape, targets: Pointer, tokens: Tokens, taught?: Taught): { sum: number; count: number } {
    return softmaxLoss(tape, this.parts.head, this.features(tape, ...tokens), targets, taught);
  }

  /**
   * What the head works on, [T B, H], for the tokens ids, i32[T B], rows of one time step together; the state is taken
   * up and left as it is after the last step. With `drop`, the model is being trained.
   */
  private features(tape: Tape, ...[ids, T, B, state, drop]: Tokens): Tensor {
    const { embedding, layers } = this.parts;
    const H = this.config.hidden;
    const thin = (x: Tensor, place: number) =>
      drop ? dropout(tape, x, { ...drop, stream: Stream.dropout + place }) : x;
    let x = thin(embed(tape, embedding, ids, T * B), 0);
    layers.forEach((layer, l) => {
      const before = state[l];
      const tensor = (value: Pointer): Tensor => ({ rows: B, cols: H, value, grad: 0 });
      const { y, h, c } = lstm(tape, layer, x, { h: tensor(before.h), c: tensor(before.c) });
      this.runtime.floats(before.h, B * H).set(this.runtime.floats(h.value, B * H));
      this.runtime.floats(before.c, B * H).set(this.runtime.floats(c.value, B * H));
      x = thin(y, l + 1);
    });
    return x;
  }
}

/** How the LSTM's matrices, all of 4H x H, are made. */
export function matrixPlan({ hidden, method, compression, kron, block }: LanguageModelConfig): Plan {
  return planMatrix(4 * hidden, hidden, method, method === 'dense' ? 1 : compression, kron, block);
}
