import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../src/infer/engine.js';
import { hasRelaxedSimd, initSync } from '../../src/infer/index.js';
import { Activation } from '../../src/infer/instruction.js';
import { packMatrix, scratchForMany } from '../../src/infer/pack.js';
import { TensorSource } from '../../src/io/tensor-source.js';
import { operatorTensors, readFloats } from '../../src/io/tensors.js';
import { quantise } from '../../src/nn/quantise.js';
import { BLOCK_SIZES, type BlockSize, rowsOf } from '../../src/operators/csr.js';
import { Dense } from '../../src/operators/dense.js';
import { dense, doped, hmd, kron, lmf } from '../../src/operators/factories.js';
import { type Operator, walk } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { uniform } from '../../src/random.js';
import * as reference from '../../src/reference.js';
import type { Pointer } from '../../src/wasm/kernels.js';
import { Runtime } from '../../src/wasm/runtime.js';

// The kernels of inference against plain sums in f64 over the matrix that the training form holds.

const BINARIES = hasRelaxedSimd() ? (['plain', 'relaxed'] as const) : (['plain'] as const);
const EPSILON = 2 ** -24;

const side = fc.integer({ min: 1, max: 23 });

function fill(operator: Operator, seed: number): Operator {
  for (const [, part] of walk(operator, '')) {
    for (const { data } of part.own()) for (let i = 0; i < data.length; i++) data[i] = 2 * uniform(seed, 1, i) - 1;
  }
  return operator;
}

function sparse(M: number, N: number, density: number, block: BlockSize, seed: number): Sparse {
  const operator = new Sparse(new Runtime(), M, N, undefined, block);
  fill(operator, seed);
  Sparse.prune([operator], Math.round(density * M * N));
  return operator;
}

/** A dense matrix as a file has it that is quantised row by row, and as training decodes it. */
class Quantised extends Dense {
  constructor(
    M: number,
    N: number,
    values: Float32Array,
    readonly bits = 8,
  ) {
    super(new Runtime(), M, N);
    const { runtime, weight } = this;
    const source = new TensorSource(...this.stored(values));
    weight.data.set(readFloats(runtime, source, 'w.weight', [M, N]));
    this.tensors = this.stored(values);
  }

  readonly tensors: ConstructorParameters<typeof TensorSource>;

  private stored(values: Float32Array): ConstructorParameters<typeof TensorSource> {
    const data = quantise(this.runtime, values, this.bits, this.N);
    return [
      new Map([['w.weight', { dtype: 'U8' as const, shape: [data.length], data }]]),
      new Map([['w.weight', [this.bits, this.N] as const]]),
    ];
  }
}

/** An operator packed: its program computes W x + before. */
function packed(engine: Engine, operator: Operator, y: Pointer, before?: Float32Array): Pointer {
  const tensors =
    operator instanceof Quantised
      ? new TensorSource(...operator.tensors)
      : new TensorSource(operatorTensors(operator, 'w'));
  const bias = engine.alloc(4 * operator.M);
  if (before) engine.floats(bias, operator.M).set(before);
  return packMatrix(engine, operator.spec(), 'w', tensors, y, before ? bias : false);
}

/** y = W x + before, by the packed form, with what lies around y. */
function runPacked(operator: Operator, x: Float32Array, before: Float32Array | undefined): Float32Array {
  const engine = new Engine();
  const y = engine.alloc(4 * (operator.M + 4));
  const program = packed(engine, operator, y, before);
  const input = engine.alloc(4 * operator.N);
  engine.floats(input, operator.N).set(x);
  const all = engine.floats(y, operator.M + 4);
  // A second run must not see the first.
  for (let i = 0; i < 2; i++) {
    all.fill(7);
    engine.kernels.run(program, input);
  }
  for (let i = 0; i < 4; i++) assert.is(all[operator.M + i], 7, `float ${i} past y was written`);
  return all.slice(0, operator.M);
}

