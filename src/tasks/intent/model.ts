import type { Tape, Tensor } from '../../autograd/tape.js';
import { InputError, invalid } from '../../errors.js';
import type { ByteSource } from '../../io/bytes.js';
import { decodeNetwork } from '../../io/model-file.js';
import { readHeader } from '../../io/model-header.js';
import { checkModelSize, type TextModelConfig } from '../../nn/config.js';
import type { StepDropout } from '../../nn/dropout.js';
import { checkLabels } from '../../nn/labels.js';
import { type SoftTargets, softmaxLoss } from '../../nn/loss.js';
import { checkVocabulary, Model, recipeOf } from '../../nn/model.js';
import { type Batch, type CreateOptions, Network } from '../../nn/network.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import type { Pointer } from '../../wasm/kernels.js';
import type { Runtime } from '../../wasm/runtime.js';
import { intentSpec, readIntentSchema, TASK } from './schema.js';

/** Classifies the intent of a sentence. */
export class IntentModel extends Model {
  readonly task = TASK;

  constructor(
    network: Network,
    override readonly config: TextModelConfig,
    readonly vocabulary: Vocabulary,
    readonly labels: readonly string[],
  ) {
    super(network, config);
  }

  /** A new model, its weights drawn from the seed. Throws InputError for settings that make none. */
  static create(
    runtime: Runtime,
    config: TextModelConfig,
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

  get schema(): Record<string, unknown> {
    return { vocabulary: this.vocabulary.toJSON(), labels: this.labels };
  }

  /** Logits [B, labels]. With `drop`, in training, dropout is applied. */
  forward(tape: Tape, batch: Batch, drop?: StepDropout): Tensor {
    return this.network.forward(tape, batch, undefined, drop);
  }

  /** The loss of the targets, i32[B], each the place of a label; see softmaxLoss(). */
  loss(
    tape: Tape,
    batch: Batch,
    targets: Pointer,
    drop?: StepDropout,
    softTargets?: SoftTargets,
  ): { sum: number; count: number } {
    return this.network.throughHead(tape, batch, { dropout: drop }, (head, x) =>
      softmaxLoss(tape, head, x, targets, softTargets),
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

/**
 * The model of a file.
 *
 * @throws FileFormatError saying what is wrong, such as a model of another task
 */
export function decodeIntentModel(runtime: Runtime, bytes: ByteSource): IntentModel {
  const header = readHeader(bytes);
  const { config, vocabulary, labels } = readIntentSchema(header);
  return new IntentModel(decodeNetwork(runtime, header), config, vocabulary, labels);
}
