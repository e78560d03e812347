import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine, type InferenceKernels } from '../../src/infer/engine.js';
import { initSync } from '../../src/infer/index.js';
import { riceEncode, riceParameter } from '../../src/io/rice.js';
import { uniform } from '../../src/random.js';
import * as reference from '../../src/reference.js';

// The kernels of loading against their twins: no arithmetic, so that everything is the same to the last bit. That what they
// make is what the kernels of inference read is in kernels.test.ts.

const twins = { ...reference };
initSync({ simd: 'plain' });
const engine = new Engine();

/** Those that programs and layers are run with; see kernels.test.ts. */
const ELSEWHERE = [
  'memory',
  'heapBase',
  'run',
  'run_many',
  'lstm_step',
  'lstm_run',
  'gru_step',
  'gru_run',
  'activate',
  'adaptive_step',
];

type Numbers = Float32Array | Uint32Array | Uint16Array | Uint8Array;

/** Memory that a twin does without. */
class Scratch {
  constructor(readonly bytes: number) {}
}

type Argument = Numbers | Scratch | number;
type Name = Exclude<keyof InferenceKernels & keyof typeof reference, 'memory'>;

/** The same result, and the same in every array afterwards. */
function same(name: Name, ...args: Argument[]): void {
  const ofTwin = args
    .filter((arg) => !(arg instanceof Scratch))
    .map((arg) => (typeof arg === 'number' ? arg : copy(arg)));
  const expected = (twins[name] as (...args: unknown[]) => unknown)(...ofTwin);
  const pointers = args.map((arg) => {
    if (typeof arg === 'number') return arg;
    const at = engine.alloc(arg instanceof Scratch ? arg.bytes : arg.byteLength);
    if (arg instanceof Scratch) new Uint8Array(engine.kernels.memory.buffer, at, arg.bytes).fill(7);
    else engine.put(at, arg);
    return at;
  });
  const actual = (engine.kernels[name] as (...args: number[]) => number)(...pointers);
  if (expected !== undefined) assert.ok(Object.is(actual, Number(expected)), `${name}: ${actual}, not ${expected}`);
  const after = ofTwin.filter((arg) => typeof arg !== 'number') as Numbers[];
  const places = pointers.filter((_, i) => args[i] instanceof Object && !(args[i] instanceof Scratch));
  after.forEach((array, i) => {
    const bytes = new Uint8Array(engine.kernels.memory.buffer, places[i], array.byteLength);
    assert.equal(
      copy(bytes),
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice(),
      `${name}, array ${i}`,
    );
  });
}

const copy = (array: Numbers | Scratch) => (array as Numbers).slice();
const floats = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => 2 * uniform(seed, 1, i) - 1);
const bytes = (n: number, seed: number) => Uint8Array.from({ length: n }, (_, i) => 256 * uniform(seed, 2, i));
const side = fc.integer({ min: 1, max: 21 });
const seeds = fc.nat(99);

/** Random CSR arrays, of rows of blocks of `size`. */
const csr = fc
  .tuple(side, side, fc.constantFrom(0, 0.1, 0.4, 1), fc.constantFrom<1 | 4 | 8>(1, 4, 8), seeds)
  .map(([rows, N, density, size, seed]) => {
    const columns: number[] = [];
    const starts = [0];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < N; j++) if (uniform(seed, i, j) < density) columns.push(j);
      starts.push(columns.length);
    }
    const longest = Math.max(...starts.slice(1).map((end, i) => end - starts[i]));
    const order = new Uint32Array(rows);
    const held = reference.csr_longest_first(starts, rows, order);
    return {
      rows,
      N,
      size,
      longest,
      order,
      held,
      columns: Uint32Array.from(columns),
      starts: Uint32Array.from(starts),
      values: floats(columns.length * size, seed),
    };
  });

const bits = fc.integer({ min: 1, max: 8 });

/** Random halves, finite or not. */
const halves = (n: number, seed: number) => Uint16Array.from({ length: n }, (_, i) => 65536 * uniform(seed, 3, i));

/** Numbers as quantise() stores them: random scales, finite but for some, and random codes. */
const quantised = fc.tuple(side, bits, side, seeds, fc.boolean()).map(([n, bits, group, seed, finite]) => {
  const scales = halves(Math.ceil(n / group), seed).map((half) => (finite ? half & 0xbfff : half));
  const codes = bytes(Math.ceil((n * bits) / 8) + 1, seed); // and what follows
  return { n, bits, group, stored: Uint8Array.from([...new Uint8Array(scales.buffer), ...codes]) };
});

