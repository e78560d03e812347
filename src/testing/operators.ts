// What every operator must do, checked against the dense matrix that it stands for.
//
// Tolerances: a result that is reached over n roundings errs by at most n u / (1 - n u) times the sum of its terms'
// absolute values, u the unit roundoff (Higham, 2002, 3.1). That sum is the same oracle's answer for the absolute
// values of all arguments.

import {
  Dense,
  decodeNetwork,
  encodeModel,
  Kronecker,
  Network,
  type Operator,
  type Parameter,
  type Pointer,
  Product,
  parametersOf,
  Runtime,
  readHeader,
  Sparse,
  Sum,
  VStack,
  walk,
} from '../index.js';
import { rowsOf } from '../operators/csr.js';
import * as reference from '../reference.js';
import { equal, ok } from './assert.js';
import { values } from './values.js';

/** Unit roundoff: one f32 operation errs by at most this part of its result. */
export const U = 2 ** -24;
/** The same of f64. */
export const U64 = 2 ** -53;

// ---- memory

const GUARD = 64; // bytes

/** Hands out memory full of NaN, with more of it behind, and sees at the release that nobody wrote there. */
class GuardedRuntime extends Runtime {
  private readonly guards: Pointer[] = [];

  override alloc(bytes: number): Pointer {
    const at = super.alloc(bytes + GUARD);
    this.bytes(at, bytes + GUARD).fill(0xff);
    this.guards.push(at + bytes);
    return at;
  }

  override release(mark: number): void {
    while (this.guards.length && this.guards.at(-1)! >= mark) {
      const guard = this.bytes(this.guards.pop()!, GUARD);
      ok(
        guard.every((byte) => byte === 0xff),
        'written past the end of memory handed out',
      );
    }
    super.release(mark);
  }
}

export const runtime = new GuardedRuntime();

/** Numbers in memory, no better aligned than a float must be. */
export function place(numbers: ArrayLike<number>): Pointer {
  const at = runtime.alloc(4 * (numbers.length + 1)) + 4;
  runtime.floats(at, numbers.length).set(numbers);
  return at;
}

/** Does what is asked with memory that is taken back afterwards. */
export function scoped<T>(act: () => T): T {
  const mark = runtime.mark();
  const result = act();
  runtime.release(mark);
  return result;
}

/** Calls a verb, and sees that it changed nothing but its outputs, [pointer, elements], and kept no memory. */
function callVerb(outputs: readonly (readonly [Pointer, number])[], verb: () => void): void {
  const mark = runtime.mark();
  const start = runtime.kernels.heapBase();
  const memory = () => runtime.bytes(start, mark - start).slice();
  const before = memory();
  verb();
  equal(runtime.mark(), mark, 'memory was kept');
  const after = memory();
  for (const [at, n] of outputs) {
    before.fill(0, at - start, at - start + 4 * n);
    after.fill(0, at - start, at - start + 4 * n);
  }
  let first = 0;
  while (first < after.length && before[first] === after[first]) first++;
  equal(first, after.length, 'something else than the outputs was written, at byte');
}

// ---- oracles

/** Where an oracle takes a parameter's numbers from. */
export type Numbers = (parameter: Parameter) => ArrayLike<number>;

/** The numbers of a parameter themselves. */
export const asTheyAre: Numbers = ({ data }) => data;
/** Their absolute values, whose product bounds rounding errors. */
export const magnitudes: Numbers = ({ data }) => data.map((value) => Math.abs(value));

