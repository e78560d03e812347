import { InputError } from '../errors.js';
import { likeliest } from '../tasks/softmax.js';
import { chunksOf } from '../tasks/tag/chunks.js';
import { readTagSchema } from '../tasks/tag/schema.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { findWords } from '../text/words.js';
import type { Model } from './model.js';

/** A part of a text that bears a name: text.slice(start, end). */
export interface Slot {
  name: string;
  text: string;
  /** UTF-16 units from the start of the text. */
  start: number;
  end: number;
}

/** A text in words, the tag of each, and the slots that the tags mark. */
export interface Tagged {
  tokens: string[];
  tags: string[];
  slots: Slot[];
}

/** Finds the slots of texts: places, dates, names. */
export class Tagger {
  readonly vocabulary: Vocabulary;
  readonly tags: readonly string[];

  /**
   * @throws FileFormatError for a model of another task
   * @example
   * const tagger = new Tagger(await load('/models/slots.safetensors'));
   */
  constructor(readonly model: Model) {
    const { vocabulary, tags } = readTagSchema(model);
    this.vocabulary = vocabulary;
    this.tags = tags;
  }

  /**
   * Tags each word of a text, synchronously. Words are found as in the texts of the training: what its vocabulary has as one word
   * is one. A text without words has no tags.
   *
   * @throws InputError for anything but a string, and for a text too long for memory
   * @example
   * tagger.tag('flights to new york').slots; // [{ name: 'toloc.city_name', text: 'new york', start: 11, end: 19 }]
   */
  tag(text: string): Tagged {
    const words = findWords(text, this.vocabulary);
    if (words.length === 0) return { tokens: [], tags: [], slots: [] };
    let logits: Float32Array[];
    try {
      logits = this.model.run(words.map(({ id }) => id));
    } catch (cause) {
      throw new InputError(
        `text: got ${words.length} words; expected no more than fit in memory; tag a part of the text`,
        {
          cause,
        },
      );
    }
    const tags = logits.map((word) => this.tags[likeliest(word)]);
    const slots = chunksOf(tags).map(({ name, first, end: last }) => {
      const [{ start }, { end }] = [words[first], words[last - 1]];
      return { name, text: text.slice(start, end), start, end };
    });
    return { tokens: words.map(({ start, end }) => text.slice(start, end)), tags, slots };
  }
}
