import type { Tape, Tensor } from '../../autograd/tape.js';
import { InputError, invalid } from '../../errors.js';
import type { ByteSource } from '../../io/bytes.js';
import { decodeNetwork } from '../../io/model-file.js';
import { readHeader } from '../../io/model-header.js';
import { checkModelSize } from '../../nn/config.js';
import type { StepDropout } from '../../nn/dropout.js';
import type { SoftTargets } from '../../nn/loss.js';
import { checkVocabulary, Model, recipeOf } from '../../nn/model.js';
import { type Batch, type CreateOptions, Network } from '../../nn/network.js';
import type { Pointer } from '../../wasm/kernels.js';
import type { Runtime } from '../../wasm/runtime.js';
import {
  isLanguage,
  readTranslationSchema,
  SCORES,
  TASK,
  type TranslationConfig,
  translationSpec,
  type Vocabularies,
} from './schema.js';

/** Translates: an encoder reads a text, and a decoder that attends to it writes another (Luong et al., 2015). */
export class TranslationModel extends Model {
  readonly task = TASK;

  constructor(
    network: Network,
    override readonly config: TranslationConfig,
    readonly vocabularies: Vocabularies,
  ) {
    super(network, config);
  }

  /** A new model, its weights drawn from the seed. Throws InputError for settings that make none. */
  static create(
    runtime: Runtime,
    config: TranslationConfig,
    vocabularies: Vocabularies,
    seed: number,
    options: Omit<CreateOptions, 'recipe'> = {},
  ): TranslationModel {
    checkModelSize(config);
    const { source, target, languages } = vocabularies;
    if (!(languages?.length === 2 && languages.every(isLanguage))) {
      throw invalid('languages', languages, "the names of two languages, such as ['de', 'en']");
    }
    for (const [name, vocabulary] of Object.entries({ source, target })) {
      checkVocabulary(vocabulary);
      if (vocabulary.level !== 'word')
        throw new InputError(`${name}: got a vocabulary of characters; expected one of words`);
    }
    const { hidden, directions = 2, score, cutoffs } = config;
    if (hidden % directions)
      throw invalid('hidden', hidden, 'an even number, half of it for each direction of the encoder');
    if (!SCORES.includes(score)) throw invalid('score', score, SCORES.join(' or '));
    if (cutoffs) throw invalid('adaptive', cutoffs, 'a whole softmax, which a search needs');
    const spec = translationSpec(config, source.size, target.size);
    const network = Network.create(runtime, spec, seed, { ...options, recipe: recipeOf(config) });
    return new TranslationModel(network, config, vocabularies);
  }

  get schema(): Record<string, unknown> {
    const { source, target, languages } = this.vocabularies;
    return { source: source.toJSON(), target: target.toJSON(), languages };
  }

  /**
   * Sequences side by side: sources of one length, and what the decoder reads of each target, `<eos>` and all but its last token.
   * Targets, i32[T B], are negative behind their ends.
   */
  batch(
    sources: readonly ArrayLike<number>[],
    targets: readonly ArrayLike<number>[],
  ): { batch: Batch; targets: Pointer } {
    const { network, runtime } = this;
    const { eos } = this.vocabularies.target;
    const read = targets.map((target) => [eos, ...Array.from(target).slice(0, -1)]);
    const batch = { ...network.batch(read, 'targets'), source: network.encoder!.batch(sources, 'sources') };
    const { T, B } = batch;
    const at = runtime.alloc(4 * T * B);
    const wanted = runtime.ints(at, T * B).fill(-1);
    for (const [b, target] of targets.entries()) {
      for (let t = 0; t < target.length; t++) wanted[t * B + b] = target[t];
    }
    return { batch, targets: at };
  }

  /** Logits [T B, V] of the next tokens, rows of one step together. */
  forward(tape: Tape, batch: Batch): Tensor {
    return this.network.forward(tape, batch);
  }

  /** The loss of the targets of a batch, see softmaxLoss(). */
  loss(
    tape: Tape,
    batch: Batch,
    targets: Pointer,
    { dropout, softTargets, smoothing }: { dropout?: StepDropout; softTargets?: SoftTargets; smoothing?: number } = {},
  ): { sum: number; count: number } {
    return this.network.softmaxLoss(tape, batch, { dropout }, targets, softTargets, smoothing);
  }
}

/**
 * The model of a file.
 *
 * @throws FileFormatError saying what is wrong, such as a model of another task
 */
export function decodeTranslationModel(runtime: Runtime, bytes: ByteSource): TranslationModel {
  const header = readHeader(bytes);
  const { config, ...vocabularies } = readTranslationSchema(header);
  return new TranslationModel(decodeNetwork(runtime, header), config, vocabularies);
}
