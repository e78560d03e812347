import { Tape } from '../autograd/tape.js';
import { checkNumber, checkWhole } from '../checks.js';
import { invalid, TrainingError } from '../errors.js';
import { exp, power } from '../math.js';
import { Dense } from '../operators/dense.js';
import { STRUCTURE_SHARE } from '../operators/methods.js';
import { type Operator, parametersOf, walk } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Sparse } from '../operators/sparse.js';
import type { Sum } from '../operators/sum.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';
import { complete, type Work } from '../work.js';
import { type AnnealingOptions, defaultAnnealing, SparsityAnnealing } from './annealing.js';
import {
  type CoMatrixDropoutOptions,
  checkCoMatrixDropout,
  dopedMatrices,
  measureAdaptation,
  noCoMatrixDropout,
  restoringMasks,
  setCoMatrixDropout,
  withOnly,
  withoutMasks,
} from './comatrix.js';
import { BETA1, checkOptimizer, createOptimizer, type Optimizer, type OptimizerName } from './optimizers.js';
import type { TrainRecord } from './records.js';
import { checkSchedule, type Schedule, scheduledRate } from './schedule.js';

/** How a Trainer updates and prunes. */
export interface TrainerOptions {
  optimizer: OptimizerName;
  learningRate: number;
  schedule: Schedule;
  /** The largest norm of the gradient over all parameters; a longer gradient is scaled down. 0 disables clipping. */
  clip: number;
  seed: number;
  /** The share of a new doped matrix's variance that S has; M_sp has the rest. */
  structureShare: number;
  annealing: AnnealingOptions;
  coMatrixDropout: CoMatrixDropoutOptions;
  /** Block coordinate descent: S and M_sp are trained in turn, for this many steps each; 0 trains them together. */
  alternate: number;
  /**
   * Free weights, those of a dense matrix or of M_sp, learn at min(1, scale density^-power) times the learning rate:
   * slowly while there are many, at the full rate once few are left. Factors always learn at the full rate.
   */
  freeRate: { scale: number; power: number };
  /** The head, what the last layer multiplies with and adds, learns at this many times the learning rate. */
  headRate: number;
  /** How much of its first moment Adam keeps at each step. */
  beta1: number;
  /** L1 regularisation of M_sp: at each step its weights move towards 0 by their learning rate times this. */
  l1: number;
  /** Prunings from one CMA record to the next. */
  measureEvery: number;
}

/** Options for a network of one's own: Adam along half a cosine, gradients clipped, dopants annealed, no masks. */
export const defaultTrainerOptions: TrainerOptions = {
  optimizer: 'adam',
  learningRate: 0.005,
  schedule: { kind: 'cosine' },
  clip: 5,
  seed: 1,
  structureShare: STRUCTURE_SHARE,
  annealing: defaultAnnealing,
  coMatrixDropout: noCoMatrixDropout,
  alternate: 0,
  freeRate: { scale: 1, power: 0 },
  headRate: 1,
  beta1: BETA1,
  l1: 0,
  measureEvery: 5,
};

/** What the trainer needs of a model. A Network is one. */
export interface Trainable {
  readonly runtime: Runtime;
  parameters(): [string, Parameter][];
  /** The matrices that are compressed. */
  matrices(): [string, Operator][];
  /** The parameters of the last layer, which learn at a rate of their own. */
  headParameters?(): Parameter[];
}

/** Trains a model step by step: gradient, clipping, optimiser, sparsity annealing and co-matrix dropout. */
export class Trainer {
  readonly optimizer: Optimizer;
  readonly records: TrainRecord[] = [];
  /** Share of all M_sp's weights that have been pruned. */
  sparsity = 0;
  private readonly parameters: Parameter[];
  private readonly head: readonly Parameter[];
  private readonly sparse: Sparse[];
  private readonly sums: [string, Sum][];
  private readonly annealing: SparsityAnnealing | undefined;
  /** Runs what computes with the weights, a pass forward and back: quantisation-aware training rounds them. */
  around: <T>(act: () => T) => T = (act) => act();
  /** The last pruning: the step that it preceded, and the perplexity before it. */
  private pruned = { step: -1, before: 0 };

  /**
   * @param finalNonzeros for each of the model's matrices, how many weights its sparse matrix has after pruning; undefined
   * for a matrix that is not pruned
   * @throws InputError for an option out of range; nothing is changed then
   */
  constructor(
    readonly model: Trainable,
    private readonly options: TrainerOptions,
    readonly totalSteps: number,
    finalNonzeros: readonly (number | undefined)[],
  ) {
    checkOptions(options);
    const { runtime } = model;
    checkRuntime(runtime);
    checkWhole('totalSteps', totalSteps, 1);
    this.sums = dopedMatrices(model.matrices());
    const sparse = model
      .matrices()
      .map(([name, operator]) =>
        [...walk(operator, name)].map(([, part]) => part).filter((part) => part instanceof Sparse),
      );
    this.sparse = sparse.flat();
    const targets = sparse.flatMap((parts, i) => {
      const nonzeros = finalNonzeros[i];
      return nonzeros === undefined ? [] : parts.map((sparse) => ({ sparse, nonzeros }));
    });
    // Before the first step, all moments are 0.
    const secondOf = (weight: Parameter) => (this.stepsDone > 0 ? this.optimizer.moments(weight).v : undefined);
    // Made in any case: wrong options are rejected whether or not there is anything to prune.
    const annealing = new SparsityAnnealing(targets, options.annealing, totalSteps, secondOf);
    if (targets.length) this.annealing = annealing;
    this.parameters = model.parameters().map(([, parameter]) => parameter);
    for (const parameter of this.parameters) parameter.prepareGradient();
    this.head = model.headParameters?.() ?? [];
    this.optimizer = createOptimizer(runtime, options.optimizer, this.parameters, options.beta1);
    this.afterPruning();
  }

