import { Tape } from '../../autograd/tape.js';
import { checkWhole } from '../../checks.js';
import { InputError, invalid } from '../../errors.js';
import { exp, log } from '../../math.js';
import { modelConfig, type TextModelConfig } from '../../nn/config.js';
import { Vocabulary } from '../../text/vocabulary.js';
import type { OptimizerName } from '../../train/optimizers.js';
import { show } from '../../values.js';
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
import { IntentModel } from './model.js';
import { TASK } from './schema.js';

/** Options of a training, with the width of the embedding. */
export interface IntentOptions extends TrainingOptions, TextModelConfig {
  embedding: number;
}

/** Default options, tuned on ATIS and Snips. */
export function defaultIntentOptions(optimizer: OptimizerName = 'adam'): IntentOptions {
  const adam = optimizer === 'adam';
  return {
    ...commonOptions(optimizer),
    hidden: 64,
    layers: 1,
    embedding: 64,
    method: 'doped-kron',
    compression: 10,
    learningRate: adam ? 0.006 : 0.5,
    dropout: 0.3,
    batch: 16,
    epochs: 8,
    freeRate: adam ? { scale: 0.3, power: 1 } : { scale: 1, power: 0 },
  };
}

/** Sentences as token numbers, none of them empty, and the intent of each. */
export interface Examples {
  sentences: readonly Int32Array[];
  intents: readonly string[];
}

/** Training and validation examples. */
export interface IntentData {
  train: Examples;
  valid: Examples;
}

/** The labels of a model that is trained on these examples. */
export function labelsOf({ intents }: Examples): string[] {
  const wrong = intents.findIndex((label) => typeof label !== 'string' || label === '');
  if (wrong >= 0) throw invalid(`intents[${wrong}]`, intents[wrong], 'the name of an intent');
  return [...new Set(intents)].sort();
}

/** Number of validation examples whose loss shows the effect of pruning. */
const PROBE = 256;

/** Trains an intent model one step at a time. */
export class IntentTraining extends SequenceTraining<IntentModel, IntentOptions> {
  static readonly task = TASK;
  // Not a field: what a field calls, bundlers keep with its class, used or not.
  static get sample() {
    return defaultIntentOptions();
  }

  readonly task = IntentTraining.task;
  readonly tokensPerStep: number;
  private readonly targets: Int32Array;
  private readonly probed: Examples;

  constructor(
    model: IntentModel,
    options: IntentOptions,
    readonly data: IntentData,
    teacher?: IntentModel,
  ) {
    const { batch } = options;
    const { train, valid } = data;
    checkWhole('batch', batch, 1);
    for (const [name, { sentences, intents }] of Object.entries({ train, valid })) {
      if (sentences.length !== intents.length || sentences.length === 0) {
        throw new InputError(
          `${name}: got ${sentences.length} sentences and ${intents.length} intents; expected one intent for each sentence, and at least one`,
        );
      }
      for (const [i, sentence] of sentences.entries()) {
        if (sentence.length === 0) {
          throw new InputError(`${name}: got no tokens in sentence ${i}; expected at least 1, as of encodeSentence()`);
        }
        model.vocabulary.check(sentence, `${name} ${i}`);
      }
    }
    const places = placesOf(model.labels);
    const known = valid.intents.flatMap((intent, i) => (places.has(intent) ? [i] : []));
    if (known.length === 0) throw new InputError('valid: got no intent that train has; expected at least one');
    super(model, options, Math.ceil(train.sentences.length / batch), teacher);
    this.targets = Int32Array.from(train.intents, (intent) => places.get(intent) ?? -1);
    this.tokensPerStep = train.sentences.reduce((sum, { length }) => sum + length, 0) / this.pieces;
    const probed = known.slice(0, PROBE);
    this.probed = {
      sentences: probed.map((i) => valid.sentences[i]),
      intents: probed.map((i) => valid.intents[i]),
    };
  }

  static readSchema({ vocabulary }: Record<string, unknown>): Vocabulary {
    return Vocabulary.fromJSON(vocabulary);
  }

  static create(
    runtime: Runtime,
    vocabulary: Vocabulary,
    options: IntentOptions,
    data: IntentData,
    start: TrainingStart = {},
  ): IntentTraining {
    const labels = labelsOf(data.train);
    if (labels.length < 2) {
      throw new InputError(`train: got examples of one intent only, ${show(labels[0])}; expected at least 2 intents`);
    }
    const config = { ...modelConfig(options), embedding: options.embedding };
    return createTraining(
      runtime,
      options,
      start,
      (given) => IntentModel.create(runtime, config, vocabulary, labels, options.seed, given),
      (model, teacher) => new IntentTraining(model, options, data, teacher),
    );
  }

  static fingerprint({ train, valid }: IntentData): Fingerprint {
    const contents = [train, valid].flatMap(({ sentences, intents }) => [
      ...sentences.flatMap((sentence) => [sentence, [-1]]),
      ...intents.map((intent) => Array.from(`${intent}\n`, (char) => char.codePointAt(0)!)),
    ]);
    return fingerprintOf(train.sentences.length, valid.sentences.length, contents);
  }

