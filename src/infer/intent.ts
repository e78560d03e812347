import { InputError, invalid } from '../errors.js';
import { readHeader } from '../io/model-header.js';
import { readIntentMeaning } from '../tasks/meaning.js';
import { likeliest, softmax } from '../tasks/softmax.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Pointer } from '../wasm/kernels.js';
import { Engine } from './engine.js';
import { type Network, packNetwork } from './network.js';

/** The intent of a text, and how probable each of the model's intents is. */
export interface Classification {
  /** The most probable intent, or 'none' where that is below the threshold. */
  intent: string;
  /** By intent; they add up to 1. In the order of the model's labels, but for labels such as '7', which JavaScript puts first. */
  probabilities: Record<string, number>;
}

export interface ClassifyOptions {
  /** From 0, the default, to 1: where no intent is this probable, the answer is 'none'. */
  threshold?: number | undefined;
}

/** The answer where no intent is probable enough; a model's own label of this name means the same. */
const NONE = 'none';

/** An intent model, packed to run. */
export class IntentPlan {
  readonly vocabulary: Vocabulary;
  readonly labels: readonly string[];
  private readonly hidden: number;
  private readonly engine: Engine;
  private readonly network: Network;
  private readonly ends: Pointer; // [2H], the states of the last layer at both ends of the text
  private readonly stride: number; // bytes of a row that one layer leaves to the next: [2H], padded

  /** Throws FileFormatError for bytes that are not an intent model, saying what is wrong. */
  constructor(bytes: Uint8Array) {
    const header = readHeader(bytes);
    const { config, vocabulary, labels } = readIntentMeaning(header);
    this.vocabulary = vocabulary;
    this.labels = labels;
    this.hidden = config.hidden;
    this.engine = new Engine(1.5 * bytes.length);
    this.network = packNetwork(this.engine, header);
    this.ends = this.engine.alloc(8 * this.hidden);
    this.stride = 16 * Math.ceil(this.hidden / 2);
  }

  /** WebAssembly memory held, in bytes; it grows with the longest text where there are several layers. */
  get memoryBytes(): number {
    return this.engine.kernels.memory.buffer.byteLength;
  }

  /**
   * Classifies the intent of a text, synchronously. A text that is empty, or has no word that the model knows, has an answer
   * too.
   *
   * @throws InputError for a threshold out of range, and for a text too long for memory
   * @example
   * plan.classify('flights from boston', { threshold: 0.7 }); // { intent: 'flight', probabilities: { flight: 0.98, ... } }
   */
  classify(text: string, { threshold = 0 }: ClassifyOptions = {}): Classification {
    if (!(typeof threshold === 'number' && threshold >= 0 && threshold <= 1)) {
      throw invalid('threshold', threshold, 'a number from 0 to 1');
    }
    const { engine, network, labels, vocabulary } = this;
    const { embedding, stride, layers, head, logits } = network;
    const ids = vocabulary.encodeSentence(text);
    const buffers = layers.length > 2 ? this.buffers(ids.length) : [];
    let input = (t: number) => embedding + ids[t] * stride;
    for (let l = 0; l < layers.length; l += 2) {
      if (l + 2 === layers.length) {
        this.read(l, ids.length, input);
      } else {
        const output = buffers[(l / 2) % 2];
        this.read(l, ids.length, input, output);
        input = (t) => output + t * this.stride;
      }
    }
    engine.kernels.run(head, this.ends);
    const probabilities = softmax(engine.floats(logits, labels.length));
    const best = likeliest(probabilities);
    return {
      intent: probabilities[best] >= threshold ? labels[best] : NONE,
      probabilities: Object.fromEntries(labels.map((label, i) => [label, probabilities[i]])),
    };
  }

  /** A layer in both directions; `output` takes its states at all T tokens, where a further layer wants them. */
  private read(layer: number, T: number, input: (t: number) => Pointer, output?: Pointer): void {
    const { engine, network, hidden: H, stride, ends } = this;
    const { lstm_step } = engine.kernels;
    const memory = new Float32Array(engine.kernels.memory.buffer);
    for (const direction of [0, 1]) {
      const { ih, hh, h, c } = network.layers[layer + direction];
      const keep = (to: Pointer) => memory.copyWithin(to / 4 + direction * H, h / 4, h / 4 + H);
      memory.fill(0, h / 4, h / 4 + H).fill(0, c / 4, c / 4 + H);
      for (let i = 0; i < T; i++) {
        const t = direction ? T - 1 - i : i;
        lstm_step(ih, hh, input(t), network.gates, c, h, H);
        if (output !== undefined) keep(output + t * stride);
      }
      keep(ends);
    }
  }

  /** Two buffers of T rows, zeroed, to be used until the next text: what layers leave to one another. */
  private buffers(T: number): Pointer[] {
    const { engine, stride } = this;
    const bytes = T * stride;
    const end = 2 * bytes + 32; // kernels read up to a vector or two past the end of what they use
    let at: Pointer;
    try {
      at = engine.scratch(end);
    } catch (cause) {
      throw new InputError(`text: got ${T} tokens; expected no more than fit in memory; classify a part of the text`, {
        cause,
      });
    }
    new Uint8Array(engine.kernels.memory.buffer, at, end).fill(0);
    return [at, at + bytes];
  }
}
