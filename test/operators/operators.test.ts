import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError } from '../../src/errors.js';
import type { NamedTensor } from '../../src/io/safetensors.js';
import { TensorSource } from '../../src/io/tensor-source.js';
import { loadOperator, operatorTensors } from '../../src/io/tensors.js';
import { BLOCK_SIZES, type BlockSize, type CsrArrays, firstRowOfGroup, rowsOf } from '../../src/operators/csr.js';
import { dense, doped, hmd, kron, lmf } from '../../src/operators/factories.js';
import type { KronShape } from '../../src/operators/methods.js';
import { type Operator, parametersOf } from '../../src/operators/operator.js';
import { Product } from '../../src/operators/product.js';
import { Sparse } from '../../src/operators/sparse.js';
import { checkSpec, type OperatorSpec } from '../../src/operators/spec.js';
import { type CoMatrixDropout, Sum } from '../../src/operators/sum.js';
import { VStack } from '../../src/operators/vstack.js';
import { seedWords, uniform } from '../../src/random.js';
import * as reference from '../../src/reference.js';
import {
  assertClose,
  asTheyAre,
  checkGradients,
  checkInitialise,
  denseOf,
  fill,
  gamma,
  initialise,
  magnitudes,
  type Numbers,
  operatorBattery,
  place,
  roundings,
  runtime,
  scoped,
} from '../../src/testing/operators.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { assertRejects } from '../rejects.js';
import { maskOf, values } from '../support.js';

const refuses = (act: () => unknown, type: typeof InputError, message: RegExp) =>
  assert.throws(act, (error: unknown) => error instanceof type && message.test(error.message), `${message} is wanted`);

// ---- sparse matrices to build with

/** A masked matrix, of whose weights a share is alive. */
function masked(runtime: Runtime, M: number, N: number, density: number, block: BlockSize = 1): Sparse {
  const matrix = new Sparse(runtime, M, N, undefined, block);
  matrix.weight.data.set(values(M * N));
  Sparse.prune([matrix], Math.round(density * M * N), false);
  return matrix;
}

/** CSR arrays of the places that a condition picks. */
function csrOf(M: number, N: number, picks: (i: number, j: number) => boolean): CsrArrays {
  const columns: number[] = [];
  const starts = [0];
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) if (picks(i, j)) columns.push(j);
    starts.push(columns.length);
  }
  return { values: values(columns.length), columns: Uint32Array.from(columns), starts: Uint32Array.from(starts) };
}

/** A matrix compressed by being pruned. */
function pruned(runtime: Runtime, M: number, N: number, density: number, block: BlockSize = 1): Sparse {
  const matrix = new Sparse(runtime, M, N, undefined, block);
  matrix.weight.data.set(values(M * N));
  Sparse.prune([matrix], Math.round(density * M * N));
  assert.ok(matrix.compressed);
  return matrix;
}

const scattered = (N: number, density: number) => (i: number, j: number) => uniform(1, 0, i * N + j) < density;

function compressed(runtime: Runtime, M: number, N: number, density: number): Sparse {
  return new Sparse(runtime, M, N, csrOf(M, N, scattered(N, density)));
}

// ---- the battery

const cases: Record<string, (runtime: Runtime) => Operator> = {
  'dense 1 x 1': (rt) => dense(rt, 1, 1),
  'dense, tall': (rt) => dense(rt, 13, 3),
  'dense, wide': (rt) => dense(rt, 5, 18),
  'masked, all alive': (rt) => masked(rt, 9, 7, 1),
  'masked, partly pruned': (rt) => masked(rt, 6, 11, 0.4),
  'masked, all pruned': (rt) => masked(rt, 5, 6, 0),
  'compressed, scattered': (rt) => compressed(rt, 14, 9, 0.3),
  'compressed, full': (rt) => compressed(rt, 7, 10, 1),
  'compressed, no nonzeros': (rt) => compressed(rt, 4, 9, 0),
  'compressed, empty rows first and last': (rt) =>
    new Sparse(
      rt,
      5,
      6,
      csrOf(5, 6, (i, j) => i === 2 && j % 2 === 1),
    ),
  'compressed by pruning': (rt) => pruned(rt, 14, 19, 0.15),
  'compressed by pruning, in blocks of 4': (rt) => pruned(rt, 20, 19, 0.2, 4),
  'masked, the gates of units': (rt) => masked(rt, 12, 7, 0.4, 'gates'),
  'compressed by pruning, the gates of units': (rt) => pruned(rt, 20, 19, 0.2, 'gates'),
  'compressed by pruning, in blocks of 8': (rt) => pruned(rt, 24, 19, 0.2, 8),
  // Each order of the product is the cheaper one once, forward and transposed.
  'kron, (B X) C^T': (rt) => kron(rt, [2, 8, 8, 2]),
  'kron, B (X C^T)': (rt) => kron(rt, [8, 2, 2, 8]),
  'kron, odd sides': (rt) => kron(rt, [3, 5, 9, 7]),
  'kron, odd sides, swapped': (rt) => kron(rt, [9, 7, 3, 5]),
  'kron, B 1 x 1': (rt) => kron(rt, [1, 1, 6, 5]),
  'kron, C 1 x 1': (rt) => kron(rt, [6, 5, 1, 1]),
  'kron, row and column': (rt) => kron(rt, [1, 6, 5, 1]),
  'kron, column and row': (rt) => kron(rt, [6, 1, 1, 5]),
  'kron of three': (rt) => kron(rt, [3, 2, 2, 5, 4, 3]),
  'kron of four': (rt) => kron(rt, [2, 1, 3, 2, 1, 3, 2, 2]),
  // The widest of all factors decides what scratch is needed.
  'kron, wide B': (rt) => kron(rt, [1, 9, 2, 8]),
  // 33 rows of it are more than a block of the matrix product is long.
  'kron, tall B': (rt) => kron(rt, [20, 3, 4, 5]),
  product: (rt) => new Product(rt, dense(rt, 6, 4), dense(rt, 4, 9)),
  'product of kron and sparse': (rt) => new Product(rt, kron(rt, [2, 3, 5, 2]), compressed(rt, 6, 7, 0.5)),
  'vstack of one': (rt) => new VStack(rt, [dense(rt, 3, 5)]),
  'vstack of three kinds': (rt) => new VStack(rt, [kron(rt, [2, 3, 3, 2]), masked(rt, 1, 6, 0.5), lmf(rt, 5, 6, 2)]),
  'sum of one': (rt) => new Sum(rt, [dense(rt, 4, 6)]),
  'sum of three': (rt) => new Sum(rt, [dense(rt, 4, 6), kron(rt, [2, 2, 2, 3]), compressed(rt, 4, 6, 0.2)]),
  lmf: (rt) => lmf(rt, 8, 11, 3),
  hmd: (rt) => hmd(rt, 9, 7, 2, 1),
  'doped kron': (rt) => doped(rt, kron(rt, [4, 2, 3, 5])),
  'doped lmf': (rt) => doped(rt, lmf(rt, 10, 6, 2)),
  'doped hmd': (rt) => doped(rt, hmd(rt, 7, 10, 3, 2)),
  'masked in blocks of 4, partly pruned': (rt) => masked(rt, 12, 7, 0.4, 4),
  'compressed in blocks of 8': (rt) =>
    new Sparse(
      rt,
      16,
      9,
      csrOf(16, 9, (i, j) => scattered(9, 0.3)(i >> 3, j)),
      8,
    ),
  'doped kron in blocks of 4': (rt) => doped(rt, kron(rt, [4, 2, 3, 5]), 4),
  'doped kron of three': (rt) => doped(rt, kron(rt, [2, 2, 2, 1, 3, 5])),
  'doped kron, pruned': (rt) => new Sum(rt, [kron(rt, [3, 4, 4, 2]), masked(rt, 12, 8, 0.1)]),
};

