import { InputError, invalid } from '../errors.js';
import { power } from '../math.js';
import { readTranslationSchema } from '../tasks/translate/schema.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { checkInteger } from './checks.js';
import type { Model } from './model.js';
import type { Session } from './session.js';
import { eventLoopTurns } from './turns.js';

/** What translate() takes besides a text. */
export interface TranslateOptions {
  /** Translations that the search follows side by side; default 4. 1 always takes the most likely token. */
  beam?: number | undefined;
  /** The score of a translation of n tokens, `<eos>` included, is its log-probability / n^lengthPower; default 1, for the mean. */
  lengthPower?: number | undefined;
  /** The most tokens of a translation; by default twice those of the text and 10. */
  maxTokens?: number | undefined;
}

/** Options of what gives the event loop its turns. */
export interface AsyncTranslateOptions extends TranslateOptions {
  /** An AbortSignal: once it is aborted, its reason is thrown. */
  signal?: { readonly aborted: boolean; readonly reason?: unknown } | null | undefined;
}

/** A translation. */
export interface Translation {
  text: string;
  /** Its log-probability over its number of tokens to the power of `lengthPower`: the larger, the better; 0 of an empty text. */
  score: number;
  /** The tokens of the text that was read, `<eos>` at its end, and those of the translation, without it. Parts of a word that are not its last end with a soft hyphen. */
  source: string[];
  tokens: string[];
  /** How much each token of the translation attended to each of the text, [tokens][source]; each row adds up to 1. */
  attention: Float32Array[];
}

/** A token of a translation, and the text that it adds. */
export interface TranslatedToken {
  token: number;
  text: string;
}

/** Longer texts are refused: what they take grows with the square of their length. */
const MOST_TOKENS = 1000;

/** A translation as far as it goes: its last token, and those before. */
interface Hypothesis {
  /** Has read all tokens but the last. */
  session: Session;
  token: number;
  /** Of all its tokens. */
  logProbability: number;
  length: number;
  before: Hypothesis | undefined;
  /** What its last token attended to. */
  attention: Float32Array;
}

interface Finished {
  score: number;
  last: Hypothesis | undefined;
}

/** Translates texts; any number may be translated in turns over one model. */
export class Translator {
  /** Of the texts that it reads, and of those that it writes. */
  readonly source: Vocabulary;
  readonly target: Vocabulary;

  /**
   * @throws FileFormatError for a model of another task
   * @example
   * const translator = new Translator(await load('/models/de-en.safetensors'));
   */
  constructor(readonly model: Model) {
    const { source, target } = readTranslationSchema(model);
    this.source = source;
    this.target = target;
  }

  /**
   * Translates a text, synchronously, by beam search. A text without a token has an empty translation.
   *
   * @throws InputError for anything but a string, options out of range, and a text of more than 1,000 tokens
   * @example
   * translator.translate('ein mann liest .', { beam: 4 }); // { text: 'a man is reading .', score: -0.31, ... }
   */
  translate(text: string, options: TranslateOptions = {}): Translation {
    const search = this.search(text, options);
    for (;;) {
      const { done, value } = search.next();
      if (done) return value;
    }
  }

  /**
   * The same; the event loop gets a turn about every 8 ms: a page can repaint, and the signal be aborted. Several may run at a time.
   *
   * @throws InputError as translate() does, and the signal's reason
   */
  async translateAsync(text: string, options: AsyncTranslateOptions = {}): Promise<Translation> {
    const pause = pauses(options);
    const search = this.search(text, options);
    for (;;) {
      await pause();
      const { done, value } = search.next();
      if (done) return value;
    }
  }

  /**
   * Yields the tokens of a translation one after another, always the most likely one: that of translate() with a beam of 1.
   *
   * @throws InputError, at the first token, as translate() does, and the signal's reason
   * @example
   * for await (const { text } of translator.stream('ein mann liest .')) output.append(text);
   */
  async *stream(
    text: string,
    options: Omit<AsyncTranslateOptions, 'beam'> = {},
  ): AsyncGenerator<TranslatedToken, void, undefined> {
    const pause = pauses(options);
    const { target } = this;
    const search = this.search(text, { ...options, beam: 1 });
    let before: number[] = [];
    for (;;) {
      await pause();
      const { done, value: token } = search.next();
      if (done) return;
      if (token < 0) continue;
      const shown = target.decode([...before, token]).slice(target.decode(before).length);
      before = [token];
      yield { token, text: shown };
    }
  }

