import { buildVocabulary } from '../src/text/build-vocabulary.js';
import type { Vocabulary } from '../src/text/vocabulary.js';

const wordOf = (i: number): string =>
  (i < 26 ? '' : wordOf(Math.floor(i / 26) - 1)) + String.fromCharCode(97 + (i % 26));

/** A vocabulary of so many words, besides `<unk>` and `<eos>`. */
export function vocabularyOf(words: number): Vocabulary {
  return buildVocabulary([Array.from({ length: words }, (_, i) => wordOf(i)).join(' ')], 'word', words + 2);
}