for (const [name, build] of Object.entries(cases)) test(`battery: ${name}`, () => operatorBattery(build));

// Longer than the blocks of the matrix product, 256 and 512.
test('battery: dense, larger than all blocks', () => operatorBattery((rt) => dense(rt, 521, 261), [1, 5]));
test('battery: dense, wider than all blocks', () => operatorBattery((rt) => dense(rt, 263, 523), [2]));
test('battery: compressed, large', () => operatorBattery((rt) => compressed(rt, 150, 210, 0.05), [1, 9]));

// ---- fitting

// Those whose kinds of matrices are found again: of a sum, the first term takes what it can; a sparse one keeps its places.
for (const name of Object.keys(cases).filter(
  (name) => !/^(masked|compressed|product of|vstack of three|sum of)|pruned$/.test(name),
)) {
  test(`fit finds a matrix of its own kind again: ${name}`, () =>
    scoped(() => {
      const [given, fitted] = [cases[name](runtime), cases[name](runtime)];
      fill(given);
      fill(fitted);
      const w = denseOf(given);
      fitted.fit(w);
      const norm = Math.hypot(...w);
      const error = Math.hypot(...denseOf(fitted).map((value, i) => value - w[i]));
      // Factors are rounded to f32, and so is their product.
      assert.ok(error <= gamma(roundings(given)) * norm, `off by ${error} of ${norm}`);
    }));
}

test('fit: a sparse matrix takes what stands where it has entries', () => {
  scoped(() => {
    for (const name of Object.keys(cases).filter((name) => /^(masked|compressed)/.test(name))) {
      const sparse = cases[name](runtime) as Sparse;
      const { starts, columns } = sparse.entries();
      const w = values(sparse.M * sparse.N).map((value) => value + 2); // no zeros
      sparse.fit(w);
      const kept = reference.csrToDense(new Float32Array(columns.length).fill(1), columns, starts, sparse.M, sparse.N);
      assert.equal(
        sparse.toDense(),
        w.map((value, i) => value * kept[i]),
        name,
      );
    }
  });
});

test('fit: the dopants are what the structure leaves', () => {
  scoped(() => {
    const build = () => doped(runtime, kron(runtime, [4, 2, 3, 5]));
    const [sum, structure] = [build(), kron(runtime, [4, 2, 3, 5])];
    const w = values(sum.M * sum.N);
    sum.fit(w);
    structure.fit(w);
    assert.equal(sum.terms[0].toDense(), structure.toDense());
    assertClose(
      denseOf(sum),
      w,
      w.map(Math.abs).map((value) => value + 1),
      gamma(4),
      'the sum',
    );
  });
});

// ---- random trees

/** An operator as data, so that a counterexample can be read. */
type Tree =
  | { type: 'dense'; M: number; N: number }
  | { type: 'masked' | 'compressed'; M: number; N: number; density: number }
  | { type: 'kron'; shape: KronShape }
  | { type: 'product'; U: Tree; V: Tree }
  | { type: 'vstack'; blocks: Tree[] }
  | { type: 'sum'; terms: Tree[] };

function grow(runtime: Runtime, tree: Tree): Operator {
  switch (tree.type) {
    case 'dense':
      return dense(runtime, tree.M, tree.N);
    case 'masked':
      return masked(runtime, tree.M, tree.N, tree.density);
    case 'compressed':
      return compressed(runtime, tree.M, tree.N, tree.density);
    case 'kron':
      return kron(runtime, tree.shape);
    case 'product':
      return new Product(runtime, grow(runtime, tree.U), grow(runtime, tree.V));
    case 'vstack':
      return new VStack(
        runtime,
        tree.blocks.map((block) => grow(runtime, block)),
      );
    case 'sum':
      return new Sum(
        runtime,
        tree.terms.map((term) => grow(runtime, term)),
      );
  }
}

const divisorOf = (n: number) =>
  fc.constantFrom(...Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0));

/** Shapes of two factors, or up to so many more. */
function anyKronShape(M: number, N: number, more: number): fc.Arbitrary<KronShape> {
  return fc.tuple(divisorOf(M), divisorOf(N), fc.boolean()).chain(([m, n, last]) => {
    const rest = last || more === 0 ? fc.constant<KronShape>([M / m, N / n]) : anyKronShape(M / m, N / n, more - 1);
    return rest.map((shape) => [m, n, ...shape]);
  });
}

function anyTree(M: number, N: number, depth: number): fc.Arbitrary<Tree> {
  const density = fc.constantFrom(0, 0.1, 0.5, 1);
  const leaves: fc.Arbitrary<Tree>[] = [
    fc.constant({ type: 'dense', M, N }),
    fc.record({ type: fc.constantFrom('masked', 'compressed'), M: fc.constant(M), N: fc.constant(N), density }),
    anyKronShape(M, N, 2).map((shape): Tree => ({ type: 'kron', shape })),
  ];
  if (depth === 0) return fc.oneof(...leaves);
  const inner = (m: number, n: number) => anyTree(m, n, depth - 1);
  const product = fc
    .integer({ min: 1, max: 10 })
    .chain((K): fc.Arbitrary<Tree> => fc.record({ type: fc.constant('product'), U: inner(M, K), V: inner(K, N) }));
  const sum: fc.Arbitrary<Tree> = fc.record({
    type: fc.constant('sum'),
    terms: fc.array(inner(M, N), { minLength: 1, maxLength: 3 }),
  });
  const vstack = fc
    .uniqueArray(fc.integer({ min: 1, max: Math.max(1, M - 1) }), { maxLength: Math.min(2, M - 1) })
    .chain((cuts): fc.Arbitrary<Tree> => {
      const ends = [0, ...cuts.sort((a, b) => a - b), M];
      const blocks = ends.slice(1).map((end, i) => inner(end - ends[i], N));
      return fc.record({ type: fc.constant('vstack'), blocks: fc.tuple(...blocks) });
    });
  return fc.oneof(...leaves, product, sum, vstack, product, sum, vstack);
}

const side = fc.integer({ min: 1, max: 20 });

test('battery: random trees of operators', () => {
  fc.assert(
    fc.property(
      fc.tuple(side, side).chain(([M, N]) => anyTree(M, N, 2)),
      fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 40 })),
      (tree, R) => operatorBattery((rt) => grow(rt, tree), [R]),
    ),
    { seed: 1, numRuns: 100 },
  );
});

// ---- initialise

