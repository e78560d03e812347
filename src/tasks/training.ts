import { Tape, type Tensor } from '../autograd/tape.js';
import { InputError, TrainingError } from '../errors.js';
import type { ModelConfig } from '../nn/config.js';
import { checkDistillation, type Distillation, type Taught } from '../nn/loss.js';
import { type Model, matrixPlans, type PatternOf } from '../nn/model.js';
import { STRUCTURE_SHARE } from '../operators/methods.js';
import { walk } from '../operators/operator.js';
import { Sparse } from '../operators/sparse.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { defaultAnnealing } from '../train/annealing.js';
import { noCoMatrixDropout } from '../train/comatrix.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { TrainRecord } from '../train/records.js';
import type { Schedule } from '../train/schedule.js';
import { startFrom } from '../train/start.js';
import { diverged, Trainer, type TrainerOptions } from '../train/trainer.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';

/** What every task can be told. */
export interface TrainingOptions extends ModelConfig, TrainerOptions {
  dropout: number;
  batch: number;
  epochs: number;
  /** Learn from a teacher too. */
  distillation?: Distillation;
}

/** What does well whatever the task. */
export function commonOptions(optimizer: OptimizerName) {
  const schedule: Schedule = optimizer === 'adam' ? { kind: 'cosine' } : { kind: 'decay', after: 4, by: 1.5 };
  return {
    optimizer,
    schedule,
    clip: 5,
    seed: 1,
    structureShare: STRUCTURE_SHARE,
    annealing: defaultAnnealing,
    coMatrixDropout: noCoMatrixDropout,
    alternate: 0,
    measureEvery: 5,
  };
}

/** What a training starts with. Models must be in its runtime, and their numbers must mean what the model's do. */
export interface TrainingStart {
  /** What the weights start from, instead of from noise. */
  from?: Model;
  /** Whom `distillation` learns from. */
  teacher?: Model;
  /** Which weights of the sparse matrices are alive; all are unless given. */
  patternOf?: PatternOf;
}

/** How good a model is on a split. What cannot be measured there is left out. */
export interface Quality {
  perplexity?: number;
  /** Share of the answers that are right, where the task has answers; `exact` asks for all that is right, nothing else. */
  accuracy?: number;
  exact?: number;
}

/** The same on a validation split: its perplexity is always measured. */
export type ValidQuality = Quality & { perplexity: number };

/** Tells one corpus from another: sizes, and a 32-bit FNV-1a hash of all that is in it. */
export interface Fingerprint {
  train: number;
  valid: number;
  hash: number;
}

/** What a checkpoint must know of a task to take a training up again: the task's class has it. */
export interface TrainingClass<Options extends TrainingOptions, Data, T extends Training> {
  /** The task's name on the command line and in checkpoints. */
  readonly task: string;
  /** Options of all the types that there must be. */
  readonly sample: Options;
  create(runtime: Runtime, vocabulary: Vocabulary, options: Options, data: Data, start?: TrainingStart): T;
  fingerprint(data: Data): Fingerprint;
}

/** An array in memory that the next step depends on. */
export interface NamedArray {
  name: string;
  at: Pointer;
  size: number;
}

/**
 * Training of a model, a step at a time, so that the caller can show progress, write checkpoints and stop. A task says
 * what a step is trained on, and how good the model is.
 */
export abstract class Training<M extends Model = Model, Options extends TrainingOptions = TrainingOptions> {
  readonly trainer: Trainer;
  /** Passes over the data that are over. */
  epoch = 0;
  /** Pieces of this pass that are over; each is a step. */
  piece = 0;
  /** Sum and number of the losses since the last step record. */
  lossSum = 0;
  lossCount = 0;
  /** Passes whose end has been evaluated: all that are over, but for the moment between the two. */
  private evaluated = 0;

