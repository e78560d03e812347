import { type Parameter, Runtime, Tape, type Tensor } from '../index.js';
import { equal, ok } from './assert.js';
import { values } from './values.js';

/** What the battery needs of a layer: its parameters, what it computes on a tape, and its definition. */
export interface LayerUnderTest {
  /** Everything that it learns; the battery fills them with numbers of its own. */
  parameters: readonly Parameter[];
  /** y[R',N'] of x[R,N] */
  forward(tape: Tape, x: Tensor): Tensor;
  /** The same from its definition, in f64: x as [R N] numbers, and those of each parameter in order. Returns [R' N']. */
  oracle(x: Float64Array, parameters: readonly Float64Array[]): ArrayLike<number>;
}

const STEP = 2 ** -18; // of central differences: their error and that of rounding are then alike, some 2^-36
const LARGEST_CHECKED = 40;

/**
 * What every layer on the tape must do: outputs near those of its oracle, relative to the larger of 1 and their size; the same
 * outputs on a tape that does not record; gradients of x and of each parameter that agree with central differences of the
 * oracle, and are added to what is there. A difference that steps over a corner, as relu has, is not judged.
 *
 * @param build makes the layer in the runtime it is given
 * @param rows R of x
 * @param cols N of x
 * @throws Error saying what is wrong
 * @example layerBattery((runtime) => mine(new Parameter(runtime, [8])), 5, 8);
 */
export function layerBattery(build: (runtime: Runtime) => LayerUnderTest, rows: number, cols: number): void {
  const runtime = new Runtime();
  const { parameters, forward, oracle } = build(runtime);
  for (const parameter of parameters) {
    parameter.data.set(values(parameter.size));
    parameter.prepareGradient();
  }
  const input = values(rows * cols);
  const run = (recording: boolean) => {
    const tape = new Tape(runtime, recording);
    const x = tape.tensor(rows, cols);
    runtime.floats(x.value, rows * cols).set(input);
    const y = forward(tape, x);
    return { tape, x, y, outputs: runtime.floats(y.value, y.rows * y.cols).slice() };
  };
  const numbers = [Float64Array.from(input), ...parameters.map(({ data }) => Float64Array.from(data))];
  const exact = () => oracle(numbers[0], numbers.slice(1));

  const { tape, x, y, outputs } = run(true);
  const expected = exact();
  equal(outputs.length, expected.length, 'numbers of outputs');
  for (const [i, output] of outputs.entries()) {
    const near = Math.abs(output - expected[i]) <= 1e-5 * Math.max(1, Math.abs(expected[i]));
    ok(near, `output ${i}: got ${output}; expected ${expected[i]}`);
  }
  equal([...run(false).outputs], [...outputs], 'outputs without recording');

  const dy = values(outputs.length);
  const before = parameters.map(({ size }) => values(size));
  for (const [p, { gradient }] of parameters.entries()) gradient.set(before[p]);
  const grad = tape.gradient(y);
  runtime.floats(grad, dy.length).set(dy);
  tape.backward();
  const loss = () => {
    const result = exact();
    return dy.reduce((sum, d, i) => sum + d * result[i], 0);
  };
  const gradients = [
    runtime.floats(x.grad, rows * cols).slice(),
    ...parameters.map(({ gradient }, p) => gradient.map((value, i) => value - before[p][i])),
  ];
  const middle = loss();
  for (const [n, gradient] of gradients.entries()) {
    const name = n === 0 ? 'x' : `parameter ${n - 1}`;
    equal(gradient.length, numbers[n].length, `numbers in the gradient of ${name}`);
    const stride = Math.ceil(gradient.length / LARGEST_CHECKED);
    for (let i = 0; i < gradient.length; i += stride) {
      const start = numbers[n][i];
      const [up, down] = [STEP, -STEP].map((by) => {
        numbers[n][i] = start + by;
        return loss();
      });
      numbers[n][i] = start;
      if (Math.abs(up + down - 2 * middle) > 0.01 * STEP) continue;
      const slope = (up - down) / (2 * STEP);
      const near = Math.abs(gradient[i] - slope) <= 1e-4 * Math.max(1, Math.abs(slope));
      ok(near, `gradient of ${name} [${i}]: got ${gradient[i]}; expected ${slope}`);
    }
  }
}