test('initialise gives the entries the variance asked for', () => {
  const large: ((rt: Runtime) => Operator)[] = [
    (rt) => dense(rt, 60, 50),
    (rt) => masked(rt, 60, 50, 1),
    (rt) => compressed(rt, 60, 50, 1),
    (rt) => kron(rt, [40, 20, 15, 50]),
    (rt) => lmf(rt, 120, 100, 30),
    (rt) => hmd(rt, 150, 100, 30, 20),
    (rt) => new Sum(rt, [dense(rt, 60, 50), dense(rt, 60, 50), dense(rt, 60, 50)]),
    (rt) => doped(rt, kron(rt, [30, 20, 20, 30])),
    (rt) => doped(rt, lmf(rt, 120, 100, 30)),
  ];
  for (const build of large) for (const variance of [0.01, 4]) checkInitialise(build, variance);
});

test('the structure of a doped matrix has its share of the variance, the dopants have the rest', () => {
  for (const share of [0.3, 0.02]) {
    scoped(() => {
      const sum = doped(runtime, kron(runtime, [40, 20, 15, 50]));
      sum.structureShare = share;
      initialise(sum, 0.04);
      const variances = sum.terms.map((term) => {
        const w = term.toDense();
        return reference.f32_dot(w, w, w.length) / w.length;
      });
      // Both factors have 800 numbers or so: 5 standard deviations of the product of two mean squares are a quarter.
      assert.ok(Math.abs(variances[0] / (0.04 * share) - 1) < 0.25, `${variances[0]} for ${0.04 * share}`);
      assert.ok(Math.abs(variances[1] / (0.04 * (1 - share)) - 1) < 0.05, `${variances[1]} for ${0.04 * (1 - share)}`);
    });
  }
});

// ---- co-matrix dropout

/** x[R,N] through an operator in f64, by its definition, masks included. */
function forwardOf(
  operator: Operator,
  x: ArrayLike<number>,
  R: number,
  firstRow: number,
  numbers: Numbers = asTheyAre,
): Float64Array {
  const { M, N } = operator;
  const y = new Float64Array(R * M);
  if (operator instanceof Sum) {
    operator.terms.forEach((term, i) => {
      const part = forwardOf(term, x, R, firstRow, numbers);
      const { rates, seed, step, stream, period } = operator.dropout ?? none;
      const [low, high] = seedWords(seed);
      const rate = operator.dropout ? rates[i] : 0;
      reference.f32_dropout(part, y, R, M, firstRow, period, rate, low, high, step, stream + i, true);
    });
  } else if (operator instanceof Product) {
    y.set(forwardOf(operator.U, forwardOf(operator.V, x, R, firstRow, numbers), R, firstRow, numbers));
  } else if (operator instanceof VStack) {
    let top = 0;
    for (const block of operator.blocks) {
      const part = forwardOf(block, x, R, firstRow, numbers);
      reference.f32_copy_columns(part, block.M, y.subarray(top), M, R, block.M, false);
      top += block.M;
    }
  } else {
    reference.f32_gemm_nt(x, denseOf(operator, numbers), y, R, M, N, false);
  }
  return y;
}

const none: CoMatrixDropout = { rates: [], seed: 0, step: 0, stream: 0, period: 0 };

/** Rates that f32 holds exactly: the kernel's argument is one. */
const cmr = (rates: readonly number[], other: Partial<CoMatrixDropout> = {}): CoMatrixDropout => ({
  rates,
  seed: 2 ** 33 + 5,
  step: 7,
  stream: 3,
  period: 4,
  ...other,
});

function withDropout(sum: Sum, dropout: CoMatrixDropout): Sum {
  sum.dropout = dropout;
  return sum;
}

const dropped: Record<string, (runtime: Runtime) => Operator> = {
  'a doped matrix': (rt) => withDropout(doped(rt, kron(rt, [3, 2, 4, 3])), cmr([0.25, 0.5])),
  'a mask for every row': (rt) =>
    withDropout(new Sum(rt, [dense(rt, 9, 5), compressed(rt, 9, 5, 0.4)]), cmr([0.5, 0.5], { period: 0 })),
  'dopants only': (rt) => withDropout(doped(rt, lmf(rt, 7, 8, 2)), cmr([0, 0.75])),
  'one term': (rt) => withDropout(new Sum(rt, [dense(rt, 5, 6)]), cmr([0.5])),
  'three terms': (rt) =>
    withDropout(new Sum(rt, [dense(rt, 5, 6), lmf(rt, 5, 6, 2), masked(rt, 5, 6, 0.5)]), cmr([0.25, 0.5, 0.75])),
  'four terms': (rt) =>
    withDropout(
      new Sum(rt, [dense(rt, 8, 6), kron(rt, [2, 3, 4, 2]), lmf(rt, 8, 6, 1), compressed(rt, 8, 6, 0.5)]),
      cmr([0.25, 0.5, 0, 0.75]),
    ),
  'inside other operators': (rt) =>
    new VStack(rt, [
      dense(rt, 3, 6),
      new Product(
        rt,
        withDropout(new Sum(rt, [dense(rt, 5, 4), masked(rt, 5, 4, 0.5)]), cmr([0.5, 0.25])),
        withDropout(new Sum(rt, [kron(rt, [2, 3, 2, 2]), dense(rt, 4, 6)]), cmr([0.25, 0.5], { stream: 9 })),
      ),
    ]),
  'a sum in a sum': (rt) =>
    withDropout(
      new Sum(rt, [withDropout(doped(rt, dense(rt, 6, 4)), cmr([0.5, 0.5], { stream: 20 })), dense(rt, 6, 4)]),
      cmr([0.25, 0.25]),
    ),
};

for (const [name, build] of Object.entries(dropped)) {
  test(`co-matrix dropout: the verbs share the masks of the reference, ${name}`, () => {
    for (const [R, firstRow] of [
      [1, 0],
      [1, 6],
      [6, 0],
      [5, 13],
    ]) {
      scoped(() => {
        const operator = build(runtime);
        fill(operator);
        const { M, N } = operator;
        const [x, dy] = [values(R * N), values(R * M)];
        const relative = gamma(roundings(operator));
        const run = (transposed: boolean, input: Float32Array, before: Float32Array) =>
          scoped(() => {
            const [from, to] = [place(input), place(before)];
            operator[transposed ? 'tMatmul' : 'matmul'](from, to, R, true, firstRow);
            return runtime.floats(to, before.length).slice();
          });

        const y0 = values(R * M);
        const forward = (numbers: Numbers, from: Float32Array, start: Float32Array) =>
          forwardOf(operator, from, R, firstRow, numbers).map((value, i) => value + start[i]);
        const ySizes = forward(magnitudes, x.map(Math.abs), y0.map(Math.abs));
        assertClose(run(false, x, y0), forward(asTheyAre, x, y0), ySizes, relative, 'matmul');

        // What reaches an entry of x is the loss of that entry alone, put at 1.
        const dx0 = values(R * N);
        const backward = (numbers: Numbers, from: Float32Array, start: Float32Array) =>
          Float64Array.from(start, (value, at) => {
            const one = new Float32Array(R * N);
            one[at] = 1;
            return value + reference.f32_dot(from, forwardOf(operator, one, R, firstRow, numbers), R * M);
          });
        const dxSizes = backward(magnitudes, dy.map(Math.abs), dx0.map(Math.abs));
        assertClose(run(true, dy, dx0), backward(asTheyAre, dy, dx0), dxSizes, relative, 'tMatmul');

        const loss = (numbers: Numbers, absolute: boolean) => {
          const [a, b] = absolute ? [dy.map(Math.abs), x.map(Math.abs)] : [dy, x];
          return reference.f32_dot(a, forwardOf(operator, b, R, firstRow, numbers), R * M);
        };
        scoped(() => checkGradients(operator, R, loss, place(dy), place(x), firstRow));
      });
    }
  });
}

