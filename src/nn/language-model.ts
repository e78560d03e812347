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
import { checkModelSize, checkVocabulary, createParts, Model, type ModelParts, type PatternOf } from './model.js';

/** The addresses of h and c of every layer, [B,H] each, carried from one piece of text to the next. */
export type State = readonly { h: Pointer; c: Pointer }[];

/** The arguments of LanguageModel.forward. */
type Tokens = [ids: Pointer, T: number, B: number, state: State, drop?: StepDropout];

/**
 * Predicts the next token: embedding, LSTM layers, softmax head. Dropout is applied between layers, not from one time step
 * to the next (Zaremba et al., 2014).
 */
export class LanguageModel extends Model {
  readonly kind = 'language-model';

  constructor(runtime: Runtime, config: ModelConfig, vocabulary: Vocabulary, parts: ModelParts) {
    super(runtime, config, vocabulary, languageModelArchitecture(config, vocabulary.size), parts);
  }

  /**
   * A new model, its weights drawn from the seed.
   *
   * @param seed a whole number >= 0; the same seed gives the same weights on every machine
   * @param structureShare the share of a doped matrix's variance that its structure gets; 0.01 unless given
   * @throws InputError for sizes, a method or a compression that no model can have
   * @throws RangeError when there is not so much memory; either way none is kept
   */
  static create(
    runtime: Runtime,
    config: ModelConfig,
    vocabulary: Vocabulary,
    seed: number,
    structureShare?: number,
    patternOf?: PatternOf,
  ): LanguageModel {
    checkModelSize(config);
    checkVocabulary(vocabulary);
    const architecture = languageModelArchitecture(config, vocabulary.size);
    const parts = createParts(runtime, config, architecture, seed, structureShare, patternOf);
    return new LanguageModel(runtime, config, vocabulary, parts);
  }

  /** The same model with the weights of its softmax head in 8 bits: for files, not for training. */
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

  /**
   * Logits [T B, V] of the next tokens.
   *
   * @param tokens ids, i32[T B], rows of one time step together; T and B; the state, which is updated; and, in training, the
   * dropout of the step
   * @throws InputError for ids out of range, or a state of another model or batch size
   */
  forward(tape: Tape, ...tokens: Tokens): Tensor {
    const { weight, bias } = this.parts.head;
    return this.read(tape, tokens, (x) => linear(tape, weight, bias, x));
  }

  /** The loss of the targets, i32[T B], see softmaxLoss(); the tokens are those of forward(). */
  loss(tape: Tape, targets: Pointer, tokens: Tokens, taught?: Taught): { sum: number; count: number } {
    return this.read(tape, tokens, (x) => softmaxLoss(tape, this.parts.head, x, targets, taught));
  }

  /** Passes the input of the head, [T B, H], to `use`. The state changes at the very end: not if anything throws. */
  private read<Result>(tape: Tape, [ids, T, B, state, drop]: Tokens, use: (x: Tensor) => Result): Result {
    const { runtime, parts, config } = this;
    const H = config.hidden;
    checkWhole('T', T, 1);
    this.checkState(state, B);
    const tensor = (value: Pointer): Tensor => ({ rows: B, cols: H, value, grad: 0, runtime });
    const thin = (x: Tensor, place: number) =>
      drop ? dropout(tape, x, { ...drop, stream: Stream.dropout + place }) : x;
    let x = thin(embed(tape, parts.embedding, ids, T * B), 0);
    const after = parts.layers.map((layer, l) => {
      const { y, h, c } = lstm(tape, layer, x, { h: tensor(state[l].h), c: tensor(state[l].c) });
      x = thin(y, l + 1);
      return { h, c };
    });
    const result = use(x);
    for (const [l, { h, c }] of after.entries()) {
      runtime.floats(state[l].h, B * H).set(runtime.floats(h.value, B * H));
      runtime.floats(state[l].c, B * H).set(runtime.floats(c.value, B * H));
    }
    return result;
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
