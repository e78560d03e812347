import type { Tape } from '../../autograd/tape.js';
import { InputError } from '../../errors.js';
import { exp } from '../../math.js';
import { modelConfig } from '../../nn/config.js';
import type { NetworkState } from '../../nn/network.js';
import type { Level } from '../../text/tokens.js';
import { Vocabulary } from '../../text/vocabulary.js';
import { defaultAnnealing } from '../../train/annealing.js';
import type { OptimizerName } from '../../train/optimizers.js';
import type { Pointer } from '../../wasm/kernels.js';
import type { Runtime } from '../../wasm/runtime.js';
import { complete, type Work } from '../../work.js';
import {
  commonOptions,
  createTraining,
  type Fingerprint,
  fingerprintOf,
  type NamedArray,
  type Quality,
  Training,
  type TrainingOptions,
  type TrainingStart,
} from '../training.js';
import { Evaluation } from './evaluation.js';
import { LanguageModel } from './model.js';
import { TASK } from './schema.js';
import { Streams } from './streams.js';

/** Options of a training, with the steps of backpropagation through time. */
export interface LanguageModelOptions extends TrainingOptions {
  bptt: number;
}

/**
 * Default options, tuned on the State of the Union addresses (bench/experiments) with 64 to 200 units and 60,000 words or
 * 400,000 to 4,000,000 characters.
 */
export function defaultOptions(level: Level, optimizer: OptimizerName = 'adam'): LanguageModelOptions {
  const adam = optimizer === 'adam';
  const word = level === 'word';
  return {
    ...commonOptions(optimizer),
    // On words, where the data are the limit, they cost 5 to 15 %; on characters, they save 4 to 9 %.
    ...(adam && !word && CHARACTERS),
    hidden: 200,
    layers: 2,
    method: 'doped-kron',
    compression: 25,
    learningRate: adam ? (word ? 0.01 : 0.02) : 1,
    dropout: word ? 0.3 : 0,
    batch: 16,
    bptt: word ? 20 : 32,
    epochs: word ? 6 : 1,
    // Adam moves every weight by about the learning rate, however small its gradient: too much for so many weights.
    freeRate: adam ? { scale: word ? 0.1 : 0.05, power: 1 } : { scale: 1, power: 0 },
  };
}

/** The settings with which Adam trains models of characters best: see bench/experiments. */
const CHARACTERS = {
  schedule: { kind: 'linear', warmup: 0 },
  beta1: 0.6,
  headRate: 2,
  l1: 0.01,
  annealing: { ...defaultAnnealing, saliency: 'moment' },
} as const;

/** Training and validation texts as token numbers. */
export interface EncodedCorpus {
  train: Int32Array;
  valid: Int32Array;
}

/** Trains a language model one step at a time. */
export class LanguageModelTraining extends Training<LanguageModel, LanguageModelOptions> {
  static readonly task = TASK;
  // Not a field: what a field calls, bundlers keep with its class, used or not.
  static get sample() {
    return defaultOptions('word');
  }

  readonly task = LanguageModelTraining.task;
  readonly state: NetworkState;
  private readonly teacherState: NetworkState;
  private readonly streams: Streams;
  private readonly inputs: Pointer; // i32[bptt batch]
  private readonly targets: Pointer;
  private readonly evaluation: Evaluation;
  private readonly probing: Evaluation;
  private readonly probeIds: Int32Array;

  constructor(
    model: LanguageModel,
    options: LanguageModelOptions,
    readonly corpus: EncodedCorpus,
    teacher?: LanguageModel,
  ) {
    const { batch, bptt } = options;
    const streams = new Streams(corpus.train, batch, bptt, 'the training text');
    if (corpus.valid.length < 2)
      throw new InputError(
        `valid: got ${corpus.valid.length} tokens; expected at least 2, the second of which is predicted`,
      );
    const { runtime, vocabulary } = model;
    vocabulary.check(corpus.train, 'train');
    vocabulary.check(corpus.valid, 'valid');
    super(model, options, streams.pieces, teacher);
    this.streams = streams;
    this.state = model.newState(batch);
    this.teacherState = teacher?.newState(batch) ?? [];
    this.inputs = runtime.zeros(4 * bptt * batch);
    this.targets = runtime.zeros(4 * bptt * batch);
    this.evaluation = new Evaluation(model);
    this.probing = new Evaluation(model, batch, bptt);
    this.probeIds = corpus.valid.subarray(0, 2 * batch * bptt + 1);
  }

  static readSchema({ vocabulary }: Record<string, unknown>): Vocabulary {
    return Vocabulary.fromJSON(vocabulary);
  }

  static create(
    runtime: Runtime,
    vocabulary: Vocabulary,
    options: LanguageModelOptions,
    corpus: EncodedCorpus,
    start: TrainingStart = {},
  ): LanguageModelTraining {
    return createTraining(
      runtime,
      options,
      start,
      (given) => LanguageModel.create(runtime, modelConfig(options), vocabulary, options.seed, given),
      (model, teacher) => new LanguageModelTraining(model, options, corpus, teacher),
    );
  }

  static fingerprint({ train, valid }: EncodedCorpus): Fingerprint {
    return fingerprintOf(train.length, valid.length, [train, valid]);
  }

  fingerprint(): Fingerprint {
    return LanguageModelTraining.fingerprint(this.corpus);
  }

  get tokensPerStep(): number {
    return this.options.batch * this.options.bptt;
  }

  protected get batchSize(): number {
    return this.options.batch;
  }

  protected forward(tape: Tape): number {
    const { model, options, trainer, streams, state, inputs, targets } = this;
    const { runtime } = model;
    const { batch, bptt, seed, dropout } = options;
    const n = batch * bptt;
    if (this.piece === 0) {
      model.resetState(state, batch);
      this.teacher?.resetState(this.teacherState, batch);
    }
    streams.fill(this.piece, runtime.ints(inputs, n), runtime.ints(targets, n));
    const drop = { rate: dropout, seed, step: trainer.stepsDone };
    const softTargets = this.softTargets((silent, teacher) =>
      teacher.forward(silent, inputs, bptt, batch, this.teacherState),
    );
    const { sum, count } = model.loss(tape, targets, [inputs, bptt, batch, state, drop], softTargets);
    return sum / count;
  }

  protected probe(): number {
    return this.probing.meanLoss(this.probeIds).loss;
  }

  protected *validate(): Work<Quality> {
    return { perplexity: yield* this.perplexityInParts(this.corpus.valid) };
  }

  protected override rehearseValidation(): void {
    this.evaluation.meanLoss(this.corpus.valid.subarray(0, 2));
  }

  protected override *carried(): Generator<NamedArray> {
    const states = [
      { name: 'state', state: this.state, hidden: this.options.hidden },
      { name: 'teacher', state: this.teacherState, hidden: this.teacher?.config.hidden ?? 0 },
    ];
    for (const { name, state, hidden } of states) {
      const size = this.options.batch * hidden;
      for (const [l, { h, c }] of state.entries()) {
        yield { name: `${name}.${l}.h`, at: h, size };
        if (c) yield { name: `${name}.${l}.c`, at: c, size };
      }
    }
  }

  /** Returns the perplexity of a text under the current model. Throws TrainingError if it is not finite. */
  perplexity(ids: Int32Array): number {
    return complete(this.perplexityInParts(ids));
  }

  /** perplexity() in parts. */
  *perplexityInParts(ids: Int32Array): Work<number> {
    const { loss } = yield* this.unmasked(this.evaluation.meanLossInParts(ids));
    const perplexity = exp(loss);
    this.checkNumber('perplexity', perplexity);
    return perplexity;
  }
}
