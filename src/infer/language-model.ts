import { invalid } from '../errors.js';
import { type SamplingOptions, sampler } from '../tasks/lm/sampling.js';
import { readLanguageSchema } from '../tasks/lm/schema.js';
import { largestFirst, softmax } from '../tasks/softmax.js';
import { checkText } from '../text/tokens.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { checkInteger } from './checks.js';
import type { Model } from './model.js';
import type { Session } from './session.js';
import { eventLoopTurns } from './turns.js';

/** Options of LanguageModel.generate: `temperature` is 0.8 and `seed` 1 by default. */
export interface GenerateOptions extends Pick<SamplingOptions, 'topK' | 'topP'> {
  /** Divides the logits: 0 always takes the most likely token, 1 draws from the model's distribution. */
  temperature?: number | undefined;
  /** An integer from 0 to 2^53 - 1; the same seed gives the same tokens. */
  seed?: number | undefined;
  /** Ends after this many tokens; by default never. */
  maxTokens?: number | undefined;
  /** An AbortSignal: once it is aborted, generate() throws its reason. */
  signal?: { readonly aborted: boolean; readonly reason?: unknown } | null | undefined;
}

/** A token that generate() drew, and the text that it adds. */
export interface GeneratedToken {
  token: number;
  text: string;
}

/** A token that may come next, its text, and how probable it is. */
export interface Suggestion extends GeneratedToken {
  probability: number;
}

/**
 * One text that a language model reads and continues; several texts over one model do not mix. All calls except generate() are
 * synchronous; next() allocates nothing.
 *
 * @example
 * const text = new LanguageModel(await load('/models/cats.safetensors'));
 * text.read('the cat');
 * text.suggest(3); // [{ token: 7, text: 'sat', probability: 0.41 }, ...]
 */
export class LanguageModel {
  readonly vocabulary: Vocabulary;
  private readonly session: Session;
  /** The token that was read last, or -1 where that is unknown: how a token is shown depends on the one before. */
  private last = -1;

  /** @throws FileFormatError for a model of another task */
  constructor(readonly model: Model) {
    this.vocabulary = readLanguageSchema(model).vocabulary;
    this.session = model.session();
  }

  /**
   * Reads a token. Returns the logits of the next one, [V], given everything that was read: a view that the model's
   * next step overwrites, whichever text's.
   *
   * @throws InputError for anything but the number of a token
   */
  next(token: number): Float32Array {
    this.readToken(token);
    return this.model.predict(this.session);
  }

  /**
   * Reads text, which next(), suggest() and generate() then continue. A text that is new, or was reset, first reads the
   * token that every text starts with.
   *
   * @throws InputError for anything but a string
   */
  read(text: string): void {
    const tokens = this.vocabulary.encode(text);
    this.begin();
    for (const token of tokens) this.readToken(token);
  }

  /**
   * Returns the k most likely next tokens, the most likely first, without `<unk>`, or all where the vocabulary has fewer. A
   * text that is new, or was reset, suggests how a text starts. The state does not change. Probabilities are the model's,
   * over the whole vocabulary.
   *
   * @throws InputError for a k that is not an integer >= 1
   * @example
   * text.read('the cat');
   * text.suggest(3); // [{ token: 7, text: 'sat', probability: 0.41 }, ...]
   */
  suggest(k: number): Suggestion[] {
    checkInteger('k', k, 1);
    const { vocabulary } = this;
    const wasNew = this.begin();
    const logits = this.model.predict(this.session);
    if (wasNew) this.reset();
    const probabilities = softmax(logits);
    const suggestions: Suggestion[] = [];
    for (const token of largestFirst(logits)) {
      if (suggestions.length === k) break;
      if (token === vocabulary.unknown) continue;
      suggestions.push({ token, text: vocabulary.decode([token]), probability: probabilities[token] });
    }
    return suggestions;
  }

  /** Forgets all that was read. */
  reset(): void {
    this.session.reset();
    this.last = -1;
  }

  /** A copy of the state, see Session.state. */
  get state(): Float32Array {
    return this.session.state;
  }

  /** @throws InputError for a state of another size, and for values that no state of this model has */
  set state(state: ArrayLike<number>) {
    this.session.state = state;
    this.last = -1;
  }

  /**
   * Reads the prompt, as read() does, and yields tokens that continue it. A token is read before it is yielded, so that after
   * the loop suggest(), or generate() with an empty prompt, continues from there. `<unk>` is never drawn.
   *
   * The event loop gets a turn about every 8 ms, also while the prompt is read: a page can repaint, and the signal be aborted.
   *
   * @throws InputError, at the first token, for options out of range
   * @example
   * for await (const { text } of text.generate('the cat', { maxTokens: 20, topK: 40, signal })) output.append(text);
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GeneratedToken, void, undefined> {
    const { temperature = 0.8, seed = 1, topK, topP, maxTokens = Number.POSITIVE_INFINITY, signal } = options;
    const { vocabulary } = this;
    checkText('prompt', prompt);
    if (maxTokens !== Number.POSITIVE_INFINITY) checkInteger('maxTokens', maxTokens, 0);
    if (signal && typeof signal.aborted !== 'boolean') throw invalid('signal', signal, 'an AbortSignal');
    const draw = sampler({ temperature, seed, topK, topP }, vocabulary.unknown);
    const turn = eventLoopTurns();
    const pause = async () => {
      await turn();
      if (signal?.aborted) throw signal.reason;
    };

    await pause();
    this.begin();
    for (const token of vocabulary.encode(prompt)) {
      await pause();
      this.readToken(token);
    }
    for (let n = 0; n < maxTokens; n++) {
      await pause();
      // No pause between the logits and the draw: another text could overwrite them.
      const token = draw(this.model.predict(this.session));
      const before = this.last < 0 ? [] : [this.last];
      const text = vocabulary.decode([...before, token]).slice(vocabulary.decode(before).length);
      this.readToken(token);
      yield { token, text };
    }
  }

  private readToken(token: number): void {
    this.model.read(this.session, token);
    this.last = token;
  }

  /** Makes a new text read the token that every text starts with. Returns whether the text was new. */
  private begin(): boolean {
    const isNew = this.model.isNew(this.session);
    if (isNew) this.model.read(this.session, this.vocabulary.start);
    return isNew;
  }
}
