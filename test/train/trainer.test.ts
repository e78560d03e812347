import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tape } from '../../src/autograd/tape.js';
import { InputError, TrainingError } from '../../src/errors.js';
import { exp } from '../../src/math.js';
import { doped, kron } from '../../src/operators/factories.js';
import type { Method } from '../../src/operators/methods.js';
import { type Operator, parametersOf } from '../../src/operators/operator.js';
import { Parameter } from '../../src/operators/parameter.js';
import { type CoMatrixDropout, Sum } from '../../src/operators/sum.js';
import { Stream } from '../../src/random.js';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { denseOf } from '../../src/testing/operators.js';
import { defaultAnnealing } from '../../src/train/annealing.js';
import type { TrainRecord } from '../../src/train/records.js';
import { Trainer, type TrainerOptions } from '../../src/train/trainer.js';
import { Runtime } from '../../src/wasm/runtime.js';
import {
  dopedOf,
  only,
  passError,
  slowEvaluation,
  slowForward,
  slowLoss,
  sparseOf,
  tinyOptions,
  tokens,
  vocabulary,
  weightsOf,
  zeroState,
} from '../nn/oracle.js';
import { partsOf } from '../nn/parts.js';
import { maskOf, U, U64, values } from '../support.js';

// ---- a model of bare parameters, for which a test makes up losses and gradients

/** Sizes of the parameters, to be trained by plain gradient descent. */
function bare(sizes: readonly number[], changes: Partial<TrainerOptions> = {}) {
  const runtime = new Runtime();
  const parameters = sizes.map((size) => new Parameter(runtime, [size]));
  const model = {
    runtime,
    parameters: () => parameters.map((p, i): [string, Parameter] => [`p${i}`, p]),
    matrices: () => [],
  };
  const options: TrainerOptions = {
    ...tinyOptions({ optimizer: 'sgd', learningRate: 0.5, schedule: { kind: 'constant' }, clip: 1 }),
    ...changes,
  };
  const trainer = new Trainer(model, options, 100, []);
  const step = (gradients: readonly ArrayLike<number>[], loss = 1) =>
    trainer.step(
      0,
      1,
      (tape) => {
        tape.record(() => {
          for (const [i, p] of parameters.entries()) p.gradient.set(Array.from(gradients[i]));
        });
        return loss;
      },
      () => 0,
    );
  return { runtime, parameters, trainer, step };
}

const norm = (arrays: readonly ArrayLike<number>[]) =>
  Math.sqrt(arrays.flatMap((array) => Array.from(array)).reduce((sum, v) => sum + v * v, 0));

const gradientsOfAnySize = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
    exponent: fc.integer({ min: -20, max: 40 }),
    clip: fc.integer({ min: 1, max: 2 ** 20 }).map((n) => n / 2 ** 10),
  })
  .map(({ sizes, exponent, clip }) => ({ clip, gradients: sizes.map((size) => values(size, 2 ** exponent)) }));

test('the gradient is scaled as a whole to the clipping norm where it is longer, and left alone where it is not', () => {
  fc.assert(
    fc.property(gradientsOfAnySize, ({ clip, gradients }) => {
      const rate = 0.5;
      const sizes = gradients.map(({ length }) => length);
      const { parameters, step } = bare(sizes, { clip, learningRate: rate });
      step(gradients);
      // The weights started at zero: they are the step.
      const moved = parameters.map(({ data }) => data.map((v) => -v / rate));
      const before = norm(gradients);
      const scale = Math.min(1, clip / before);
      // The factor, its product with the rate and that with the gradient are rounded.
      const close = (got: number, wanted: number) => Math.abs(got - wanted) <= 4 * U * Math.abs(wanted);
      for (const [i, array] of moved.entries()) {
        for (const [j, got] of array.entries()) {
          assert.ok(close(got, scale * gradients[i][j]), `${got}, not ${scale * gradients[i][j]}`);
        }
      }
      assert.ok(close(norm(moved), Math.min(clip, before)), `the norm was ${before}, is ${norm(moved)}, clip ${clip}`);
      if (before < clip) {
        const { parameters: free, step: plain } = bare(sizes, { clip: 2 ** 100, learningRate: rate });
        plain(gradients);
        assert.equal(
          parameters.map(({ data }) => data.slice()),
          free.map(({ data }) => data.slice()),
        );
      }
    }),
    { seed: 1 },
  );
});