  /** Number of training steps done, which is also the number of the next one. */
  get stepsDone(): number {
    return this.optimizer.steps;
  }

  learningRate(epoch: number): number {
    const { schedule, learningRate } = this.options;
    return scheduledRate(schedule, learningRate, this.stepsDone, this.totalSteps, epoch);
  }

  /**
   * One step. `loss` records its computation on the tape and returns the mean loss of a batch of `batch` streams; `probe`
   * evaluates a fixed text that is not trained on and returns its mean loss. If a callback throws, the step can be repeated
   * with the same result; what it pruned before that stays pruned.
   *
   * @throws TrainingError if the loss or the gradient is not finite; weights and moments are not changed then
   */
  step(epoch: number, batch: number, loss: (tape: Tape) => number, probe: () => number): number {
    const { options, stepsDone: step } = this;
    checkWhole('epoch', epoch, 0);
    checkWhole('batch', batch, 1);
    complete(this.pruneInParts(probe));
    if (!options.alternate) return this.update(epoch, batch, loss);
    const half = Math.floor(step / options.alternate) % 2;
    return this.withFrozen(half === 0 ? 'dopants' : 'structure', () => this.update(epoch, batch, loss));
  }

  /** Gradient, clipping and the optimiser's step. */
  private update(epoch: number, batch: number, loss: (tape: Tape) => number): number {
    const { runtime } = this.model;
    const { options, stepsDone: step } = this;
    for (const { grad, size } of this.parameters) runtime.floats(grad, size).fill(0);
    const mean = this.backward(batch, loss);
    if (!Number.isFinite(mean)) throw diverged('loss', mean, step, epoch);

    let squares = 0;
    for (const { grad, size, frozen } of this.parameters) {
      if (!frozen) squares += runtime.kernels.f32_sum_squares(grad, size);
    }
    const norm = Math.sqrt(squares);
    if (!Number.isFinite(norm)) throw diverged("gradient's norm", norm, step, epoch);
    const rate = this.learningRate(epoch);
    this.optimizer.step(rate, options.clip && norm > options.clip ? options.clip / norm : 1);
    if (options.l1) this.shrink(rate * options.l1);
    return mean;
  }

  /** The proximal step of L1: every weight of M_sp moves towards 0 by `amount` times its rate's scale. */
  private shrink(amount: number): void {
    const { kernels } = this.model.runtime;
    for (const { weight } of this.sparse) {
      if (!weight.frozen) kernels.f32_shrink(weight.value, weight.size, amount * weight.rateScale);
    }
  }

  /** Computes a mean loss under the masks of this step, adds its gradients, and returns it. */
  private backward(batch: number, loss: (tape: Tape) => number): number {
    const { runtime } = this.model;
    const { options, stepsDone: step } = this;
    const progress = step / this.totalSteps;
    return restoringMasks(this.sums, () => {
      setCoMatrixDropout(this.sums, options.coMatrixDropout, { seed: options.seed, step, batch, progress });
      return this.around(() =>
        runtime.scoped(() => {
          const tape = new Tape(runtime, true);
          const mean = loss(tape);
          tape.backward();
          return mean;
        }),
      );
    });
  }

  /** Runs a step and a measurement that change nothing, so that the memory they need is held from here on. */
  rehearse(batch: number, loss: (tape: Tape) => number, probe: () => number): void {
    complete(this.rehearseInParts(batch, loss, probe));
  }

  /** rehearse() in parts. */
  *rehearseInParts(batch: number, loss: (tape: Tape) => number, probe: () => number): Work<void> {
    this.backward(batch, loss);
    yield 0.5;
    this.unmasked(() => measureAdaptation(this.model.runtime, this.sums, probe));
  }

  /**
   * Prunes and measures what is due before the next step, unless that has been done. If a part is given up, or the probe
   * throws, another call does the rest and leaves the same records.
   */
  *pruneInParts(probe: () => number): Work<void> {
    const { annealing, records, options, stepsDone: step } = this;
    if (!annealing?.due(step)) return;
    const prunings = records.filter(({ kind }) => kind === 'prune');
    if (prunings.at(-1)?.step !== step) {
      if (this.pruned.step !== step) {
        const before = this.perplexity(probe);
        yield 0;
        annealing.prune(step);
        this.afterPruning();
        this.pruned = { step, before };
      }
      const { before } = this.pruned;
      records.push({ kind: 'prune', step, sparsity: this.sparsity, before, after: this.perplexity(probe) });
      prunings.push(records.at(-1)!);
    }
    const isMeasured = records.at(-1)?.kind !== 'prune';
    if (!isMeasured && (prunings.length - 1) % options.measureEvery === 0) yield* this.measureInParts(probe);
  }

