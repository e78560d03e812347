// docs/add-a-layer.md: a layer of one's own on the tape, walked; and a kind of layer is named in the files that the page lists,
// at most six.

import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Dense,
  defaultTrainerOptions,
  InputError,
  linear,
  meanSquaredLoss,
  Parameter,
  Runtime,
  Tape,
  type Tensor,
  Trainer,
} from '../../src/index.js';
import { type LayerUnderTest, layerBattery } from '../../src/testing/index.js';
import { values } from '../support.js';
import { scaleColumns } from './gain.js';

const PAGE = readFileSync('docs/add-a-layer.md', 'utf8');
const FILES = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map((file) => `src/${file.replaceAll('\\', '/')}`)
  .filter((file) => file.endsWith('.ts'));

/** The files that name a kind: in its spec's type or as a string. */
const naming = (names: RegExp) => FILES.filter((file) => names.test(readFileSync(file, 'utf8')));

/** The files of the page's table. */
const LISTED = [...PAGE.matchAll(/^\| \d+ +\| `(src\/[^`]+)`/gm)].map(([, file]) => file);

test('the page lists files that exist, at most six', () => {
  assert.ok(LISTED.length >= 5 && LISTED.length <= 6, `${LISTED.length}`);
  for (const file of LISTED) assert.ok(FILES.includes(file), file);
});

test('conv is named in the listed files and nowhere else', () => {
  const named = naming(/'conv'|\bConvSpec\b/);
  assert.ok(named.includes('src/network/spec.ts'));
  for (const file of named)
    assert.ok(LISTED.includes(file), `${file} names conv, but docs/add-a-layer.md does not list it`);
});

/** Files of tasks and commands make networks of layers; the entry exports everything, and the twins are of kernels. */
const isUser = (file: string) =>
  /^src\/(tasks|cli)\/|^src\/nn\/(specs|config|.*-model)\.ts$|^src\/(index|reference)\.ts$/.test(file);

for (const [kind, names] of [
  ['pool', /'pool'|\bPoolSpec\b|OverTime\(/],
  ['gru', /'gru'|\bGruLayer\b|\bGRU\b/],
] as const) {
  test(`${kind} is named in at most six files, besides the entry, twins of kernels and those that use it`, () => {
    const named = naming(names).filter((file) => !isUser(file));
    assert.ok(named.length >= 2 && named.length <= 6, named.join(', '));
  });
}

// ---- a layer on the tape

const gainLayer =
  (N: number) =>
  (runtime: Runtime): LayerUnderTest => {
    const gain = new Parameter(runtime, [N]);
    return {
      parameters: [gain],
      forward: (tape, x) => scaleColumns(tape, gain, x),
      oracle: (x, [g]) => x.map((value, i) => g[i % N] * value),
    };
  };

for (const [R, N] of [
  [1, 1],
  [1, 5],
  [4, 3],
  [7, 8],
] as const) {
  test(`the outputs and gradients of scaleColumns pass the battery: ${R} x ${N}`, () => {
    layerBattery(gainLayer(N), R, N);
  });
}

/** What the battery says of a layer with another forward than that of its oracle. */
function faultOf(forward: (tape: Tape, gain: Parameter, x: Tensor) => Tensor): string {
  try {
    layerBattery(
      (runtime) => {
        const layer = gainLayer(3)(runtime);
        return { ...layer, forward: (tape, x) => forward(tape, layer.parameters[0], x) };
      },
      2,
      3,
    );
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing';
}

test('the battery finds a gradient that is set and not added, one that is missing, and wrong outputs', () => {
  assert.is(faultOf(scaleColumns), 'nothing');
  const behind = (act: (tape: Tape, gain: Parameter, y: Tensor) => void) =>
    faultOf((tape, gain, x) => {
      const y = scaleColumns(tape, gain, x);
      tape.record(() => act(tape, gain, y));
      return y;
    });
  assert.match(
    behind((_, gain) => gain.gradient.fill(0)),
    /^gradient of parameter 0 \[0\]/,
  );
  assert.match(
    behind(({ runtime }, _, y) => runtime.floats(y.grad, 6).fill(0)),
    /^gradient of x \[0\]/,
  );
  assert.match(
    faultOf((tape, gain, x) => scaleColumns(tape, gain, scaleColumns(tape, gain, x))),
    /^output 0/,
  );
});

test('scaleColumns refuses an input of another width', () => {
  const runtime = new Runtime();
  const tape = new Tape(runtime, false);
  assert.throws(
    () => scaleColumns(tape, new Parameter(runtime, [3]), tape.tensor(2, 4)),
    (error: unknown) => error instanceof InputError && /x\.cols: got 4; expected 3/.test(error.message),
  );
});

test('it trains beside the layers of the library', () => {
  const runtime = new Runtime();
  const gain = new Parameter(runtime, [4]);
  gain.data.fill(1);
  const [weight, bias] = [new Dense(runtime, 1, 4), new Parameter(runtime, [1])];
  weight.fit([1, 1, 1, 1]);
  // Only the gain can learn that two of the numbers do not matter.
  weight.weight.frozen = true;
  const model = {
    runtime,
    parameters: (): [string, Parameter][] => [
      ['gain', gain],
      ['weight', weight.weight],
      ['bias', bias],
    ],
    matrices: () => [],
  };
  const trainer = new Trainer(model, { ...defaultTrainerOptions, learningRate: 0.05 }, 800, []);
  const inputs = values(4 * 16);
  const targets = Array.from({ length: 16 }, (_, r) => 2 * inputs[4 * r] - inputs[4 * r + 1]);
  const step = () =>
    trainer.step(
      0,
      16,
      (tape) => {
        const x = tape.tensor(16, 4);
        runtime.floats(x.value, 64).set(inputs);
        const { sum, count } = meanSquaredLoss(tape, linear(tape, weight, bias, scaleColumns(tape, gain, x)), targets);
        return sum / count;
      },
      () => 0,
    );
  for (let i = 0; i < 800; i++) runtime.scoped(step);
  for (const [i, wanted] of [2, -1, 0, 0].entries()) assert.ok(Math.abs(gain.data[i] - wanted) < 0.05, `${gain.data}`);
});

test.run();