test('a frozen parameter counts for nothing in the norm', () => {
  const { parameters, step } = bare([3, 3], { clip: 1, learningRate: 1 });
  parameters[0].frozen = true;
  step([
    [1000, 1000, 1000],
    [0, 0.5, 0],
  ]);
  assert.equal([...parameters[0].data], [0, 0, 0]);
  assert.equal(
    [...parameters[1].data],
    [0, -0.5, 0].map((v) => v || 0),
  );
});

test('without clipping a long gradient is taken as it is', () => {
  const { parameters, step } = bare([2], { clip: 0, learningRate: 1 });
  step([[3000, -4000]]);
  assert.equal([...parameters[0].data], [-3000, 4000]);
});

for (const optimizer of ['sgd', 'adam'] as const) {
  for (const [what, loss, gradient] of [
    ['a loss that is no number', Number.NaN, 1],
    ['an infinite loss', Number.POSITIVE_INFINITY, 1],
    ['an infinite gradient', 1, Number.NEGATIVE_INFINITY],
    ['a gradient that is no number', 1, Number.NaN],
  ] as const) {
    test(`${optimizer}: ${what} stops the training by step, and leaves weights and moments as they were`, () => {
      const { runtime, parameters, trainer, step } = bare([3, 2], { optimizer });
      const good = () => step([values(3), values(2)]);
      good();
      good();
      const everything = () =>
        parameters.flatMap((p) => {
          const moments = Object.values(trainer.optimizer.moments(p));
          return [p.value, ...moments].map((at) => runtime.floats(at, p.size).slice());
        });
      const before = everything();
      assert.throws(
        () => step([values(3), [0.5, gradient]], loss),
        (error: unknown) =>
          error instanceof TrainingError &&
          error.message.includes(`${Number.isFinite(loss) ? "gradient's norm" : 'loss'} became`) &&
          error.message.includes('at step 3 (epoch 1)'),
      );
      assert.equal(everything(), before);
      assert.is(trainer.stepsDone, 2);
      good();
      assert.is(trainer.stepsDone, 3);
    });
  }
}

test('gradients are zeroed before every step, and memory is taken back after it', () => {
  const { runtime, parameters, trainer } = bare([2], { clip: 2 ** 100, learningRate: 1 });
  const mark = runtime.mark();
  for (let i = 1; i <= 3; i++) {
    const loss = (tape: Tape) => {
      runtime.alloc(1000);
      tape.record(() => {
        parameters[0].gradient[0] += 1;
      });
      return 0;
    };
    trainer.step(0, 1, loss, () => 0);
    assert.equal([...parameters[0].data], [-i, 0]);
    assert.is(runtime.mark(), mark);
  }
});

