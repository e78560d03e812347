// docs/add-an-operator.md, walked: an expression of the library's operators, and a kind of one's own.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Dense,
  decodeNetwork,
  defaultTrainerOptions,
  encodeModel,
  lmf,
  meanSquaredLoss,
  Network,
  type Operator,
  Product,
  Runtime,
  readHeader,
  Sparse,
  Trainer,
  VStack,
} from '../../src/index.js';
import { denseOf, type Oracle, operatorBattery } from '../../src/testing/operators.js';
import { values } from '../support.js';
import { Symmetric } from './symmetric.js';

/** Square blocks on the diagonal, zeros elsewhere: each block reads its own columns, which a frozen sparse matrix picks out. */
function blockDiagonal(runtime: Runtime, blocks: readonly Operator[]): Operator {
  const N = blocks.reduce((sum, block) => sum + block.N, 0);
  let left = 0;
  return new VStack(
    runtime,
    blocks.map((block) => {
      const columns = Uint32Array.from({ length: block.N }, (_, i) => left + i);
      const starts = Uint32Array.from({ length: block.N + 1 }, (_, i) => i);
      left += block.N;
      const pick = new Sparse(runtime, block.N, N, { values: new Float32Array(block.N).fill(1), columns, starts });
      pick.weight.frozen = true;
      return new Product(runtime, block, pick);
    }),
  );
}

for (const sizes of [[1], [1, 1], [3, 5], [8, 8, 8], [17, 4, 1]]) {
  test(`a block-diagonal expression passes the battery: blocks of ${sizes.join(', ')}`, () => {
    operatorBattery((runtime) =>
      blockDiagonal(
        runtime,
        sizes.map((n) => new Dense(runtime, n, n)),
      ),
    );
  });
}

test('a block-diagonal matrix has its blocks and zeros', () => {
  const runtime = new Runtime();
  const blocks = [2, 3].map((n) => new Dense(runtime, n, n));
  for (const block of blocks) block.fit(values(block.M ** 2));
  const w = blockDiagonal(runtime, blocks).toDense();
  const [a, b] = blocks.map((block) => [...block.toDense()]);
  assert.equal(
    [...w],
    [
      [...a.slice(0, 2), 0, 0, 0],
      [...a.slice(2), 0, 0, 0],
      ...[0, 3, 6].map((i) => [0, 0, ...b.slice(i, i + 3)]),
    ].flat(),
  );
});

const transposed = (w: Float64Array, n: number) => w.map((_, i) => w[(i % n) * n + Math.floor(i / n)]);

/** W = A + A^T, from the definition. */
const symmetricOf: Oracle = (operator, numbers) => {
  const { A } = operator as Symmetric;
  const a = denseOf(A, numbers);
  const other = transposed(a, A.N);
  return a.map((value, i) => value + other[i]);
};

for (const n of [1, 2, 7, 8, 33]) {
  test(`a symmetric matrix passes the battery: ${n} x ${n}, dense and of low rank`, () => {
    operatorBattery((runtime) => new Symmetric(runtime, new Dense(runtime, n, n)), undefined, symmetricOf);
    operatorBattery((runtime) => new Symmetric(runtime, lmf(runtime, n, n, Math.ceil(n / 4))), undefined, symmetricOf);
  });
}

test('a symmetric matrix keeps what is symmetric in a matrix that it is fitted to', () => {
  const runtime = new Runtime();
  const symmetric = new Symmetric(runtime, new Dense(runtime, 2, 2));
  symmetric.fit([1, 2, 4, 3]);
  assert.equal([...symmetric.toDense()], [1, 3, 3, 3]);
});

