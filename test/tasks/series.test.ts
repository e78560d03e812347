import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeModel } from '../../src/cli/tasks.js';
import { FileFormatError, InputError } from '../../src/errors.js';
import { initSync, loadSync, Series, type SeriesAnswer } from '../../src/infer/index.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/io/safetensors.js';
import { METHODS } from '../../src/operators/methods.js';
import { uniform } from '../../src/random.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { decodeSeriesModel, SeriesModel } from '../../src/tasks/series/model.js';
import {
  defaultSeriesOptions,
  evaluateSeries,
  type SeriesExamples,
  type SeriesOptions,
  SeriesTraining,
  seriesSchema,
} from '../../src/tasks/series/training.js';
import { TagTraining } from '../../src/tasks/tag/training.js';
import { Runtime } from '../../src/wasm/runtime.js';

initSync({ simd: 'plain' });

type Kind = 'label' | 'number' | 'labels' | 'numbers';

/** Walks of two numbers: which way they go, and how far they have come, at each step or in the end. */
function walks(kind: Kind, n: number, seed: number): SeriesExamples {
  const sequences: Float32Array[] = [];
  const targets: SeriesExamples['targets'][number][] = [];
  for (let i = 0; i < n; i++) {
    const T = 3 + Math.floor(6 * uniform(seed, 1, i));
    const up = uniform(seed, 2, i) < 0.5;
    const steps = Array.from({ length: T }, (_, t) => (up ? 1 : -1) * (0.5 + uniform(seed, 3, 20 * i + t)));
    sequences.push(Float32Array.from(steps.flatMap((step, t) => [100 + 5 * step, uniform(seed, 4, 20 * i + t)])));
    let far = 0;
    const sums = steps.map((step) => {
      far += step;
      return 10 * far;
    });
    const label = up ? 'up' : 'down';
    targets.push({ label, number: sums[T - 1], labels: steps.map(() => label), numbers: sums }[kind]);
  }
  return { sequences, targets };
}

function dataOf(kind: Kind) {
  return { train: walks(kind, 40, 1), valid: walks(kind, 15, 2) };
}

function create(kind: Kind, changes: Partial<SeriesOptions> = {}, data = dataOf(kind)): SeriesTraining {
  const options: SeriesOptions = {
    ...defaultSeriesOptions(),
    hidden: 8,
    batch: 8,
    epochs: 3,
    compression: 2,
    learningRate: 0.02,
    ...changes,
  };
  options.annealing = { ...options.annealing, every: 2 };
  return SeriesTraining.create(new Runtime(), seriesSchema(data.train, 2), options, data);
}

function finish(one: SeriesTraining): SeriesTraining {
  while (!one.done) one.step();
  return one;
}

const same = (a: Uint8Array, b: Uint8Array, what: string) => assert.is(Buffer.compare(a, b), 0, what);
const throws = (act: () => unknown, type: typeof InputError | typeof FileFormatError, message: RegExp) =>
  assert.throws(act, (error: Error) => error instanceof type && message.test(error.message), `${message}`);

for (const cell of ['lstm', 'gru'] as const) {
  for (const kind of ['label', 'number', 'labels', 'numbers'] as const) {
    test(`a ${cell} model learns a ${kind}, and the packed model answers as it does`, () => {
      const data = dataOf(kind);
      const { model } = finish(create(kind, { cell, epochs: 25, method: 'dense', compression: 1 }));
      const measured = evaluateSeries(model, data.valid);
      const values = data.valid.targets.flat() as (string | number)[];
      const series = new Series(loadSync(encodeModel(model)));
      const answers = data.valid.sequences.flatMap((sequence) => series.predict(sequence) as SeriesAnswer);
      assert.is(answers.length, values.length);
      if (kind.startsWith('label')) {
        assert.ok(measured.accuracy! > 0.95, `accuracy ${measured.accuracy}`);
        const right = answers.filter((answer, i) => 'label' in answer && answer.label === values[i]).length;
        assert.is(right / values.length, measured.accuracy);
      } else {
        const mean = (values as number[]).reduce((sum, y) => sum + y, 0) / values.length;
        const variance = (values as number[]).reduce((sum, y) => sum + (y - mean) ** 2, 0) / values.length;
        assert.ok(measured.mse! < variance / 5, `${measured.mse} of ${variance}`);
        const squares = answers.reduce(
          (sum, answer, i) => sum + ('value' in answer ? answer.value - (values[i] as number) : Number.NaN) ** 2,
          0,
        );
        assert.ok(Math.abs(squares / values.length - measured.mse!) < 1e-3 * measured.mse!);
      }
    });
  }
}

test('all methods train, in one direction and both, and files give the same model', () => {
  for (const method of METHODS) {
    for (const directions of [1, 2] as const) {
      const options = { method, directions, layers: 2, epochs: 1, compression: method === 'dense' ? 1 : 2 };
      const { model } = finish(create('label', options));
      same(
        encodeModel(decodeSeriesModel(new Runtime(), encodeModel(model))),
        encodeModel(model),
        `${method}, ${directions}`,
      );
    }
  }
});

