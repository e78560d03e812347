import { Tape, type Tensor } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import { InputError, invalid, TrainingError } from '../errors.js';
import type { ModelConfig } from '../nn/config.js';
import { bitsOfAll, type FewBits, type StoredBits } from '../nn/leaves.js';
import { checkDistillation, type Distillation, type SoftTargets } from '../nn/loss.js';
import type { Model } from '../nn/model.js';
import { type CreateOptions, type PatternOf, planNetwork } from '../nn/network.js';
import { STRUCTURE_SHARE } from '../operators/methods.js';
import { walk } from '../operators/operator.js';
import { Sparse } from '../operators/sparse.js';
import { defaultAnnealing } from '../train/annealing.js';
import { noCoMatrixDropout } from '../train/comatrix.js';
import { BETA1, type OptimizerName } from '../train/optimizers.js';
import { Quantisation } from '../train/quantisation.js';
import type { TrainRecord } from '../train/records.js';
import type { Schedule } from '../train/schedule.js';
import { startFrom, startFromInParts } from '../train/start.js';
import { diverged, Trainer, type TrainerOptions } from '../train/trainer.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';

/** The options of every task. */
export interface TrainingOptions extends ModelConfig, TrainerOptions {
  dropout: number;
  batch: number;
  epochs: number;
  /** Learn from a teacher's probabilities, too. */
  distillation?: Distillation;
  /** Bits of a number in the model's file: the last third of the training rounds to them. */
  bits?: FewBits;
}

/** Defaults that suit every task. */
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
    headRate: 1,
    beta1: BETA1,
    l1: 0,
    measureEvery: 5,
  };
}

/** What a training starts with. Models must be in its runtime, with the vocabulary and labels of the model to be trained. */
export interface TrainingStart {
  /** The model whose weights are the initial ones, instead of noise. */
  from?: Model;
  /** The model that `distillation` learns from. */
  teacher?: Model;
  /** Which weights of the sparse matrices are alive; all are unless given. */
  patternOf?: PatternOf;
}

/** Quality of a model on a split. What cannot be measured is left out. */
export interface Quality {
  perplexity?: number;
  /**
   * Shares of right answers, 0 to 1, for tasks with answers. `accuracy` counts an answer whose intents are all right;
   * `exact` counts only the very label.
   */
  accuracy?: number;
  exact?: number;
  /** F1 of chunks, 0 to 1, for tags. */
  f1?: number;
  /** Mean squared error, in the units of the data, for numbers. */
  mse?: number;
  /** BLEU of translations, 0 to 100. */
  bleu?: number;
}

/** Identifies the data of a training: sizes of the splits, and a 32-bit FNV-1a hash of their contents. */
export interface Fingerprint {
  train: number;
  valid: number;
  hash: number;
}

/** The static side of a task's class, which a checkpoint needs to resume a training. */
export interface TrainingClass<Options extends TrainingOptions, Data, T extends Training, Schema = unknown> {
  /** The task's name on the command line and in checkpoints. */
  readonly task: string;
  /** Valid options: those in a checkpoint must have the same types. */
  readonly sample: Options;
  /** What inputs and outputs stand for, from JSON as Model.schema gives it. Throws FileFormatError. */
  readSchema(json: Record<string, unknown>): Schema;
  create(runtime: Runtime, schema: Schema, options: Options, data: Data, start?: TrainingStart): T;
  fingerprint(data: Data): Fingerprint;
}

/** An array of floats in memory that the next step depends on. */
export interface NamedArray {
  name: string;
  at: Pointer;
  size: number;
}

/** The share of the training after which weights are rounded: pruning is over by then. */
const ROUNDED_FROM = 2 / 3;

/** More are a mistake, and a rate that decays at every epoch would take long to compute. */
const MOST_EPOCHS = 1_000_000;

/**
 * Trains a model one step at a time, so that the caller can show progress, write checkpoints and stop. A task defines what
 * a step is trained on and how the model is evaluated.
 *
 * @example while (!training.done) training.step();
 */
export abstract class Training<M extends Model = Model, Options extends TrainingOptions = TrainingOptions> {
  readonly trainer: Trainer;
  /** Completed passes over the data. */
  epoch = 0;
  /** Completed pieces of this pass; each is a step. */
  piece = 0;
  /** Sum and number of the losses since the last step record. */
  lossSum = 0;
  lossCount = 0;
  /** Completed passes that have been evaluated. */
  private evaluated = 0;
  private readonly quantisation: Quantisation | undefined;
  private rehearsing = false;