  /** Searches step by step; yields the token of each step where the beam is 1, and otherwise -1. */
  private *search(text: string, options: TranslateOptions): Generator<number, Translation, undefined> {
    const { model, source, target } = this;
    const { beam = 4, lengthPower = 1 } = options;
    checkInteger('beam', beam, 1);
    if (!(typeof lengthPower === 'number' && lengthPower >= 0 && lengthPower <= 10)) {
      throw invalid('lengthPower', lengthPower, 'a number from 0 to 10');
    }
    if (options.maxTokens !== undefined) checkInteger('maxTokens', options.maxTokens, 1);
    const ids = source.encodeSentence(text);
    if (ids.length > MOST_TOKENS) {
      throw new InputError(
        `text: got ${ids.length} tokens; expected at most ${MOST_TOKENS}; translate a part of the text`,
      );
    }
    const read = Array.from(ids, (id) => source.tokens[id]);
    if (ids.length < 2) return { text: '', score: 0, source: read, tokens: [], attention: [] };
    const most = Math.min(options.maxTokens ?? 2 * ids.length + 10, 2 * MOST_TOKENS + 10);
    const scored = (logProbability: number, length: number) => logProbability / power(length, lengthPower);

    const finished: Finished[] = [];
    const first = model.session(model.encode(ids));
    let alive: Hypothesis[] = [
      {
        session: first,
        token: target.eos,
        logProbability: 0,
        length: 0,
        before: undefined,
        attention: new Float32Array(),
      },
    ];
    for (let step = 1; alive.length && finished.length < beam; step++) {
      const candidates: { from: Hypothesis; token: number; logProbability: number; attention: Float32Array }[] = [];
      const attended: Float32Array[] = [];
      const sessions = alive.map(({ session }) => session);
      const all = model.logProbabilities(
        sessions,
        alive.map(({ token }) => token),
        attended,
      );
      for (const [b, from] of alive.entries()) {
        const likelihoods = all.subarray(b * target.size, (b + 1) * target.size);
        // One more than the beam: <eos> may be among them.
        for (const token of largest(likelihoods, beam + 1, target.unknown)) {
          const logProbability = from.logProbability + likelihoods[token];
          candidates.push({ from, token, logProbability, attention: attended[b] });
        }
      }
      candidates.sort((a, b) => b.logProbability - a.logProbability);
      const next: Hypothesis[] = [];
      const used = new Set<Hypothesis>();
      for (const [rank, { from, token, logProbability, attention }] of candidates.entries()) {
        if (next.length === beam) break;
        if (token === target.eos) {
          if (rank < beam) finished.push({ score: scored(logProbability, step), last: from.length ? from : undefined });
          continue;
        }
        const session = used.has(from) ? from.session.copy() : from.session;
        used.add(from);
        next.push({ session, token, logProbability, length: step, before: from.length ? from : undefined, attention });
      }
      alive = next;
      if (finished.length < beam) yield beam === 1 && alive.length ? alive[0].token : -1;
      if (step === most) {
        for (const last of alive) finished.push({ score: scored(last.logProbability, step), last });
        break;
      }
    }
    const best = finished.reduce((a, b) => (b.score > a.score ? b : a));
    const tokens: number[] = [];
    const attention: Float32Array[] = [];
    for (let at = best.last; at; at = at.before) {
      tokens.unshift(at.token);
      attention.unshift(at.attention);
    }
    const names = tokens.map((token) => target.tokens[token]);
    return { text: target.decode(tokens), score: best.score, source: read, tokens: names, attention };
  }
}

/** Returns a function to wait for between two steps. */
function pauses({ signal }: AsyncTranslateOptions): () => Promise<void> {
  if (signal && typeof signal.aborted !== 'boolean') throw invalid('signal', signal, 'an AbortSignal');
  const turn = eventLoopTurns();
  return async () => {
    await turn();
    if (signal?.aborted) throw signal.reason;
  };
}

/** The places of the n largest values, the largest first, without the place `never`. */
function largest(values: Float32Array, n: number, never: number): number[] {
  const places: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    // The usual case comes first: there are thousands of values, and few are among the largest.
    if (!(value > least) || i === never) continue;
    let at = places.length;
    while (at > 0 && values[places[at - 1]] < value) at--;
    places.splice(at, 0, i);
    if (places.length > n) places.pop();
    if (places.length === n) least = values[places[n - 1]];
  }
  return places;
}