test('a training that goes on from any step ends with the same bits', () => {
  for (const kind of ['label', 'numbers'] as const) {
    const data = dataOf(kind);
    const whole = create(kind, {
      measureEvery: 1,
      coMatrixDropout: { structure: 0.2, dopants: 0.2, hold: false, until: 1 },
    });
    const checkpoints: Uint8Array[] = [];
    while (!whole.done) {
      checkpoints.push(encodeCheckpoint(whole, 'run'));
      whole.step();
    }
    for (const checkpoint of checkpoints) {
      const resumed = finish(decodeCheckpoint(checkpoint, SeriesTraining).resume(new Runtime(), data));
      assert.equal(resumed.records, whole.records);
      same(encodeModel(resumed.model), encodeModel(whole.model), kind);
    }
    throws(() => decodeCheckpoint(checkpoints[0], TagTraining), FileFormatError, /task: got "series"; expected "tag"/);
    const other = {
      ...data,
      train: { ...data.train, sequences: data.train.sequences.map((x) => x.map((y) => y + 1)) },
    };
    throws(() => decodeCheckpoint(checkpoints[0], SeriesTraining).resume(new Runtime(), other), InputError, /^data: /);
  }
});

test('a series that answers each step is read as it comes', () => {
  const { model } = create('labels', { method: 'dense', compression: 1 });
  const series = new Series(loadSync(encodeModel(model)));
  const [sequence] = dataOf('labels').valid.sequences;
  const expected = series.predict(sequence) as SeriesAnswer[];
  const session = series.model.session();
  for (const [t, answer] of expected.entries()) {
    const now = series.answer(session.step(series.frame(sequence.subarray(2 * t, 2 * t + 2))));
    assert.equal(now, answer);
  }
  const frames = expected.map((_, t) => [...sequence.subarray(2 * t, 2 * t + 2)]);
  assert.equal(series.predict(frames), expected);
});

test('means and deviations are those of the numbers, also far from 0; constants stay', () => {
  const sequences = [Float32Array.of(1e6, 7, 1e6 + 2, 7), Float32Array.of(1e6 + 4, 7)];
  const { frame, value, per, labels } = seriesSchema({ sequences, targets: [1, 3] }, 2);
  assert.is(frame[0].mean, 1e6 + 2);
  assert.ok(Math.abs(frame[0].deviation - Math.sqrt(8 / 3)) < 1e-9);
  assert.equal(frame[1], { mean: 7, deviation: 1 });
  assert.equal([value, per, labels], [{ mean: 2, deviation: 1 }, 'sequence', undefined]);
});

test('data, options and frames that will not do are rejected by name', () => {
  const { train, valid } = dataOf('label');
  const data = (changes: Partial<SeriesExamples>) => ({ train, valid: { ...valid, ...changes } });
  throws(() => create('label', {}, data({ targets: [] })), InputError, /^valid: got 15 sequences and 0 targets/);
  throws(
    () => create('label', {}, data({ targets: valid.targets.map(() => 1) })),
    InputError,
    /^valid 0: got 1; expected a label/,
  );
  throws(
    () => create('label', {}, data({ targets: valid.targets.map(() => 'east') })),
    InputError,
    /^valid: got no label/,
  );
  throws(
    () => create('label', {}, data({ sequences: valid.sequences.map((x) => x.subarray(1)) })),
    InputError,
    /^valid 0: got \d+; expected a multiple of 2/,
  );
  throws(() => create('label', { batch: 0 }), InputError, /^batch: got 0/);
  throws(
    () => seriesSchema({ ...train, targets: train.targets.map((y, i) => (i ? y : 1)) }, 2),
    InputError,
    /^train: got answers of number and of string/,
  );
  throws(
    () => seriesSchema({ ...train, targets: train.targets.map(() => 'up') }, 2),
    InputError,
    /^train: got 1 different labels/,
  );
  const series = new Series(loadSync(encodeModel(create('label').model)));
  for (const frames of [undefined, [], [[1]], [[1, 2, 3]], [1, 2, 3], [[1, Number.NaN]], [[1, 2], [3]]]) {
    throws(() => series.predict(frames as number[][]), InputError, /^frames/);
  }
});

test('files of other tasks, and damaged ones, are rejected by name', () => {
  const { model } = create('label');
  const file = encodeModel(model);
  assert.instance(decodeModel(new Runtime(), file), SeriesModel);
  const { tensors, metadata } = decodeSafetensors(file);
  for (const [change, message] of [
    [{ name: 'tag' }, /got a model for the task "tag"; expected one for 'series'/],
    [{ per: 'day' }, /metadata\.per/],
    [{ labels: ['up'] }, /labels/],
    [{ labels: undefined }, /metadata\.value/],
    [{ frame: [] }, /metadata\.frame/],
    [
      {
        frame: [
          { mean: 0, deviation: 0 },
          { mean: 0, deviation: 1 },
        ],
      },
      /metadata\.frame\.0\.deviation/,
    ],
    [{ frame: [{ mean: 0, deviation: 1 }] }, /metadata\.network/],
    [{ config: { hidden: 1e9 } }, /config/],
  ] as const) {
    const task = JSON.stringify({ ...JSON.parse(metadata.task), ...change });
    const damaged = encodeSafetensors(tensors, { ...metadata, task });
    throws(() => decodeSeriesModel(new Runtime(), damaged), FileFormatError, message);
    throws(() => new Series(loadSync(damaged)), FileFormatError, message);
  }
});

test.run();