/** The masks themselves, [R,M]: what a column of ones becomes, one term at a time. */
function masksOf(term: number, dropout: CoMatrixDropout, M: number, R: number, firstRow = 0): Float32Array {
  return scoped(() => {
    const sum = withDropout(new Sum(runtime, [dense(runtime, M, 1), dense(runtime, M, 1)]), dropout);
    for (const { data } of parametersOf(sum)) data.fill(1);
    sum.active[1 - term] = false;
    const [x, y] = [place(new Float32Array(R).fill(1)), place(new Float32Array(R * M))];
    sum.matmul(x, y, R, false, firstRow);
    return runtime.floats(y, R * M).slice();
  });
}

test('co-matrix dropout: masks are Bernoulli, rescaled, and differ between terms, steps, seeds, streams and rows', () => {
  const [M, R] = [200, 10];
  const dropout = cmr([0.25, 0.5], { period: 0 });
  for (const term of [0, 1]) {
    const rate = dropout.rates[term];
    const masks = masksOf(term, dropout, M, R);
    const kept = masks.filter((value) => value !== 0);
    assert.ok(kept.every((value) => value === Math.fround(1 / (1 - rate))));
    // Five standard deviations of a binomial share.
    const deviation = Math.sqrt((rate * (1 - rate)) / masks.length);
    assert.ok(Math.abs(kept.length / masks.length - (1 - rate)) < 5 * deviation, `kept ${kept.length} at rate ${rate}`);
  }
  const even = cmr([0.5, 0.5], { period: 0 });
  const rowsOf = (masks: Float32Array) => Array.from({ length: R }, (_, r) => masks.subarray(r * M, r * M + M).join());
  const rows = [
    even,
    { ...even, step: even.step + 1 },
    { ...even, seed: even.seed + 1 },
    { ...even, seed: even.seed + 2 ** 32 },
    { ...even, stream: even.stream + 2 },
  ].flatMap((variant) => [0, 1].flatMap((term) => rowsOf(masksOf(term, variant, M, R))));
  // That two fair masks of 200 places agree by chance has a probability of 2^-200.
  assert.is(new Set(rows).size, rows.length);
});

test('co-matrix dropout: with the batch as period, the steps of a sequence share masks that differ between its streams', () => {
  const [M, B, T] = [100, 3, 5];
  for (const term of [0, 1]) {
    const masks = masksOf(term, cmr([0.5, 0.5], { period: B }), M, T * B);
    for (let t = 1; t < T; t++) {
      assert.equal(masks.slice(t * B * M, (t + 1) * B * M), masks.slice(0, B * M), `step ${t}`);
    }
    const streams = Array.from({ length: B }, (_, b) => masks.subarray(b * M, b * M + M).join());
    assert.is(new Set(streams).size, B);
  }
});

test('co-matrix dropout: one call for all rows masks as calls for one step of the sequence each', () => {
  const [M, B, T] = [33, 3, 4];
  for (const period of [0, B]) {
    for (const term of [0, 1]) {
      const dropout = cmr([0.5, 0.25], { period });
      const steps = Array.from({ length: T }, (_, t) => [...masksOf(term, dropout, M, B, t * B)]);
      assert.equal(masksOf(term, dropout, M, T * B), Float32Array.from(steps.flat()));
    }
  }
});

test('co-matrix dropout: masks that a sum cannot have are rejected by name', () => {
  const sum = new Sum(runtime, [dense(runtime, 4, 3), dense(runtime, 4, 3), dense(runtime, 4, 3)]);
  for (const rates of [[], [0.5, 0.5], [0.5, 0.5, 0.5, 0.5]]) {
    assertRejects(runtime, 'rates', () => withDropout(sum, cmr(rates)));
  }
  for (const rate of [1, Number.NaN, -0.1]) {
    assertRejects(runtime, 'rates', () => withDropout(sum, cmr([0.5, rate, 0])));
  }
  for (const name of ['seed', 'step', 'stream', 'period']) {
    for (const wrong of [-1, 0.5, Number.NaN]) {
      assertRejects(runtime, name, () => withDropout(sum, cmr([0.5, 0.5, 0.5], { [name]: wrong })));
    }
  }
  assert.is(sum.dropout, undefined);
});

test('co-matrix dropout: rate 0 changes nothing', () => {
  for (const R of [1, 6]) {
    scoped(() => {
      const sum = new Sum(runtime, [kron(runtime, [2, 3, 4, 2]), compressed(runtime, 8, 6, 0.4)]);
      fill(sum);
      const x = values(R * 6);
      const run = () => {
        const [from, y] = [place(x), place(new Float32Array(R * 8))];
        sum.matmul(from, y, R);
        return runtime.floats(y, R * 8).slice();
      };
      const plain = run();
      sum.dropout = cmr([0, 0]);
      const sizes = forwardOf(sum, x.map(Math.abs), R, 0, magnitudes);
      assertClose(run(), plain, sizes, 2 * gamma(roundings(sum)), 'with masks of ones');
    });
  }
});

// ---- switches and probe of a sum

test('Sum.active: a term switched off takes no part, with or without masks, added or not', () => {
  const [M, N, R] = [9, 4, 5];
  for (const dropout of [undefined, cmr([0.25, 0.5])]) {
    for (const accumulate of [false, true]) {
      for (const [first, second] of [
        [true, true],
        [true, false],
        [false, true],
        [false, false],
      ]) {
        scoped(() => {
          const terms = [dense(runtime, M, N), compressed(runtime, M, N, 0.5)];
          const sum = new Sum(runtime, terms);
          sum.dropout = dropout;
          fill(sum);
          sum.active[0] = first;
          sum.active[1] = second;
          const [x, before] = [values(R * N), accumulate ? values(R * M) : new Float32Array(R * M).fill(Number.NaN)];
          const oracle = (numbers: Numbers, from: Float32Array, start: Float32Array) => {
            // A term switched off is one whose numbers are all zero.
            const chosen: Numbers = (parameter) => {
              const on = sum.active[parameter === terms[0].own()[0] ? 0 : 1];
              return on ? numbers(parameter) : new Float32Array(parameter.size);
            };
            const y = forwardOf(sum, from, R, 2, chosen);
            return accumulate ? y.map((value, i) => value + start[i]) : y;
          };
          const [from, y] = [place(x), place(before)];
          sum.matmul(from, y, R, accumulate, 2);
          const sizes = oracle(magnitudes, x.map(Math.abs), before.map(Math.abs));
          const got = runtime.floats(y, R * M);
          assertClose(got, oracle(asTheyAre, x, before), sizes, gamma(roundings(sum)), `${first}, ${second}`);
        });
      }
    }
  }
});

