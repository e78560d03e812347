import { invalid } from '../errors.js';
import { readSeriesSchema, type SeriesSchema, standardise } from '../tasks/series/schema.js';
import { likeliest, softmax } from '../tasks/softmax.js';
import { checkNumbers, type Frames, flatFrames } from './checks.js';
import type { Model } from './model.js';

/** The most probable label, and how probable each is; or a number, in the units of the training data. */
export type SeriesAnswer = { label: string; probabilities: Record<string, number> } | { value: number };

/** Classifies series of frames, or estimates a number for them. */
export class Series {
  /** What a frame and an answer are. */
  readonly schema: SeriesSchema;

  /**
   * @throws FileFormatError for a model of another task
   * @example
   * const series = new Series(await load('/models/gestures.safetensors'));
   */
  constructor(readonly model: Model) {
    this.schema = readSeriesSchema(model).schema;
  }

  /**
   * The answer for a whole sequence, or a list with one for each step where the model was trained on such. Numbers are
   * standardised as in the training.
   *
   * @param frames [T][F], or the numbers of one frame after another, [T F]
   * @throws InputError for frames of another size, what is not a finite number, and a sequence too long for memory
   * @example
   * series.predict([[0.1, 2.5], [0.3, 2.4]]); // { label: 'swipe', probabilities: { swipe: 0.93, tap: 0.07 } }
   */
  predict(frames: Frames): SeriesAnswer | SeriesAnswer[] {
    const answers = this.model.run(standardise(this.schema, this.flat(frames))).map((output) => this.answer(output));
    return this.schema.per === 'step' ? answers : answers[0];
  }

  /** A frame as a session of the model reads it: a series that answers each step can be read as it comes. */
  frame(numbers: ArrayLike<number>): Float32Array {
    return standardise(this.schema, this.flat([numbers]));
  }

  /** The answer that outputs of the model stand for, such as those of a step. */
  answer(outputs: Float32Array): SeriesAnswer {
    const { labels, value } = this.schema;
    if (!labels) return { value: outputs[0] * value!.deviation + value!.mean };
    const probabilities = softmax(outputs);
    return {
      label: labels[likeliest(probabilities)],
      probabilities: Object.fromEntries(labels.map((label, i) => [label, probabilities[i]])),
    };
  }

  private flat(frames: Frames): ArrayLike<number> {
    const F = this.schema.frame.length;
    const flat = flatFrames('frames', frames, F, Number.MAX_VALUE);
    const n = (flat as ArrayLike<unknown> | null | undefined)?.length;
    if (!n || n % F) throw invalid('frames', n ?? frames, `a multiple of ${F} numbers`);
    checkNumbers('frames', flat, n, Number.MAX_VALUE);
    return flat;
  }
}
