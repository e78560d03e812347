import type { Tape, Tensor } from '../autograd/tape.js';
import { InputError, invalid } from '../errors.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { checkModelSize, type IntentModelConfig } from './config.js';
import type { StepDropout } from './dropout.js';
import { checkLabels } from './labels.js';
import { softmaxLoss, type Taught } from './loss.js';
import { checkVocabulary, Model, recipeOf } from './model.js';
import { type Batch, type CreateOptions, Network } from './network.js';
import { intentSpec } from './specs.js';

/** Classifies the intent of a sentence. */
export class IntentModel extends Model {
  readonly task = 'intent';

  constructor(
    network: Network,
    override readonly config: IntentModelConfig,
    vocabulary: Vocabulary,
    readonly labels: readonly string[],
  ) {
    super(network, config, vocabulary);
  }

  /** A new model, its weights drawn from the seed. Throws InputError for settings that make none. */
  static create(
    runtime: Runtime,
    config: IntentModelConfig,
    vocabulary: Vocabulary,
    labels: readonly string[],
    seed: number,
    options: Omit<CreateOptions, 'recipe'> = {},
  ): IntentModel {
    checkModelSize(config);
    checkVocabulary(vocabulary);
    if (vocabulary.level !== 'word') {
      throw new InputError('vocabulary: got one of characters; expected one of words');
    }
    checkLabels('labels', labels, invalid);
    const spec = intentSpec(config, vocabulary.size, labels.length);
    const network = Network.create(runtime, spec, seed, { ...options, recipe: recipeOf(config) });
    return new IntentModel(network, config, vocabulary, labels);
  }

  override get meaning(): Record<string, unknown> {
    return { ...super.meaning, labels: this.labels };
  }

  /** Logits [B, labels]. With `drop`, in training, dropout is applied. */
  forward(tape: Tape, batch: Batch, drop?: StepDropout): Tensor {
    return this.network.forward(tape, batch, { dropout: drop });
  }

  /** The loss of the targets, i32[B], each the place of a label; see softmaxLoss(). */
  loss(
    tape: Tape,
    batch: Batch,
    targets: Pointer,
    drop?: StepDropout,
    taught?: Taught,
  ): { sum: number; count: number } {
    return this.network.throughHead(tape, batch, { dropout: drop }, (head, x) =>
      softmaxLoss(tape, head, x, targets, taught),
    );
  }

  /**
   * Lays sentences side by side, in memory that the caller takes back.
   *
   * @param sentences at least one; token ids, at least one in each
   * @throws InputError for no sentences, an empty one, or an id out of range
   */
  batch(sentences: readonly Int32Array[]): Batch {
    return this.network.batch(sentences, 'sentences');
  }
}