test('Sum.probe: rows and Gram matrix of the terms, summed over calls, blind to masks and switches', () => {
  const [M, N] = [7, 5];
  for (const dropout of [undefined, cmr([0.5, 0.5, 0.5])]) {
    scoped(() => {
      const terms = [dense(runtime, M, N), compressed(runtime, M, N, 0.5), lmf(runtime, M, N, 2)];
      const sum = new Sum(runtime, terms);
      fill(sum);
      sum.dropout = dropout;
      sum.active[1] = false;
      const gram = runtime.zeros(80);
      const rows = gram + 72;
      sum.probe = { gram, rows };
      const [exact, sizes] = [new Float64Array(9), new Float64Array(9)];
      for (const R of [1, 6, 3]) {
        const x = values(R * N);
        const [from, y] = [place(x), place(new Float32Array(R * M))];
        sum.matmul(from, y, R);
        for (const [sums, numbers, input] of [
          [exact, asTheyAre, x],
          [sizes, magnitudes, x.map(Math.abs)],
        ] as const) {
          const products = terms.map((term) => forwardOf(term, input, R, 0, numbers));
          products.forEach((a, i) => {
            products.forEach((b, j) => {
              sums[i * 3 + j] += reference.f32_dot(a, b, R * M);
            });
          });
        }
      }
      assert.is(runtime.doubles(rows, 1)[0], 10);
      assertClose(runtime.doubles(gram, 9), exact, sizes, gamma(2 * roundings(sum)), 'gram');
    });
  }
});

// ---- prune

/** What is alive after pruning: the `keep` largest of those alive, ties to the first. */
function prunedBySorting(weights: readonly number[], alive: readonly boolean[], keep: number): boolean[] {
  const places = weights.map((_, i) => i).filter((i) => alive[i]);
  places.sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]) || a - b);
  const kept = new Set(places.slice(0, keep));
  return weights.map((_, i) => kept.has(i));
}

// Ties often, and the ends of the range of floats.
const anyWeight = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 0.5, -0.5, 2 ** -149, -(2 ** -149), 2 ** -126),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
);

test('Sparse.prune keeps as many as asked, the largest, the first among equals, whatever was kept before', () => {
  const anyMatrix = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })).chain(([M, N]) =>
    fc.record({
      M: fc.constant(M),
      N: fc.constant(N),
      weights: fc.array(anyWeight, { minLength: M * N, maxLength: M * N }),
    }),
  );
  fc.assert(
    fc.property(
      fc.array(anyMatrix, { minLength: 1, maxLength: 3 }),
      fc.array(fc.integer({ min: 0, max: 80 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (given, keeps, compress) => {
        scoped(() => {
          const matrices = given.map(({ M, N, weights }) => {
            const matrix = new Sparse(runtime, M, N);
            matrix.weight.data.set(weights);
            return matrix;
          });
          const weights = given.flatMap((matrix) => matrix.weights);
          let alive = weights.map(() => true);
          for (const keep of keeps) {
            const before = alive.filter(Boolean).length;
            alive = prunedBySorting(weights, alive, keep);
            Sparse.prune(matrices, keep, compress);
            assert.equal(
              matrices.flatMap((matrix) => [...maskOf(matrix)]),
              alive.map(Number),
            );
            // Object.is: a zero that stays keeps its sign.
            const data = matrices.flatMap((matrix) => [...matrix.entries().values]);
            const wanted = weights.filter((_, i) => alive[i]);
            assert.is(data.length, wanted.length);
            assert.ok(data.every((value, i) => Object.is(value, wanted[i])));
            const nonzeros = matrices.reduce((sum, matrix) => sum + matrix.nonzeros, 0);
            assert.is(nonzeros, Math.min(keep, before));
          }
        });
      },
    ),
    { seed: 1, numRuns: 300 },
  );
});

test('Sparse.prune weighs by second moments where it is given them, in either form, and by blocks', () => {
  const second = values(16 * 9).map(Math.abs);
  for (const compress of [true, false]) {
    for (const block of [1, 4] as const) {
      const mark = runtime.mark();
      const matrix = new Sparse(runtime, 16, 9, undefined, block);
      const w = values(16 * 9);
      matrix.weight.data.set(w);
      const v = runtime.alloc(4 * w.length);
      runtime.floats(v, w.length).set(second);
      matrix.weight.companions.push(v);
      const size = (place: number) => Math.abs(w[place]) * second[place] ** 0.25;
      const blockOf = (place: number) => Math.floor(Math.floor(place / 9) / block) * 9 + (place % 9);
      const sums = new Map<number, number>();
      for (const place of w.keys()) sums.set(blockOf(place), (sums.get(blockOf(place)) ?? 0) + size(place) ** 2);
      const order = [...sums].sort(([, a], [, b]) => b - a).map(([group]) => group);
      // Twice, the second time in compressed form where that is allowed.
      for (const share of [0.5, 0.25]) {
        const keep = Math.floor(order.length * share) * block;
        Sparse.prune([matrix], keep, compress, () => v);
        const kept = new Set(order.slice(0, keep / block));
        const left = matrix.toDense();
        assert.is(matrix.nonzeros, keep);
        for (const place of w.keys()) assert.is(left[place], kept.has(blockOf(place)) ? w[place] : 0);
      }
      runtime.release(mark);
    }
  }
});

test('Sparse.prune holds one threshold over all matrices', () => {
  scoped(() => {
    const [small, large] = [new Sparse(runtime, 2, 2), new Sparse(runtime, 2, 2)];
    small.weight.data.set([1, -2, 3, -4]);
    large.weight.data.set([-5, 6, -7, 8]);
    Sparse.prune([small, large], 5);
    assert.equal([...maskOf(small)], [0, 0, 0, 1]);
    assert.is(large.nonzeros, 4);
    assert.is(large.density, 1);
    assert.is(small.density, 1 / 4);
  });
});

test('Sparse.prune in blocks keeps those of the largest norms, the first among equals, whole', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 8 as const, 'gates' as const),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 6 }),
      fc.nat(999),
      fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (block, groups, N, seed, keeps, compress) => {
        scoped(() => {
          const size = block === 'gates' ? 4 : block;
          const M = groups * size;
          const matrix = new Sparse(runtime, M, N, undefined, block);
          // Few values, so that ties happen.
          const weights = Array.from({ length: M * N }, (_, i) => Math.floor(5 * uniform(seed, 1, i)) - 2);
          matrix.weight.data.set(weights);
          const places = Array.from({ length: groups * N }, (_, i) => i);
          // Place i is row `group` of blocks and a column; its rows follow one another, or are those of a unit's gates.
          const rowOf = (group: number, row: number) => (block === 'gates' ? group + row * groups : group * size + row);
          const placesIn = (i: number) =>
            Array.from({ length: size }, (_, row) => rowOf(Math.floor(i / N), row) * N + (i % N));
          const norm = (i: number) => placesIn(i).reduce((sum, at) => sum + weights[at] ** 2, 0);
          let alive = places.sort((a, b) => norm(b) - norm(a) || a - b);
          for (const keep of keeps) {
            alive = alive.slice(0, Math.floor(keep / size));
            // All alive there is nothing to prune.
            if (keep >= matrix.nonzeros) alive = places.slice(0, matrix.nonzeros / size);
            Sparse.prune([matrix], keep, compress);
            const expected = new Set(alive.flatMap(placesIn));
            assert.equal(
              [...maskOf(matrix)],
              weights.map((_, at) => Number(expected.has(at))),
            );
            assert.equal(
              [...matrix.toDense()],
              weights.map((value, at) => (expected.has(at) ? value : 0)),
            );
          }
        });
      },
    ),
    { numRuns: 200 },
  );
});

