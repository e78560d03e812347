import type { Tape, Tensor } from '../../autograd/tape.js';
import { invalid } from '../../errors.js';
import type { ByteSource } from '../../io/bytes.js';
import { decodeNetwork } from '../../io/model-file.js';
import { readHeader } from '../../io/model-header.js';
import { checkModelSize, type ModelConfig } from '../../nn/config.js';
import type { StepDropout } from '../../nn/dropout.js';
import type { SoftTargets } from '../../nn/loss.js';
import { checkVocabulary, Model, recipeOf } from '../../nn/model.js';
import { type CreateOptions, Network, type NetworkState } from '../../nn/network.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import type { Pointer } from '../../wasm/kernels.js';
import type { Runtime } from '../../wasm/runtime.js';
import { languageModelSpec, readLanguageSchema, TASK } from './schema.js';

/** The arguments of LanguageModel.forward. */
type Tokens = [ids: Pointer, T: number, B: number, state: NetworkState, drop?: StepDropout];

/**
 * Predicts the next token: embedding, LSTM or GRU layers, softmax head. Dropout is applied between layers, not from one time step
 * to the next (Zaremba et al., 2014).
 */
export class LanguageModel extends Model {
  readonly task = TASK;

  constructor(
    network: Network,
    config: ModelConfig,
    readonly vocabulary: Vocabulary,
  ) {
    super(network, config);
  }

  get schema(): Record<string, unknown> {
    return { vocabulary: this.vocabulary.toJSON() };
  }

  /**
   * A new model, its weights drawn from the seed.
   *
   * @param seed a whole number >= 0; the same seed gives the same weights on every machine
   * @throws InputError for sizes, a method or a compression that no model can have
   * @throws RangeError when there is not so much memory; either way none is kept
   */
  static create(
    runtime: Runtime,
    config: ModelConfig,
    vocabulary: Vocabulary,
    seed: number,
    options: Omit<CreateOptions, 'recipe'> = {},
  ): LanguageModel {
    checkModelSize(config);
    if (config.directions === 2) {
      throw invalid('directions', 2, '1: a language model predicts what comes next from what came before');
    }
    checkVocabulary(vocabulary);
    if (config.tied && config.cutoffs) {
      throw invalid('tie', true, 'a head without cutoffs: an adaptive softmax has weights of its own');
    }
    const { embedding = config.hidden } = config;
    if (config.tied && embedding !== config.hidden) {
      throw invalid('embedding', embedding, `${config.hidden}, the units, where the head is tied to it`);
    }
    const last = config.cutoffs?.at(-1) ?? 0;
    if (last >= vocabulary.size) {
      throw invalid('adaptive', last, `cutoffs below ${vocabulary.size}, the size of the vocabulary`);
    }
    const spec = languageModelSpec(config, vocabulary.size);
    const network = Network.create(runtime, spec, seed, { ...options, recipe: recipeOf(config) });
    return new LanguageModel(network, config, vocabulary);
  }

  /** The state of `batch` streams before a text, all zeros. */
  newState(batch: number): NetworkState {
    return this.network.newState(batch);
  }

  /** Sets a state of `batch` streams to zeros. */
  resetState(state: NetworkState, batch: number): void {
    this.network.resetState(state, batch);
  }

  /**
   * Logits [T B, V] of the next tokens.
   *
   * @param tokens ids, i32[T B], rows of one time step together; T and B; the state, which is updated; and, in training, the
   * dropout of the step
   * @throws InputError for ids out of range, or a state of another model or batch size
   */
  forward(tape: Tape, ...[ids, T, B, state, drop]: Tokens): Tensor {
    return this.network.forward(tape, { T, B, input: ids }, state ?? [], drop);
  }

  /** The loss of the targets, i32[T B], see softmaxLoss(); the tokens are those of forward(). */
  loss(
    tape: Tape,
    targets: Pointer,
    [ids, T, B, state, drop]: Tokens,
    softTargets?: SoftTargets,
  ): { sum: number; count: number } {
    const batch = { T, B, input: ids };
    return this.network.softmaxLoss(tape, batch, { state: state ?? [], dropout: drop }, targets, softTargets);
  }
}

/**
 * The model of a file.
 *
 * @throws FileFormatError saying what is wrong, such as a model of another task
 */
export function decodeLanguageModel(runtime: Runtime, bytes: ByteSource): LanguageModel {
  const header = readHeader(bytes);
  const { config, vocabulary } = readLanguageSchema(header);
  return new LanguageModel(decodeNetwork(runtime, header), config, vocabulary);
}