/** The same for T vectors at once, and what lies between and around the rows. */
function runMany(operator: Operator, xs: Float32Array[], before: Float32Array | undefined): Float32Array[] {
  const { M, N } = operator;
  const engine = new Engine();
  const program = packed(engine, operator, engine.alloc(4 * M), before);
  const [rowX, rowOut] = [N + 1, M + 3];
  const T = xs.length;
  const [x, out] = [engine.alloc(4 * rowX * T), engine.alloc(4 * rowOut * T)];
  const needed = scratchForMany(engine, program);
  const scratch = engine.alloc(needed + 64);
  const inputs = engine.floats(x, rowX * T).fill(Number.NaN);
  for (let t = 0; t < T; t++) inputs.set(xs[t], t * rowX);
  const all = engine.floats(out, rowOut * T).fill(7);
  new Uint8Array(engine.kernels.memory.buffer, scratch, needed + 64).fill(255);
  // A second run must not see the first.
  for (let i = 0; i < 2; i++) engine.kernels.run_many(program, x, 4 * rowX, T, out, 4 * rowOut, scratch);
  const past = new Uint8Array(engine.kernels.memory.buffer, scratch + needed, 64);
  assert.ok(
    past.every((byte) => byte === 255),
    `scratch of ${T} vectors ends later`,
  );
  for (let t = 0; t < T; t++) {
    for (let i = M; i < rowOut; i++) assert.is(all[t * rowOut + i], 7, `float ${i - M} past row ${t} was written`);
  }
  return xs.map((_, t) => all.slice(t * rowOut, t * rowOut + M));
}

function check(operator: Operator, seed: number, accumulate: boolean, quantised = 0): void {
  const { M, N } = operator;
  const T = 1 + (seed % 19);
  const xs = Array.from({ length: T }, (_, t) =>
    Float32Array.from({ length: N }, (_, j) => 2 * uniform(seed, 2 + 2 * t, j) - 1),
  );
  const before = accumulate ? Float32Array.from({ length: M }, (_, i) => uniform(seed, 3, i)) : undefined;
  const w = operator.toDense();
  for (const simd of BINARIES) {
    initSync({ simd });
    const ys = [runPacked(operator, xs[0], before), ...runMany(operator, xs, before)];
    for (const [k, y] of ys.entries()) {
      const x = xs[Math.max(0, k - 1)];
      for (let i = 0; i < M; i++) {
        let sum = before ? before[i] : 0;
        let size = Math.abs(sum);
        for (let j = 0; j < N; j++) {
          sum += w[i * N + j] * x[j];
          size += Math.abs(w[i * N + j] * x[j]);
        }
        // Structures are summed in another order than their dense form: their parts are larger than their sum.
        const tolerance = (size + N) * (N + 8) * EPSILON + quantised * N;
        const which = k === 0 ? 'alone' : `${k} of ${T}`;
        assert.ok(Math.abs(y[i] - sum) <= tolerance, `${simd}, ${which}, row ${i} of ${M} x ${N}: ${y[i]}, not ${sum}`);
      }
    }
  }
}

test('dense panels', () => {
  fc.assert(
    fc.property(side, side, fc.nat(99), fc.boolean(), (M, N, seed, add) =>
      check(fill(dense(new Runtime(), M, N), seed), seed, add),
    ),
  );
});

test('Kronecker products, in either order', () => {
  fc.assert(
    fc.property(fc.tuple(side, side, side, side), fc.nat(99), fc.boolean(), (shape, seed, add) =>
      check(fill(kron(new Runtime(), shape), seed), seed, add),
    ),
    { numRuns: 60 },
  );
});

test('Kronecker products of three factors', () => {
  const few = fc.integer({ min: 1, max: 6 });
  fc.assert(
    fc.property(fc.tuple(few, few, few, few, few, few), fc.nat(99), fc.boolean(), (shape, seed, add) =>
      check(fill(kron(new Runtime(), shape), seed), seed, add),
    ),
    { numRuns: 60 },
  );
});