  constructor(
    readonly model: M,
    readonly options: Options,
    /** Number of pieces in one pass over the data. */
    readonly pieces: number,
    protected readonly teacher?: M,
  ) {
    const { dropout, epochs, distillation } = options;
    if (!(dropout >= 0 && dropout < 1)) {
      throw invalid('dropout', dropout, 'a number >= 0 and < 1');
    }
    checkWhole('epochs', epochs, 1, MOST_EPOCHS);
    if (distillation) checkDistillation(distillation);
    if (!distillation !== !teacher) throw new InputError('distill: a weight and a teacher go together; one is missing');
    const plans = planNetwork(model.spec, model.recipe);
    const nonzeros = model.matrices().map(([name]) => plans.get(name)?.nonzeros);
    this.trainer = new Trainer(model, options, epochs * pieces, nonzeros);
    const { bits } = options;
    if (bits === undefined) return;
    const quantisation = new Quantisation(model, bitsOfAll(bits));
    this.quantisation = quantisation;
    this.trainer.around = (act) => (this.rounds ? quantisation.around(act) : act());
  }

  abstract readonly task: string;
  /** Tokens in one step, on average. */
  abstract readonly tokensPerStep: number;
  /** Whether the loss is in nats, so that e to it is a perplexity. */
  get lossInNats(): boolean {
    return true;
  }

  /** The fingerprint of the data that the model is trained on. */
  abstract fingerprint(): Fingerprint;
  /** Number of sequences in the next piece. */
  protected abstract readonly batchSize: number;
  /** Records the forward pass over the next piece on the tape and returns its mean loss in nats. */
  protected abstract forward(tape: Tape): number;
  /** Mean loss on a fixed part of the validation data. */
  protected abstract probe(): number;
  /** Evaluates the model on all validation data. */
  protected abstract validate(): Work<Quality>;
  /** Takes as much memory as validate(). */
  protected rehearseValidation(): void {}
  /** State that the next step depends on, besides parameters and moments. */
  protected *carried(): Generator<NamedArray> {}

  /** The teacher's logits for a piece, computed on a tape that records nothing. */
  protected softTargets(forward: (tape: Tape, teacher: M) => Tensor): SoftTargets | undefined {
    const { teacher, model, options } = this;
    if (!teacher || !options.distillation) return undefined;
    return { ...options.distillation, logits: forward(new Tape(model.runtime, false), teacher).value };
  }

  /** Whether the model computes with rounded weights by now. */
  private get rounds(): boolean {
    return this.rehearsing || this.trainer.stepsDone >= ROUNDED_FROM * this.totalSteps;
  }

  /** The bits in which encodeModel() shall store the model, as `options.bits` wants it. */
  get bits(): StoredBits | undefined {
    return this.quantisation?.bits;
  }

  get totalSteps(): number {
    return this.trainer.totalSteps;
  }

  /** Whether all steps and evaluations are done. */
  get done(): boolean {
    return this.trained && !this.evaluationDue;
  }

  /** Whether all steps are done. */
  get trained(): boolean {
    return this.epoch >= this.options.epochs;
  }

  /** Whether a completed pass still has to be evaluated. */
  get evaluationDue(): boolean {
    return this.evaluated < this.epoch;
  }

  get records(): TrainRecord[] {
    return this.trainer.records;
  }

  /**
   * Trains one step and returns its mean loss in nats. After the last step of an epoch, the model is evaluated on the
   * validation data. If the training was stopped during such an evaluation, only the evaluation is done, and the loss is
   * the last recorded one.
   *
   * @throws TrainingError when a loss, the gradient's norm or the perplexity is not finite
   */
  step(): number {
    const loss = this.evaluationDue ? this.recordedLoss : complete(this.stepInParts());
    complete(this.evaluateInParts());
    return loss;
  }

  private get recordedLoss(): number {
    return this.records.findLast((record) => record.kind === 'step')?.loss ?? Number.NaN;
  }

