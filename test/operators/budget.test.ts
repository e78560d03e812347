import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { buildOperator, describePlan, type Plan, planMatrix } from '../../src/operators/budget.js';
import { type KronShape, METHODS, type Method } from '../../src/operators/methods.js';
import { parametersOf, walk } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { Runtime } from '../../src/wasm/runtime.js';

const runtime = new Runtime();

const refuses = (act: () => unknown, message: RegExp) =>
  assert.throws(act, (error: unknown) => error instanceof InputError && message.test(error.message), `${message}`);

const side = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(16, 24, 31, 36, 48, 60));
const compressing = METHODS.filter((method) => method !== 'dense');
const anyMethod = fc.constantFrom(...compressing);
/** Fractions of whole numbers only: they meet a budget exactly or miss it clearly, never by a rounding. */
const anyCompression = fc.oneof(
  fc.constantFrom(1, 2, 5, 10, 25),
  fc.tuple(fc.integer({ min: 1, max: 3600 }), fc.integer({ min: 1, max: 400 })).map(([a, b]) => Math.max(1, a / b)),
  fc.integer({ min: 100, max: 500_000 }).map((hundredths) => hundredths / 100),
);

// total / compression and its inverse round once each, and a budget may be met but for that.
const roundedDown = (compression: number) => compression * (1 - 4 * Number.EPSILON);

/** Numbers that the operator of a plan has once its sparse matrix is pruned to the plan's nonzeros. */
function countParameters(plan: Plan): number {
  const mark = runtime.mark();
  const operator = buildOperator(runtime, plan);
  assert.equal([operator.M, operator.N], [plan.M, plan.N]);
  const sparse = [...walk(operator, '')].map(([, inner]) => inner).filter((inner) => inner instanceof Sparse);
  assert.is(sparse.length, plan.nonzeros === undefined ? 0 : 1);
  if (plan.nonzeros !== undefined) Sparse.prune(sparse, plan.nonzeros);
  let count = sparse.reduce((sum, { nonzeros }) => sum + nonzeros, 0);
  for (const parameter of parametersOf(operator)) {
    if (!sparse.some(({ weight }) => weight === parameter)) count += parameter.size;
  }
  runtime.release(mark);
  return count;
}

/** A plan, or the message of its refusal. */
function attempt(M: number, N: number, method: Method, compression: number, shape?: KronShape): Plan | string {
  try {
    return planMatrix(M, N, method, compression, shape);
  } catch (error) {
    assert.ok(error instanceof InputError, `${error}`);
    return error.message;
  }
}

/** A refusal names the most that is possible, in hundredths, if anything is: whether it is. */
function checkNearest(M: number, N: number, method: Method, message: string): boolean {
  const nearest = Number(/nearest possible compression is ([\d.]+)$/.exec(message)?.[1]);
  if (Number.isNaN(nearest)) {
    assert.match(message, /no compression is possible/);
    assert.type(attempt(M, N, method, 1), 'string');
    return false;
  }
  assert.type(attempt(M, N, method, nearest), 'object', `${nearest} was named and is refused`);
  assert.type(attempt(M, N, method, nearest + 0.01), 'string', `${nearest} was named, yet more is possible`);
  return true;
}

test('a plan has the parameters it says, no more than asked, or is refused with the nearest compression that can be had', () => {
  let planned = 0;
  let refused = 0;
  let hopeless = 0;
  fc.assert(
    fc.property(side, side, anyMethod, anyCompression, (M, N, method, compression) => {
      const plan = attempt(M, N, method, compression);
      if (typeof plan !== 'string') {
        planned++;
        assert.is(countParameters(plan), plan.parameters);
        assert.is(plan.compression, (M * N) / plan.parameters);
        assert.ok(plan.compression >= roundedDown(compression), `${plan.compression} of ${compression}`);
        assert.is(plan.nonzeros !== undefined, method === 'pruned' || method.startsWith('doped-'));
        assert.ok(plan.nonzeros === undefined || plan.nonzeros >= 1);
        assert.is(plan.structure?.kind, method === 'pruned' ? undefined : method.replace('doped-', ''));
        // Dopants take up what the structure leaves: not one parameter more would fit.
        if (plan.nonzeros !== undefined) assert.ok((M * N) / (plan.parameters + 1) < compression);
        return;
      }
      if (method.endsWith('hmd') && M === 1) {
        assert.match(plan, /^method: got ".*hmd"; .* at least 2 rows/);
        return;
      }
      assert.match(plan, new RegExp(`compression: .*${M} x ${N}.*'${method}'`));
      if (checkNearest(M, N, method, plan)) refused++;
      else hopeless++;
    }),
    { seed: 1, numRuns: 5000 },
  );
  for (const seen of [planned, refused, hopeless]) assert.ok(seen > 100, `${planned}, ${refused}, ${hopeless}`);
});

