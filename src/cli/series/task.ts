import { invalid } from '../../errors.js';
import { exp } from '../../math.js';
import { decodeSeriesModel, type SeriesModel } from '../../tasks/series/model.js';
import type { SeriesSchema } from '../../tasks/series/schema.js';
import {
  defaultSeriesOptions,
  evaluateSeriesInParts,
  type SeriesData,
  type SeriesExamples,
  type SeriesOptions,
  SeriesTraining,
  seriesSchema,
} from '../../tasks/series/training.js';
import type { Work } from '../../work.js';
import { counted } from '../counted.js';
import { option } from '../option.js';
import { path } from '../parsers.js';
import type { Measured, RunSource, Start, Task } from '../task.js';
import { optimizerOf, sourceOf, type TrainArguments, trainingOptions } from '../train-options.js';
import { percent, type Unknown, unknownLabels } from '../unknown.js';
import { predictor } from './predict.js';
import { LAYOUT, readSeries, type SeriesCorpus } from './read.js';

/** What an answer is, in words. */
const answersOf = ({ labels }: SeriesSchema) => (labels ? `${labels.length} labels` : 'one number');

export const seriesTask: Task<RunSource, SeriesCorpus, SeriesTraining, SeriesData, SeriesSchema> = {
  training: SeriesTraining,
  about:
    'train a model that classifies series of numbers, or estimates a number for them, with a compressed LSTM or GRU',
  wanted: LAYOUT,
  options: () => [
    option(
      '--data <path>',
      'folder with train.jsonl, valid.jsonl and optionally test.jsonl; each line {"x": [[numbers of a frame], ...], "y": a label, a number, or a list of one for each step}; or with .npz files of numpy, x [sequences, steps, numbers of a frame] and y, whose texts and integers are labels',
      path,
    ),
  ],
  defaults: {
    hidden: '64',
    layers: '1',
    directions: '1',
    compression: '10',
    lr: 'adam 0.005; sgd 0.5',
    dropout: '0',
    batch: '16',
    epochs: '30',
    freeRate: 'adam 0.3,1; sgd 1,0',
  },
  examples: [
    'dopant train series --data vowels --out vowels.safetensors',
    'dopant train series --data vowels --cell gru --method dense --checkpoint run1     (Ctrl-C stops it; to continue:)',
    'dopant train series --resume run1',
  ],
  start(given: TrainArguments): Start<RunSource, SeriesOptions> {
    return {
      source: sourceOf(given, LAYOUT),
      options: trainingOptions(given, defaultSeriesOptions(optimizerOf(given)), 1),
    };
  },
  isSource: () => true,
  read: ({ data }) => readSeries(data),
  readFor: (_, data) => readSeries(data),
  inputs: (data) => [{ option: '--data', path: data, reads: (name) => /^(train|valid|test)\.(jsonl|npz)$/.test(name) }],
  schema: ({ train, frames }, _, like) =>
    (like as { series?: SeriesSchema } | undefined)?.series ?? seriesSchema(train, frames),
  encode: ({ train, valid }) => ({ train, valid }),
  describe: ({ model: { series } }, { name, frames, train, test }) =>
    `${name}: ${train.sequences.length} training series of ${frames} numbers a frame, ${answersOf(series)} ${series.per === 'step' ? 'for each step' : 'for each'}${test ? '' : '; no test file: valid will be evaluated'}`,
  describeModel: ({ series, config: { layers, directions } }) =>
    `model of series, ${series.frame.length} numbers a frame, ${answersOf(series)}, ${counted(layers, directions === 2 ? 'bidirectional layer' : 'layer')}`,
  unknown: ({ model: { series }, data: { valid } }) => ({ train: {}, valid: unknownOfSeries(valid, series) }),
  measurement(model, corpus, split) {
    const { series } = model;
    if (corpus.frames !== series.frame.length) {
      throw invalid('--data', corpus.name, `series of ${series.frame.length} numbers a frame, not ${corpus.frames}`);
    }
    const examples = corpus[split];
    if (!examples) return undefined;
    return {
      unknown: unknownOfSeries(examples, series),
      size: `${examples.sequences.length} series`,
      measureInParts: () => measure(model, examples),
    };
  },
  testName: 'test.jsonl or test.npz',
  decode: decodeSeriesModel,
  time: () => ({}),
  predictor,
};

function* measure(model: SeriesModel, all: SeriesExamples): Work<Measured> {
  const { loss, accuracy, mse, examples } = yield* evaluateSeriesInParts(model, all);
  if (accuracy === undefined) {
    const text = `mean squared error ${mse!.toPrecision(5)}, ${examples} series`;
    return { quality: { mse }, json: { mse, examples }, text };
  }
  return {
    quality: { ...(loss !== undefined && { perplexity: exp(loss) }), accuracy },
    json: { accuracy, examples },
    text: `accuracy ${percent(accuracy, 2)}, ${examples} series`,
  };
}

/** What a model cannot know of examples. */
export const unknownOfSeries = ({ targets }: SeriesExamples, { labels }: SeriesSchema): Unknown =>
  labels ? { labels: unknownLabels(targets.flat() as string[], labels) } : {};