/** W in f64, formed from the definition of each operator. */
export function denseOf(operator: Operator, numbers: Numbers = asTheyAre): Float64Array {
  const { M, N } = operator;
  if (operator instanceof Dense) return new Float64Array(numbers(operator.weight));
  if (operator instanceof Sparse) {
    const weight = numbers(operator.weight);
    const pattern = operator.pattern();
    if ('mask' in pattern) return new Float64Array(pattern.mask).map((alive, i) => (alive ? weight[i] : 0));
    const { size, stride } = rowsOf(operator.block, M);
    const { columns, starts } = pattern.blocks;
    return reference.bsrToDense(weight, columns, starts, M, N, size, stride);
  }
  if (operator instanceof Kronecker) {
    const { B, C } = operator;
    return reference.kron(denseOf(B, numbers), denseOf(C, numbers), B.M, B.N, C.M, C.N);
  }
  const w = new Float64Array(M * N);
  if (operator instanceof Product) {
    const { U, V } = operator;
    reference.f32_gemm_nn(denseOf(U, numbers), denseOf(V, numbers), w, M, N, U.N, false);
  } else if (operator instanceof VStack) {
    w.set(operator.blocks.flatMap((block) => [...denseOf(block, numbers)]));
  } else if (operator instanceof Sum) {
    for (const term of operator.terms)
      denseOf(term, numbers).forEach((value, i) => {
        w[i] += value;
      });
  } else {
    throw new Error(`no oracle for ${operator.constructor.name}`);
  }
  return w;
}

/**
 * More roundings than lie between the arguments of a verb and its result: a sum of n products rounds n + 1 times,
 * adding to what is there and a mask once more each, and no sum in an operator is longer than its sides, or R times
 * those in a gradient over R rows.
 */
export function roundings(operator: Operator, R = 1): number {
  let longest = 0;
  for (const [, { M, N }] of walk(operator, '')) longest += M + N + 3;
  return R * longest;
}

/** The relative error that n roundings may add up to. */
export const gamma = (n: number) => (n * U) / (1 - n * U);

/** Fails unless every number is as near to the exact one as `relative` times its terms' absolute values. */
export function assertClose(
  got: ArrayLike<number>,
  exact: ArrayLike<number>,
  sizes: ArrayLike<number>,
  relative: number,
  what: string,
): void {
  equal(got.length, exact.length, `${what}: length`);
  for (let i = 0; i < exact.length; i++) {
    const error = Math.abs(got[i] - exact[i]);
    if (!(error <= relative * sizes[i])) {
      ok(false, `${what} [${i}] is ${got[i]}, not ${exact[i]}: off by ${error} > ${relative * sizes[i]}`);
    }
  }
}

// ---- the verbs

/** Fills all parameters with noise, pruned entries excepted, and makes room for their gradients. */
export function fill(operator: Operator): void {
  for (const parameter of parametersOf(operator)) {
    parameter.prepareGradient();
    const { mask, size } = parameter;
    const alive = mask ? runtime.bytes(mask, size) : undefined;
    parameter.data.set(values(size).map((value, i) => (alive && !alive[i] ? 0 : value)));
  }
}

interface Matrix {
  exact: Float64Array;
  sizes: Float64Array;
}

function checkProduct(operator: Operator, w: Matrix, R: number, transposed: boolean, accumulate: boolean): void {
  const { M, N } = operator;
  const [from, to] = transposed ? [M, N] : [N, M];
  const input = values(R * from);
  const before = accumulate ? values(R * to) : new Float32Array(R * to).fill(Number.NaN);
  const product = (matrix: Float64Array, numbers: Float32Array, start: Float32Array) => {
    const result = Float64Array.from(start);
    if (transposed) reference.f32_gemm_nn(numbers, matrix, result, R, N, M, accumulate);
    else reference.f32_gemm_nt(numbers, matrix, result, R, M, N, accumulate);
    return result;
  };
  const exact = product(w.exact, input, before);
  const sizes = product(w.sizes, input.map(Math.abs), before.map(Math.abs));
  const verb = transposed ? 'tMatmul' : 'matmul';
  const got = scoped(() => {
    const [x, y] = [place(input), place(before)];
    // Left out, the flag means no.
    callVerb([[y, R * to]], () => operator[verb](x, y, R, accumulate || undefined));
    return runtime.floats(y, R * to).slice();
  });
  assertClose(got, exact, sizes, gamma(roundings(operator)), `${verb} of ${R} rows, accumulate ${accumulate}`);
}