// Every one, because hundredths seldom meet a budget to the last bit.
test('the nearest compression that a refusal names can be had, and none above it', () => {
  for (let M = 2; M <= 30; M++) {
    for (let N = 1; N <= 30; N++) {
      for (const method of compressing) {
        const message = attempt(M, N, method, 1e6);
        assert.type(message, 'string');
        checkNearest(M, N, method, message as string);
      }
    }
  }
});

test('with blocks the dopants are whole blocks, as many as the budget leaves room for', () => {
  for (const [block, rows] of [
    [1, 1],
    [4, 4],
    [8, 8],
    ['gates', 4],
  ] as const) {
    for (const method of ['pruned', 'doped-kron', 'doped-lmf', 'doped-hmd'] as const) {
      for (const compression of [2.5, 5, 7, 11.3]) {
        const plan = planMatrix(64, 30, method, compression, undefined, block);
        const free = planMatrix(64, 30, method, compression);
        const structure = plan.parameters - plan.nonzeros!;
        const what = `${method} ${compression}x in blocks of ${block}`;
        assert.equal(plan.structure, free.structure, what);
        assert.is(plan.nonzeros! % rows, 0, what);
        assert.ok(plan.parameters <= (64 * 30) / compression, what);
        assert.ok(structure + plan.nonzeros! + rows > Math.floor((64 * 30) / compression), what);
        assert.is(countParameters(plan), plan.parameters, what);
      }
    }
  }
});

test('dense is the uncompressed baseline whatever compression is asked', () => {
  for (const compression of [1, 20]) {
    const plan = planMatrix(6, 7, 'dense', compression);
    assert.is(plan.parameters, 42);
    assert.is(plan.compression, 1);
    assert.is(countParameters(plan), 42);
  }
});

/** All shapes of so many factors of an M x N matrix. */
function kronShapes(M: number, N: number, count = 2): number[][] {
  if (count === 1) return [[M, N]];
  const shapes: number[][] = [];
  for (let m = 1; m <= M; m++) {
    for (let n = 1; n <= N; n++) {
      if (M % m || N % n) continue;
      for (const others of kronShapes(M / m, N / n, count - 1)) shapes.push([m, n, ...others]);
    }
  }
  return shapes;
}

const factorsOf = (shape: KronShape) =>
  Array.from({ length: shape.length / 2 }, (_, i) => shape.slice(2 * i, 2 * i + 2));
const product = (numbers: number[]) => numbers.reduce((a, b) => a * b, 1);
const sizeOf = (shape: KronShape) => factorsOf(shape).reduce((sum, sides) => sum + product(sides), 0);
/** The product of each factor's longer side over its shorter one, times M N so that it is whole. */
const elongationOf = (shape: KronShape) =>
  (product(factorsOf(shape).map((sides) => Math.max(...sides))) * product([...shape])) /
  product(factorsOf(shape).map((sides) => Math.min(...sides)));
/** B, and what the other factors make. */
const pairOf = (shape: KronShape) => {
  const rest = factorsOf(shape).slice(1);
  return [shape[0], shape[1], product(rest.map(([m]) => m)), product(rest.map(([, n]) => n))];
};
/** Multiplications of the cheaper order of B X C^T. */
const costOf = (shape: KronShape) => {
  const [m1, n1, m2, n2] = pairOf(shape);
  return Math.min(m1 * n1 * n2 + m1 * n2 * m2, n1 * n2 * m2 + m1 * n1 * m2);
};

/** Whether there is a plan, and then that its factors are among the best by brute force. */
function checkKron(M: number, N: number, method: 'kron' | 'doped-kron', compression: number): false | 2 | 3 {
  const plan = attempt(M, N, method, compression);
  if (typeof plan === 'string') return false;
  const fit = (shape: KronShape, share = 1) => (share * M * N) / sizeOf(shape) >= roundedDown(compression);
  const fewest = (shapes: number[][]) => Math.min(...shapes.map(sizeOf));
  const two = kronShapes(M, N);
  const three = two.some((shape) => fit(shape, method === 'kron' ? 1 : 0.5)) ? [] : kronShapes(M, N, 3);
  const count = fewest(two) <= fewest(three) ? 2 : 3;
  let best = (count === 2 ? two : three).filter((shape) => fit(shape));
  const keepLeast = (key: (shape: KronShape) => number) => {
    const least = Math.min(...best.map(key));
    best = best.filter((shape) => key(shape) === least);
  };
  keepLeast((shape) => (method === 'kron' ? -sizeOf(shape) : sizeOf(shape)));
  keepLeast(elongationOf);
  keepLeast((shape) => (pairOf(shape)[2] % 8 === 0 ? 0 : 1));
  keepLeast(costOf);
  const chosen = plan.structure?.kind === 'kron' ? plan.structure.shape.join() : plan.structure?.kind;
  assert.ok(
    best.some((shape) => shape.join() === chosen),
    `${chosen}, not one of ${best.join(' or ')}`,
  );
  return count;
}