test('sparse matrices, unstructured and in blocks, at any density, and dense where that is cheaper', () => {
  const block = fc.constantFrom(...BLOCK_SIZES);
  const density = fc.constantFrom(0, 0.02, 0.1, 0.3, 0.7, 1);
  fc.assert(
    fc.property(block, side, side, density, fc.nat(99), fc.boolean(), (b, m, N, share, seed, add) =>
      check(sparse(m * rowsOf(b, 1).size, N, share, b, seed), seed, add),
    ),
    { numRuns: 200 },
  );
});

test('matrices quantised row by row: off by no more than 16-bit activations are', () => {
  fc.assert(
    fc.property(side, side, fc.nat(99), fc.boolean(), (M, N, seed, add) => {
      const values = fill(dense(new Runtime(), M, N), seed).toDense();
      for (const bits of [8, 4, 3]) check(new Quantised(M, N, values, bits), seed, add, 0.5 / 32767);
    }),
    { numRuns: 50 },
  );
  // The longest rows: there x gets the fewest steps.
  const values = Float32Array.from({ length: 2 * 20_000 }, (_, i) => 2 * uniform(1, 2, i) - 1);
  check(new Quantised(2, 20_000, values), 5, true, 128 / (2 ** 31 / (128 * 20_000)));
});

test('8-bit weights and activations all at their largest do not overflow', () => {
  for (const N of [8, 517, 650, 4096]) {
    const largest = new Quantised(1, N, new Float32Array(N).fill(-128));
    initSync({ simd: 'plain' });
    const [y] = runPacked(largest, new Float32Array(N).fill(1), undefined);
    assert.ok(Math.abs(y / (-128 * N) - 1) < 1e-3, `${N} columns: ${y}, not ${-128 * N}`);
  }
});

test('programs: structures within structures', () => {
  const trees = [
    (runtime: Runtime) => lmf(runtime, 9, 7, 3),
    (runtime: Runtime) => hmd(runtime, 10, 9, 3, 2),
    (runtime: Runtime) => doped(runtime, hmd(runtime, 12, 6, 5, 2)),
    (runtime: Runtime) => doped(runtime, kron(runtime, [4, 3, 4, 5]), 8),
  ];
  for (const [i, tree] of trees.entries()) {
    for (const add of [false, true]) check(fill(tree(new Runtime()), i + 1), i + 1, add);
  }
});

test('NaN and infinite numbers in x leave no finite number in any row that reads them', () => {
  const matrices: ((runtime: Runtime) => Operator)[] = [
    (runtime) => dense(runtime, 9, 13),
    (runtime) => kron(runtime, [3, 5, 4, 3]),
    (runtime) => kron(runtime, [5, 3, 3, 4]),
    (runtime) => lmf(runtime, 9, 13, 3),
    (runtime) => hmd(runtime, 10, 13, 3, 2),
    (runtime) => doped(runtime, kron(runtime, [4, 3, 4, 5]), 8),
    ...BLOCK_SIZES.map((block) => () => sparse(16, 13, 0.2, block, 3)),
    (runtime) => new Quantised(9, 13, fill(dense(runtime, 9, 13), 4).toDense()),
  ];
  for (const [which, matrix] of matrices.entries()) {
    const operator = matrix(new Runtime());
    // What is pruned or quantised has its weights.
    if (!(operator instanceof Sparse || operator instanceof Quantised)) fill(operator, which + 1);
    const { M, N } = operator;
    const w = operator.toDense();
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (let j = 0; j < N; j++) {
        const x = new Float32Array(N).fill(0.5);
        x[j] = bad;
        for (const simd of BINARIES) {
          initSync({ simd });
          const y = runPacked(operator, x, new Float32Array(M));
          for (let i = 0; i < M; i++) {
            if (w[i * N + j] === 0) continue;
            assert.not(Number.isFinite(y[i]), `matrix ${which}, ${simd}, ${bad} at ${j}: row ${i} is ${y[i]}`);
          }
        }
      }
    }
  }
});