test('bad options are refused by name', () => {
  const cmr = { structure: 0, dopants: 0, hold: false, until: 1 };
  const bad: [Partial<TrainerOptions>, RegExp][] = [
    [{ learningRate: 0 }, /^lr: got 0;/],
    [{ learningRate: Number.NaN }, /^lr: got NaN;/],
    [{ learningRate: Number.POSITIVE_INFINITY }, /^lr: got Infinity;/],
    [{ clip: -1 }, /^clip: got -1;/],
    [{ clip: Number.NaN }, /^clip: got NaN;/],
    // A checkpoint could not hold it.
    [{ clip: Number.POSITIVE_INFINITY }, /^clip: got Infinity;/],
    [{ seed: -1 }, /^seed: got -1;/],
    [{ seed: 1.5 }, /^seed: got 1\.5;/],
    [{ seed: 2 ** 53 }, /^seed: got 9007199254740992;/],
    [{ structureShare: 0 }, /^structure share: got 0;/],
    [{ structureShare: 1 }, /^structure share: got 1;/],
    [{ structureShare: Number.NaN }, /^structure share: got NaN;/],
    [{ alternate: -1 }, /^alternate: got -1;/],
    [{ alternate: 0.5 }, /^alternate: got 0\.5;/],
    [{ freeRate: { scale: 0, power: 1 } }, /^free rate scale: got 0;/],
    [{ freeRate: { scale: Number.POSITIVE_INFINITY, power: 1 } }, /^free rate scale: got Infinity;/],
    [{ freeRate: { scale: 1, power: -1 } }, /^free rate power: got -1;/],
    [{ freeRate: { scale: 1, power: Number.NaN } }, /^free rate power: got NaN;/],
    [{ measureEvery: 0 }, /^measureEvery: got 0;/],
    [{ coMatrixDropout: { ...cmr, structure: 1 } }, /^cmr structure: got 1;/],
    [{ coMatrixDropout: { ...cmr, dopants: -0.5 } }, /^cmr dopants: got -0\.5;/],
    [{ coMatrixDropout: { ...cmr, dopants: Number.NaN } }, /^cmr dopants: got NaN;/],
    [{ coMatrixDropout: { ...cmr, until: 1.1 } }, /^cmr until: got 1\.1;/],
    [{ schedule: { kind: 'quadratic' as 'cosine' } }, /^schedule: got "quadratic";/],
    [{ schedule: { kind: 'decay', after: -1, by: 2 } }, /^schedule: got decay after -1 /],
    [{ schedule: { kind: 'decay', after: 1, by: 0 } }, /^schedule: got decay .* by 0;/],
    [{ optimizer: 'rmsprop' as 'adam' }, /^optimizer: got "rmsprop"/],
  ];
  for (const [options, message] of bad) {
    assert.throws(
      () => bare([1], options),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  }
});

// ---- language models

function training(changes: Partial<LanguageModelOptions> = {}, length = 170): LanguageModelTraining {
  const corpus = { train: tokens(length, 1), valid: tokens(31, 2) };
  return LanguageModelTraining.create(new Runtime(), vocabulary, tinyOptions(changes), corpus);
}

/** The same with weights so large that they matter: those of a new model hardly tell one token from another. */
function excited(changes: Partial<LanguageModelOptions> = {}, length?: number): LanguageModelTraining {
  const run = training(changes, length);
  for (const [, { data }] of run.model.parameters()) {
    for (let i = 0; i < data.length; i++) data[i] *= 4;
  }
  return run;
}

const late = { ...defaultAnnealing, start: 0.9, end: 0.9 };

const relativelyClose = (got: number, wanted: number, relative: number, what: string) =>
  assert.ok(Math.abs(got - wanted) <= relative * Math.abs(wanted), `${what}: ${got}, not ${wanted}`);

test('a language model keeps its weights when its loss is no number', () => {
  const run = training({ annealing: late });
  run.step();
  partsOf(run.model).head.bias.data[3] = Number.NaN;
  const before = weightsOf(run.model);
  assert.throws(
    () => run.step(),
    (error: unknown) => error instanceof TrainingError && error.message.startsWith('the loss became NaN at step 2 '),
  );
  assert.equal(weightsOf(run.model), before);
  assert.is(run.trainer.stepsDone, 1);
});

test('no gradient is denormal where the model is sure of something, right or wrong', () => {
  for (const sure of [100, 150, 300]) {
    const run = training();
    const { data } = partsOf(run.model).head.bias;
    for (let v = 0; v < data.length; v++) data[v] = v % 3 ? -sure : 0;
    run.step();
    for (const [name, { gradient }] of run.model.parameters()) {
      const denormal = gradient.filter((g) => g !== 0 && Math.abs(g) < 2 ** -126);
      assert.is(denormal.length, 0, `${name}: ${denormal.length} of ${gradient.length}, such as ${denormal[0]}`);
    }
  }
});

test('free weights learn at min(1, scale density^-power) of the rate, as they are pruned too; all others at the whole rate', () => {
  for (const [method, free] of [
    ['dense', 'dense'],
    ['pruned', 'sparse'],
    ['doped-kron', 'sparse'],
    ['doped-hmd', 'sparse'],
    ['lmf', 'none'],
    ['hmd', 'none'],
  ] as const satisfies [Method, string][]) {
    const freeRate = { scale: 0.2, power: 0.5 };
    const run = training({ method, freeRate, annealing: { ...defaultAnnealing, every: 2 }, epochs: 1 });
    const { model } = run;
    const seen = new Set<number>();
    const check = () => {
      const wanted = new Map<Parameter, number>();
      for (const sparse of sparseOf(model)) {
        const density = sparse.nonzeros / (sparse.M * sparse.N);
        wanted.set(sparse.weight, Math.min(1, 0.2 / Math.sqrt(density)));
      }
      for (const [, operator] of model.matrices()) {
        if (method === 'dense') wanted.set(parametersOf(operator)[0], 0.2);
      }
      assert.is(wanted.size, free === 'none' ? 0 : 4);
      for (const [name, parameter] of model.parameters()) {
        relativelyClose(parameter.rateScale, wanted.get(parameter) ?? 1, 8 * U64, `${method} ${name}`);
      }
      for (const rate of wanted.values()) seen.add(rate);
    };
    check();
    while (!run.done) {
      run.step();
      check();
    }
    if (free === 'sparse') assert.ok(seen.size > 3, 'the rates should change');
  }
});

test('where the rule asks for more than the whole rate, it is the whole rate', () => {
  const run = training({ freeRate: { scale: 0.3, power: 1 }, epochs: 1 });
  while (!run.done) run.step();
  const { sparse } = dopedOf(run.model)[0];
  assert.ok(0.3 / sparse.density > 1);
  assert.is(sparse.weight.rateScale, 1);
});

for (const method of ['doped-kron', 'doped-lmf'] as const) {
  test(`block coordinate descent moves only the half of ${method} whose turn it is, and all the rest`, () => {
    for (const optimizer of ['sgd', 'adam'] as const) {
      const every = 2;
      const run = training({ method, alternate: every, optimizer, annealing: late });
      const { model } = run;
      const halves = dopedOf(model).map(({ structure, sparse }) =>
        [structure, sparse].map((half) => parametersOf(half)),
      );
      const dopedParameters = new Set(halves.flat(2));
      const names = new Map(model.parameters().map(([name, parameter]) => [parameter, name]));
      for (let step = 0; step < 7; step++) {
        const before = weightsOf(model);
        run.step();
        const after = weightsOf(model);
        const moved = (parameter: Parameter) => before.get(names.get(parameter)!) !== after.get(names.get(parameter)!);
        const turn = Math.floor(step / every) % 2;
        for (const [structure, sparse] of halves) {
          for (const parameter of structure) assert.is(moved(parameter), turn === 0, `step ${step}, structure`);
          for (const parameter of sparse) assert.is(moved(parameter), turn === 1, `step ${step}, dopants`);
        }
        for (const [parameter, name] of names) {
          if (!dopedParameters.has(parameter)) assert.ok(moved(parameter), `step ${step}, ${name}`);
        }
      }
    }
  });
}

test('without alternation both halves move at every step', () => {
  const run = training({ annealing: late });
  for (let step = 0; step < 4; step++) {
    const before = weightsOf(run.model);
    run.step();
    for (const [name, now] of weightsOf(run.model)) assert.is.not(now, before.get(name), `step ${step}, ${name}`);
  }
});

// ---- co-matrix dropout

const CMR = { structure: 0.25, dopants: 0.5, hold: false, until: 1 };

/** Takes a step and returns the masks that each doped matrix had on its way back. */
function masksOfStep(run: LanguageModelTraining): (CoMatrixDropout | undefined)[] {
  const sums = dopedOf(run.model).map(({ sum }) => sum);
  const masks = new Map<Sum, CoMatrixDropout | undefined>();
  for (const sum of sums) {
    sum.gradient = (...args) => {
      masks.set(sum, sum.dropout);
      Sum.prototype.gradient.apply(sum, args);
    };
  }
  run.step();
  assert.is(masks.size, sums.length);
  return sums.map((sum) => masks.get(sum));
}

/** Whether the masks of each training step were on. */
function masksOf(run: LanguageModelTraining): boolean[] {
  const on: boolean[] = [];
  while (!run.done) {
    const states = masksOfStep(run).map((dropout) => dropout !== undefined);
    assert.ok(states.every((state) => state === states[0]));
    on.push(states[0]);
  }
  return on;
}

test('co-matrix dropout is off by default, and with both rates 0', () => {
  assert.ok(masksOf(training()).every((on) => !on));
  assert.ok(masksOf(training({ coMatrixDropout: { ...CMR, structure: 0, dopants: 0 } })).every((on) => !on));
});

test('co-matrix dropout is on with one rate alone, until the share of training is over', () => {
  for (const rates of [{ dopants: 0 }, { structure: 0 }]) {
    for (const until of [0, 0.35, 0.5, 1]) {
      const on = masksOf(training({ coMatrixDropout: { ...CMR, ...rates, until } }));
      assert.ok(on.length > 10);
      assert.equal(
        on,
        on.map((_, step) => step / on.length < until),
        `until ${until}`,
      );
    }
  }
});

for (const hold of [false, true]) {
  test(`the loss of a step is that of the model with dropout and fresh co-matrix masks, ${hold ? 'held over the sequence' : 'one a row'}`, () => {
    // A structure large enough for its masks to be seen.
    const shares = { structureShare: 0.5, dropout: 0.375 };
    const options = { coMatrixDropout: { ...CMR, hold }, ...shares, annealing: late, epochs: 5 };
    // Two pieces a pass, so that what is seen goes beyond the first.
    const run = excited(options, 3 * 11);
    const { batch, bptt, seed } = run.options;
    const { train } = run.corpus;
    const length = Math.floor(train.length / batch);
    const sums = dopedOf(run.model).map(({ sum }) => sum);
    const taken = new Set<number>();
    let state = zeroState(run.model, batch);
    for (let step = 0; step < 4; step++) {
      const piece = step % 2;
      if (piece === 0) state = zeroState(run.model, batch);
      const column = (shift: number) =>
        Array.from({ length: bptt * batch }, (_, r) => {
          const [t, b] = [Math.floor(r / batch), r % batch];
          return train[b * length + piece * bptt + t + shift];
        });
      const rates = [CMR.structure, CMR.dopants];
      const slow = (dropout: (i: number) => CoMatrixDropout | undefined, drop = { rate: 0.375, seed, step }) => {
        sums.forEach((sum, i) => {
          sum.dropout = dropout(i);
        });
        const { logits, state: after } = slowForward(run.model, column(0), bptt, batch, { state, drop });
        const { sum, count } = slowLoss(logits, column(1), vocabulary.size);
        return { loss: sum / count, after };
      };
      const masks = (period: number, at: number) => (i: number) => ({
        rates,
        seed,
        step: at,
        stream: Stream.coMatrixDropout + 2 * i,
        period,
      });
      const wanted = slow(masks(hold ? batch : 0, step));
      const allowed = passError(run.model, (step + 1) * bptt);
      for (const other of [
        slow(masks(hold ? 0 : batch, step)),
        slow(() => undefined),
        slow(masks(hold ? batch : 0, step + 1)),
      ]) {
        assert.ok(Math.abs(other.loss - wanted.loss) > 4 * allowed * wanted.loss, 'other masks must make a difference');
      }
      relativelyClose(run.step(), wanted.loss, allowed, `step ${step}`);
      state = wanted.after;
      taken.add(wanted.loss);
    }
    assert.is(run.epoch, 2);
    assert.is(taken.size, 4);
  });
}

test('every matrix has masks of its own, for each of its two parts', () => {
  const run = training({ coMatrixDropout: CMR, method: 'doped-lmf' });
  const streams = masksOfStep(run).flatMap((dropout) => [dropout!.stream, dropout!.stream + 1]);
  assert.is(streams.length, 8);
  assert.is(new Set(streams).size, 8);
});

test('a step has masks, and what follows it has none', () => {
  const run = excited({ coMatrixDropout: CMR });
  const { valid } = run.corpus;
  const evaluate = () => exp(new Evaluation(run.model).meanLoss(valid).loss);
  for (let step = 0; step < 3; step++) {
    assert.ok(masksOfStep(run).every((dropout) => dropout));
    const sums = dopedOf(run.model).map(({ sum }) => sum);
    assert.ok(sums.every(({ dropout }) => !dropout));
    const unmasked = evaluate();
    assert.is(run.perplexity(valid), unmasked);
    // Whoever sets masks has them, and the training's own measurements have none.
    const own = { rates: [0.5, 0.5], seed: 1, step, stream: 0, period: 0 };
    for (const sum of sums) sum.dropout = own;
    assert.is(run.perplexity(valid), unmasked);
    assert.is.not(evaluate(), unmasked);
    assert.ok(sums.every(({ dropout }) => dropout === own));
    for (const sum of sums) sum.dropout = undefined;
  }
});

test('the probe of a pruning in the middle of a masked training sees no masks', () => {
  const runtime = new Runtime();
  const sum = doped(runtime, kron(runtime, [3, 2, 2, 2]));
  const model = {
    runtime,
    parameters: () => parametersOf(sum).map((p, i): [string, Parameter] => [`p${i}`, p]),
    matrices: (): [string, Operator][] => [['w', sum]],
  };
  const options = tinyOptions({ coMatrixDropout: CMR, annealing: { ...defaultAnnealing, every: 1 }, measureEvery: 1 });
  const trainer = new Trainer(model, options, 10, [4]);
  let probes = 0;
  const probe = () => {
    probes++;
    assert.is(sum.dropout, undefined);
    return 1;
  };
  const loss = () => {
    assert.is(sum.dropout!.step, trainer.stepsDone);
    return 1;
  };
  for (let step = 0; step < 10; step++) trainer.step(0, 2, loss, probe);
  // Six prunings of steps 1 to 6, each with before and after, and all, S alone and M_sp alone.
  assert.is(probes, 6 * 5);
});

// ---- records

const cmaOf = (records: TrainRecord[]) => records.filter((record) => record.kind === 'cma');
const prunesOf = (records: TrainRecord[]) => records.filter((record) => record.kind === 'prune');

for (const method of ['doped-kron', 'doped-hmd'] as const) {
  test(`the record of co-matrix adaptation of ${method} is what the dense matrices give`, () => {
    const run = excited({ method, epochs: 1, annealing: late, coMatrixDropout: CMR });
    while (!run.done) run.step();
    // The last is made after the epoch, of the weights as they are now.
    const record = cmaOf(run.records).at(-1)!;
    assert.is(record.step, run.trainer.stepsDone);
    const { model } = run;
    const { batch, bptt } = run.options;
    const probeIds = run.corpus.valid.subarray(0, 2 * batch * bptt + 1);
    assert.is(probeIds.length, 2 * batch * bptt + 1, 'padding would count as vectors');
    for (const { sum } of dopedOf(model)) sum.dropout = undefined;
    const T = 2 * bptt;
    const allowed = 4 * passError(model, T);

    const vectors = new Map<string, Float64Array[]>();
    const watch = (name: string, x: Float64Array) => vectors.set(name, [...(vectors.get(name) ?? []), x]);
    slowEvaluation(model, probeIds, batch, { watch });
    assert.equal(
      record.matrices.map(({ name }) => name),
      ['lstm.0.ih', 'lstm.0.hh', 'lstm.1.ih', 'lstm.1.hh'],
    );
    dopedOf(model).forEach(({ name, structure, sparse }, i) => {
      const [S, D] = [denseOf(structure), denseOf(sparse)];
      const { M, N } = sparse;
      let [ss, dd, sd] = [0, 0, 0];
      for (const x of vectors.get(name)!) {
        for (let row = 0; row < M; row++) {
          let [s, d] = [0, 0];
          for (let j = 0; j < N; j++) {
            s += S[row * N + j] * x[j];
            d += D[row * N + j] * x[j];
          }
          ss += s * s;
          dd += d * d;
          sd += s * d;
        }
      }
      const R = vectors.get(name)!.length;
      assert.is(R, T * batch);
      const got = record.matrices[i];
      relativelyClose(got.structureNorm, Math.sqrt(ss / R), allowed, `${name} |S x|`);
      relativelyClose(got.dopantsNorm, Math.sqrt(dd / R), allowed, `${name} |M_sp x|`);
      assert.ok(Math.abs(got.cosine - sd / Math.sqrt(ss * dd)) <= allowed, `${name}: cosine ${got.cosine}`);
    });

    const alone = (which: 'structure' | 'dopants') =>
      Math.exp(slowEvaluation(model, probeIds, batch, { numbers: only(model, which) }));
    const [structure, dopants] = [alone('structure'), alone('dopants')];
    const both = Math.exp(slowEvaluation(model, probeIds, batch));
    relativelyClose(record.both, both, allowed, 'both');
    relativelyClose(record.structureOnly, structure, allowed, 'S alone');
    relativelyClose(record.dopantsOnly, dopants, allowed, 'M_sp alone');
    for (const [a, b] of [
      [structure, dopants],
      [structure, both],
      [dopants, both],
    ]) {
      assert.ok(Math.abs(a - b) > 4 * allowed * both, 'the parts must make a difference');
    }
    assert.ok(dopedOf(model).every(({ sum }) => sum.active.every((active) => active) && sum.probe === undefined));
  });
}

test('the record of a pruning holds the perplexities of the weights just before and just after it', () => {
  for (const method of ['doped-kron', 'pruned'] as const) {
    // Every weight stays where it is, for the oracle to find it.
    const annealing = { ...defaultAnnealing, every: 4, compress: false };
    const run = excited({ method, annealing, coMatrixDropout: CMR });
    const { model } = run;
    const { batch, bptt } = run.options;
    const probeIds = run.corpus.valid.subarray(0, 2 * batch * bptt + 1);
    const allowed = 4 * passError(model, 2 * bptt);
    let checked = 0;
    let differed = false;
    while (!run.done) {
      const sparse = sparseOf(model);
      const seen = prunesOf(run.records).length;
      const step = run.trainer.stepsDone;
      const masks = dopedOf(model).map(({ sum }) => sum.dropout);
      const weights = new Map(model.parameters().map(([, p]) => [p, p.data.slice()]));
      const perplexity = (mask: (p: Parameter, i: number) => boolean) => {
        for (const { sum } of dopedOf(model)) sum.dropout = undefined;
        const numbers = (p: Parameter) => weights.get(p)!.map((v, i) => (mask(p, i) ? v : 0));
        return Math.exp(slowEvaluation(model, probeIds, batch, { numbers }));
      };
      const before = perplexity(() => true);
      // The oracle took the masks away, which the pruning must do itself.
      dopedOf(model).forEach(({ sum }, i) => {
        sum.dropout = masks[i];
      });
      const wholes = sparse.map(({ weight, M, N }) => ({ weight, alive: M * N }));
      run.step();
      const record = prunesOf(run.records)[seen];
      if (!record) continue;
      checked++;
      assert.is(record.step, step);
      const alive = sparse.reduce((sum, { nonzeros }) => sum + nonzeros, 0);
      const all = wholes.reduce((sum, { alive: n }) => sum + n, 0);
      assert.is(record.sparsity, 1 - alive / all);
      // The largest of all, by sorting.
      const ranked = sparse
        .flatMap(({ weight }) => Array.from(weights.get(weight)!, (v, i) => ({ weight, i, size: Math.abs(v) })))
        .sort((a, b) => b.size - a.size)
        .slice(0, alive);
      const kept = new Map(sparse.map(({ weight }) => [weight, new Set<number>()]));
      for (const { weight, i } of ranked) kept.get(weight)!.add(i);
      const after = perplexity((p, i) => kept.get(p)?.has(i) ?? true);
      relativelyClose(record.before, before, allowed, `${method}, step ${step}, before`);
      relativelyClose(record.after, after, allowed, `${method}, step ${step}, after`);
      differed ||= Math.abs(before - after) > 4 * allowed * before;
    }
    assert.ok(checked > 3);
    assert.ok(differed, 'pruning must make a difference');
  }
});

for (const optimizer of ['sgd', 'adam'] as const) {
  for (const block of [1, 4] as const) {
    test(`a training whose dopants leave their mask is the one of masks to within rounding: ${optimizer}, blocks of ${block}`, () => {
      const annealing = { ...defaultAnnealing, every: 3 };
      const options = { optimizer, block, compression: 5, epochs: 4, clip: 0.5, coMatrixDropout: CMR } as const;
      const [switching, masked] = [true, false].map((compress) =>
        excited({ ...options, annealing: { ...annealing, compress } }),
      );
      let switched = 0;
      for (; !switching.done; masked.step()) {
        switching.step();
        if (sparseOf(switching.model).some(({ compressed }) => compressed)) switched++;
      }
      assert.ok(switched > 10, 'it must come to that early enough');
      assert.ok(sparseOf(switching.model).every(({ compressed }) => compressed));
      assert.ok(sparseOf(masked.model).every(({ compressed }) => !compressed));
      // The same weights are pruned, and all else differs by what rounding comes to over the steps.
      assert.equal(sparseOf(switching.model).map(maskOf), sparseOf(masked.model).map(maskOf));
      const allowed = 4 * switching.totalSteps * passError(switching.model, switching.options.bptt);
      assert.ok(allowed < 0.01, `${allowed} would allow for more than rounding`);
      const numbersOf = ({ records }: LanguageModelTraining) =>
        records.map((record) => {
          if (record.kind === 'step') return record.loss;
          if (record.kind === 'prune') return record.after;
          return record.kind === 'valid' ? record.perplexity! : record.dopantsOnly;
        });
      const [got, wanted] = [switching, masked].map(numbersOf);
      assert.is(got.length, wanted.length);
      got.forEach((number, i) => {
        relativelyClose(number, wanted[i], allowed, `record ${i}, ${switching.records[i].kind}`);
      });
    });
  }
}

test('pruning happens at the shares of training asked for, and is measured every so many times', () => {
  const annealing = { start: 0.25, end: 0.75, every: 3, threshold: 'global' as const };
  const run = training({ annealing, measureEvery: 2, epochs: 2 }, 3 * 41);
  assert.is(run.totalSteps, 16);
  while (!run.done) run.step();
  const kinds = run.records.filter(({ kind }) => kind !== 'step').map(({ kind, step }) => `${kind} ${step}`);
  assert.equal(kinds, [
    'prune 4',
    'cma 4',
    'prune 7',
    // The end of an epoch.
    'cma 8',
    'valid 8',
    'prune 10',
    'cma 10',
    'prune 12',
    'cma 16',
    'valid 16',
  ]);
  const sparsities = prunesOf(run.records).map(({ sparsity }) => sparsity);
  assert.ok(sparsities.every((sparsity, i) => i === 0 || sparsity > sparsities[i - 1]));
  assert.is(run.trainer.sparsity, sparsities.at(-1));
});

test('a model without dopants has no record of co-matrix adaptation, one without sparse matrices none of pruning', () => {
  const kinds = (method: Method) => {
    const run = training({ method, epochs: 1 });
    while (!run.done) run.step();
    return [...new Set(run.records.map(({ kind }) => kind))].sort();
  };
  assert.equal(kinds('doped-lmf'), ['cma', 'prune', 'step', 'valid']);
  assert.equal(kinds('pruned'), ['prune', 'step', 'valid']);
  assert.equal(kinds('kron'), ['step', 'valid']);
  assert.equal(kinds('dense'), ['step', 'valid']);
});

test('a step record holds the mean loss since the one before and the rate of its step', () => {
  const run = training({ annealing: late, schedule: { kind: 'cosine' }, bptt: 1, epochs: 3 }, 3 * 120);
  const every = Math.floor(run.totalSteps / 100);
  assert.is(every, 3);
  const losses: number[] = [];
  while (!run.done) losses.push(run.step());
  const steps = run.records.filter((record) => record.kind === 'step');
  const last = steps.at(-1)!;
  assert.is(last.step, run.totalSteps);
  // At every epoch's end too.
  const pieces = run.totalSteps / 3;
  assert.ok(pieces % every !== 0 && steps.some(({ step }) => step === pieces));
  let from = 0;
  for (const { step, loss, learningRate } of steps) {
    const since = losses.slice(from, step);
    relativelyClose(loss, since.reduce((sum, l) => sum + l, 0) / since.length, losses.length * U64, `step ${step}`);
    const rate = (run.options.learningRate * (1 + Math.cos((Math.PI * (step - 1)) / run.totalSteps))) / 2;
    assert.ok(Math.abs(learningRate - rate) <= 64 * U64 * run.options.learningRate);
    from = step;
  }
});

test.run();
