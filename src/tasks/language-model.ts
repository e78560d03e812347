import { Tape } from '../autograd/tape.js';
import { InputError } from '../errors.js';
import type { LanguageModelConfig } from '../nn/config.js';
import { LanguageModel, matrixPlan, type State } from '../nn/language-model.js';
import { checkDistillation, type Distillation } from '../nn/loss.js';
import { defaultAnnealing } from '../train/annealing.js';
import { noCoMatrixDropout } from '../train/comatrix.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { TrainRecord } from '../train/records.js';
import { startFrom } from '../train/start.js';
import { diverged, Trainer, type TrainerOptions } from '../train/trainer.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { Streams } from './batches.js';
import type { Level, Vocabulary } from './text.js';

export interface LanguageModelOptions extends LanguageModelConfig, TrainerOptions {
  dropout: number;
  batch: number;
  bptt: number;
  epochs: number;
  /** Learn from a teacher too. */
  distillation?: Distillation;
}

/** Settings that did well on the State of the Union addresses; the README tells how well. */
export function defaultOptions(level: Level, optimizer: OptimizerName = 'adam'): LanguageModelOptions {
  const adam = optimizer === 'adam';
  const word = level === 'word';
  return {
    hidden: 200,
    layers: 2,
    method: 'doped-kron',
    compression: 25,
    optimizer,
    learningRate: adam ? (word ? 0.006 : 0.004) : 1,
    schedule: adam ? { kind: 'cosine' } : { kind: 'decay', after: 4, by: 1.5 },
    clip: 5,
    seed: 1,
    dropout: word ? 0.3 : 0,
    batch: 20,
    bptt: word ? 35 : 64,
    epochs: word ? 6 : 1,
    annealing: defaultAnnealing,
    coMatrixDropout: noCoMatrixDropout,
    alternate: 0,
    // Adam moves every weight by about the learning rate, however small its gradient: that is too much for weights in
    // such numbers.
    freeRate: adam ? { scale: word ? 0.1 : 0.3, power: 1 } : { scale: 1, power: 0 },
    measureEvery: 5,
  };
}

/** A text as token numbers, train and valid. */
export interface EncodedCorpus {
  train: Int32Array;
  valid: Int32Array;
}

/** Models that a training begins with; they must stand in its runtime. */
export interface TrainedModels {
  /** What the weights start from, instead of from noise. */
  from?: LanguageModel;
  /** Whom `distillation` learns from. */
  teacher?: LanguageModel;
}

function checkVocabulary(what: string, trained: LanguageModel, model: LanguageModel): void {
  if (trained.runtime !== model.runtime) throw new InputError(`${what}: the model stands in another runtime`);
  if (JSON.stringify(trained.vocabulary) !== JSON.stringify(model.vocabulary)) {
    throw new InputError(`${what}: the model's vocabulary is another one; token numbers must mean the same`);
  }
}

/** Training of a language model, a step at a time, so that the caller can show progress, write checkpoints and stop. */
export class LanguageModelTraining {
  readonly trainer: Trainer;
  /** Passes over the text that are over. */
  epoch = 0;
  /** Pieces of this pass that are over. */
  piece = 0;
  readonly state: State;
  private readonly teacherState: State;
  /** Told how much of an evaluation is over, from 0 to 1: at the end of an epoch it takes seconds. */
  onEvaluation: (share: number) => void = () => {};
  private readonly streams: Streams;
  private readonly inputs: Pointer; // i32[bptt batch]
  private readonly targets: Pointer;
  private readonly evaluation: Evaluation;
  private readonly probe: Evaluation;
  private readonly probeIds: Int32Array;
  /** Sum and number of the losses since the last step record. */
  lossSum = 0;
  lossCount = 0;