const cases: Partial<Record<Name, fc.IProperty<unknown> | fc.IProperty<[unknown]>>> = {
  f32_add: fc.property(side, (n) => same('f32_add', new Float32Array(n).fill(0.5), new Float32Array(n).fill(0.25), n)),
  f32_scale: fc.property(side, seeds, (n, seed) => same('f32_scale', 0.25, floats(n, seed), new Float32Array(n), n)),
  f32_attention: fc.property(side, side, side, seeds, (S, N, M, seed) => {
    // The bits differ from those of the twin, which adds up in f64: test/kernels.test.ts has the bounds.
    const [x, keys, memory] = [floats(N, seed), floats(S * N, seed + 1), floats(S * M, seed + 2)];
    const [weights, context] = [new Float32Array(S), new Float32Array(M)];
    reference.f32_attention(x, keys, memory, weights, context, 1, S, 1, N, M);
    const at = [x, keys, memory, weights, context].map((array) => engine.alloc(array.byteLength));
    for (const [i, array] of [x, keys, memory].entries()) engine.put(at[i], array);
    engine.kernels.f32_attention(at[0], at[1], at[2], at[3], at[4], 1, S, 1, N, M);
    for (const [i, wanted] of [weights, context].entries()) {
      for (const [j, value] of engine.floats(at[3 + i], wanted.length).entries()) {
        assert.ok(Math.abs(value - wanted[j]) < 1e-4, `${value}, not ${wanted[j]}`);
      }
    }
  }),
  f32_share: fc.property(side, seeds, (n, seed) => {
    const x = floats(n, seed);
    const at = engine.alloc(x.byteLength);
    engine.put(at, x);
    engine.kernels.f32_share(0, at, n);
    const lse = Math.log(x.reduce((sum, value) => sum + Math.exp(value), 0));
    for (const [i, value] of engine.floats(at, n).entries()) assert.ok(Math.abs(value - (x[i] - lse)) < 1e-5);
  }),
  f32_from_halves: fc.property(side, seeds, (n, seed) => {
    const finite = halves(n, seed).map((half) => half & 0xbfff);
    same('f32_from_halves', finite, new Float32Array(n), n);
    const some = halves(n, seed);
    const at = engine.alloc(2 * n);
    engine.put(at, some);
    const expected = reference.f32_from_halves(some, new Float32Array(n), n);
    assert.is(engine.kernels.f32_from_halves(at, engine.alloc(4 * n), n), Number(expected));
  }),
  f32_dequantise: fc.property(quantised, ({ n, bits, group, stored }) => {
    same('f32_dequantise', stored, new Float32Array(n), n, bits, group);
  }),
  i8_from_codes: fc.property(quantised, ({ n, bits, stored }) => {
    const expected = new Int8Array(n);
    reference.i8_from_codes(stored, expected, n, bits);
    const [from, to] = [engine.alloc(stored.length + 8), engine.alloc(n + 8)];
    engine.put(from, stored);
    engine.kernels.i8_from_codes(from, to, n, bits);
    assert.equal(new Int8Array(engine.kernels.memory.buffer, to, n).slice(), expected);
  }),
  int8_panel_row: fc.property(side, side, seeds, (M, blocks, seed) => {
    const w = bytes(32 * blocks * Math.ceil(M / 4), seed);
    same('int8_panel_row', w, floats(M, seed), seed % M, blocks, new Float32Array(8 * blocks));
  }),
  rice_decode: fc.property(csr, fc.nat(5), fc.nat(), fc.nat(3), ({ columns, starts, rows, N }, k, place, damage) => {
    const good = riceEncode(columns, starts, N);
    const stored = damage === 0 ? good.slice(0, -1) : damage === 1 ? Uint8Array.from([...good, 0]) : good.slice();
    if (damage === 2 && stored.length > 0) stored[place % stored.length] ^= 1 << (place & 7);
    const parameter = damage === 3 ? riceParameter(columns.length, rows * N) : k;
    const args = [stored.length, parameter, columns.length, rows, N] as const;
    const [found, ends] = [new Uint32Array(columns.length), new Uint32Array(rows + 1)];
    if (reference.rice_decode(stored, ...args, found, ends)) {
      same('rice_decode', stored, ...args, found, ends);
      return;
    }
    assert.is.not(damage, 3, 'what was encoded is refused');
    const [from, to, rowsAt] = [
      engine.alloc(stored.length),
      engine.alloc(4 * columns.length),
      engine.alloc(4 * (rows + 1)),
    ];
    engine.put(from, stored);
    assert.is(engine.kernels.rice_decode(from, ...args, to, rowsAt), 0);
  }),
  f32_largest: fc.property(fc.array(fc.float(), { maxLength: 39 }), (values) =>
    // What follows is not to be seen.
    same('f32_largest', Float32Array.from([...values, Number.POSITIVE_INFINITY]), values.length),
  ),
  f32_flush: fc.property(fc.array(fc.float(), { maxLength: 39 }), fc.constantFrom(1, 1e-18, 1e-40), (values, scale) =>
    // What follows is left alone.
    same('f32_flush', Float32Array.from([...values.map((x) => x * scale), 1e-40]), values.length),
  ),
  f32_transpose: fc.property(side, side, seeds, (R, C, seed) => {
    const padded = new Float32Array(C * 4 * Math.ceil(R / 4));
    const before = floats(R * C, seed);
    const at = engine.alloc(before.byteLength);
    const to = engine.alloc(padded.byteLength);
    engine.put(at, before);
    engine.kernels.f32_transpose(at, to, R, C);
    reference.f32_transpose(before, padded, R, C);
    const actual = engine.floats(to, padded.length);
    for (let i = 0; i < padded.length; i++) {
      if (i % (4 * Math.ceil(R / 4)) < R) assert.is(actual[i], padded[i]);
    }
  }),
  pad_rows: fc.property(side, side, fc.nat(7), seeds, (rows, row, more, seed) =>
    same('pad_rows', bytes(rows * row, seed), bytes(rows * (row + more), 1), rows, row, row + more),
  ),
  pack_panels: fc.property(
    side,
    fc.integer({ min: 1, max: 70 }),
    fc.constantFrom(8, 16),
    seeds,
    (M, row, width, seed) => {
      const size = 4 * Math.ceil(M / 4) * Math.ceil(row / width) * width;
      same('pack_panels', bytes(M * row, seed), bytes(size, 1), M, row, width);
    },
  ),
  f32_pack_columns: fc.property(side, side, seeds, (J, K, seed) =>
    same('f32_pack_columns', floats(J * K, seed), new Float32Array(8 * Math.ceil(J / 8) * K), J, K),
  ),
  csr_check: fc.property(csr, fc.nat(), fc.nat(25), fc.nat(3), (arrays, place, value, what) => {
    const [columns, starts] = [arrays.columns.slice(), arrays.starts.slice()];
    const damaged = what === 0 ? columns : starts;
    if (what < 2 && damaged.length > 0) damaged[place % damaged.length] = value;
    same('csr_check', columns, starts, arrays.rows, what === 2 ? value : arrays.N, columns.length);
  }),
  csr_longest_first: fc.property(csr, ({ starts, rows, longest }) =>
    same('csr_longest_first', starts, rows, new Uint32Array(rows), new Scratch(4 * (longest + 1)), longest),
  ),
  csr_pairs: fc.property(csr, ({ starts, order, held, size }) => same('csr_pairs', starts, order, held, size)),
  f32_sell_pack: fc.property(csr, ({ values, columns, starts, order, held }) => {
    const stream = new Uint8Array(48 * reference.csr_pairs(starts, order, held, 4));
    same('f32_sell_pack', values, columns, starts, order, held, new Uint32Array(5 * Math.ceil(held / 4)), stream);
  }),
  f32_block_pack: fc.property(csr, ({ values, columns, starts, order, held, size }) => {
    const pairs = reference.csr_pairs(starts, order, held, 1);
    const [rows, offsets, to] = [
      new Uint32Array(2 * held),
      new Uint16Array(2 * pairs),
      new Float32Array(2 * pairs * size),
    ];
    same('f32_block_pack', values, columns, starts, order, held, rows, offsets, to, size);
  }),
  csr_to_panels: fc.property(csr, ({ values, columns, starts, rows, size, N }) => {
    const blocks = Math.ceil(N / 4);
    const to = new Float32Array(16 * Math.ceil((rows * size) / 4) * blocks);
    same('csr_to_panels', values, columns, starts, rows, size, to, blocks);
  }),
};