test('gates: within 5e-7 of sigmoid and tanh, at every size', () => {
  for (const simd of BINARIES) {
    initSync({ simd });
    for (const H of [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 650]) {
      const engine = new Engine();
      const [gates, c, h, nothing] = [engine.alloc(16 * H), engine.alloc(4 * H), engine.alloc(4 * H), engine.alloc(4)];
      for (const scale of [0.01, 1, 8, 200]) {
        const a = Float32Array.from({ length: 4 * H }, (_, i) => scale * (2 * uniform(H, 1, i) - 1));
        const cell = Float32Array.from({ length: H }, (_, i) => 2 * uniform(H, 2, i) - 1);
        engine.floats(gates, 4 * H).set(a);
        engine.floats(c, H).set(cell);
        engine.kernels.lstm_step(nothing, nothing, h, gates, c, h, H);
        const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
        const [newC, newH] = [engine.floats(c, H), engine.floats(h, H)];
        for (let j = 0; j < H; j++) {
          const [i, f, g, o] = [0, 1, 2, 3].map((gate) => a[gate * H + j]);
          const expected = sigmoid(f) * cell[j] + sigmoid(i) * Math.tanh(g);
          const output = sigmoid(o) * Math.tanh(expected);
          assert.ok(Math.abs(newC[j] - expected) <= 1.5e-6, `${simd} c[${j}] of ${H}: ${newC[j]}, not ${expected}`);
          assert.ok(Math.abs(newH[j] - output) <= 1.5e-6, `${simd} h[${j}] of ${H}: ${newH[j]}, not ${output}`);
        }
      }
    }
  }
});

test('a GRU step: within 1e-6 of the cell of its twin, at every size', () => {
  for (const simd of BINARIES) {
    initSync({ simd });
    for (const H of [1, 2, 3, 4, 5, 8, 11, 12, 13, 31]) {
      for (const scale of [0.01, 1, 8, 200]) {
        const engine = new Engine();
        const at = [engine.alloc(12 * H), engine.alloc(12 * H), engine.alloc(4 * H), engine.alloc(4)];
        const [gates, inner, h, nothing] = at;
        const random = (n: number, seed: number, scale: number) =>
          Float32Array.from({ length: n }, (_, i) => scale * (2 * uniform(H, seed, i) - 1));
        const [a, u, state] = [random(3 * H, 1, scale), random(3 * H, 2, scale), random(H, 3, 1)];
        engine.floats(gates, 3 * H).set(a);
        engine.floats(inner, 3 * H).set(u);
        engine.floats(h, H).set(state);
        engine.floats(h + 4 * H, 1)[0] = 7;
        engine.kernels.gru_step(nothing, nothing, h, gates, inner, h, H);
        const expected = new Float32Array(H);
        reference.f32_gru_cell(a, u, state, expected, 1, H);
        const actual = engine.floats(h, H + 1);
        for (let j = 0; j < H; j++) {
          assert.ok(
            Math.abs(actual[j] - expected[j]) <= 1e-6,
            `${simd} h[${j}] of ${H}: ${actual[j]}, not ${expected[j]}`,
          );
        }
        assert.is(actual[H], 7);
      }
    }
  }
});

/** Set where tests are bundled for a page, where a runtime's kernels are relaxed or not whatever it asks for. */
declare const DOPANT_SIMD: 'plain' | 'relaxed' | undefined;

