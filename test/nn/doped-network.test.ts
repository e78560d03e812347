// Every method on every matrix: conv and linear layers are compressed, pruned, stored and packed as recurrent ones are.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { loadSync } from '../../src/infer/index.js';
import { takeInventory } from '../../src/io/inventory.js';
import { decodeNetwork, encodeNetwork } from '../../src/io/model-file.js';
import { readHeader } from '../../src/io/model-header.js';
import type { NetworkSpec } from '../../src/network/spec.js';
import { meanSquaredLoss } from '../../src/nn/element-loss.js';
import { Network, planNetwork, type Recipe } from '../../src/nn/network.js';
import { METHODS } from '../../src/operators/methods.js';
import { walk } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { defaultTrainerOptions, Trainer } from '../../src/train/trainer.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { values } from '../support.js';

const SPEC: NetworkSpec = {
  input: { frames: 16 },
  layers: [
    { name: 'conv', kind: 'conv', outputs: 16, width: 3, activation: 'tanh' },
    { name: 'gru', kind: 'gru', units: 16 },
    { name: 'out', kind: 'linear', outputs: 16 },
  ],
};
const [T, B] = [6, 4];
const STEPS = 60;

for (const method of METHODS) {
  test(`${method} in conv, recurrent and linear layers`, () => {
    const recipe: Recipe = () => (method === 'dense' ? undefined : { method, compression: 3 });
    const runtime = new Runtime();
    const network = Network.create(runtime, SPEC, 1, { recipe });
    const plans = planNetwork(network.spec, recipe);
    const matrices = network.matrices();
    assert.is(matrices.length, method === 'dense' ? 2 : 4);
    const nonzeros = matrices.map(([name]) => plans.get(name)!.nonzeros);
    const trainer = new Trainer(network, { ...defaultTrainerOptions, learningRate: 0.02 }, STEPS, nonzeros);
    const sequences = Array.from({ length: B }, () => Float32Array.from(values(T * 16)));
    const targets = Float32Array.from(values(T * B * 16));
    const loss = (tape: Tape) => {
      const outputs = network.forward(tape, network.batch(sequences));
      const { sum, count } = meanSquaredLoss(tape, outputs, targets);
      return sum / count;
    };
    const losses = Array.from({ length: STEPS }, () =>
      runtime.scoped(() => trainer.step(0, B, loss, () => runtime.scoped(() => loss(new Tape(runtime, false))))),
    );
    assert.ok(losses[STEPS - 1] < 0.8 * losses[0], `${losses[0]}, ${losses[STEPS - 1]}`);
    // One threshold for all: what one matrix has more, another has less.
    const sum = (numbers: readonly (number | undefined)[]) => numbers.reduce<number>((all, n = 0) => all + n, 0);
    const alive = matrices.flatMap(([name, operator]) =>
      [...walk(operator, name)].map(([, inner]) => (inner instanceof Sparse ? inner.nonzeros : 0)),
    );
    assert.is(sum(alive), sum(nonzeros));
    const inventory = takeInventory(network);
    const types = new Set(matrices.map(([, operator]) => operator.spec().type));
    assert.is(inventory.method, [...types].join(', '));
    const { parameters } = inventory.compression;
    assert.ok(method === 'dense' ? parameters === 1 : parameters! >= 3, `${parameters}`);

    const bytes = encodeNetwork(network, { name: 'own' });
    const read = decodeNetwork(new Runtime(), readHeader(bytes));
    assert.equal(takeInventory(read), inventory);
    const outputs = runtime.scoped(() => {
      const { value } = network.forward(new Tape(runtime, false), network.batch([sequences[0]]));
      return runtime.floats(value, T * 16).slice();
    });
    const packed = loadSync(bytes).run(sequences[0]);
    for (const [t, row] of packed.entries()) {
      for (const [j, y] of row.entries()) assert.ok(Math.abs(y - outputs[16 * t + j]) < 1e-5, `${t}, ${j}`);
    }
  });
}

test.run();