  constructor(
    readonly model: LanguageModel,
    readonly options: LanguageModelOptions,
    readonly corpus: EncodedCorpus,
    private readonly teacher?: LanguageModel,
  ) {
    const { batch, bptt, epochs, dropout, distillation } = options;
    if (!(dropout >= 0 && dropout < 1)) {
      throw new InputError(`dropout: ${dropout} was given; it must be at least 0 and below 1`);
    }
    if (!Number.isInteger(epochs) || epochs < 1) {
      throw new InputError(`epochs: ${epochs} was given; it must be a whole number of at least 1`);
    }
    if (distillation) checkDistillation(distillation);
    if (!distillation !== !teacher) throw new InputError('distill: a weight and a teacher go together; one is missing');
    if (teacher) checkVocabulary('teacher', teacher, model);
    this.streams = new Streams(corpus.train, batch, bptt, 'the training text');
    if (corpus.valid.length < 2)
      throw new InputError('the validation text has no token to predict; it needs at least 2');
    const { runtime, vocabulary } = model;
    vocabulary.check(corpus.train, 'train');
    vocabulary.check(corpus.valid, 'valid');
    this.trainer = new Trainer(model, options, epochs * this.streams.pieces, matrixPlan(options).nonzeros);
    this.state = model.newState(batch);
    this.teacherState = teacher?.newState(batch) ?? [];
    this.inputs = runtime.zeros(4 * bptt * batch);
    this.targets = runtime.zeros(4 * bptt * batch);
    this.evaluation = new Evaluation(model);
    this.probe = new Evaluation(model, batch, bptt);
    this.probeIds = corpus.valid.subarray(0, 2 * batch * bptt + 1);
  }

  static create(
    runtime: Runtime,
    vocabulary: Vocabulary,
    options: LanguageModelOptions,
    corpus: EncodedCorpus,
    { from, teacher }: TrainedModels = {},
  ): LanguageModelTraining {
    const { hidden, layers, method, compression, kron, block, seed } = options;
    const config: LanguageModelConfig = {
      hidden,
      layers,
      method,
      compression,
      ...(kron && { kron }),
      ...(block && { block }),
    };
    const model = LanguageModel.create(runtime, config, vocabulary, seed);
    if (from) {
      checkVocabulary('from', from, model);
      startFrom(model, from);
    }
    return new LanguageModelTraining(model, options, corpus, teacher);
  }

  get totalSteps(): number {
    return this.trainer.totalSteps;
  }

  get done(): boolean {
    return this.epoch >= this.options.epochs;
  }

  get records(): TrainRecord[] {
    return this.trainer.records;
  }

  /** Tokens in one step. */
  get tokensPerStep(): number {
    return this.options.batch * this.options.bptt;
  }

  /** One step; after the last of an epoch the validation text is evaluated too. Returns the mean loss in nats. */
  step(): number {
    const { model, options, trainer, streams, state, inputs, targets, epoch, teacher, teacherState } = this;
    const { runtime } = model;
    const { batch, bptt, seed, dropout, distillation } = options;
    const n = batch * bptt;
    if (this.piece === 0) {
      model.resetState(state, batch);
      teacher?.resetState(teacherState, batch);
    }
    streams.fill(this.piece, runtime.ints(inputs, n), runtime.ints(targets, n));
    const learningRate = trainer.learningRate(epoch);
    const loss = trainer.step(
      epoch,
      batch,
      (tape) => {
        const drop = { rate: dropout, seed, step: trainer.stepsDone };
        const taught = distillation && {
          ...distillation,
          logits: teacher!.forward(new Tape(runtime, false), inputs, bptt, batch, teacherState).value,
        };
        const { sum, count } = model.loss(tape, targets, [inputs, bptt, batch, state, drop], taught);
        return sum / count;
      },
      () => this.probe.meanLoss(this.probeIds).loss,
    );
    this.lossSum += loss;
    this.lossCount++;
    this.piece++;
    const epochOver = this.piece === streams.pieces;
    // About a hundred points a curve.
    if (epochOver || trainer.stepsDone % Math.max(1, Math.floor(trainer.totalSteps / 100)) === 0) {
      const { sparsity } = trainer;
      const mean = this.lossSum / this.lossCount;
      this.records.push({ kind: 'step', step: trainer.stepsDone, epoch, loss: mean, learningRate, sparsity });
      this.lossSum = this.lossCount = 0;
    }
    if (epochOver) {
      this.piece = 0;
      this.epoch++;
      trainer.measureAdaptation(() => this.probe.meanLoss(this.probeIds).loss);
      const perplexity = this.perplexity(this.corpus.valid);
      this.records.push({ kind: 'valid', step: trainer.stepsDone, epoch, perplexity });
    }
    return loss;
  }

  /** Every array of floats that the next step depends on, by name. */
  *arrays(): Generator<{ name: string; at: Pointer; size: number }> {
    const { model, options, trainer, state } = this;
    for (const [name, parameter] of model.parameters()) {
      const { value, size } = parameter;
      yield { name: `value.${name}`, at: value, size };
      for (const [moment, at] of Object.entries(trainer.optimizer.moments(parameter))) {
        yield { name: `${moment}.${name}`, at, size };
      }
    }
    const states = [
      { name: 'state', state, hidden: options.hidden },
      { name: 'teacher', state: this.teacherState, hidden: this.teacher?.config.hidden ?? 0 },
    ];
    for (const { name, state, hidden } of states) {
      const size = options.batch * hidden;
      for (const [l, { h, c }] of state.entries()) {
        yield { name: `${name}.${l}.h`, at: h, size };
        yield { name: `${name}.${l}.c`, at: c, size };
      }
    }
  }