/** <dy, y> for parameters from elsewhere; `absolute`: the same with dy and x made positive. */
export type Loss = (numbers: Numbers, absolute: boolean) => number;

const CHECKED_ENTRIES = 24;

/**
 * gradParams against central differences of a loss in f64: a sample of every parameter's entries one by one, and all of
 * them at once in a random direction. An operator is linear in each of its parameters, so that differences are exact
 * whatever the step; it is 1.
 */
export function checkGradients(
  operator: Operator,
  R: number,
  loss: Loss,
  dy: Pointer,
  x: Pointer,
  firstRow?: number,
): void {
  const parameters = parametersOf(operator);
  const before = parameters.map(({ gradient, size }) => {
    const start = values(size);
    gradient.set(start);
    return start;
  });
  callVerb(
    parameters.map(({ grad, size }) => [grad, size] as const),
    () => operator.gradParams(dy, x, R, firstRow),
  );
  const relative = gamma(roundings(operator, R));
  const relative64 = U64 * (roundings(operator, R) + operator.M * operator.N);
  parameters.forEach((parameter, n) => {
    const { gradient, size } = parameter;
    const alive = parameter.mask ? runtime.bytes(parameter.mask, size) : new Uint8Array(size).fill(1);
    for (let i = 0; i < size; i++) if (!alive[i]) equal(gradient[i], 0, 'the gradient of a pruned entry');
    for (const direction of directions(alive)) {
      const along = (numbers: ArrayLike<number>) => reference.f32_dot(direction, numbers, size);
      const moved = (sign: number, absolute: boolean) => {
        const numbers = absolute ? magnitudes : asTheyAre;
        const there = new Float64Array(numbers(parameter));
        for (let i = 0; i < size; i++) there[i] += sign * (absolute ? Math.abs(direction[i]) : direction[i]);
        return loss((other) => (other === parameter ? there : numbers(other)), absolute);
      };
      const difference = (absolute: boolean) => (moved(1, absolute) - moved(-1, absolute)) / 2;
      const sizes = reference.f32_dot(direction.map(Math.abs), before[n].map(Math.abs), size) + difference(true);
      const allowed = relative * sizes + relative64 * moved(1, true);
      const exact = along(before[n]) + difference(false);
      assertClose([along(gradient)], [exact], [allowed], 1, `gradient of ${R} rows, parameter ${n}`);
    }
  });
}

/** Single entries that are alive, and a mixture of all of them. */
function directions(alive: Uint8Array): Float64Array[] {
  const places = [...alive.keys()].filter((i) => alive[i]);
  if (!places.length) return [];
  const whole = Float64Array.from(values(alive.length), (value, i) => alive[i] * value);
  const sample =
    places.length <= CHECKED_ENTRIES
      ? places
      : [...values(CHECKED_ENTRIES)].map((value) => places[Math.floor(((value + 1) / 2) * places.length)]);
  const single = sample.map((place) => {
    const direction = new Float64Array(alive.length);
    direction[place] = 1;
    return direction;
  });
  return [...single, whole];
}

function checkVerbs(operator: Operator, w: Matrix, rows: readonly number[], oracle: Oracle): void {
  const { M, N } = operator;
  let dense: Float32Array = new Float32Array();
  callVerb([], () => {
    dense = operator.toDense();
  });
  assertClose(dense, w.exact, w.sizes, gamma(roundings(operator)), 'toDense');
  for (const R of rows) {
    for (const transposed of [false, true]) {
      for (const accumulate of [false, true]) checkProduct(operator, w, R, transposed, accumulate);
    }
    const [dy, x] = [values(R * M), values(R * N)];
    // <dy, x W^T> = <dy^T x, W>
    const outer = (a: Float32Array, b: Float32Array) => {
      const result = new Float64Array(M * N);
      reference.f32_gemm_tn(a, M, b, result, M, N, R, false);
      return result;
    };
    const [G, sizes] = [outer(dy, x), outer(dy.map(Math.abs), x.map(Math.abs))];
    const loss: Loss = (numbers, absolute) => reference.f32_dot(absolute ? sizes : G, oracle(operator, numbers), M * N);
    scoped(() => checkGradients(operator, R, loss, place(dy), place(x)));
  }
}