test('what is no block is refused by name', () => {
  scoped(() => {
    refuses(
      () => new Sparse(runtime, 6, 4, undefined, 4),
      InputError,
      /^block: got 4; .*divides the 6 rows of a matrix of 6 x 4/,
    );
    refuses(
      () => new Sparse(runtime, 6, 4, undefined, 3 as 4),
      InputError,
      /^block: got 3; expected one of 1, 4, 8, gates/,
    );
    const uneven = csrOf(4, 3, (i, j) => i !== 2 || j !== 1);
    refuses(() => new Sparse(runtime, 4, 3, uneven, 4), InputError, /^block: got different columns in rows 0 and 2/);
    const pair = [new Sparse(runtime, 8, 2, undefined, 4), new Sparse(runtime, 8, 2, undefined, 8)];
    refuses(() => Sparse.prune(pair, 8), InputError, /^matrices: got different block sizes/);
  });
});

test('Sparse.prune leaves the masked form below a density, and moves the weights up in their memory', () => {
  for (const block of BLOCK_SIZES) {
    scoped(() => {
      const [M, N] = [16, 25];
      const matrices = [true, false].map((compress) => {
        const matrix = new Sparse(runtime, M, N, undefined, block);
        matrix.weight.prepareGradient();
        matrix.weight.companions.push(runtime.zeros(4 * M * N));
        return { matrix, compress };
      });
      const companions = ({ weight }: Sparse) => {
        const [other] = weight.companions;
        return [weight.data, weight.gradient, runtime.floats(other, weight.size)];
      };
      for (const keep of [M * N - 8, 200, 96, 40, 8, 0]) {
        const fresh = values(M * N);
        const used = runtime.usage();
        for (const { matrix, compress } of matrices) {
          const { weight } = matrix;
          const { value, grad } = weight;
          // The same numbers wherever a weight stands: what its place in W says.
          const places = placesOf(matrix);
          for (const [n, data] of companions(matrix).entries())
            places.forEach((at, i) => {
              data[i] = (n + 1) * fresh[at];
            });
          Sparse.prune([matrix], keep, compress);
          assert.is(matrix.weight, weight);
          assert.equal([weight.value, weight.grad], [value, grad], 'the memory is the same');
          assert.is(matrix.nonzeros, keep);
          if (!compress) assert.not(matrix.compressed);
          else if (keep === 0) assert.ok(matrix.compressed);
          if (matrix.compressed) {
            assert.is(weight.mask, 0);
            assert.is(weight.size, keep);
            const kept = placesOf(matrix);
            for (const [n, data] of companions(matrix).entries()) {
              assert.equal(
                [...data],
                Array.from(kept, (at) => Math.fround((n + 1) * fresh[at])),
              );
            }
          }
        }
        const [switched, stayed] = matrices.map(({ matrix }) => matrix);
        assert.equal(maskOf(switched), maskOf(stayed), 'the same weights are pruned in either form');
        assert.equal(switched.toDense(), stayed.toDense());
        assert.equal(runtime.usage(), used, 'pruning keeps no memory');
      }
    });
  }
});

/** Where each of the matrix's numbers stands in W. */
function placesOf(matrix: Sparse): number[] {
  const { N, M, block } = matrix;
  const rows = rowsOf(block, M);
  if (!matrix.compressed) return Array.from({ length: M * N }, (_, i) => i);
  const { columns, starts } = matrix.blocks();
  const places: number[] = [];
  for (let group = 0; group < M / rows.size; group++) {
    for (const column of columns.subarray(starts[group], starts[group + 1])) {
      for (let row = 0; row < rows.size; row++)
        places.push((firstRowOfGroup(group, rows) + row * rows.stride) * N + column);
    }
  }
  return places;
}

test('a sparse matrix is made with the pattern of either form', () => {
  for (const block of BLOCK_SIZES) {
    for (const compress of [true, false]) {
      scoped(() => {
        const before = new Sparse(runtime, 8, 10, undefined, block);
        before.weight.data.set(values(80));
        Sparse.prune([before], 8, compress);
        const after = new Sparse(runtime, 8, 10, before.pattern(), block);
        assert.is(after.compressed, compress);
        assert.is(after.nonzeros, 8);
        assert.is(after.weight.size, before.weight.size);
        after.weight.data.set(before.weight.data);
        assert.equal(after.toDense(), before.toDense());
      });
    }
  }
  scoped(() => {
    const blocks = { columns: Uint32Array.of(3), starts: Uint32Array.of(0, 0, 1) };
    refuses(
      () => new Sparse(runtime, 2, 3, { blocks }),
      InputError,
      /^columns\[0\]: got 3; expected a whole number from 0 to 2/,
    );
  });
});

test('a row of a compressed product has the same bits whatever other rows there are', () => {
  for (const block of BLOCK_SIZES) {
    scoped(() => {
      const [M, N, R] = [24, 19, 45];
      const matrix = new Sparse(runtime, M, N, undefined, block);
      matrix.weight.data.set(values(M * N));
      Sparse.prune([matrix], 48);
      assert.ok(matrix.compressed);
      const [x, dy] = [place(values(R * N)), place(values(R * M))];
      const both = (from: number, rows: number) => {
        const [y, dx] = [place(new Float32Array(rows * M)), place(new Float32Array(rows * N))];
        matrix.matmul(x + 4 * from * N, y, rows);
        matrix.tMatmul(dy + 4 * from * M, dx, rows);
        return [runtime.floats(y, rows * M).slice(), runtime.floats(dx, rows * N).slice()];
      };
      const [y, dx] = both(0, R);
      for (const [from, rows] of [
        [0, 1],
        [3, 1],
        [44, 1],
        [5, 2],
        [1, 20],
        [8, 33],
      ]) {
        const [someY, someDx] = both(from, rows);
        assert.equal(someY, y.slice(from * M, (from + rows) * M));
        assert.equal(someDx, dx.slice(from * N, (from + rows) * N));
      }
    });
  }
});

// ---- what constructors refuse

test('shapes that do not fit are refused by name', () => {
  scoped(() => {
    const [wide, tall] = [dense(runtime, 2, 3), dense(runtime, 3, 2)];
    refuses(() => new Product(runtime, wide, wide), InputError, /^V: got 2 rows; expected 3,/);
    refuses(() => new Sum(runtime, [wide, tall]), InputError, /^terms\[1\]: got 3 x 2; expected 2 x 3/);
    refuses(() => new Sum(runtime, []), InputError, /^terms: got \[\];/);
    refuses(() => new VStack(runtime, [wide, tall]), InputError, /^blocks\[1\]\.N: got 2; expected 3/);
    refuses(() => new VStack(runtime, []), InputError, /^blocks: got \[\];/);
  });
});