  /** The masks of the weights that can be pruned, bytes of 0 and 1. */
  *masks(): Generator<{ name: string; at: Pointer; size: number }> {
    for (const [name, { mask, size }] of this.model.parameters()) {
      if (mask) yield { name: `mask.${name}`, at: mask, size };
    }
  }

  /** Takes up a position, once arrays() and masks() hold what they held there. */
  restore(
    { epoch, piece, steps, lossSum, lossCount }: Record<'epoch' | 'piece' | 'steps' | 'lossSum' | 'lossCount', number>,
    records: readonly TrainRecord[],
  ): void {
    const { trainer } = this;
    Object.assign(this, { epoch, piece, lossSum, lossCount });
    trainer.optimizer.steps = steps;
    trainer.records.push(...records);
    trainer.afterPruning();
  }

  /** Perplexity of a text under the model as it is, with no masks. Throws TrainingError when it is no finite number. */
  perplexity(ids: Int32Array): number {
    const perplexity = Math.exp(this.trainer.unmasked(() => this.evaluation.meanLoss(ids, this.onEvaluation).loss));
    this.checkNumber('perplexity', perplexity);
    return perplexity;
  }

  /**
   * Throws TrainingError when a weight or a moment is no finite number: what holds it could be written, but not read
   * again.
   */
  checkFinite(): void {
    for (const { name, at, size } of this.arrays()) {
      const bad = this.model.runtime.floats(at, size).find((value) => !Number.isFinite(value));
      if (bad !== undefined) this.checkNumber(`array '${name}'`, bad);
    }
  }

  private checkNumber(what: string, value: number): void {
    if (Number.isFinite(value)) return;
    const last = this.trainer.stepsDone - 1;
    throw diverged(what, value, last, Math.floor(last / this.streams.pieces));
  }
}

/** Streams side by side, and steps at a time: enough that the kernels work on whole batches. */
export const EVALUATION = { batch: 20, steps: 35 };

/**
 * Forward passes over texts, every token but the first predicted once. A stream starts with no past, so perplexity
 * depends on how many there are: everything that is to be compared is measured with as many.
 */
export class Evaluation {
  private readonly state: State;
  private readonly inputs: Pointer; // i32[steps batch]
  private readonly targets: Pointer;

  constructor(
    private readonly model: LanguageModel,
    private readonly batch = EVALUATION.batch,
    private readonly steps = EVALUATION.steps,
  ) {
    this.state = model.newState(batch);
    this.inputs = model.runtime.zeros(4 * batch * steps);
    this.targets = model.runtime.zeros(4 * batch * steps);
  }

  /**
   * Mean loss in nats over all tokens but the first. The text is cut into `batch` streams side by side, each from a
   * state of zeros; the last stream may end early, its missing targets do not count.
   */
  meanLoss(ids: Int32Array, onProgress: (share: number) => void = () => {}): { loss: number; tokens: number } {
    const { model, batch, steps, state } = this;
    const { runtime } = model;
    const last = ids.length - 1;
    if (last < 1) throw new InputError(`the text has ${ids.length} tokens; at least 2 are needed to predict one`);
    model.vocabulary.check(ids, 'ids');
    const length = Math.ceil(last / batch);
    const n = batch * steps;
    model.resetState(state, batch);
    let sum = 0;
    let tokens = 0;
    for (let from = 0; from < length; from += steps) {
      const inputs = runtime.ints(this.inputs, n);
      const targets = runtime.ints(this.targets, n);
      for (let b = 0; b < batch; b++) {
        for (let t = 0; t < steps; t++) {
          const at = b * length + from + t;
          const counts = from + t < length && at < last;
          inputs[t * batch + b] = counts ? ids[at] : 0;
          targets[t * batch + b] = counts ? ids[at + 1] : -1;
        }
      }
      const mark = runtime.mark();
      const tape = new Tape(runtime, false);
      const piece = model.loss(tape, this.targets, [this.inputs, steps, batch, state]);
      runtime.release(mark);
      sum += piece.sum;
      tokens += piece.count;
      onProgress(Math.min(1, (from + steps) / length));
    }
    return { loss: sum / tokens, tokens };
  }
}