  constructor(
    readonly model: M,
    readonly options: Options,
    /** In one pass over the data. */
    readonly pieces: number,
    protected readonly teacher?: M,
  ) {
    const { dropout, epochs, distillation } = options;
    if (!(dropout >= 0 && dropout < 1)) {
      throw new InputError(`dropout: ${dropout} was given; it must be at least 0 and below 1`);
    }
    if (!Number.isInteger(epochs) || epochs < 1) {
      throw new InputError(`epochs: ${epochs} was given; it must be a whole number of at least 1`);
    }
    if (distillation) checkDistillation(distillation);
    if (!distillation !== !teacher) throw new InputError('distill: a weight and a teacher go together; one is missing');
    const nonzeros = matrixPlans(options, model.architecture).map((plan) => plan.nonzeros);
    this.trainer = new Trainer(model, options, epochs * pieces, nonzeros);
  }

  abstract readonly task: string;
  /** Tokens in one step, on the average. */
  abstract readonly tokensPerStep: number;
  /** Of the data it is trained on. */
  abstract fingerprint(): Fingerprint;
  /** Sequences in the piece that is next. */
  protected abstract readonly rows: number;
  /** Records the forward pass over the piece that is next, and returns its mean loss in nats. */
  protected abstract forward(tape: Tape): number;
  /** Mean loss on a fixed part of the validation data. */
  protected abstract probe(): number;
  /** On all the validation data. */
  protected abstract validate(): Work<ValidQuality>;
  /** Takes the memory that validate() takes. */
  protected rehearseValidation(): void {}
  /** What the next step depends on besides parameters and moments. */
  protected *carried(): Generator<NamedArray> {}

  /** What the teacher says of a piece: its logits, made on a tape that remembers nothing. */
  protected taught(forward: (tape: Tape, teacher: M) => Tensor): Taught | undefined {
    const { teacher, model, options } = this;
    if (!teacher || !options.distillation) return undefined;
    return { ...options.distillation, logits: forward(new Tape(model.runtime, false), teacher).value };
  }

  get totalSteps(): number {
    return this.trainer.totalSteps;
  }

  /** Whether all steps and evaluations have been made. */
  get done(): boolean {
    return this.trained && !this.evaluationDue;
  }

  /** Whether all steps have been made. */
  get trained(): boolean {
    return this.epoch >= this.options.epochs;
  }

  /** Whether a pass is over and has not been evaluated yet. */
  get evaluationDue(): boolean {
    return this.evaluated < this.epoch;
  }

  get records(): TrainRecord[] {
    return this.trainer.records;
  }

  /**
   * One step; after the last of an epoch the validation data are evaluated too. Returns the mean loss in nats. Where a
   * training was stopped in such an evaluation, only that is made up for, and the loss is the last recorded one.
   */
  step(): number {
    const loss = this.evaluationDue ? this.recordedLoss : complete(this.stepInParts());
    complete(this.evaluateInParts());
    return loss;
  }

  private get recordedLoss(): number {
    return this.records.findLast((record) => record.kind === 'step')?.loss ?? Number.NaN;
  }