// Among equals the squarest factors, then whole SIMD registers, then the cheapest product.
test('kron takes the most parameters that fit, doped-kron the fewest; two factors, or three where two are too large', () => {
  const planned = { 2: 0, 3: 0 };
  fc.assert(
    fc.property(side, side, fc.constantFrom('kron', 'doped-kron'), anyCompression, (M, N, method, compression) => {
      const count = checkKron(M, N, method, compression);
      if (count) planned[count]++;
    }),
    { seed: 1, numRuns: 2000 },
  );
  assert.ok(planned[2] > 500 && planned[3] > 50, `only ${planned[2]} and ${planned[3]} plans`);
});

// 55440 units: their matrices have 11 million shapes of three factors, which took minutes.
test('sides with hundreds of divisors are planned at once, whatever the compression', () => {
  for (const N of [55440, 2 * 55440]) {
    for (const compression of [1000, 1e5, 1e6]) {
      for (const method of ['kron', 'doped-kron'] as const) {
        const { structure, parameters } = planMatrix(4 * 55440, N, method, compression);
        const shape = structure?.kind === 'kron' ? structure.shape : [];
        assert.is(product(shape.filter((_, i) => i % 2 === 0)), 4 * 55440);
        assert.is(product(shape.filter((_, i) => i % 2 === 1)), N);
        assert.ok(sizeOf(shape) <= parameters && (4 * 55440 * N) / parameters >= compression);
      }
    }
  }
});

test('Kronecker factors are never such that training forms too many numbers of them', () => {
  const formed = (shape: KronShape) => {
    const [, , m, n] = pairOf(shape);
    return m * n;
  };
  // By the other rules these would be 3x1 (x) 76x59 (x) 118x114, of which 60 million numbers are formed.
  const { structure } = planMatrix(4 * 6726, 6726, 'kron', 10_000);
  assert.ok(structure?.kind === 'kron' && structure.shape.length === 6 && formed(structure.shape) < 2 ** 22);
  const by = (shape: KronShape) => planMatrix(2 ** 14, 2 ** 12, 'kron', 1, shape);
  assert.is(by([16, 1, 2 ** 5, 2 ** 6, 2 ** 5, 2 ** 6]).parameters, 16 + 2 * 2 ** 11);
  refuses(() => by([1, 1, 2 ** 7, 2 ** 6, 2 ** 7, 2 ** 6]), /^kron: got "1x1,128x64,128x64"; .*put the largest first/);
  const many = (count: number) => by([2 ** 13, 2 ** 12, 2, 1, ...Array.from({ length: 2 * count - 4 }, () => 1)]);
  assert.is(many(16).parameters, 2 ** 25 + 2 + 14);
  refuses(() => many(17), /^kron: got 17; expected at most 16 factors/);
});

test('sides that no file may have are refused by name', () => {
  for (const [M, N, name] of [
    [0, 4, 'M'],
    [4, 0, 'N'],
    [2.5, 4, 'M'],
    [4, Number.NaN, 'N'],
    [2 ** 24 + 1, 4, 'M'],
    [4, 1e300, 'N'],
  ] as const) {
    for (const method of METHODS) {
      refuses(() => planMatrix(M, N, method, 1), new RegExp(`^${name}: got .*; expected a whole number from 1 to `));
    }
  }
});

// 1x12 (x) 9x10 and 3x4 (x) 3x30 are as long as each other, but their sides' ratios do not multiply to the same double.
test('factors that are equally square count as that', () => {
  for (const [M, N] of [
    [3, 189],
    [9, 120],
  ]) {
    for (const shape of kronShapes(M, N)) {
      const compression = (M * N) / sizeOf(shape);
      if (compression >= 1) assert.ok(checkKron(M, N, 'kron', compression));
    }
  }
});

