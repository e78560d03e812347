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
import { readTagSchema, TASK, tagSpec } from './schema.js';

/** Gives each word of a text a tag. */
export class TagModel extends Model {
  readonly task = TASK;

  constructor(
    network: Network,
    override readonly config: TextModelConfig,
    readonly vocabulary: Vocabulary,
    readonly tags: readonly string[],
  ) {
    super(network, config);
  }

  /** A new model, its weights drawn from the seed. Throws InputError for settings that make none. */
  static create(
    runtime: Runtime,
    config: TextModelConfig,
    vocabulary: Vocabulary,
    tags: readonly string[],
    seed: number,
    options: Omit<CreateOptions, 'recipe'> = {},
  ): TagModel {
    checkModelSize(config);
    checkVocabulary(vocabulary);
    if (vocabulary.level !== 'word') throw new InputError('vocabulary: got one of characters; expected one of words');
    checkLabels('tags', tags, invalid);
    const spec = tagSpec(config, vocabulary.size, tags.length);
    const network = Network.create(runtime, spec, seed, { ...options, recipe: recipeOf(config) });
    return new TagModel(network, config, vocabulary, tags);
  }

  get schema(): Record<string, unknown> {
    return { vocabulary: this.vocabulary.toJSON(), tags: this.tags };
  }

  /** Logits [T B, tags], rows of one word together. */
  forward(tape: Tape, batch: Batch): Tensor {
    return this.network.forward(tape, batch);
  }

  /** The loss of the targets, i32[T B], each the place of a tag, or negative behind a text's end; see softmaxLoss(). */
  loss(
    tape: Tape,
    batch: Batch,
    targets: Pointer,
    dropout: StepDropout,
    softTargets?: SoftTargets,
  ): { sum: number; count: number } {
    return this.network.throughHead(tape, batch, { dropout }, (head, x) =>
      softmaxLoss(tape, head, x, targets, softTargets),
    );
  }
}

/**
 * The model of a file.
 *
 * @throws FileFormatError saying what is wrong, such as a model of another task
 */
export function decodeTagModel(runtime: Runtime, bytes: ByteSource): TagModel {
  const header = readHeader(bytes);
  const { config, vocabulary, tags } = readTagSchema(header);
  return new TagModel(decodeNetwork(runtime, header), config, vocabulary, tags);
}
