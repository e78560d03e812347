// A task of one's own, on the adding problem (Hochreiter and Schmidhuber, 1997): each frame is a number and a mark, two frames
// of a sequence are marked, and the answer is the sum of their numbers. Trains a GRU, dense and doped 10x, resumes from a
// checkpoint, and stores both.
//
//   node examples/adding.mjs [epochs]

import { writeFileSync } from 'node:fs';
import {
  commonOptions,
  decodeCheckpoint,
  encodeCheckpoint,
  encodeModel,
  fingerprintOf,
  Model,
  meanSquaredLoss,
  modelConfig,
  Network,
  Runtime,
  SequenceTraining,
  Tape,
} from 'dopant';
import { load } from 'dopant/infer';

const epochs = Number(process.argv[2] ?? 20);
const T = 20; // frames of a sequence

// 1. The data: { x, y } each, the same in every run.
let state = 1;
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}
function example() {
  const x = new Float32Array(2 * T);
  for (let t = 0; t < T; t++) x[2 * t] = random();
  const first = Math.floor((random() * T) / 2);
  const second = T - 1 - Math.floor((random() * T) / 2);
  x[2 * first + 1] = 1;
  x[2 * second + 1] = 1;
  return { x, y: x[2 * first] + x[2 * second] };
}
const examples = (n) => Array.from({ length: n }, example);

// 2. The model: a network, as plain data, and how its matrices are made.
class AddingModel extends Model {
  task = 'adding';
  // What inputs and outputs stand for: here nothing that a file would have to say.
  schema = {};

  static spec = {
    input: { frames: 2 },
    layers: [
      { name: 'gru', kind: 'gru', units: 64 },
      { name: 'last', kind: 'pool', over: 'last' },
      { name: 'out', kind: 'linear', outputs: 1 },
    ],
  };

  // The matrix of the input has two columns: there is nothing to compress in it.
  static recipeOf =
    ({ method, compression }) =>
    ({ name }) =>
      name === 'gru.hh' ? { method, compression } : undefined;

  get recipe() {
    return AddingModel.recipeOf(this.config);
  }
}

// 3. The training: batches come from SequenceTraining; the loss and the metric are ours.
class AddingTraining extends SequenceTraining {
  static task = 'adding';
  static sample = {
    ...commonOptions('adam'),
    hidden: 64,
    layers: 1,
    method: 'dense',
    compression: 1,
    learningRate: 0.01,
    dropout: 0,
    batch: 32,
    epochs,
    freeRate: { scale: 0.3, power: 1 },
  };
  task = AddingTraining.task;
  tokensPerStep = AddingTraining.sample.batch * T;

  constructor(model, options, data) {
    super(model, options, Math.ceil(data.train.length / options.batch));
    this.data = data;
  }

  // What a checkpoint needs to make the training again.
  static readSchema() {
    return {};
  }
  static create(runtime, _schema, options, data, { patternOf } = {}) {
    const recipe = AddingModel.recipeOf(options);
    const network = Network.create(runtime, AddingModel.spec, options.seed, { recipe, patternOf });
    return new AddingTraining(new AddingModel(network, modelConfig(options)), options, data);
  }
  static fingerprint({ train, valid }) {
    const numbers = [...train, ...valid].map(({ x }) => new Int32Array(x.buffer));
    return fingerprintOf(train.length, valid.length, numbers);
  }
  fingerprint() {
    return AddingTraining.fingerprint(this.data);
  }

  get sequences() {
    return this.data.train.map(({ x }) => x);
  }
  loss(tape, batch) {
    const { network } = this.model;
    const outputs = network.forward(tape, network.batch(batch.map(({ x }) => x)));
    const answers = batch.map(({ y }) => y);
    const { sum, count } = meanSquaredLoss(tape, outputs, answers);
    return sum / count;
  }
  forward(tape) {
    return this.loss(
      tape,
      Array.from(this.chosen, (i) => this.data.train[i]),
    );
  }
  evaluate(split) {
    const { runtime } = this.model;
    return runtime.scoped(() => this.loss(new Tape(runtime, false), split));
  }
  probe() {
    return this.evaluate(this.data.valid.slice(0, 32));
  }
  // biome-ignore lint/correctness/useYield: all of it is one part
  *validate() {
    return { mse: this.evaluate(this.data.valid) };
  }
}

const data = { train: examples(3200), valid: examples(200) };
const test = examples(500);
const mean = test.reduce((sum, { y }) => sum + y, 0) / test.length;
const guess = test.reduce((sum, { y }) => sum + (y - mean) ** 2, 0) / test.length;
console.log(`guessing the mean: ${guess.toFixed(4)}`);

for (const [name, settings] of Object.entries({ dense: {}, doped: { method: 'doped-kron', compression: 10 } })) {
  const options = { ...AddingTraining.sample, ...settings };
  let training = AddingTraining.create(new Runtime(), {}, options, data);
  const half = Math.floor(training.totalSteps / 2);
  while (training.trainer.stepsDone < half) training.step();
  // A checkpoint is bytes: whatever stops the program here, the next one goes on to the same bits.
  const checkpoint = encodeCheckpoint(training, { name });
  training = decodeCheckpoint(checkpoint, AddingTraining).resume(new Runtime(), data);
  while (!training.done) training.step();

  const bytes = encodeModel(training.model);
  writeFileSync(`adding-${name}.safetensors`, bytes);
  console.log(`${name}: mean squared error ${training.evaluate(test).toFixed(4)}, ${bytes.length} bytes`);
  // The packed model gives the same answers, with no training code.
  const model = await load(bytes);
  const errors = test.map(({ x, y }) => (model.run(x)[0][0] - y) ** 2);
  console.log(`  packed: ${(errors.reduce((sum, error) => sum + error, 0) / errors.length).toFixed(4)}`);
}