test('lmf takes the largest rank within the budget, doped-lmf within a quarter of it, at least 1', () => {
  fc.assert(
    fc.property(side, side, fc.constantFrom('lmf', 'doped-lmf'), anyCompression, (M, N, method, compression) => {
      const plan = attempt(M, N, method, compression);
      if (typeof plan === 'string' || plan.structure?.kind !== 'lmf') return;
      const { rank } = plan.structure;
      const share = method === 'lmf' ? 1 : 4;
      const fits = (r: number) => (M * N) / (share * r * (M + N)) >= roundedDown(compression);
      assert.ok(rank === 1 || fits(rank), `rank ${rank} is too large`);
      assert.not(fits(rank + 1), `rank ${rank + 1} would do`);
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('hmd spends half of its share of the budget on free rows, the rest on rank, at least one of each', () => {
  let regular = 0;
  fc.assert(
    fc.property(side, side, fc.constantFrom('hmd', 'doped-hmd'), anyCompression, (M, N, method, compression) => {
      const plan = attempt(M, N, method, compression);
      if (typeof plan === 'string' || plan.structure?.kind !== 'hmd') return;
      const { rows, rank } = plan.structure;
      assert.ok(rows >= 1 && rows < M && rank >= 1);
      // One of each is also what is left when the rule asks for too much.
      if (rows === 1 && rank === 1) return;
      regular++;
      const share = method === 'hmd' ? 1 : 4;
      const fits = (parameters: number) => (M * N) / (share * parameters) >= roundedDown(compression);
      assert.ok(rows === 1 || fits(2 * rows * N), `${rows} rows are too many`);
      assert.ok(rows === M - 1 || !fits(2 * (rows + 1) * N), `${rows + 1} rows would do`);
      assert.not(fits(rows * N + (rank + 1) * (M - rows + N)), `rank ${rank + 1} would do`);
    }),
    { seed: 1, numRuns: 4000 },
  );
  assert.ok(regular > 200, `only ${regular} plans`);
});

test('factor shapes given by hand are used, or refused by name', () => {
  for (const method of ['kron', 'doped-kron'] as const) {
    const plan = planMatrix(12, 10, method, 2, [3, 5, 4, 2]);
    assert.equal(plan.structure, { kind: 'kron', shape: [3, 5, 4, 2] });
    assert.is(plan.nonzeros, method === 'kron' ? undefined : 60 - 23);
    assert.is(countParameters(plan), method === 'kron' ? 23 : 60);

    for (const shape of [
      [3, 5, 4, 3],
      [3, 5, 5, 2],
      [5, 3, 2, 4],
      [-3, 5, -4, 2],
      [1.5, 5, 8, 2],
      [0, 5, 4, 2],
      [Number.NaN, 5, 4, 2],
      [Number.POSITIVE_INFINITY, 5, 4, 2],
      [12, 10],
      [3, 5, 4, 2, 1],
      [3, 5, 2, 2, 2, 2],
    ] as const) {
      refuses(() => planMatrix(12, 10, method, 2, shape), /^kron: got .*; expected factors of 12 x 10/);
    }
    // 3x5 (x) 2x2 (x) 2x1: 15 + 4 + 2.
    assert.is(countParameters(planMatrix(12, 10, method, 5, [3, 5, 2, 2, 2, 1])), method === 'kron' ? 21 : 24);
    // They fit the matrix, not the budget.
    refuses(() => planMatrix(12, 10, method, 10, [3, 5, 4, 2]), /^compression: got 10, .*nearest possible/);
  }
  for (const method of METHODS.filter((name) => !name.endsWith('kron'))) {
    refuses(() => planMatrix(12, 10, method, 2, [3, 5, 4, 2]), new RegExp(`^kron: .*'${method}' has no Kronecker`));
  }
});

test('unknown methods and impossible compressions are refused by name', () => {
  for (const method of ['', 'Kron', 'doped', 'doped-dense', 'toString']) {
    refuses(() => planMatrix(8, 8, method as Method, 2), new RegExp(`^method: got "${method}"; .*doped-kron`));
  }
  for (const method of METHODS) {
    for (const compression of [0.5, 0, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      refuses(() => planMatrix(8, 8, method, compression), new RegExp(`^compression: got ${compression};`));
    }
  }
});

test('describePlan names shape, parts, parameters and compression', () => {
  const inWords = (method: Method, shape?: KronShape) => {
    const plan = planMatrix(40, 30, method, 3, shape);
    const text = describePlan(plan);
    assert.match(text, /^40x30: /);
    assert.match(text, new RegExp(` = ${plan.parameters} parameters, ${plan.compression.toFixed(2)}x$`));
    assert.is(text.includes('nonzeros'), plan.nonzeros !== undefined);
    if (plan.nonzeros !== undefined) assert.match(text, ` ${plan.nonzeros} nonzeros`);
    return { text, structure: plan.structure };
  };
  assert.match(inWords('dense').text, ': dense =');
  inWords('pruned');
  for (const method of METHODS) {
    const { text, structure } = inWords(method);
    if (structure?.kind === 'kron') {
      const factors = factorsOf(structure.shape).map((sides) => sides.join('x'));
      assert.match(text, `: ${factors.join(' (x) ')} `);
    } else if (structure?.kind === 'lmf') {
      assert.match(text, `: rank ${structure.rank} `);
    } else if (structure?.kind === 'hmd') {
      assert.match(text, `: ${structure.rows} free rows + rank ${structure.rank} `);
    }
  }
  assert.match(inWords('doped-kron', [8, 5, 5, 6]).text, ': 8x5 (x) 5x6 + ');
});

test.run();