test('networks of both train, and a file of them holds what they stand for', () => {
  const runtime = new Runtime();
  const n = 8;
  const fresh = Network.create(
    runtime,
    {
      input: { frames: n },
      layers: [
        { name: 'lstm', kind: 'lstm', units: n },
        { name: 'out', kind: 'linear', outputs: n },
      ],
    },
    1,
  );
  // A gate's recurrent matrix is square: four symmetric ones make up that of the layer.
  const gates = Array.from({ length: 4 }, () => new Symmetric(runtime, new Dense(runtime, n, n)));
  const recurrent = new VStack(runtime, gates);
  recurrent.fit(fresh.operator('lstm.hh').toDense());
  const head = blockDiagonal(runtime, [new Dense(runtime, 4, 4), new Dense(runtime, 4, 4)]);
  const [first, second] = head.children().map(([, half]) => (half as Product).U);
  first.fit(values(16));
  second.fit(values(16));
  const network = fresh.withOperator('lstm.hh', recurrent).withOperator('out', head);

  const sequences = Array.from({ length: 6 }, () => values(5 * n));
  // To be learnt: the first numbers of the frame before.
  const targets = new Float32Array(5 * 6 * n);
  for (let t = 1; t < 5; t++) {
    for (let b = 0; b < 6; b++) targets.set(sequences[b].subarray((t - 1) * n, t * n), (t * 6 + b) * n);
  }
  const trainer = new Trainer(
    network,
    { ...defaultTrainerOptions, learningRate: 0.02, schedule: { kind: 'constant' }, clip: 1 },
    200,
    network.matrices().map(() => undefined),
  );
  const losses = Array.from({ length: 200 }, (_, epoch) =>
    runtime.scoped(() =>
      trainer.step(
        epoch,
        6,
        (tape) => {
          const { sum, count } = meanSquaredLoss(tape, network.forward(tape, network.batch(sequences)), targets);
          return sum / count;
        },
        () => 0,
      ),
    ),
  );
  assert.ok(losses.at(-1)! < 0.5 * losses[0], `${losses[0]} to ${losses.at(-1)}`);

  const w = recurrent.toDense();
  for (let gate = 0; gate < 4; gate++) {
    const square = w.subarray(gate * n * n, (gate + 1) * n * n);
    for (let i = 0; i < n * n; i++) assert.is(square[i], square[(i % n) * n + Math.floor(i / n)]);
  }
  for (const pick of head.children().map(([, half]) => (half as Product).V)) {
    assert.ok(
      pick.toDense().every((value) => value === 0 || value === 1),
      'what is frozen was trained',
    );
  }
  const dense = new Dense(runtime, 4 * n, n);
  dense.fit(w);
  const bytes = encodeModel(network.withOperator('lstm.hh', dense), { name: 'echo' });
  const loaded = decodeNetwork(new Runtime(), readHeader(bytes));
  assert.equal(loaded.operator('lstm.hh').toDense(), w);
  assert.equal(loaded.operator('out').toDense(), head.toDense());
});

test('dopant/testing passes an operator that is right, and names what is wrong with another', () => {
  const script = `
    import { Dense, dense } from 'dopant';
    import { operatorBattery } from 'dopant/testing';
    operatorBattery((runtime) => dense(runtime, 3, 2));
    class Wrong extends Dense {
      gradient(program, dy, x) {
        super.gradient(program, dy, x);
        super.gradient(program, dy, x);
      }
    }
    operatorBattery((runtime) => new Wrong(runtime, 3, 2));`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.match(stderr, /Error: gradient of 1 rows, parameter 0 \[0\] is/);
});

test('a combinator is named in the files that the page lists, and nowhere else', () => {
  const page = readFileSync('docs/add-an-operator.md', 'utf8');
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const named = files.filter((file) => /\bVStack\b|'vstack'/.test(readFileSync(`src/${file}`, 'utf8')));
  assert.equal(
    named
      .filter((file) => !['operators/vstack.ts', 'operators/factories.ts', 'testing/operators.ts'].includes(file))
      .sort(),
    ['index.ts', 'infer/pack.ts', 'io/sums.ts', 'io/tensors.ts', 'operators/spec.ts'],
  );
  for (const file of named) {
    if (file !== 'operators/vstack.ts')
      assert.ok(page.includes(file.replace('operators/f', 'f')), `${file} is not on the page`);
  }
});

test.run();