test('activations have the bits of training', () => {
  const x = Float32Array.from({ length: 41 }, (_, i) => (i - 20) * uniform(1, 2, i));
  const names = { tanh: Activation.Tanh, sigmoid: Activation.Sigmoid, relu: Activation.Relu };
  const relaxedOnly = typeof DOPANT_SIMD !== 'undefined' && DOPANT_SIMD === 'relaxed';
  for (const simd of relaxedOnly ? (['relaxed'] as const) : BINARIES) {
    initSync({ simd });
    const engine = new Engine();
    const runtime = new Runtime({ simd });
    for (const [name, kind] of Object.entries(names)) {
      for (let n = 0; n <= x.length; n++) {
        const [at, from, to] = [engine.alloc(4 * (n + 1)), runtime.alloc(4 * n), runtime.alloc(4 * n)];
        engine.floats(at, n).set(x.subarray(0, n));
        engine.floats(at, n + 1)[n] = 7;
        runtime.floats(from, n).set(x.subarray(0, n));
        engine.kernels.activate(kind, at, n);
        runtime.kernels[`f32_${name as keyof typeof names}`](from, to, n);
        const expected = Float32Array.of(...runtime.floats(to, n), 7);
        assert.equal(engine.floats(at, n + 1), expected, `${simd}, ${name} of ${n}`);
      }
    }
  }
});

for (const cell of ['lstm', 'gru'] as const) {
  const gatesOf = cell === 'lstm' ? 4 : 3;

  test(`${cell}: a run equals its steps, forward and backward`, () => {
    fc.assert(
      fc.property(side, side, side, fc.boolean(), fc.nat(99), (H, I, T, backward, seed) => {
        for (const simd of BINARIES) {
          initSync({ simd });
          const engine = new Engine();
          const rows = gatesOf * H;
          const random = (n: number, k: number) =>
            Float32Array.from({ length: n }, (_, i) => 2 * uniform(seed, k, i) - 1);
          const [gates, inner] = [engine.alloc(4 * rows), engine.alloc(4 * rows)];
          const runtime = new Runtime({ simd });
          const ih = packed(engine, fill(dense(runtime, rows, I), seed), gates, random(rows, 1));
          const hhOperator = fill(dense(runtime, rows, H), seed + 1);
          const hhAt = cell === 'lstm' ? gates : inner;
          const bias = engine.alloc(4 * rows);
          engine.floats(bias, rows).set(random(rows, 2));
          const tensors = new TensorSource(operatorTensors(hhOperator, 'w'));
          const hh = packMatrix(engine, hhOperator.spec(), 'w', tensors, hhAt, cell === 'lstm' ? true : bias);
          const rowX = Math.ceil(I / 8) * 8;
          const x = engine.alloc(4 * rowX * T);
          const [h, c] = [engine.alloc(4 * H + 32), engine.alloc(4 * H)];
          const [products, out] = [engine.alloc(4 * rows * T), engine.alloc(4 * (H + 2) * T)];
          const scratch = engine.alloc(scratchForMany(engine, ih));
          for (let t = 0; t < T; t++) engine.floats(x + 4 * rowX * t, I).set(random(I, 3 + t));
          const { kernels } = engine;

          const stepped: Float32Array[] = [];
          for (let k = 0; k < T; k++) {
            const t = backward ? T - 1 - k : k;
            if (cell === 'lstm') kernels.lstm_step(ih, hh, x + 4 * rowX * t, gates, c, h, H);
            else kernels.gru_step(ih, hh, x + 4 * rowX * t, gates, inner, h, H);
            stepped[t] = engine.floats(h, H).slice();
          }
          const [lastH, lastC] = [engine.floats(h, H).slice(), engine.floats(c, H).slice()];

          engine.floats(h, H).fill(0);
          engine.floats(c, H).fill(0);
          const all = engine.floats(out, (H + 2) * T).fill(7);
          kernels.run_many(ih, x, 4 * rowX, T, products, 4 * rows, scratch);
          if (cell === 'lstm') kernels.lstm_run(hh, products, c, h, H, T, out, 4 * (H + 2), backward);
          else kernels.gru_run(hh, products, inner, h, H, T, out, 4 * (H + 2), backward);
          const near = (actual: Float32Array, expected: Float32Array, what: string) =>
            actual.forEach((value, j) => {
              const tolerance = 1e-5 * T;
              assert.ok(Math.abs(value - expected[j]) <= tolerance, `${simd} ${what}: ${value}, not ${expected[j]}`);
            });
          for (let t = 0; t < T; t++) {
            near(all.slice(t * (H + 2), t * (H + 2) + H), stepped[t], `h after step ${t}`);
            assert.equal(all.slice(t * (H + 2) + H, (t + 1) * (H + 2)), Float32Array.of(7, 7), 'past a row');
          }
          near(engine.floats(h, H), lastH, 'h');
          near(engine.floats(c, H), lastC, 'c');
        }
      }),
      { numRuns: 40 },
    );
  });
}