  /** Adds a CMA record: how S and M_sp share the work on the probe. */
  measureAdaptation(probe: () => number): void {
    complete(this.measureInParts(probe));
  }

  /** measureAdaptation() in parts. */
  *measureInParts(probe: () => number): Work<void> {
    const { sums, sparsity, stepsDone: step } = this;
    if (!sums.length) return;
    yield 0;
    let both = Number.NaN;
    const matrices = this.unmasked(() =>
      measureAdaptation(this.model.runtime, sums, () => {
        both = this.perplexity(probe);
      }),
    );
    yield 1 / 3;
    const structureOnly = withOnly(sums, 0, () => this.perplexity(probe));
    yield 2 / 3;
    const dopantsOnly = withOnly(sums, 1, () => this.perplexity(probe));
    this.records.push({ kind: 'cma', step, sparsity, both, structureOnly, dopantsOnly, matrices });
  }

  /** The perplexity of a probe, with no masks. Infinity if its loss is NaN: the logits have left the range of floats. */
  private perplexity(probe: () => number): number {
    const perplexity = exp(this.unmasked(probe));
    return Number.isNaN(perplexity) ? Number.POSITIVE_INFINITY : perplexity;
  }

  /** Runs `evaluate` with no co-matrix masks. */
  unmasked<T>(evaluate: () => T): T {
    return this.around(() => withoutMasks(this.sums, evaluate));
  }

  /** Updates what depends on which weights are left: the sparsity, and the learning rates of the free weights. */
  afterPruning(): void {
    const { freeRate, headRate } = this.options;
    for (const parameter of this.head) parameter.rateScale = headRate;
    const own = (parameter: Parameter) => (this.head.includes(parameter) ? headRate : 1);
    const rate = (density: number) => Math.min(1, freeRate.scale * power(density, -freeRate.power));
    let alive = 0;
    let all = 0;
    for (const sparse of this.sparse) {
      const { nonzeros, M, N } = sparse;
      alive += nonzeros;
      all += M * N;
      sparse.weight.rateScale = own(sparse.weight) * (nonzeros ? rate(nonzeros / (M * N)) : 1);
    }
    this.sparsity = all ? 1 - alive / all : 0;
    for (const [, operator] of this.model.matrices()) {
      if (operator instanceof Dense) operator.weight.rateScale = own(operator.weight) * rate(1);
    }
  }

  /** Runs `act` while one of the two matrices of every sum is frozen. */
  private withFrozen<T>(which: 'structure' | 'dopants', act: () => T): T {
    const before = this.parameters.map(({ frozen }) => frozen);
    try {
      for (const [, sum] of this.sums) {
        sum.terms.forEach((term, i) => {
          const frozen = sum.isDopants(i) === (which === 'dopants');
          for (const parameter of parametersOf(term)) parameter.frozen = frozen;
        });
      }
      return act();
    } finally {
      this.parameters.forEach((parameter, i) => {
        parameter.frozen = before[i];
      });
    }
  }
}

export function diverged(what: string, value: number, step: number, epoch: number): TrainingError {
  return new TrainingError(
    `the ${what} became ${value} at step ${step + 1} (epoch ${epoch + 1}); training stops and keeps the last checkpoint. Try a smaller learning rate or stronger clipping`,
  );
}

function checkOptions({
  optimizer,
  learningRate,
  schedule,
  clip,
  coMatrixDropout,
  alternate,
  freeRate,
  headRate,
  beta1,
  l1,
  annealing,
  measureEvery,
  seed,
  structureShare,
}: TrainerOptions): void {
  checkOptimizer(optimizer);
  checkNumber('lr', learningRate, learningRate > 0, 'a number > 0');
  checkNumber('clip', clip, clip >= 0, 'a number >= 0 (0 disables clipping)');
  checkWhole('seed', seed, 0);
  checkNumber('structure share', structureShare, structureShare > 0 && structureShare < 1, 'a number > 0 and < 1');
  checkWhole('alternate', alternate, 0);
  checkNumber('free rate scale', freeRate.scale, freeRate.scale > 0, 'a number > 0');
  checkNumber('free rate power', freeRate.power, freeRate.power >= 0, 'a number >= 0');
  checkNumber('head rate', headRate, headRate > 0, 'a number > 0');
  checkNumber('beta1', beta1, beta1 >= 0 && beta1 < 1, 'a number >= 0 and < 1');
  checkNumber('l1', l1, l1 >= 0, 'a number >= 0');
  if (annealing?.saliency === 'moment' && optimizer !== 'adam') {
    throw invalid('annealing saliency', annealing.saliency, "'magnitude': only Adam has second moments");
  }
  checkWhole('measureEvery', measureEvery, 1);
  checkSchedule(schedule);
  checkCoMatrixDropout(coMatrixDropout);
}
