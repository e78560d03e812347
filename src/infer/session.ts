import { invalid } from '../errors.js';
import { type SamplingOptions, sampler } from '../tasks/sampling.js';
import { largestFirst, softmax } from '../tasks/softmax.js';
import { checkText } from '../text/tokens.js';
import { checkInteger, checkNumbers } from './checks.js';
import type { Plan } from './plan.js';
import { eventLoopTurns } from './turns.js';

/** Options of Session.generate: `temperature` is 0.8 and `seed` 1 by default. */
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
 * One text that a model reads and continues: the model's plan and a state. All calls except generate() are synchronous;
 * step() and next() allocate nothing.
 */
export class Session {
  /** h and c of every layer, [layers, 2, H]; stale while the plan works on this session. */
  readonly saved: Float32Array;
  /** The token that was read last, or -1 where that is unknown: how a token is shown depends on the one before. */
  private last = -1;

  constructor(readonly plan: Plan) {
    this.saved = new Float32Array(2 * plan.layers * plan.hidden);
  }

  /**
   * One step of the LSTM layers for the input vector x, [H]. Returns h of the last layer, [H]: a view that the plan's next
   * step overwrites, whichever session's. Do not write to it.
   *
   * @throws InputError for another number of values, and for values that are not finite numbers
   */
  step(x: ArrayLike<number>): Float32Array {
    return this.plan.step(this, x);
  }

  /**
   * Steps over a sequence of input vectors, [T,H]. Returns h of the last layer after each of them, [T,H].
   *
   * @throws InputError as step() does, before the first step
   */
  run(sequence: ArrayLike<number>): Float32Array {
    const H = this.plan.hidden;
    const n = (sequence as ArrayLike<number> | null | undefined)?.length ?? Number.NaN;
    if (n % H !== 0) throw invalid('sequence', Number.isNaN(n) ? sequence : n, `a multiple of ${H} numbers`);
    checkNumbers('sequence', sequence, n, this.plan.limit);
    const result = Float32Array.from(sequence);
    for (let at = 0; at < n; at += H) result.set(this.step(result.subarray(at, at + H)), at);
    return result;
  }

  /**
   * Reads a token. Returns the logits of the next one, [V], given everything that was read: a view that the plan's next step
   * overwrites, whichever session's.
   *
   * @throws InputError for anything but the number of a token
   */
  next(token: number): Float32Array {
    const logits = this.plan.next(this, token);
    this.last = token;
    return logits;
  }

  /**
   * Reads text, which next(), suggest() and generate() then continue. A session that is new, or was reset, first reads the
   * token that every text starts with.
   *
   * @throws InputError for anything but a string
   */
  read(text: string): void {
    const tokens = this.plan.vocabulary.encode(text);
    this.begin();
    for (const token of tokens) this.readToken(token);
  }

  /**
   * Returns the k most likely next tokens, the most likely first, without `<unk>`, or all where the vocabulary has fewer. A
   * session that is new, or was reset, suggests how a text starts. The state does not change. Probabilities are the model's,
   * over the whole vocabulary.
   *
   * @throws InputError for a k that is not an integer >= 1
   * @example
   * session.read('the cat');
   * session.suggest(3); // [{ token: 7, text: 'sat', probability: 0.41 }, ...]
   */
  suggest(k: number): Suggestion[] {
    checkInteger('k', k, 1);
    const { plan } = this;
    const { vocabulary } = plan;
    const wasNew = this.begin();
    const logits = plan.predict(this);
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

  /** Returns to the state of a new session, zeros. */
  reset(): void {
    this.plan.release(this);
    this.saved.fill(0);
    this.last = -1;
  }

  /** A copy of the state, [layers, 2, H], which can be set later in this session, or in another of the same model. */
  get state(): Float32Array {
    this.plan.release(this);
    return this.saved.slice();
  }

  /** @throws InputError for a state of another size, and for values that no state of this model has */
  set state(state: ArrayLike<number>) {
    this.plan.checkState(state);
    this.plan.release(this);
    this.saved.set(state);
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
   * for await (const { text } of session.generate('the cat', { maxTokens: 20, topK: 40, signal })) output.append(text);
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GeneratedToken, void, undefined> {
    const { temperature = 0.8, seed = 1, topK, topP, maxTokens = Number.POSITIVE_INFINITY, signal } = options;
    const { plan } = this;
    const { vocabulary } = plan;
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
      // No pause between the logits and the draw: another session could overwrite them.
      const token = draw(plan.predict(this));
      const before = this.last < 0 ? [] : [this.last];
      const text = vocabulary.decode([...before, token]).slice(vocabulary.decode(before).length);
      this.readToken(token);
      yield { token, text };
    }
  }

  private readToken(token: number): void {
    this.plan.read(this, token);
    this.last = token;
  }

  /** Makes a new session read the token that every text starts with. Returns whether the session was new. */
  private begin(): boolean {
    const { plan } = this;
    const isNew = plan.isNew(this);
    if (isNew) plan.read(this, plan.vocabulary.start);
    return isNew;
  }
}
