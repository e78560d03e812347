// A callback that throws changes nothing: what was set for it is set back, and the same call can be made again.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { recipeOf } from '../../src/nn/model.js';
import { planNetwork } from '../../src/nn/network.js';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import {
  measureAdaptation,
  restoringMasks,
  setCoMatrixDropout,
  withOnly,
  withoutMasks,
} from '../../src/train/comatrix.js';
import { Trainer } from '../../src/train/trainer.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { dopedOf, tinyOptions, tokens, vocabulary, weightsOf } from '../nn/oracle.js';

const CMR = { structure: 0.25, dopants: 0.5, hold: false, until: 1 };
const options = tinyOptions({
  layers: 1,
  coMatrixDropout: CMR,
  alternate: 2,
  annealing: { start: 0.1, end: 0.8, every: 1, threshold: 'global' },
  measureEvery: 1,
});
const { batch, bptt } = options;
const ids = tokens(batch * bptt + 1);
const STEPS = 10;

const oops = new Error('oops');
const fail = (): never => {
  throw oops;
};

/** A model with its trainer, a loss and a probe, neither of which keeps anything from one call to the next. */
function make(threads = 1) {
  const runtime = new Runtime({ threads });
  const model = LanguageModel.create(runtime, options, vocabulary, 1);
  const plans = planNetwork(model.spec, recipeOf(options));
  const nonzeros = model.matrices().map(([name]) => plans.get(name)!.nonzeros);
  const trainer = new Trainer(model, options, STEPS, nonzeros);
  const loss = (tape: Tape) => {
    const [inputs, targets] = [runtime.alloc(4 * batch * bptt), runtime.alloc(4 * batch * bptt)];
    runtime.ints(inputs, batch * bptt).set(ids.subarray(0, -1));
    runtime.ints(targets, batch * bptt).set(ids.subarray(1));
    const { sum, count } = model.loss(tape, targets, [inputs, bptt, batch, model.newState(batch)]);
    return sum / count;
  };
  const probe = () => new Evaluation(model).meanLoss(ids).loss;
  const sums = dopedOf(model).map(({ name, sum }) => [name, sum] as const);
  return { runtime, model, trainer, loss, probe, sums };
}

type Made = ReturnType<typeof make>;

/** All that a callback may find changed, but for the weights. */
function settingsOf({ runtime, model, trainer, sums }: Made) {
  return {
    used: runtime.usage().used,
    shares: runtime.shares(100),
    sums: sums.map(([, { dropout, probe, active }]) => ({ dropout, probe, active: [...active] })),
    frozen: model.parameters().map(([name, { frozen }]) => [name, frozen]),
    steps: trainer.stepsDone,
  };
}

/** What a step may be given to fail with. */
const failures: Record<string, (made: Made) => [loss: (tape: Tape) => number, probe: () => number]> = {
  'the loss throws at once': ({ probe }) => [fail, probe],
  'the loss throws when all is recorded': ({ loss, probe }) => [
    (tape) => {
      loss(tape);
      return fail();
    },
    probe,
  ],
  'the way back throws': ({ loss, probe }) => [
    (tape) => {
      tape.record(fail);
      return loss(tape);
    },
    probe,
  ],
  // The probe is evaluated before and after a pruning, then with both matrices and with each of them.
  ...Object.fromEntries(
    [1, 2, 3, 4, 5].map((call) => [
      `the probe throws when it is called ${call === 1 ? 'once' : `${call} times`}`,
      ({ loss, probe }: Made) => {
        let calls = 0;
        return [loss, () => (++calls === call ? fail() : probe())];
      },
    ]),
  ),
};

const calm = make();
for (let step = 0; step < STEPS; step++) calm.trainer.step(0, batch, calm.loss, calm.probe);

