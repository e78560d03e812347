import { Tape } from '../../autograd/tape.js';
import { checkWhole } from '../../checks.js';
import { InputError } from '../../errors.js';
import { exp, log } from '../../math.js';
import { modelConfig, type TextModelConfig } from '../../nn/config.js';
import { buildVocabulary } from '../../text/build-vocabulary.js';
import { Vocabulary } from '../../text/vocabulary.js';
import { foldWord, idOfWord, shapeOf, splitWords } from '../../text/words.js';
import type { OptimizerName } from '../../train/optimizers.js';
import type { Runtime } from '../../wasm/runtime.js';
import { complete, type Work } from '../../work.js';
import { batchesByLength } from '../by-length.js';
import { SequenceTraining } from '../sequence-training.js';
import { likeliest, softmax } from '../softmax.js';
import {
  commonOptions,
  createTraining,
  type Fingerprint,
  fingerprintOf,
  type Quality,
  type TrainingOptions,
  type TrainingStart,
} from '../training.js';
import { ChunkScore } from './chunks.js';
import { TagModel } from './model.js';
import { TASK } from './schema.js';

/** Options of a training, with the width of the embedding. */
export interface TagOptions extends TrainingOptions, TextModelConfig {
  embedding: number;
}

/** Default options, tuned on ATIS and Snips. */
export function defaultTagOptions(optimizer: OptimizerName = 'adam'): TagOptions {
  const adam = optimizer === 'adam';
  return {
    ...commonOptions(optimizer),
    hidden: 100,
    layers: 1,
    embedding: 100,
    method: 'doped-kron',
    compression: 10,
    learningRate: adam ? 0.008 : 0.5,
    dropout: 0.4,
    batch: 16,
    epochs: 12,
    freeRate: adam ? { scale: 0.3, power: 1 } : { scale: 1, power: 0 },
  };
}

/** Texts as numbers of words, none of them empty, and the tag of each word. */
export interface TaggedTexts {
  sentences: readonly Int32Array[];
  tags: readonly (readonly string[])[];
}

/** Training and validation texts. */
export interface TagData {
  train: TaggedTexts;
  valid: TaggedTexts;
}

/** Words seen less often are left to `<unk>`, or to the shape of a number: the model learns what to do with rare words. */
const LEAST_SEEN = 2;

/**
 * The vocabulary of texts that are already in words, with spaces between: words in lower case, and shapes of rare numbers, such as
 * 0000 for years.
 *
 * @param size most words kept, `<unk>` included; by default all that occur twice or more, at most 10,000
 */
export function tagVocabulary(texts: readonly string[], size?: number): Vocabulary {
  const lines = texts.map((text) => splitWords(text).map(foldWord));
  const counts = new Map<string, number>();
  for (const word of lines.flat()) counts.set(word, (counts.get(word) ?? 0) + 1);
  const known = lines.map((words) =>
    words.map((word) => (counts.get(word)! < LEAST_SEEN ? shapeOf(word) : word)).join(' '),
  );
  return buildVocabulary(known, 'tokens', size, size === undefined ? LEAST_SEEN : 1);
}

/** The numbers of the words of a text, which stand between spaces. */
export const encodeWords = (text: string, vocabulary: Vocabulary): Int32Array =>
  Int32Array.from(splitWords(text), (word) => idOfWord(foldWord(word), vocabulary));

/** The tags of a model that is trained on these texts. */
export const tagsOf = ({ tags }: TaggedTexts): string[] => [...new Set(tags.flat())].sort();

/** Number of validation texts whose loss shows the effect of pruning. */
const PROBE = 256;

/** Trains a model of tags one step at a time. */
export class TagTraining extends SequenceTraining<TagModel, TagOptions> {
  static readonly task = TASK;
  // Not a field: what a field calls, bundlers keep with its class, used or not.
  static get sample() {
    return defaultTagOptions();
  }

  readonly task = TagTraining.task;
  readonly tokensPerStep: number;
  private readonly places: ReadonlyMap<string, number>;
  private readonly probed: TaggedTexts;

  constructor(
    model: TagModel,
    options: TagOptions,
    readonly data: TagData,
    teacher?: TagModel,
  ) {
    const { batch } = options;
    checkWhole('batch', batch, 1);
    for (const [name, { sentences, tags }] of Object.entries(data) as [string, TaggedTexts][]) {
      if (sentences.length !== tags.length || sentences.length === 0) {
        throw new InputError(
          `${name}: got ${sentences.length} texts and tags of ${tags.length}; expected tags for each text, and at least one`,
        );
      }
      for (const [i, sentence] of sentences.entries()) {
        if (sentence.length === 0 || sentence.length !== tags[i].length) {
          throw new InputError(
            `${name} ${i}: got ${sentence.length} words and ${tags[i].length} tags; expected one tag for each word, and at least one`,
          );
        }
        model.vocabulary.check(sentence, `${name} ${i}`);
      }
    }
    const { train, valid } = data;
    const places = placesOf(model.tags);
    if (!valid.tags.some((tags) => tags.some((tag) => places.has(tag)))) {
      throw new InputError('valid: got no tag that train has; expected at least one');
    }
    super(model, options, Math.ceil(train.sentences.length / batch), teacher);
    this.places = places;
    this.tokensPerStep = train.sentences.reduce((sum, { length }) => sum + length, 0) / this.pieces;
    const known = valid.tags.flatMap((tags, i) => (tags.some((tag) => places.has(tag)) ? [i] : [])).slice(0, PROBE);
    this.probed = { sentences: known.map((i) => valid.sentences[i]), tags: known.map((i) => valid.tags[i]) };
  }

