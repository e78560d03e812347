import { Tape } from '../../autograd/tape.js';
import { checkWhole } from '../../checks.js';
import { InputError } from '../../errors.js';
import { exp } from '../../math.js';
import { modelConfig } from '../../nn/config.js';
import { checkSmoothing } from '../../nn/loss.js';
import { buildVocabulary } from '../../text/build-vocabulary.js';
import type { OptimizerName } from '../../train/optimizers.js';
import type { Pointer } from '../../wasm/kernels.js';
import type { Runtime } from '../../wasm/runtime.js';
import { complete, type Work } from '../../work.js';
import { batchesByEqualLength, shuffledBatchesOfEqualLength } from '../by-length.js';
import { SequenceTraining } from '../sequence-training.js';
import {
  commonOptions,
  createTraining,
  type Fingerprint,
  fingerprintOf,
  type NamedArray,
  type Quality,
  type TrainingOptions,
  type TrainingStart,
} from '../training.js';
import { TranslationModel } from './model.js';
import { readVocabularies, TASK, type TranslationConfig, type Vocabularies } from './schema.js';

/** Options of a training of translation. */
export interface TranslationOptions extends TrainingOptions, TranslationConfig {
  embedding: number;
  /** The share of a target that all tokens of the vocabulary have alike (Szegedy et al., 2016). */
  labelSmoothing: number;
  /**
   * Early stopping: the training ends once pruning is over and the perplexity on the validation texts has not improved for this
   * many passes, and the model is that of the best of them; 0 for all epochs and the model of the last.
   */
  patience: number;
}

/** Default options: those of the dense model of Multi30k in bench/experiments. */
export function defaultTranslationOptions(optimizer: OptimizerName = 'adam'): TranslationOptions {
  const adam = optimizer === 'adam';
  return {
    ...commonOptions(optimizer),
    ...(adam && { schedule: { kind: 'linear', warmup: 0.06 } }),
    clip: 1,
    hidden: 256,
    layers: 1,
    embedding: 256,
    score: 'general',
    method: 'doped-kron',
    compression: 10,
    learningRate: adam ? 0.01 : 1,
    dropout: 0.1,
    labelSmoothing: 0.1,
    patience: 0,
    batch: 64,
    epochs: 10,
    freeRate: adam ? { scale: 0.3, power: 1 } : { scale: 1, power: 0 },
  };
}

/** Texts as numbers of tokens, each with `<eos>` at its end, and their translations. */
export interface Pairs {
  sources: readonly Int32Array[];
  targets: readonly Int32Array[];
}

/** Training and validation texts. */
export interface TranslationData {
  train: Pairs;
  valid: Pairs;
}

/**
 * The vocabularies of texts and their translations. The model reads text as it is typed, in lower case; it writes what stands between
 * spaces in the translations.
 *
 * @param languages their names in the names of files
 * @param options `size`: the most tokens of each, pieces of words, 4,000 by default, or, without `subwords`, words, 10,000 by default
 */
export function translationVocabularies(
  sources: readonly string[],
  targets: readonly string[],
  languages: readonly [source: string, target: string],
  { subwords = true, size }: { subwords?: boolean; size?: number } = {},
): Vocabularies {
  // Where nothing is left to <unk>, the model does not learn what to do with it.
  const least = subwords || size !== undefined ? 1 : 2;
  return {
    source: buildVocabulary(sources, 'typed', size, least, subwords),
    target: buildVocabulary(targets, 'tokens', size, least, subwords),
    languages,
  };
}

/** Number of validation texts whose loss shows the effect of pruning. */
const PROBE = 256;

/** Trains a model of translation one step at a time. */
export class TranslationTraining extends SequenceTraining<TranslationModel, TranslationOptions> {
  static readonly task = TASK;
  // Not a field: what a field calls, bundlers keep with its class, used or not.
  static get sample() {
    return defaultTranslationOptions();
  }

  readonly task = TranslationTraining.task;
  readonly tokensPerStep: number;
  private readonly probed: Pairs;
  /** With early stopping, the parameters as they were after the best pass, in the order of the model. */
  private readonly best: readonly Pointer[];

  constructor(
    model: TranslationModel,
    options: TranslationOptions,
    readonly data: TranslationData,
    teacher?: TranslationModel,
  ) {
    const { batch, labelSmoothing, patience } = options;
    checkWhole('batch', batch, 1);
    checkSmoothing(labelSmoothing);
    checkWhole('patience', patience, 0);
    for (const [name, { sources, targets }] of Object.entries(data) as [string, Pairs][]) {
      if (sources.length !== targets.length || sources.length === 0) {
        throw new InputError(
          `${name}: got ${sources.length} texts and ${targets.length} translations; expected one for each, and at least one`,
        );
      }
      for (const [i, source] of sources.entries()) {
        model.vocabularies.source.check(source, `${name}.sources ${i}`);
        model.vocabularies.target.check(targets[i], `${name}.targets ${i}`);
        if (source.length === 0 || targets[i].length === 0) {
          throw new InputError(
            `${name} ${i}: got an empty text; expected at least one token, and one of its translation`,
          );
        }
      }
    }
    const { train, valid } = data;
    const pieces = shuffledBatchesOfEqualLength(train.sources, train.targets, batch, options.seed, 0).length;
    super(model, options, pieces, teacher);
    this.tokensPerStep = train.targets.reduce((sum, { length }) => sum + length, 0) / pieces;
    this.probed = { sources: valid.sources.slice(0, PROBE), targets: valid.targets.slice(0, PROBE) };
    const { runtime } = model;
    this.best = (patience ? [...model.parameters()] : []).map(([, { size }]) => {
      const at = runtime.alloc(4 * size);
      runtime.floats(at, size).fill(0);
      return at;
    });
  }

