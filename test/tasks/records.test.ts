// What is measured, and how often: figures of different runs are compared with one another.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { LanguageModel } from '../../src/tasks/lm/model.js';
import { LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { noisy, passError, slowEvaluation, tinyOptions, tokens, vocabulary } from '../nn/oracle.js';

test('a text is measured as 20 streams, wherever nothing else is asked for', () => {
  const model = noisy(LanguageModel.create(new Runtime(), tinyOptions(), vocabulary, 1));
  const ids = tokens(421);
  const { loss } = new Evaluation(model).meanLoss(ids);
  const allowed = passError(model, 1);
  const distance = (streams: number) => Math.abs(slowEvaluation(model, ids, streams) / loss - 1);
  assert.ok(distance(20) <= allowed, `${distance(20)}`);
  for (const streams of [1, 10, 19, 21, 40]) assert.ok(distance(streams) > allowed, `${streams} streams`);
});

test('a curve has a point a step, or about a hundred where there are more', () => {
  for (const [length, epochs] of [
    [31, 1],
    [31, 4],
    [151, 3],
    [211, 4],
  ]) {
    const options = tinyOptions({ layers: 1, method: 'kron', batch: 1, bptt: 1, epochs });
    const corpus = { train: tokens(length, 1), valid: tokens(20, 2) };
    const training = LanguageModelTraining.create(new Runtime(), vocabulary, options, corpus);
    while (!training.done) training.step();
    const { totalSteps, records } = training;
    const steps = records.filter(({ kind }) => kind === 'step');
    assert.is(steps.at(-1)!.step, totalSteps);
    const least = Math.min(100, totalSteps);
    const most = Math.min(200 + epochs, totalSteps);
    assert.ok(steps.length >= least && steps.length <= most, `${steps.length} points of ${totalSteps} steps`);
  }
});

test.run();
