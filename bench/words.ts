import type { Vocabulary } from '../src/tasks/text.js';
import { buildVocabulary } from '../src/tasks/vocabulary.js';

const wordOf = (i: number): string =>
  (i < 26 ? '' : wordOf(Math.floor(i / 26) - 1)) + String.fromCharCode(97 + (i % 26));

/** A vocabulary of so many words, besides `<unk>` and `<eos>`. */
export function vocabularyOf(words: number): Vocabulary {
  return buildVocabulary([Array.from({ length: words }, (_, i) => wordOf(i)).join(' ')], 'word');
}