for (const [name, failing] of Object.entries(failures)) {
  test(`${name}: the step can be repeated, as if nothing had been`, () => {
    const made = make();
    const { model, trainer, loss, probe } = made;
    let thrown = 0;
    for (let step = 0; step < STEPS; step++) {
      const before = settingsOf(made);
      const [badLoss, badProbe] = failing(made);
      try {
        trainer.step(0, batch, badLoss, badProbe);
        continue; // nothing was pruned before it
      } catch (error) {
        assert.is(error, oops);
        thrown++;
      }
      assert.equal(settingsOf(made), before);
      trainer.step(0, batch, loss, probe);
      assert.equal({ ...settingsOf(made), steps: step }, before);
    }
    assert.ok(thrown > 5);
    assert.equal(trainer.records, calm.trainer.records);
    assert.equal(weightsOf(model), weightsOf(calm.model));
  });
}

test('a rehearsal that fails leaves everything as it was', () => {
  const made = make();
  const { model, trainer, loss, probe } = made;
  const [before, weights] = [settingsOf(made), weightsOf(model)];
  for (const [badLoss, badProbe] of [
    [fail, probe],
    [loss, fail],
  ] as const) {
    assert.throws(() => trainer.rehearse(batch, badLoss, badProbe), oops.message);
    assert.equal(settingsOf(made), before);
    assert.equal(weightsOf(model), weights);
  }
});

const setters: Record<string, (made: Made, act: () => number) => unknown> = {
  withoutMasks: ({ sums }, act) => withoutMasks(sums, act),
  restoringMasks: ({ sums }, act) =>
    restoringMasks(sums, () => {
      setCoMatrixDropout(sums, CMR, { seed: 1, step: 2, batch, progress: 0.5 });
      return act();
    }),
  'alone, the structure': ({ sums }, act) => withOnly(sums, 0, act),
  'alone, the dopants': ({ sums }, act) => withOnly(sums, 1, act),
  measureAdaptation: ({ runtime, sums }, act) => measureAdaptation(runtime, sums, act),
  'Runtime.onThisThread': ({ runtime }, act) => runtime.onThisThread(act),
  'Runtime.scoped': ({ runtime }, act) =>
    runtime.scoped(() => {
      runtime.alloc(100);
      return act();
    }),
  'Trainer.unmasked': ({ trainer }, act) => trainer.unmasked(act),
  'Trainer.measureAdaptation': ({ trainer }, act) => trainer.measureAdaptation(act),
};

for (const [name, run] of Object.entries(setters)) {
  test(`${name} sets back what it sets, whether or not the callback throws`, () => {
    const made = make(2);
    // As a user may have set them.
    for (const [i, [, sum]] of made.sums.entries()) {
      sum.dropout = { rates: [0.5, 0.25], seed: i, step: 3, stream: 4, period: 5 };
      sum.active[i % 2] = false;
    }
    const before = settingsOf(made);
    const seen: unknown[] = [];
    const act = () => {
      seen.push(settingsOf(made));
      return fail();
    };
    assert.throws(() => run(made, act), oops.message);
    assert.equal(settingsOf(made), before);
    assert.is(seen.length, 1);
    assert.not.equal(seen[0], before, 'it sets nothing');
    run(made, made.probe);
    assert.equal(settingsOf(made), before);
    made.runtime.close();
  });
}

test('an evaluation gives back the memory that it takes, even if its callback throws', () => {
  const { runtime, model } = make();
  const { used } = runtime.usage();
  const first = new Evaluation(model).meanLoss(ids);
  for (let i = 0; i < 3; i++) {
    assert.throws(() => new Evaluation(model, 2, 3).meanLoss(ids, fail), oops.message);
    assert.equal(new Evaluation(model).meanLoss(ids), first);
    assert.is(runtime.usage().used, used);
  }
});

test('a tape whose way back failed has nothing left to repeat', () => {
  const tape = new Tape(new Runtime(), true);
  const calls: string[] = [];
  tape.record(() => calls.push('first'));
  tape.record(fail);
  assert.throws(() => tape.backward(), oops.message);
  tape.backward();
  assert.equal(calls, []);
});

test.run();