  /** Trains one step in parts, without the evaluation after an epoch. If it is abandoned, the next call does the rest. */
  *stepInParts(): Work<number> {
    const { trainer, epoch } = this;
    yield* trainer.pruneInParts(() => this.probe());
    const learningRate = trainer.learningRate(epoch);
    const loss = trainer.step(
      epoch,
      this.batchSize,
      (tape) => this.forward(tape),
      () => this.probe(),
    );
    this.lossSum += loss;
    this.lossCount++;
    this.piece++;
    const epochOver = this.piece === this.pieces;
    // About a hundred points per curve.
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

  /** Does the evaluation that is due after an epoch, in parts. If it is abandoned, the next call does the rest. */
  *evaluateInParts(): Work<void> {
    if (!this.evaluationDue) return;
    const { trainer, records, epoch } = this;
    const isMeasured = records.at(-1)?.kind === 'cma';
    if (!isMeasured) yield* trainer.measureInParts(() => this.probe());
    const quality = yield* this.validate();
    records.push({ kind: 'valid', step: trainer.stepsDone, epoch: epoch - 1, ...quality });
    this.evaluated = epoch;
  }

  /** Does work, such as an evaluation, with no co-matrix masks; between two parts they are as before. */
  *unmasked<T>(work: Work<T>): Work<T> {
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

  /** Runs a step that changes nothing, so that the memory of all steps is held from here on. Returns its bytes. */
  rehearse(): number {
    return complete(this.rehearseInParts());
  }

  /** rehearse() in parts. */
  *rehearseInParts(): Work<number> {
    const { runtime } = this.model;
    const carried = [...this.carried()].map(({ at, size }) => ({ at, values: runtime.floats(at, size).slice() }));
    this.rehearsing = true;
    try {
      yield* this.trainer.rehearseInParts(
        this.batchSize,
        (tape) => this.forward(tape),
        () => this.probe(),
      );
      yield 0.9;
      this.rehearseValidation();
    } finally {
      this.rehearsing = false;
      for (const { at, values } of carried) runtime.floats(at, values.length).set(values);
    }
    return runtime.usage().held;
  }

  /** Yields every array of floats that the next step depends on. */
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

  /** The sparse matrices, with the names of their weights in arrays(). */
  sparse(): [string, Sparse][] {
    return this.model
      .matrices()
      .flatMap(([name, operator]) => [...walk(operator, name)])
      .filter((named): named is [string, Sparse] => named[1] instanceof Sparse);
  }

  /** Sets the position and the records, after arrays() and the patterns of sparse() have been restored. */
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
   * Takes the initial weights from a trained model, as `from` of create() does, as work in parts. Only before the first step.
   */
  startFromInParts(from: Model): Work<void> {
    return startFromInParts(this.model, checkSameTask('from', from, this.model));
  }

  /** Throws TrainingError if a weight or a moment is not finite: readers reject files with such numbers. */
  checkFinite(): void {
    for (const { name, at, size } of this.arrays()) {
      const bad = this.model.runtime.floats(at, size).find((value) => !Number.isFinite(value));
      if (bad !== undefined) this.checkNumber(`array '${name}'`, bad);
    }
  }

  /** Throws TrainingError if a quality of the model is not finite. */
  checkQuality(quality: Quality): void {
    for (const [name, value] of Object.entries(quality)) {
      this.checkNumber(name === 'mse' ? 'mean squared error' : name, value);
    }
  }

  protected checkNumber(what: string, value: number): void {
    if (Number.isFinite(value)) return;
    if (this.done) throw new TrainingError(`the ${what} is ${value}`);
    const last = this.trainer.stepsDone - 1;
    throw diverged(what, value, last, Math.floor(last / this.pieces));
  }
}

/** Creates a model and its training, as create() of a task's class does. If that fails, their memory is taken back. */
export function createTraining<M extends Model, T>(
  runtime: Runtime,
  { structureShare }: TrainingOptions,
  { from, teacher, patternOf }: TrainingStart,
  createModel: (options: Pick<CreateOptions, 'structureShare' | 'patternOf'>) => M,
  create: (model: M, teacher?: M) => T,
): T {
  checkRuntime(runtime);
  return runtime.within(Number.POSITIVE_INFINITY, () => {
    const model = createModel({ structureShare, patternOf });
    if (from) startFrom(model, checkSameTask('from', from, model));
    return create(model, teacher && checkSameTask('teacher', teacher, model));
  });
}

/** Returns a trained model if it has the runtime, kind, vocabulary and labels of `model`; sizes may differ. */
function checkSameTask<M extends Model>(what: string, trained: Model, model: M): M {
  if (trained.runtime !== model.runtime)
    throw new InputError(`${what}: got a model of another runtime; expected the same`);
  if (trained.task !== model.task) throw invalid(what, trained.task, model.task);
  if (JSON.stringify(trained.schema) !== JSON.stringify(model.schema)) {
    throw new InputError(`${what}: got a model with another vocabulary or other labels; expected the same ones`);
  }
  return trained as M;
}

/**
 * The fingerprint of a data set: the sizes of its two splits, and a hash of all numbers in order (FNV-1a, a number at a
 * time).
 */
export function fingerprintOf(train: number, valid: number, contents: Iterable<ArrayLike<number>>): Fingerprint {
  let hash = 0x811c9dc5;
  for (const numbers of contents) {
    for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash ^ numbers[i], 0x01000193);
  }
  return { train, valid, hash: hash >>> 0 };
}