/** Numbers of every sign and exponent, and evenly spaced ones. */
const GRID = Float32Array.from([
  ...new Float32Array(Uint32Array.from({ length: 4001 }, (_, i) => i * 1_073_423).buffer).filter(Number.isFinite),
  ...Array.from({ length: 4000 }, (_, i) => (i - 2000) / 22),
]);

test('sigmoid and tanh alone have a relative error below 1e-6; NaN stays NaN', () => {
  for (const simd of BINARIES) {
    initSync({ simd });
    const H = GRID.length;
    const engine = new Engine();
    const [gates, c, h, nothing] = [engine.alloc(16 * H), engine.alloc(4 * H), engine.alloc(4 * H), engine.alloc(4)];
    const a = engine.floats(gates, 4 * H);
    const [cells, outputs] = [engine.floats(c, H), engine.floats(h, H)];
    const check = (what: string, y: number, expected: number) => {
      // Below 2^-58 states count as 0.
      const small = Math.abs(expected) < 2 ** -58 * (1 + 1e-6);
      const message = `${simd} ${what}: ${y}, not ${expected}`;
      assert.ok(Math.abs(y - expected) <= 1e-6 * Math.abs(expected) || (small && y === 0), message);
    };
    const step = (gate: 'sigmoid' | 'tanh') => {
      // One of i and f is 0, the other sigmoid(x) or 1, with c = 1: c becomes sigmoid(x), or tanh(x) through g. o = 1: h
      // becomes the tanh of that.
      for (let j = 0; j < H; j++) {
        a[j] = gate === 'tanh' ? 1e30 : -1e30;
        a[H + j] = gate === 'tanh' ? -1e30 : GRID[j];
        a[2 * H + j] = gate === 'tanh' ? GRID[j] : 0;
        a[3 * H + j] = 1e30;
      }
      cells.fill(1);
      engine.kernels.lstm_step(nothing, nothing, h, gates, c, h, H);
      for (let j = 0; j < H; j++) {
        const x = GRID[j];
        check(`${gate}(${x})`, cells[j], gate === 'tanh' ? Math.tanh(x) : 1 / (1 + Math.exp(-x)));
        check(`tanh(${cells[j]})`, outputs[j], Math.tanh(cells[j]));
      }
    };
    step('sigmoid');
    step('tanh');
    a.fill(Number.NaN);
    engine.kernels.lstm_step(nothing, nothing, h, gates, c, h, H);
    assert.ok(outputs.every(Number.isNaN), 'a NaN became a number');
  }
});

test('a state without input decays to 0, not to denormal numbers', () => {
  for (const simd of BINARIES) {
    initSync({ simd });
    const H = 7;
    const engine = new Engine();
    const [gates, c, h, nothing] = [engine.alloc(16 * H), engine.alloc(4 * H), engine.alloc(4 * H), engine.alloc(4)];
    engine.floats(c, H).fill(1);
    // i = o = 1/2, f = 0.9991, g = 0
    const a = Float32Array.from({ length: 4 * H }, (_, i) => (Math.floor(i / H) === 1 ? 7 : 0));
    for (let t = 0; t < 60_000; t++) {
      engine.floats(gates, 4 * H).set(a);
      engine.kernels.lstm_step(nothing, nothing, h, gates, c, h, H);
    }
    assert.equal(engine.floats(c, H), new Float32Array(H), simd);
    assert.equal(engine.floats(h, H), new Float32Array(H), simd);
  }
});

test.run();