  static readSchema({ vocabulary }: Record<string, unknown>): Vocabulary {
    return Vocabulary.fromJSON(vocabulary);
  }

  static create(
    runtime: Runtime,
    vocabulary: Vocabulary,
    options: TagOptions,
    data: TagData,
    start: TrainingStart = {},
  ): TagTraining {
    const tags = tagsOf(data.train);
    if (tags.length < 2) {
      throw new InputError(`train: got ${tags.length} different tags; expected at least 2`);
    }
    const config = { ...modelConfig(options), embedding: options.embedding };
    return createTraining(
      runtime,
      options,
      start,
      (given) => TagModel.create(runtime, config, vocabulary, tags, options.seed, given),
      (model, teacher) => new TagTraining(model, options, data, teacher),
    );
  }

  static fingerprint({ train, valid }: TagData): Fingerprint {
    const contents = [train, valid].flatMap(({ sentences, tags }) => [
      ...sentences.flatMap((sentence) => [sentence, [-1]]),
      ...tags.map((line) => Array.from(`${line.join(' ')}\n`, (char) => char.codePointAt(0)!)),
    ]);
    return fingerprintOf(train.sentences.length, valid.sentences.length, contents);
  }

  fingerprint(): Fingerprint {
    return TagTraining.fingerprint(this.data);
  }

  protected get sequences(): readonly Int32Array[] {
    return this.data.train.sentences;
  }

  protected forward(tape: Tape): number {
    const { model, options, trainer, data, chosen, places } = this;
    const { runtime } = model;
    const batch = model.network.batch(Array.from(chosen, (i) => data.train.sentences[i]));
    const { T, B } = batch;
    const at = runtime.alloc(4 * T * B);
    const targets = runtime.ints(at, T * B).fill(-1);
    for (const [b, i] of chosen.entries()) {
      for (const [t, tag] of data.train.tags[i].entries()) targets[t * B + b] = places.get(tag) ?? -1;
    }
    const drop = { rate: options.dropout, seed: options.seed, step: trainer.stepsDone };
    const softTargets = this.softTargets((silent, teacher) => teacher.forward(silent, batch));
    const { sum, count } = model.loss(tape, batch, at, drop, softTargets);
    return sum / count;
  }

  protected probe(): number {
    return evaluateTags(this.model, this.probed).loss!;
  }

  protected *validate(): Work<Quality> {
    return yield* this.qualityInParts(this.data.valid);
  }

  /**
   * The quality of the current model on texts, without a perplexity if it knows none of their tags. Throws TrainingError if the
   * perplexity is not finite.
   */
  *qualityInParts(texts: TaggedTexts): Work<TagQuality> {
    const { loss, f1, accuracy } = yield* this.unmasked(evaluateTagsInParts(this.model, texts));
    if (loss === undefined) return { f1, accuracy };
    const perplexity = exp(loss);
    this.checkNumber('perplexity', perplexity);
    return { perplexity, f1, accuracy };
  }
}

type TagQuality = Quality & { f1: number; accuracy: number };

/** The tags that a model gives the words of each text. */
export function* tagInParts(
  model: TagModel,
  sentences: readonly Int32Array[],
): Work<{ tags: string[]; probabilities: Float64Array[] }[]> {
  const { runtime, tags } = model;
  const result = new Array<{ tags: string[]; probabilities: Float64Array[] }>(sentences.length);
  let done = 0;
  for (const chosen of batchesByLength(sentences)) {
    runtime.scoped(() => {
      const B = chosen.length;
      const { value } = model.forward(new Tape(runtime, false), model.network.batch(chosen.map((i) => sentences[i])));
      for (const [b, i] of chosen.entries()) {
        const probabilities = Array.from({ length: sentences[i].length }, (_, t) =>
          softmax(runtime.floats(value + 4 * (t * B + b) * tags.length, tags.length)),
        );
        result[i] = { tags: probabilities.map((word) => tags[likeliest(word)]), probabilities };
      }
    });
    done += chosen.length;
    yield done / sentences.length;
  }
  return result;
}

/** How well a model tags texts. */
export interface TagEvaluation {
  /** Mean loss in nats over the words whose tag the model knows; left out if there are none. */
  loss?: number;
  /** Of chunks, 0 to 1, as conlleval counts them. */
  f1: number;
  /** Share of words with the right tag, 0 to 1. A tag that the model does not know counts as wrong. */
  accuracy: number;
  /** Texts. */
  examples: number;
}

/** Measures how well a model tags texts. */
export function evaluateTags(model: TagModel, texts: TaggedTexts, onProgress?: (share: number) => void): TagEvaluation {
  return complete(evaluateTagsInParts(model, texts), onProgress);
}

/** evaluateTags() in parts. */
export function* evaluateTagsInParts(model: TagModel, { sentences, tags }: TaggedTexts): Work<TagEvaluation> {
  const places = placesOf(model.tags);
  const score = new ChunkScore();
  let loss = 0;
  let known = 0;
  for (const [i, answer] of (yield* tagInParts(model, sentences)).entries()) {
    score.add(tags[i], answer.tags);
    for (const [t, tag] of tags[i].entries()) {
      const place = places.get(tag);
      if (place === undefined) continue;
      loss -= log(answer.probabilities[t][place]);
      known++;
    }
  }
  const { f1, accuracy } = score;
  return { ...(known && { loss: loss / known }), f1, accuracy, examples: sentences.length };
}

/** The place of each tag. */
const placesOf = (tags: readonly string[]) => new Map(tags.map((tag, place) => [tag, place]));
