// docs/add-a-task.md, walked: everything that the command line needs of a task, in one file. It counts the words of a text
// that are numbers.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { counted } from '../../src/cli/counted.js';
import { option } from '../../src/cli/option.js';
import { path } from '../../src/cli/parsers.js';
import type { Measured, RunSource, SplitName, Start, Task } from '../../src/cli/task.js';
import { sourceOf, type TrainArguments, trainingOptions } from '../../src/cli/train-options.js';
import { InputError } from '../../src/errors.js';
import {
  commonOptions,
  decodeNetwork,
  type Fingerprint,
  fingerprintOf,
  Model,
  meanSquaredLoss,
  modelConfig,
  Network,
  type NetworkSpec,
  type Quality,
  type Recipe,
  readHeader,
  recipeOf,
  SequenceTraining,
  Tape,
  type TrainingOptions,
  type TrainingStart,
  type Work,
} from '../../src/index.js';
import type { Runtime } from '../../src/wasm/runtime.js';

const NAME = 'count';

/** A word as a frame: how many digits and other letters it has, and 1. */
const frameOf = (word: string) => {
  const digits = word.replace(/\D/g, '').length;
  return [digits, word.length - digits, 1, 0, 0, 0, 0, 0];
};
const FRAME = frameOf('').length;

interface Examples {
  sequences: Float32Array[];
  counts: number[];
}
type Data = Record<SplitName | 'train', Examples>;

const sequenceOf = (text: string) => Float32Array.from(text.split(' ').flatMap(frameOf));

/** Lines such as "3 the 2 of 4 and 5". */
function readExamples(file: string): Examples {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const counts = lines.map((line) => Number(line.split(' ')[0]));
  if (counts.some(Number.isNaN)) throw new InputError(`--data: got ${file}; expected lines that start with a number`);
  return { sequences: lines.map((line) => sequenceOf(line.slice(line.indexOf(' ') + 1))), counts };
}

class CountModel extends Model {
  readonly task = NAME;
  readonly schema = {};

  static spec = ({ hidden, cell = 'lstm' }: TrainingOptions): NetworkSpec => ({
    input: { frames: FRAME },
    layers: [
      { name: 'rnn', kind: cell, units: hidden },
      { name: 'last', kind: 'pool', over: 'last' },
      { name: 'out', kind: 'linear', outputs: 1 },
    ],
  });
}

class CountTraining extends SequenceTraining<CountModel> {
  static readonly task = NAME;
  static readonly sample: TrainingOptions = {
    ...commonOptions('adam'),
    hidden: 16,
    layers: 1,
    method: 'doped-kron',
    compression: 2,
    learningRate: 0.02,
    dropout: 0,
    batch: 16,
    epochs: 20,
    freeRate: { scale: 0.3, power: 1 },
  };
  readonly task = NAME;
  readonly tokensPerStep: number;

  constructor(
    model: CountModel,
    options: TrainingOptions,
    readonly data: Data,
  ) {
    super(model, options, Math.ceil(data.train.counts.length / options.batch));
    this.tokensPerStep = options.batch;
  }

  static readSchema(): Record<string, never> {
    return {};
  }

  static create(
    runtime: Runtime,
    _: unknown,
    options: TrainingOptions,
    data: Data,
    { patternOf }: TrainingStart = {},
  ): CountTraining {
    const recipe: Recipe = recipeOf(options);
    const network = Network.create(runtime, CountModel.spec(options), options.seed, { recipe, patternOf });
    return new CountTraining(new CountModel(network, modelConfig(options)), options, data);
  }

  static fingerprint({ train, valid }: Data): Fingerprint {
    return fingerprintOf(train.counts.length, valid.counts.length, [train.counts, valid.counts]);
  }

  fingerprint(): Fingerprint {
    return CountTraining.fingerprint(this.data);
  }

  protected get sequences(): readonly Float32Array[] {
    return this.data.train.sequences;
  }

  protected forward(tape: Tape): number {
    const { sequences, counts } = this.data.train;
    const chosen = Array.from(this.chosen);
    return loss(this.model, tape, { sequences: chosen.map((i) => sequences[i]), counts: chosen.map((i) => counts[i]) });
  }

  protected probe(): number {
    return mse(this.model, this.data.valid);
  }

  // biome-ignore lint/correctness/useYield: all of it is one part
  protected *validate(): Work<Quality> {
    return { mse: mse(this.model, this.data.valid) };
  }
}

function loss({ network }: Model, tape: Tape, { sequences, counts }: Examples): number {
  const { sum, count } = meanSquaredLoss(tape, network.forward(tape, network.batch(sequences)), counts);
  return sum / count;
}

const mse = (model: Model, examples: Examples) =>
  model.runtime.scoped(() => loss(model, new Tape(model.runtime, false), examples));

export const countTask: Task<RunSource, Data, CountTraining, Data, unknown> = {
  training: CountTraining,
  about: 'train a model that counts the numbers in a text',
  wanted: 'a folder with train.txt, valid.txt and test.txt',
  options: () => [option('--data <path>', 'folder with train.txt, valid.txt and test.txt', path)],
  defaults: {
    hidden: '16',
    layers: '1',
    directions: '1',
    compression: '2',
    lr: '0.02',
    dropout: '0',
    batch: '16',
    epochs: '20',
    freeRate: '0.3,1',
  },
  examples: ['dopant train count --data numbers'],
  start(given: TrainArguments): Start<RunSource, TrainingOptions> {
    const options = trainingOptions(given, CountTraining.sample, 1);
    return { source: sourceOf(given, countTask.wanted), options };
  },
  isSource: () => true,
  async read({ data }) {
    const [train, valid, test] = ['train', 'valid', 'test'].map((split) => readExamples(join(data, `${split}.txt`)));
    return { train, valid, test };
  },
  readFor: (_, data) => countTask.read({ data }),
  inputs: (data) => [{ option: '--data', path: data, reads: (name) => name.endsWith('.txt') }],
  schema: () => ({}),
  encode: (data) => data,
  describe: (_, { train }) => `${train.counts.length} texts`,
  describeModel: ({ config: { layers } }) => `model that counts, ${counted(layers, 'layer')}`,
  unknown: () => ({ train: {}, valid: {} }),
  measurement: (model, data, split) => ({
    unknown: {},
    size: `${data[split].counts.length} texts`,
    // biome-ignore lint/correctness/useYield: all of it is one part
    *measureInParts(): Work<Measured> {
      const quality = { mse: mse(model, data[split]) };
      return { quality, json: quality, text: `mean squared error ${quality.mse}` };
    },
  }),
  testName: 'test.txt',
  decode(runtime, bytes) {
    const header = readHeader(bytes);
    return new CountModel(decodeNetwork(runtime, header), header.task.config as TrainingOptions);
  },
  time: () => ({}),
  predictor: {
    reads: 'a text',
    predict(model, text) {
      process.stdout.write(`${Math.round(model.run(sequenceOf(text))[0][0])}\n`);
    },
  },
};
