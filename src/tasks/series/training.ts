import { Tape } from '../../autograd/tape.js';
import { checkWhole } from '../../checks.js';
import { InputError, invalid } from '../../errors.js';
import { exp, log } from '../../math.js';
import { modelConfig } from '../../nn/config.js';
import { meanSquaredLoss } from '../../nn/element-loss.js';
import { softmaxLoss } from '../../nn/loss.js';
import type { Batch } from '../../nn/network.js';
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
import { SeriesModel } from './model.js';
import { checkSeriesSchema, type SeriesSchema, type Standard, TASK } from './schema.js';

/** Options of a training. */
export type SeriesOptions = TrainingOptions;

/** Default options, tuned on the Japanese vowels of the UCI repository. */
export function defaultSeriesOptions(optimizer: OptimizerName = 'adam'): SeriesOptions {
  const adam = optimizer === 'adam';
  return {
    ...commonOptions(optimizer),
    hidden: 64,
    layers: 1,
    method: 'doped-kron',
    compression: 10,
    learningRate: adam ? 0.005 : 0.5,
    dropout: 0,
    batch: 16,
    epochs: 30,
    freeRate: adam ? { scale: 0.3, power: 1 } : { scale: 1, power: 0 },
  };
}

/** The answer for a sequence: a label or a number, or one of them for each step. */
export type SeriesTarget = string | number | readonly string[] | readonly number[];

/** Sequences of frames, each as the numbers of one frame after another, [T F], and the answer for each. */
export interface SeriesExamples {
  sequences: readonly Float32Array[];
  targets: readonly SeriesTarget[];
}

/** Training and validation examples. */
export interface SeriesData {
  train: SeriesExamples;
  valid: SeriesExamples;
}

/** All answers of a list, those for steps one by one. */
const answersOf = (targets: readonly SeriesTarget[]): (string | number)[] =>
  targets.flatMap((target) => target as string | number);

function standardOf(values: Iterable<number>): Standard {
  let [n, sum, squares] = [0, 0, 0];
  // About the first one, so that no digits are lost where numbers differ little from a large one.
  let first: number | undefined;
  for (const value of values) {
    if (first === undefined) first = value;
    n++;
    sum += value - first;
    squares += (value - first) * (value - first);
  }
  const mean = sum / n;
  const deviation = Math.sqrt(Math.max(0, squares / n - mean * mean));
  return { mean: (first ?? 0) + mean, deviation: deviation > 1e-30 ? deviation : 1 };
}

/**
 * What the numbers of a model that is trained on these examples mean: labels or a number, for sequences or for steps, and means
 * and deviations of the numbers.
 *
 * @param frames numbers of a frame
 * @throws InputError for answers of different kinds, and fewer than two labels
 */
export function seriesSchema({ sequences, targets }: SeriesExamples, frames: number): SeriesSchema {
  const kindOf = (target: SeriesTarget) => {
    const one = Array.isArray(target) ? target[0] : target;
    return `${typeof one}${Array.isArray(target) ? ' for each step' : ''}`;
  };
  const kinds = [...new Set(targets.map(kindOf))];
  if (kinds.length !== 1) throw new InputError(`train: got answers of ${kinds.join(' and of ')}; expected one kind`);
  const frame = Array.from({ length: frames }, (_, j) =>
    standardOf(
      (function* () {
        for (const sequence of sequences) for (let i = j; i < sequence.length; i += frames) yield sequence[i];
      })(),
    ),
  );
  const per = Array.isArray(targets[0]) ? 'step' : 'sequence';
  const answers = answersOf(targets);
  if (typeof answers[0] === 'number') return { frame, per, value: standardOf(answers as number[]) };
  const labels = [...new Set(answers as string[])].sort();
  if (labels.length < 2) throw new InputError(`train: got ${labels.length} different labels; expected at least 2`);
  return { frame, per, labels };
}

/** Number of validation sequences whose loss shows the effect of pruning. */
const PROBE = 256;

/** Trains a model of series one step at a time. */
export class SeriesTraining extends SequenceTraining<SeriesModel, SeriesOptions> {
  static readonly task = TASK;
  // Not a field: what a field calls, bundlers keep with its class, used or not.
  static get sample() {
    return defaultSeriesOptions();
  }

  readonly task = SeriesTraining.task;
  /** Frames, on average. */
  readonly tokensPerStep: number;
  private readonly probed: SeriesExamples;