test('CSR arrays that do not describe a matrix are refused before memory is taken for them', () => {
  const good = { values: [1, 2, 3], columns: [0, 2, 1], starts: [0, 2, 2, 3] };
  const of = (change: Partial<typeof good>): CsrArrays => {
    const { values, columns, starts } = { ...good, ...change };
    return {
      values: Float32Array.from(values),
      columns: Uint32Array.from(columns),
      starts: Uint32Array.from(starts),
    };
  };
  const faults: [Partial<typeof good>, RegExp][] = [
    [{ columns: [0, 3, 1] }, /^columns\[1\]: got 3; expected a whole number from 0 to 2/],
    [{ columns: [0, 2, 2 ** 32 - 1] }, /^columns\[2\]: got 4294967295;/],
    [{ columns: [2, 0, 1] }, /^columns\[1\]: got \d; expected columns ascending/],
    [{ columns: [2, 2, 1] }, /^columns\[1\]: got \d; expected columns ascending/],
    [{ columns: [0, 2] }, /^values\.length: got 3; expected 2/],
    [{ values: [1, 2] }, /^values\.length: got 2; expected 3/],
    [{ starts: [0, 2, 3] }, /^starts\.length: got 3; expected 4/],
    [{ starts: [0, 1, 2, 3, 3] }, /^starts\.length: got 5; expected 4/],
    [{ starts: [1, 2, 2, 3] }, /^starts\[0\]: got 1; expected 0/],
    [{ starts: [0, 2, 2, 2] }, /^starts\[3\]: got 2; expected 3/],
    [{ starts: [0, 2, 2, 4] }, /^starts\[3\]: got 4; expected 3/],
    [{ starts: [0, 2, 1, 3] }, /^starts\[2\]: got 1; expected at least 2/],
    [{ columns: [0, 1, 2], starts: [0, 4, 4, 3] }, /^starts\[3\]: got 3; expected at least/],
    // Not to be believed even as far as counting to it.
    [{ columns: [0, 1, 2], starts: [0, 2 ** 32 - 1, 2 ** 32 - 1, 3] }, /^starts\[3\]: got 3; expected at least/],
  ];
  scoped(() => {
    const mark = runtime.mark();
    for (const [change, message] of faults) {
      refuses(() => new Sparse(runtime, 3, 3, of(change)), InputError, message);
      assert.is(runtime.mark(), mark);
    }
    assert.is(new Sparse(runtime, 3, 3, of({})).nonzeros, 3);
  });
});

test('products of Kronecker factors write nothing behind the memory that they take', () => {
  const own = new Runtime();
  const ROOM = 4 * 2 ** 20;
  own.within(2 * ROOM, () => own.scoped(() => own.alloc(ROOM)));
  const sides = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(1, 1, 17, 64));
  const factors = fc.array(fc.tuple(sides, sides), { minLength: 2, maxLength: 3 });
  fc.assert(
    fc.property(factors, fc.constantFrom(1, 2, 5, 13), (shape, R) => {
      // Larger ones would be refused, or not fit.
      fc.pre(shape.flat().reduce((product, side) => product * side, 1) <= 20_000);
      own.scoped(() => {
        const operator = kron(own, shape.flat());
        for (const parameter of parametersOf(operator)) parameter.prepareGradient();
        const [x, y] = [own.zeros(4 * R * operator.N), own.zeros(4 * R * operator.M)];
        const mark = own.mark();
        for (const act of [
          () => operator.matmul(x, y, R),
          () => operator.tMatmul(y, x, R),
          () => operator.gradParams(y, x, R),
        ]) {
          let end = mark;
          const { alloc } = own;
          own.alloc = (bytes) => {
            const at = alloc.call(own, bytes);
            end = Math.max(end, at + bytes);
            return at;
          };
          own.bytes(mark, ROOM / 2).fill(0xa5);
          act();
          own.alloc = alloc;
          assert.ok(end > mark);
          assert.ok(own.bytes(end, mark + ROOM / 2 - end).every((byte) => byte === 0xa5));
        }
      });
    }),
    { numRuns: 100 },
  );
});

test('what lies between the products of Kronecker factors is no longer than the vectors', () => {
  // 4p x p with p prime has no better factors; all sides multiplied, this took 4 GB.
  const p = 4093;
  scoped(() => {
    const operator = kron(runtime, [2 * p, 1, 2, p]);
    const [x, y] = [place(new Float32Array(p)), place(new Float32Array(4 * p))];
    runtime.within(2 ** 20, () => operator.matmul(x, y, 1));
    runtime.within(2 ** 20, () => operator.tMatmul(y, x, 1));
    assert.equal(runtime.floats(y, 4 * p), new Float32Array(4 * p));
  });
});

// ---- specs and tensors from files

/** The shape of a matrix that a spec of the right form describes; undefined if its parts do not fit together. */
function shapeIn(spec: OperatorSpec): [number, number] | undefined {
  const all = (specs: OperatorSpec[]) =>
    specs.map((inner): [number, number] => shapeIn(inner) ?? [Number.NaN, Number.NaN]);
  const shape = ((): [number, number] => {
    switch (spec.type) {
      case 'kronecker': {
        const [[m, n]] = Array.isArray(spec.C) ? [spec.C] : all([spec.C]);
        return [spec.B[0] * m, spec.B[1] * n];
      }
      case 'product': {
        const [[M, K], [L, N]] = all([spec.U, spec.V]);
        return K === L ? [M, N] : [0, 0];
      }
      case 'vstack': {
        const [first, ...others] = all(spec.blocks);
        const rows = others.reduce((sum, [M]) => sum + M, first[0]);
        return others.every(([, N]) => N === first[1]) ? [rows, first[1]] : [0, 0];
      }
      case 'sum': {
        const [first, ...others] = all(spec.terms);
        return others.every(([M, N]) => M === first[0] && N === first[1]) ? first : [0, 0];
      }
      default:
        return spec.shape;
    }
  })();
  return shape.every((side) => side >= 1 && side <= 2 ** 24) ? shape : undefined;
}

/** What a spec is, said without checkSpec. */
const isSpec = (value: unknown) => hasForm(value) && shapeIn(value as OperatorSpec) !== undefined;

function hasForm(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null || depth > 16) return false;
  const fields = value as Record<string, unknown>;
  const isSide = (n: unknown) => Number.isInteger(n) && (n as number) >= 1 && (n as number) <= 2 ** 24;
  const isShape = (shape: unknown) => Array.isArray(shape) && shape.length === 2 && shape.every(isSide);
  const isList = (list: unknown) =>
    Array.isArray(list) && list.length > 0 && list.every((inner) => hasForm(inner, depth + 1));
  switch (fields.type) {
    case 'dense':
      return isShape(fields.shape);
    case 'sparse': {
      const { shape, nonzeros } = fields as { shape: number[]; nonzeros: number };
      return isShape(shape) && Number.isInteger(nonzeros) && nonzeros >= 0 && nonzeros <= shape[0] * shape[1];
    }
    case 'kronecker':
      return (
        isShape(fields.B) &&
        (isShape(fields.C) || (hasForm(fields.C, depth + 1) && (fields.C as OperatorSpec).type === 'kronecker'))
      );
    case 'product':
      return hasForm(fields.U, depth + 1) && hasForm(fields.V, depth + 1);
    case 'vstack':
      return isList(fields.blocks);
    case 'sum':
      return isList(fields.terms);
    default:
      return false;
  }
}

