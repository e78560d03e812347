import type { Tape, Tensor } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { Stream } from '../random.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { intentArchitecture } from './architecture.js';
import type { IntentModelConfig } from './config.js';
import { dropout, type StepDropout } from './dropout.js';
import { embed } from './embedding.js';
import { linear } from './linear.js';
import { softmaxLoss, type Taught } from './loss.js';
import { lstm } from './lstm.js';
import { checkModelSize, checkVocabulary, createParts, Model, type ModelParts, type PatternOf } from './model.js';
import { joinColumns, selectRows } from './rows.js';

/** Sentences side by side, in the runtime's memory; shorter ones are padded at their ends. */
export interface SentenceBatch {
  T: number; // tokens of the longest
  B: number; // sentences
  ids: Pointer; // i32[T B], rows of one time step together
  /** i32[T B]: for each token, the row of its counterpart in the reversed sentence. */
  mirror: Pointer;
  /** i32[B]: the row of each sentence's last token. */
  last: Pointer;
}

/**
 * Classifies the intent of a sentence: embedding, bidirectional LSTM layers, and a softmax head over the states at both
 * ends.
 */
export class IntentModel extends Model {
  readonly kind = 'intent-model';

  constructor(
    runtime: Runtime,
    override readonly config: IntentModelConfig,
    vocabulary: Vocabulary,
    readonly labels: readonly string[],
    parts: ModelParts,
  ) {
    super(runtime, config, vocabulary, intentArchitecture(config, vocabulary.size, labels.length), parts);
  }

  /**
   * A new model, its weights drawn from the seed.
   *
   * @param vocabulary one of words
   * @param labels the intents that it can answer with
   * @param seed a whole number >= 0; the same seed gives the same weights on every machine
   * @param structureShare the share of a doped matrix's variance that its structure gets; 0.01 unless given
   * @throws InputError for sizes, a method or a compression that no model can have
   * @throws RangeError when there is not so much memory; either way none is kept
   */
  static create(
    runtime: Runtime,
    config: IntentModelConfig,
    vocabulary: Vocabulary,
    labels: readonly string[],
    seed: number,
    structureShare?: number,
    patternOf?: PatternOf,
  ): IntentModel {
    checkModelSize(config);
    checkVocabulary(vocabulary);
    if (vocabulary.level !== 'word') {
      throw new InputError('vocabulary: got one of characters; expected one of words');
    }
    if (!Array.isArray(labels) || labels.length === 0) throw invalid('labels', labels, 'a list of at least one label');
    const architecture = intentArchitecture(config, vocabulary.size, labels.length);
    const parts = createParts(runtime, config, architecture, seed, structureShare, patternOf);
    return new IntentModel(runtime, config, vocabulary, labels, parts);
  }

  override get meaning(): unknown {
    return [this.vocabulary, this.labels];
  }

  /** Logits [B, labels]. With `drop`, in training, dropout is applied. */
  forward(tape: Tape, batch: SentenceBatch, drop?: StepDropout): Tensor {
    const { weight, bias } = this.parts.head;
    return linear(tape, weight, bias, this.features(tape, batch, drop));
  }

  /** The loss of the targets, i32[B], each the place of a label; see softmaxLoss(). */
  loss(
    tape: Tape,
    batch: SentenceBatch,
    targets: Pointer,
    drop?: StepDropout,
    taught?: Taught,
  ): { sum: number; count: number } {
    return softmaxLoss(tape, this.parts.head, this.features(tape, batch, drop), targets, taught);
  }

  /** The input of the head, [B, 2 H]: the states at both ends of the last layer, side by side. */
  private features(tape: Tape, batch: SentenceBatch, drop?: StepDropout): Tensor {
    const { runtime, config, parts } = this;
    const { T, B, ids, mirror, last } = batch;
    checkWhole('T', T, 1);
    checkWhole('B', B, 1);
    const thin = (x: Tensor, place: number) =>
      drop ? dropout(tape, x, { ...drop, stream: Stream.dropout + place }) : x;
    const zeros = () => {
      const tensor = tape.tensor(B, config.hidden);
      runtime.floats(tensor.value, B * config.hidden).fill(0);
      return tensor;
    };
    // Padding comes after the whole sentence in both directions: it changes nothing that is used.
    const read = (layer: number, x: Tensor) => lstm(tape, parts.layers[layer], x, { h: zeros(), c: zeros() }).y;
    let x = thin(embed(tape, parts.embedding, ids, T * B), 0);
    for (let l = 0; ; l++) {
      const forward = read(2 * l, x);
      const backward = read(2 * l + 1, selectRows(tape, x, mirror, T * B, 'mirror'));
      if (l === config.layers - 1) {
        const ends = joinColumns(
          tape,
          selectRows(tape, forward, last, B, 'last'),
          selectRows(tape, backward, last, B, 'last'),
        );
        return thin(ends, l + 1);
      }
      x = thin(joinColumns(tape, forward, selectRows(tape, backward, mirror, T * B, 'mirror')), l + 1);
    }
  }

  /**
   * Lays sentences side by side, in memory that the caller takes back.
   *
   * @param sentences at least one; token ids, at least one in each
   * @throws InputError for no sentences, an empty one, or an id out of range
   */
  batch(sentences: readonly Int32Array[]): SentenceBatch {
    const { runtime, vocabulary } = this;
    const B = sentences.length;
    if (B === 0) throw invalid('sentences', sentences, 'at least one');
    for (const [i, sentence] of sentences.entries()) {
      if (sentence.length === 0) throw invalid(`sentences[${i}]`, [], 'at least one token');
      vocabulary.check(sentence, `sentences[${i}]`);
    }
    const T = sentences.reduce((most, { length }) => Math.max(most, length), 0);
    const [ids, mirror, last] = [runtime.zeros(4 * T * B), runtime.alloc(4 * T * B), runtime.alloc(4 * B)];
    const [words, mirrored, ends] = [runtime.ints(ids, T * B), runtime.ints(mirror, T * B), runtime.ints(last, B)];
    for (const [b, sentence] of sentences.entries()) {
      const { length } = sentence;
      for (let t = 0; t < T; t++) {
        const inside = t < length;
        if (inside) words[t * B + b] = sentence[t];
        mirrored[t * B + b] = (inside ? length - 1 - t : t) * B + b;
      }
      ends[b] = (length - 1) * B + b;
    }
    return { T, B, ids, mirror, last };
  }
}