  constructor(
    model: SeriesModel,
    options: SeriesOptions,
    readonly data: SeriesData,
    teacher?: SeriesModel,
  ) {
    const { batch } = options;
    checkWhole('batch', batch, 1);
    checkExamples('train', data.train, model.series);
    checkExamples('valid', data.valid, model.series);
    if (teacher && !model.series.labels) {
      throw new InputError(
        'distill: got a model of numbers; expected one of labels, whose probabilities can be learnt',
      );
    }
    const { train, valid } = data;
    super(model, options, Math.ceil(train.sequences.length / batch), teacher);
    const numbers = train.sequences.reduce((sum, { length }) => sum + length, 0);
    this.tokensPerStep = numbers / model.series.frame.length / this.pieces;
    this.probed = { sequences: valid.sequences.slice(0, PROBE), targets: valid.targets.slice(0, PROBE) };
  }

  static readSchema(json: Record<string, unknown>): SeriesSchema {
    return checkSeriesSchema(json);
  }

  static create(
    runtime: Runtime,
    schema: SeriesSchema,
    options: SeriesOptions,
    data: SeriesData,
    start: TrainingStart = {},
  ): SeriesTraining {
    return createTraining(
      runtime,
      options,
      start,
      (given) => SeriesModel.create(runtime, modelConfig(options), schema, options.seed, given),
      (model, teacher) => new SeriesTraining(model, options, data, teacher),
    );
  }

  static fingerprint({ train, valid }: SeriesData): Fingerprint {
    const contents = [train, valid].flatMap(({ sequences, targets }) => [
      ...sequences.map((sequence) => new Int32Array(sequence.buffer, sequence.byteOffset, sequence.length)),
      Array.from(JSON.stringify(targets), (char) => char.codePointAt(0)!),
    ]);
    return fingerprintOf(train.sequences.length, valid.sequences.length, contents);
  }

  override get lossInNats(): boolean {
    return this.model.series.labels !== undefined;
  }

  fingerprint(): Fingerprint {
    return SeriesTraining.fingerprint(this.data);
  }

  protected get sequences(): readonly Float32Array[] {
    return this.data.train.sequences;
  }

  protected forward(tape: Tape): number {
    const { model, options, trainer, data, chosen } = this;
    const { network, runtime, series } = model;
    const places = Array.from(chosen);
    const batch = model.batch(places.map((i) => data.train.sequences[i]));
    const dropout = { rate: options.dropout, seed: options.seed, step: trainer.stepsDone };
    const targets = places.map((i) => data.train.targets[i]);
    const answers = rowsOfAnswers(targets, batch, series.per);
    if (series.value) {
      const { mean, deviation } = series.value;
      const numbers = answers.map((answer) => (answer === undefined ? 0 : ((answer as number) - mean) / deviation));
      const outputs = network.forward(tape, batch, undefined, dropout);
      const { sum, count } = meanSquaredLoss(
        tape,
        outputs,
        numbers,
        answers.map((answer) => (answer === undefined ? 0 : 1)),
      );
      return sum / count;
    }
    const labels = placesOf(series);
    const at = runtime.alloc(4 * answers.length);
    runtime.ints(at, answers.length).set(answers.map((answer) => labels.get(answer as string) ?? -1));
    const softTargets = this.softTargets((silent, teacher) => teacher.forward(silent, batch));
    const { sum, count } = network.throughHead(tape, batch, { dropout }, (head, x) =>
      softmaxLoss(tape, head, x, at, softTargets),
    );
    return sum / count;
  }

  protected probe(): number {
    return evaluateSeries(this.model, this.probed).loss!;
  }

  protected *validate(): Work<Quality> {
    return yield* this.qualityInParts(this.data.valid);
  }

  /** The quality of the current model on examples. Throws TrainingError if it is not finite. */
  *qualityInParts(examples: SeriesExamples): Work<Quality> {
    const { loss, accuracy, mse } = yield* this.unmasked(evaluateSeriesInParts(this.model, examples));
    if (mse !== undefined) {
      this.checkNumber('mean squared error', mse);
      return { mse };
    }
    if (loss === undefined) return { accuracy };
    const perplexity = exp(loss);
    this.checkNumber('perplexity', perplexity);
    return { perplexity, accuracy };
  }
}