  fingerprint(): Fingerprint {
    return IntentTraining.fingerprint(this.data);
  }

  protected get sequences(): readonly Int32Array[] {
    return this.data.train.sentences;
  }

  protected forward(tape: Tape): number {
    const { model, options, trainer, data, chosen } = this;
    const { runtime } = model;
    const batch = model.batch(Array.from(chosen, (i) => data.train.sentences[i]));
    const targets = runtime.alloc(4 * chosen.length);
    runtime.ints(targets, chosen.length).set(chosen.map((i) => this.targets[i]));
    const drop = { rate: options.dropout, seed: options.seed, step: trainer.stepsDone };
    const softTargets = this.softTargets((silent, teacher) => teacher.forward(silent, batch));
    const { sum, count } = model.loss(tape, batch, targets, drop, softTargets);
    return sum / count;
  }

  protected probe(): number {
    return evaluateIntents(this.model, this.probed).loss!;
  }

  protected *validate(): Work<Quality> {
    return yield* this.qualityInParts(this.data.valid);
  }

  /**
   * Returns the quality of the current model on examples, without a perplexity if it knows none of their intents. Throws
   * TrainingError if the perplexity is not finite.
   */
  quality(examples: Examples): IntentQuality {
    return complete(this.qualityInParts(examples));
  }

  /** quality() in parts. */
  *qualityInParts(examples: Examples): Work<IntentQuality> {
    const { loss, accuracy, exact } = yield* this.unmasked(evaluateIntentsInParts(this.model, examples));
    if (loss === undefined) return { accuracy, exact };
    const perplexity = exp(loss);
    this.checkNumber('perplexity', perplexity);
    return { perplexity, accuracy, exact };
  }
}

type IntentQuality = Quality & { accuracy: number; exact: number };

/** Returns the probabilities of all labels for each sentence: [sentences, labels]. */
export function classifySentences(
  model: IntentModel,
  sentences: readonly Int32Array[],
  onProgress?: (share: number) => void,
): Float64Array[] {
  return complete(classifyInParts(model, sentences), onProgress);
}

/** classifySentences() in parts. */
function* classifyInParts(model: IntentModel, sentences: readonly Int32Array[]): Work<Float64Array[]> {
  const { runtime, labels } = model;
  const result = new Array<Float64Array>(sentences.length);
  let done = 0;
  for (const chosen of batchesByLength(sentences)) {
    runtime.scoped(() => {
      const { value } = model.forward(new Tape(runtime, false), model.batch(chosen.map((i) => sentences[i])));
      const logits = runtime.floats(value, chosen.length * labels.length);
      for (const [b, i] of chosen.entries()) {
        result[i] = softmax(logits.subarray(b * labels.length, (b + 1) * labels.length));
      }
    });
    done += chosen.length;
    yield done / sentences.length;
  }
  return result;
}

/** How well a model classifies examples. */
export interface IntentEvaluation {
  /** Mean loss in nats over the examples whose intent the model knows; left out if there are none. */
  loss?: number;
  /** Shares of right answers, 0 if there are no examples. An intent that the model does not know counts as wrong. */
  accuracy: number;
  exact: number;
  examples: number;
}

/** Measures how well a model classifies examples. */
export function evaluateIntents(
  model: IntentModel,
  examples: Examples,
  onProgress?: (share: number) => void,
): IntentEvaluation {
  return complete(evaluateIntentsInParts(model, examples), onProgress);
}

/** evaluateIntents() in parts. */
export function* evaluateIntentsInParts(model: IntentModel, { sentences, intents }: Examples): Work<IntentEvaluation> {
  const { labels } = model;
  const places = placesOf(labels);
  let loss = 0;
  let known = 0;
  let right = 0;
  let exact = 0;
  const answers = yield* classifyInParts(model, sentences);
  for (const [i, probabilities] of answers.entries()) {
    const place = places.get(intents[i]);
    if (place !== undefined) {
      loss -= log(probabilities[place]);
      known++;
    }
    const answer = labels[likeliest(probabilities)];
    if (isRight(answer, intents[i])) right++;
    if (answer === intents[i]) exact++;
  }
  const examples = sentences.length;
  const share = (count: number) => (examples ? count / examples : 0);
  return { ...(known && { loss: loss / known }), accuracy: share(right), exact: share(exact), examples };
}

/** The place of each label, as fast as a list of thousands needs it. */
const placesOf = (labels: readonly string[]) => new Map(labels.map((label, place) => [label, place]));

/** Whether all intents of the answer are right. Labels of ATIS such as `atis_flight#atis_airfare` name two intents. */
export function isRight(answer: string, intent: string): boolean {
  const wanted = new Set(intent.split('#'));
  return answer.split('#').every((name) => wanted.has(name));
}