/** JSON that is often nearly a spec: right and wrong values under the names that specs have. */
const nearlySpec = fc.letrec<{ spec: unknown; part: unknown }>((tie) => {
  const junk = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(-0, 2 ** 24, 2 ** 24 + 1, 0.5, 1e300, ''));
  const sides = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })) },
    { weight: 1, arbitrary: fc.array(fc.oneof(fc.integer({ min: -1, max: 2 }), junk), { maxLength: 3 }) },
    { weight: 1, arbitrary: junk },
  );
  const parts = fc.oneof(
    { weight: 8, arbitrary: fc.array(tie('part'), { maxLength: 3 }) },
    { weight: 1, arbitrary: junk },
  );
  return {
    part: fc.oneof({ depthSize: 'small' }, { weight: 8, arbitrary: tie('spec') }, { weight: 1, arbitrary: junk }),
    spec: fc.oneof(
      { depthSize: 'small' },
      fc.record({ type: fc.constant('dense'), shape: sides }),
      fc.record({
        type: fc.constant('sparse'),
        shape: sides,
        nonzeros: fc.oneof(fc.integer({ min: -1, max: 10 }), junk),
      }),
      fc.record({ type: fc.constant('kronecker'), B: sides, C: fc.oneof(sides, tie('part')) }),
      fc.record({ type: fc.constant('product'), U: tie('part'), V: tie('part') }),
      fc.record({ type: fc.constant('vstack'), blocks: parts }),
      fc.record({ type: fc.constant('sum'), terms: parts }, { requiredKeys: ['type'] }),
      fc.record({ type: fc.oneof(junk, fc.constantFrom('toString', 'Dense', '__proto__')), shape: sides }),
    ),
  };
}).part;

/** A valid spec is returned, anything else is refused with a FileFormatError of reasonable length. */
function checksOut(value: unknown): boolean {
  let spec: OperatorSpec;
  try {
    spec = checkSpec(value, 'w');
  } catch (error) {
    assert.ok(error instanceof FileFormatError, `${error}`);
    assert.match(error.message, /operator 'w/);
    assert.ok(error.message.length < 1000, 'the message is as long as the file');
    assert.not(isSpec(value), error.message);
    return false;
  }
  assert.ok(isSpec(value), `taken for a spec: ${JSON.stringify(value)}`);
  assert.equal(isSpec(spec), true);
  // No tensors to fill it with: refused before any memory is asked for.
  const mark = runtime.mark();
  assert.throws(
    () => loadOperator(runtime, spec, 'w', new TensorSource(new Map())),
    (error: unknown) => {
      return error instanceof FileFormatError && /got nothing/.test(error.message);
    },
  );
  assert.is(runtime.mark(), mark);
  return true;
}

test('checkSpec takes specs and refuses everything else, by FileFormatError', () => {
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.oneof({ weight: 5, arbitrary: nearlySpec }, { weight: 1, arbitrary: fc.jsonValue() }), (value) => {
      if (checksOut(JSON.parse(JSON.stringify(value) ?? 'null'))) taken++;
      else refused++;
    }),
    { seed: 1, numRuns: 2000 },
  );
  assert.ok(taken > 200 && refused > 200, `one-sided: ${taken} taken, ${refused} refused`);
});

test('checkSpec survives what is made to break it', () => {
  const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  const dense = { type: 'dense', shape: [2, 2] };
  for (const value of [
    deep,
    { type: deep },
    { type: 'dense', shape: deep },
    { type: 'dense', shape: [1, deep] },
    { type: 'sparse', shape: [1, 1], nonzeros: deep },
    { type: 'sum', terms: deep },
    { type: 'x'.repeat(10_000_000) },
    { type: 'dense', shape: ['x'.repeat(10_000_000), 1] },
  ]) {
    assert.not(checksOut(value));
  }
  // The longest side, and one more.
  assert.ok(checksOut({ type: 'kronecker', B: [2 ** 24, 1], C: [1, 2 ** 24] }));
  assert.not(checksOut({ type: 'kronecker', B: [1, 1], C: [1, 2 ** 24 + 1] }));
  assert.not(checksOut({ type: 'dense', shape: [2 ** 24 + 1, 1] }));
  const nested = (depth: number): unknown => {
    let spec: unknown = dense;
    for (let i = 0; i < depth; i++) spec = { type: 'sum', terms: [spec] };
    return spec;
  };
  assert.ok(checksOut(nested(16)));
  assert.not(checksOut(nested(17)));
  assert.not(checksOut(nested(50_000)));
});

test('fields that are no part of a spec are dropped', () => {
  assert.equal(checkSpec({ type: 'dense', shape: [2, 3], weight: [1] }, 'w'), { type: 'dense', shape: [2, 3] });
});

test('tensors that do not fit the spec are refused by name', () => {
  scoped(() => {
    const operator = new Sum(runtime, [dense(runtime, 2, 3), compressed(runtime, 2, 3, 1)]);
    fill(operator);
    const floats = (shape: number[], data: number[]): NamedTensor => ({
      dtype: 'F32',
      shape,
      data: Float32Array.from(data),
    });
    const load = (name?: string, tensor?: NamedTensor) => {
      const tensors = operatorTensors(operator, 'w');
      if (name && tensor) tensors.set(name, tensor);
      else if (name) tensors.delete(name);
      const source = new TensorSource(tensors);
      loadOperator(runtime, operator.spec(), 'w', source);
      source.finish();
    };
    load();
    const faults: [string, NamedTensor | undefined, RegExp][] = [
      ['w.0.weight', undefined, /'w\.0\.weight': got nothing; expected F32 or F16 of shape \[2, 3\]/],
      ['w.1.starts', undefined, /'w\.1\.starts': got nothing; expected U16 or U32/],
      [
        'w.0.weight',
        floats([3, 2], [1, 2, 3, 4, 5, 6]),
        /'w\.0\.weight': got F32 of shape \[3, 2\]; expected F32 or F16 of shape \[2, 3\]/,
      ],
      ['w.0.weight', floats([2, 3], [1, 2, Number.NaN, 4, 5, 6]), /'w\.0\.weight'\[2\]: got NaN/],
      ['w.1.values', floats([6], [1, 2, 3, 4, 5, -Infinity]), /'w\.1\.values'\[5\]: got -Infinity/],
      ['w.1.columns', floats([6], [0, 1, 2, 0, 1, 2]), /'w\.1\.columns': got F32 .*; expected U16 or U32/],
      [
        'w.0.weight',
        { dtype: 'U8', shape: [2, 3], data: new Uint8Array(6) },
        /'w\.0\.weight': got U8 .*; expected F32/,
      ],
      ['w.2.weight', floats([1], [1]), /tensors: got "w\.2\.weight"; expected none but/],
    ];
    for (const [name, tensor, message] of faults) refuses(() => load(name, tensor), FileFormatError, message);
  });
});

test('indices take 16 bits where they fit, else 32, and either way come back', () => {
  for (const N of [65536, 65537]) {
    scoped(() => {
      const columns = [0, 7, N - 1];
      const entries = { values: values(3), columns: Uint32Array.from(columns), starts: Uint32Array.of(0, 1, 3) };
      const operator = new Sparse(runtime, 2, N, entries);
      const tensors = operatorTensors(operator, 'w');
      assert.is(tensors.get('w.columns')?.dtype, N > 65536 ? 'U32' : 'U16');
      assert.is(tensors.get('w.starts')?.dtype, 'U16');
      const loaded = loadOperator(runtime, operator.spec(), 'w', new TensorSource(tensors)) as Sparse;
      assert.equal(loaded.entries(), entries);
    });
  }
});

test.run();