/** Throws InputError for examples that a model of this schema cannot be trained on or measured with. */
function checkExamples(
  name: string,
  { sequences, targets }: SeriesExamples,
  { frame, per, labels }: SeriesSchema,
): void {
  if (sequences.length !== targets.length || sequences.length === 0) {
    throw new InputError(
      `${name}: got ${sequences.length} sequences and ${targets.length} targets; expected one target for each sequence, and at least one`,
    );
  }
  const kind = labels ? 'string' : 'number';
  for (const [i, target] of targets.entries()) {
    const steps = sequences[i].length / frame.length;
    if (!(Number.isInteger(steps) && steps >= 1)) {
      throw invalid(`${name} ${i}`, sequences[i].length, `a multiple of ${frame.length} numbers`);
    }
    const answers = per === 'step' ? target : [target];
    const isRight = Array.isArray(answers) && answers.length === (per === 'step' ? steps : 1);
    if (!isRight || answers.some((answer) => typeof answer !== kind)) {
      const wanted = labels ? 'label' : 'number';
      throw invalid(`${name} ${i}`, target, per === 'step' ? `a ${wanted} for each of ${steps} steps` : `a ${wanted}`);
    }
  }
  if (labels && !answersOf(targets).some((answer) => labels.includes(answer as string))) {
    throw new InputError(`${name}: got no label that the model has; expected at least one`);
  }
}

/** The answer of each row that a network gives: of each sequence, or of step t of sequence b in row t B + b, if there is one. */
function rowsOfAnswers(
  targets: readonly SeriesTarget[],
  { T, B }: Batch,
  per: SeriesSchema['per'],
): (string | number | undefined)[] {
  if (per === 'sequence') return targets as (string | number)[];
  return Array.from({ length: T * B }, (_, row) => (targets[row % B] as string[])[Math.floor(row / B)]);
}

const placesOf = ({ labels = [] }: SeriesSchema) => new Map(labels.map((label, place) => [label, place]));

/** What a model gives for each sequence, or for each of its steps: logits, or one standardised number. */
function* outputsInParts(model: SeriesModel, sequences: readonly Float32Array[]): Work<Float32Array[][]> {
  const { runtime, series } = model;
  const n = series.labels?.length ?? 1;
  const result = new Array<Float32Array[]>(sequences.length);
  let done = 0;
  for (const chosen of batchesByLength(sequences)) {
    runtime.scoped(() => {
      const batch = model.batch(chosen.map((i) => sequences[i]));
      const { value } = model.forward(new Tape(runtime, false), batch);
      for (const [b, i] of chosen.entries()) {
        const steps = series.per === 'step' ? sequences[i].length / series.frame.length : 1;
        result[i] = Array.from({ length: steps }, (_, t) =>
          runtime.floats(value + 4 * (t * chosen.length + b) * n, n).slice(),
        );
      }
    });
    done += chosen.length;
    yield done / sequences.length;
  }
  return result;
}

/** How well a model answers. */
export interface SeriesEvaluation {
  /** Mean loss: in nats over the answers whose label the model knows, left out if there are none; or in standardised squares. */
  loss?: number;
  /** Share of answers that are right, 0 to 1. A label that the model does not know counts as wrong. */
  accuracy?: number;
  /** Mean squared error, in the units of the data. */
  mse?: number;
  /** Sequences. */
  examples: number;
}

/** Measures how well a model answers. */
export function evaluateSeries(
  model: SeriesModel,
  examples: SeriesExamples,
  onProgress?: (share: number) => void,
): SeriesEvaluation {
  return complete(evaluateSeriesInParts(model, examples), onProgress);
}

/** evaluateSeries() in parts. */
export function* evaluateSeriesInParts(model: SeriesModel, examples: SeriesExamples): Work<SeriesEvaluation> {
  const { series } = model;
  checkExamples('examples', examples, series);
  const { sequences, targets } = examples;
  const outputs = (yield* outputsInParts(model, sequences)).flat();
  const answers = answersOf(targets);
  if (series.value) {
    const { mean, deviation } = series.value;
    let squares = 0;
    for (const [i, [y]] of outputs.entries()) {
      const error = y - ((answers[i] as number) - mean) / deviation;
      squares += error * error;
    }
    const loss = squares / answers.length;
    return { loss, mse: loss * deviation * deviation, examples: sequences.length };
  }
  const places = placesOf(series);
  let [loss, known, right] = [0, 0, 0];
  for (const [i, logits] of outputs.entries()) {
    const place = places.get(answers[i] as string);
    if (place === undefined) continue;
    const probabilities = softmax(logits);
    loss -= log(probabilities[place]);
    known++;
    if (likeliest(probabilities) === place) right++;
  }
  return { ...(known && { loss: loss / known }), accuracy: right / answers.length, examples: sequences.length };
}