  static readSchema(json: Record<string, unknown>): Vocabularies {
    return readVocabularies(json);
  }

  static create(
    runtime: Runtime,
    vocabularies: Vocabularies,
    options: TranslationOptions,
    data: TranslationData,
    start: TrainingStart = {},
  ): TranslationTraining {
    const { embedding, score, feed } = options;
    const config = { ...modelConfig(options), embedding, score, ...(feed && { feed }) };
    return createTraining(
      runtime,
      options,
      start,
      (given) => TranslationModel.create(runtime, config, vocabularies, options.seed, given),
      (model, teacher) => new TranslationTraining(model, options, data, teacher),
    );
  }

  static fingerprint({ train, valid }: TranslationData): Fingerprint {
    const contents = [train, valid].flatMap(({ sources, targets }) =>
      [...sources, ...targets].flatMap((tokens) => [tokens, [-1]]),
    );
    return fingerprintOf(train.sources.length, valid.sources.length, contents);
  }

  fingerprint(): Fingerprint {
    return TranslationTraining.fingerprint(this.data);
  }

  protected get sequences(): readonly Int32Array[] {
    return this.data.train.sources;
  }

  protected override batches(): Int32Array[] {
    const { options, epoch, data } = this;
    const { sources, targets } = data.train;
    return shuffledBatchesOfEqualLength(sources, targets, options.batch, options.seed, epoch);
  }

  override get trained(): boolean {
    return super.trained || this.stopsEarly;
  }

  private get stopsEarly(): boolean {
    const { patience } = this.options;
    return patience > 0 && this.passesSinceBest >= patience;
  }

  /** Passes since the one with the least validation perplexity, of those after all pruning; -1 if there is none. */
  private get passesSinceBest(): number {
    const { options, records, totalSteps } = this;
    const lastPruning = Math.floor(options.annealing.end * totalSteps);
    const measured = records.flatMap((record) =>
      record.kind === 'valid' && record.step > lastPruning ? [record.perplexity!] : [],
    );
    const best = measured.indexOf(Math.min(...measured));
    return best < 0 ? -1 : measured.length - 1 - best;
  }

  override *evaluateInParts(): Work<void> {
    if (!this.evaluationDue) return;
    yield* super.evaluateInParts();
    const { model, best, passesSinceBest } = this;
    if (best.length === 0 || passesSinceBest < 0) return;
    for (const [i, [, { value, size }]] of [...model.parameters()].entries()) {
      const [now, kept] = [model.runtime.floats(value, size), model.runtime.floats(best[i], size)];
      if (passesSinceBest === 0) kept.set(now);
      else if (this.trained) now.set(kept);
    }
  }

  protected override *carried(): Generator<NamedArray> {
    if (!this.options.patience) return;
    let i = 0;
    for (const [name, { size }] of this.model.parameters()) yield { name: `best.${name}`, at: this.best[i++], size };
  }

  protected forward(tape: Tape): number {
    const { model, options, trainer, data, chosen } = this;
    const of = (all: readonly Int32Array[]) => Array.from(chosen, (i) => all[i]);
    const { batch, targets } = model.batch(of(data.train.sources), of(data.train.targets));
    const dropout = { rate: options.dropout, seed: options.seed, step: trainer.stepsDone };
    const softTargets = this.softTargets((silent, teacher) => teacher.forward(silent, batch));
    const { sum, count } = model.loss(tape, batch, targets, {
      dropout,
      softTargets,
      smoothing: options.labelSmoothing,
    });
    return sum / count;
  }

  protected probe(): number {
    return complete(translationLossInParts(this.model, this.probed));
  }

  protected *validate(): Work<Quality> {
    const perplexity = exp(yield* this.unmasked(translationLossInParts(this.model, this.data.valid)));
    this.checkNumber('perplexity', perplexity);
    return { perplexity };
  }
}

/** The mean loss, in nats, of the tokens of translations, given their sources and all tokens before. */
export function* translationLossInParts(model: TranslationModel, { sources, targets }: Pairs): Work<number> {
  const { runtime } = model;
  let loss = 0;
  let tokens = 0;
  let done = 0;
  for (const chosen of batchesByEqualLength(sources)) {
    runtime.scoped(() => {
      const { batch, targets: at } = model.batch(
        chosen.map((i) => sources[i]),
        chosen.map((i) => targets[i]),
      );
      const { sum, count } = model.loss(new Tape(runtime, false), batch, at);
      loss += sum;
      tokens += count;
    });
    done += chosen.length;
    yield done / sources.length;
  }
  return loss / tokens;
}