// ---- saving and the rest

/** The operator written to a file's bytes, as the matrix of a linear layer, and read back. */
export function saveAndLoad(operator: Operator): Operator {
  const { M, N } = operator;
  const layers = [{ name: 'w', kind: 'linear', outputs: M }] as const;
  const network = Network.create(runtime, { input: { frames: N }, layers }, 1).withOperator('w', operator);
  return decodeNetwork(runtime, readHeader(encodeModel(network, { name: 'battery' }))).operator('w');
}

const bits = (numbers: Float32Array) => new Uint32Array(numbers.slice().buffer);

/** W[M,N] of an operator in f64, row-major, formed from its definition and from these numbers of its parameters. */
export type Oracle = (operator: Operator, numbers: Numbers) => Float64Array;

/**
 * What every operator must do, checked against the dense matrix that it stands for: products and transposed products of these
 * numbers of rows, with and without adding to what is there; gradients against differences in f64; nothing written but outputs,
 * no memory kept; and all of that again for what comes back from a file. `build` makes the operator in the runtime it is given.
 * An operator of another kind than the library's brings an oracle of its own; it has no form in files.
 *
 * @throws Error saying what is wrong
 * @example
 * test('my operator', () => operatorBattery((runtime) => new Mine(runtime, 8), undefined, (mine, numbers) => denseOf(mine.A, numbers)));
 */
export function operatorBattery(
  build: (runtime: Runtime) => Operator,
  rows: readonly number[] = [1, 2, 5, 33],
  oracle: Oracle = denseOf,
): void {
  scoped(() => {
    const operator = build(runtime);
    fill(operator);
    const w = { exact: oracle(operator, asTheyAre), sizes: oracle(operator, magnitudes) };
    checkVerbs(operator, w, rows, oracle);
    if (oracle !== denseOf) return;

    const loaded = saveAndLoad(operator);
    for (const parameter of parametersOf(loaded)) parameter.prepareGradient();
    equal(loaded.spec(), operator.spec(), 'the spec after loading');
    equal(bits(loaded.toDense()), bits(operator.toDense()), 'not the same matrix after loading');
    checkVerbs(loaded, w, rows, oracle);
  });
}

/** Initialises an operator with noise of a stream for every parameter, and returns their number. */
export function initialise(operator: Operator, variance: number): number {
  let stream = 0;
  operator.initialise(variance, ({ value, size }, halfWidth) => {
    runtime.kernels.f32_uniform(value, size, -halfWidth, halfWidth, 1, 0, stream++);
  });
  return stream;
}

/**
 * initialise() gives the entries of W the variance asked for. The mean of n squares of uniform numbers strays by
 * sqrt(0.8 / n) of itself, one standard deviation; those of several factors, and the cross terms of a product, add up
 * to less than twice the sum of all 1 / n. Five standard deviations are allowed; large matrices keep that well below
 * the factors by which a wrong formula is off.
 */
export function checkInitialise(build: (runtime: Runtime) => Operator, variance: number): void {
  scoped(() => {
    const operator = build(runtime);
    equal(initialise(operator, variance), parametersOf(operator).length, 'every parameter is filled once');
    const w = denseOf(operator);
    const measured = reference.f32_dot(w, w, w.length) / w.length;
    let share = 1 / w.length;
    for (const { size } of parametersOf(operator)) share += 1 / size;
    const deviation = Math.sqrt(2 * share);
    ok(deviation < 0.1, 'the matrix is too small to tell');
    assertClose([measured], [variance], [variance], 5 * deviation, 'variance of the entries');
  });
}