test('every kernel of the inference binary has a twin and cases', () => {
  const names = Object.keys(engine.kernels).filter((name) => !ELSEWHERE.includes(name));
  for (const name of names) assert.type(twins[name as Name], 'function', `${name} has no twin in src/reference.ts`);
  assert.equal(Object.keys(cases).sort(), names.sort());
});

for (const [name, property] of Object.entries(cases)) test(name, () => fc.assert(property as fc.IProperty<unknown>));

test('rows and panels are packed in place', () => {
  fc.assert(
    fc.property(side, side, fc.constantFrom<8 | 16>(8, 16), seeds, (M, N, width, seed) => {
      const row = width === 16 ? 4 * N : N;
      const from = bytes(M * row, seed);
      const end = 4 * Math.ceil(M / 4) * Math.ceil(row / width) * width;
      const expected = new Uint8Array(end);
      reference.pack_panels(from, expected, M, row, width);
      const at = engine.alloc(end + 4 * row);
      const raw = at + end - 4 * row * (Math.ceil(M / 4) - 1);
      engine.put(raw, from);
      engine.kernels.pack_panels(raw, at, M, row, width);
      assert.equal(new Uint8Array(engine.kernels.memory.buffer, at, end).slice(), expected);

      const stride = row + width;
      const padded = new Uint8Array(M * stride);
      reference.pad_rows(from, padded, M, row, stride);
      const rows = engine.alloc(M * stride);
      engine.put(rows + M * width, from);
      engine.kernels.pad_rows(rows + M * width, rows, M, row, stride);
      assert.equal(new Uint8Array(engine.kernels.memory.buffer, rows, M * stride).slice(), padded);
    }),
  );
});

test.run();