  /** One step, without the evaluation after an epoch. After a part that was given up, the next call does the rest. */
  *stepInParts(): Work<number> {
    const { trainer, epoch } = this;
    yield* trainer.pruneInParts(() => this.probe());
    const learningRate = trainer.learningRate(epoch);
    const loss = trainer.step(
      epoch,
      this.rows,
      (tape) => this.forward(tape),
      () => this.probe(),
    );
    this.lossSum += loss;
    this.lossCount++;
    this.piece++;
    const epochOver = this.piece === this.pieces;
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
    }
    return loss;
  }

  /** The evaluation at the end of an epoch, where it is due. After a part that was given up, the next call does the rest. */
  *evaluateInParts(): Work<void> {
    if (!this.evaluationDue) return;
    const { trainer, records, epoch } = this;
    const isMeasured = records.at(-1)?.kind === 'cma';
    if (!isMeasured) yield* trainer.measureInParts(() => this.probe());
    const quality = yield* this.validate();
    records.push({ kind: 'valid', step: trainer.stepsDone, epoch: epoch - 1, ...quality });
    this.evaluated = epoch;
  }

  /** Evaluates with no co-matrix masks; between the parts they are as they were. */
  protected *unmasked<T>(work: Work<T>): Work<T> {
    try {
      for (;;) {
        const { done, value } = this.trainer.unmasked(() => work.next());
        if (done) return value;
        yield value;
      }
    } finally {
      work.return(undefined as T);
    }
  }

  /** Goes through a step that changes nothing, so that the memory of all steps is held from here on: its bytes. */
  rehearse(): number {
    return complete(this.rehearseInParts());
  }

  /** The same in parts. */
  *rehearseInParts(): Work<number> {
    const { runtime } = this.model;
    const carried = [...this.carried()].map(({ at, size }) => ({ at, values: runtime.floats(at, size).slice() }));
    try {
      yield* this.trainer.rehearseInParts(
        this.rows,
        (tape) => this.forward(tape),
        () => this.probe(),
      );
      yield 0.9;
      this.rehearseValidation();
    } finally {
      for (const { at, values } of carried) runtime.floats(at, values.length).set(values);
    }
    return runtime.usage().held;
  }

  /** Every array of floats that the next step depends on, by name. */
  *arrays(): Generator<NamedArray> {
    for (const [name, parameter] of this.model.parameters()) {
      const { value, size } = parameter;
      yield { name: `value.${name}`, at: value, size };
      for (const [moment, at] of Object.entries(this.trainer.optimizer.moments(parameter))) {
        yield { name: `${moment}.${name}`, at, size };
      }
    }
    yield* this.carried();
  }

  /** The matrices that are pruned, by the names that their weights have in arrays(). */
  sparse(): [string, Sparse][] {
    return this.model
      .matrices()
      .flatMap(([name, operator]) => [...walk(operator, name)])
      .filter((named): named is [string, Sparse] => named[1] instanceof Sparse);
  }

  /** Takes up a position, once arrays() and the patterns of sparse() are what they were there. */
  restore(
    { epoch, piece, steps, lossSum, lossCount }: Record<'epoch' | 'piece' | 'steps' | 'lossSum' | 'lossCount', number>,
    records: readonly TrainRecord[],
  ): void {
    const { trainer } = this;
    Object.assign(this, { epoch, piece, lossSum, lossCount });
    const last = records.findLast(({ kind }) => kind === 'valid');
    this.evaluated = epoch > 0 && piece === 0 && last?.step !== steps ? epoch - 1 : epoch;
    trainer.optimizer.steps = steps;
    for (const record of records) trainer.records.push(record);
    trainer.afterPruning();
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

  protected checkNumber(what: string, value: number): void {
    if (Number.isFinite(value)) return;
    if (this.done) throw new TrainingError(`the ${what} is ${value}`);
    const last = this.trainer.stepsDone - 1;
    throw diverged(what, value, last, Math.floor(last / this.pieces));
  }
}

/** A model whose weights start from those of a trained one, where there is one. */
export function started<M extends Model>(model: M, from: Model | undefined): M {
  if (from) startFrom(model, alike('from', from, model));
  return model;
}

/** A trained model, seen to be of the same kind and to mean the same by its numbers; sizes may differ. */
export function alike<M extends Model>(what: string, trained: Model, model: M): M {
  if (trained.runtime !== model.runtime) throw new InputError(`${what}: the model stands in another runtime`);
  if (trained.kind !== model.kind) throw new InputError(`${what}: of kind ${trained.kind}; ${model.kind} is wanted`);
  if (JSON.stringify(trained.meaning) !== JSON.stringify(model.meaning)) {
    throw new InputError(`${what}: the model's words or answers are others; their numbers must mean the same`);
  }
  return trained as M;
}

export function fingerprintOf(train: number, valid: number, contents: Iterable<ArrayLike<number>>): Fingerprint {
  let hash = 0x811c9dc5;
  for (const numbers of contents) {
    for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash ^ numbers[i], 0x01000193);
  }
  return { train, valid, hash: hash >>> 0 };
}
