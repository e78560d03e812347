import type { Tape, Tensor } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import { invalid } from '../errors.js';
import { Int8, quantise } from '../operators/int8.js';
import { Stream } from '../random.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { languageModelArchitecture } from './architecture.js';
import type { ModelConfig } from './config.js';
import { dropout, type StepDropout } from './dropout.js';
import { embed } from './embedding.js';
import { linear } from './linear.js';
import { softmaxLoss, type Taught } from './loss.js';
import { lstm } from './lstm.js';
import { checkModelSize, createParts, Model, type ModelParts, type PatternOf } from './model.js';

/** h and c of every layer, [B,H] each, carried from one piece of text to the next. */
export type State = readonly { h: Pointer; c: Pointer }[];

/** Tokens i32[T B] and what goes with them, see LanguageModel.features. */
type Tokens = [ids: Pointer, T: number, B: number, state: State, drop?: StepDropout];

/**
 * Predicts the next token: embedding, LSTM layers, softmax head; dropout on what goes up, not on what goes on (Zaremba
 * et al., 2014).
 */
export class LanguageModel extends Model {
  readonly kind = 'language-model';

  constructor(runtime: Runtime, config: ModelConfig, vocabulary: Vocabulary, parts: ModelParts) {
    super(runtime, config, vocabulary, languageModelArchitecture(config, vocabulary.size), parts);
  }

  /** A new model, its weights drawn from the seed. */
  static create(
    runtime: Runtime,
    config: ModelConfig,
    vocabulary: Vocabulary,
    seed: number,
    structureShare?: number,
    patternOf?: PatternOf,
  ): LanguageModel {
    checkModelSize(config);
    const architecture = languageModelArchitecture(config, vocabulary.size);
    const parts = createParts(runtime, config, architecture, seed, structureShare, patternOf);
    return new LanguageModel(runtime, config, vocabulary, parts);
  }

  /** The same model, the weights of its softmax head in 8 bits: for files, and not to be trained. */
  withInt8Head(): LanguageModel {
    const { runtime, config, vocabulary, parts } = this;
    const { weight, bias } = parts.head;
    const { M, N } = weight;
    const int8 = new Int8(runtime, M, N, quantise(weight.toDense(), M, N));
    return new LanguageModel(runtime, config, vocabulary, { ...parts, head: { weight: int8, bias } });
  }

  /** The state of `batch` streams before a text, all zeros. */
  newState(batch: number): State {
    checkWhole('batch', batch, 1);
    const bytes = 4 * batch * this.config.hidden;
    return this.parts.layers.map(() => ({ h: this.runtime.zeros(bytes), c: this.runtime.zeros(bytes) }));
  }

  /** Sets a state of `batch` streams to zeros. */
  resetState(state: State, batch: number): void {
    this.checkState(state, batch);
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
    checkWhole('T', T, 1);
    this.checkState(state, B);
    const thin = (x: Tensor, place: number) =>
      drop ? dropout(tape, x, { ...drop, stream: Stream.dropout + place }) : x;
    let x = thin(embed(tape, embedding, ids, T * B), 0);
    layers.forEach((layer, l) => {
      const before = state[l];
      const tensor = (value: Pointer): Tensor => ({ rows: B, cols: H, value, grad: 0, runtime: this.runtime });
      const { y, h, c } = lstm(tape, layer, x, { h: tensor(before.h), c: tensor(before.c) });
      this.runtime.floats(before.h, B * H).set(this.runtime.floats(h.value, B * H));
      this.runtime.floats(before.c, B * H).set(this.runtime.floats(c.value, B * H));
      x = thin(y, l + 1);
    });
    return x;
  }

  /** Throws InputError unless there are h and c for every layer, [B,H] each, in the runtime's memory. */
  private checkState(state: State, B: number): void {
    const { runtime, config, parts } = this;
    checkWhole('B', B, 1);
    if (state?.length !== parts.layers.length) {
      throw invalid('state.length', state?.length, `${parts.layers.length}, one for each layer`);
    }
    for (const [l, { h, c }] of state.entries()) {
      runtime.check(`state[${l}].h`, h, B * config.hidden);
      runtime.check(`state[${l}].c`, c, B * config.hidden);
    }
  }
}
