import { InputError, invalid } from '../errors.js';
import { readIntentSchema } from '../tasks/intent/schema.js';
import { likeliest, softmax } from '../tasks/softmax.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Model } from './model.js';

/** The intent of a text, and how probable each of the model's intents is. */
export interface Classification {
  /** The most probable intent, or 'none' where that is below the threshold. */
  intent: string;
  /** By intent; they add up to 1. In the order of the model's labels, but for labels such as '7', which JavaScript puts first. */
  probabilities: Record<string, number>;
}

/** What classify() takes besides a text. */
export interface ClassifyOptions {
  /** From 0, the default, to 1: where no intent is this probable, the answer is 'none'. */
  threshold?: number | undefined;
}

/** The answer where no intent is probable enough; a model's own label of this name means the same. */
const NONE = 'none';

/** Classifies the intents of texts. */
export class Intents {
  readonly vocabulary: Vocabulary;
  readonly labels: readonly string[];

  /**
   * @throws FileFormatError for a model of another task
   * @example
   * const intents = new Intents(await load('/models/intents.safetensors'));
   */
  constructor(readonly model: Model) {
    const { vocabulary, labels } = readIntentSchema(model);
    this.vocabulary = vocabulary;
    this.labels = labels;
  }

  /**
   * Classifies the intent of a text, synchronously. A text that is empty, or has no word that the model knows, has an answer
   * too.
   *
   * @throws InputError for a threshold out of range, and for a text too long for memory
   * @example
   * intents.classify('flights from boston', { threshold: 0.7 }); // { intent: 'flight', probabilities: { flight: 0.98, ... } }
   */
  classify(text: string, { threshold = 0 }: ClassifyOptions = {}): Classification {
    if (!(typeof threshold === 'number' && threshold >= 0 && threshold <= 1)) {
      throw invalid('threshold', threshold, 'a number from 0 to 1');
    }
    const { labels, vocabulary, model } = this;
    const ids = vocabulary.encodeSentence(text);
    let logits: Float32Array;
    try {
      [logits] = model.run(ids);
    } catch (cause) {
      throw new InputError(
        `text: got ${ids.length} tokens; expected no more than fit in memory; classify a part of the text`,
        {
          cause,
        },
      );
    }
    const probabilities = softmax(logits);
    const best = likeliest(probabilities);
    return {
      intent: probabilities[best] >= threshold ? labels[best] : NONE,
      probabilities: Object.fromEntries(labels.map((label, i) => [label, probabilities[i]])),
    };
  }
}
