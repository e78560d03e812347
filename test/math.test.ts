import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cosineOfPi, exp, log, power } from '../src/math.js';
import { U64, values } from './support.js';

const { NaN: nan, POSITIVE_INFINITY: infinity, MIN_VALUE, MAX_VALUE, EPSILON } = Number;

/** What is wanted comes from the engine, which errs by up to 1 unit in the last place too. */
function assertNear(got: number, wanted: number, ulps: number, what: string): void {
  if (Object.is(got, wanted)) return;
  const ulp = Math.max(MIN_VALUE, 2 * U64 * Math.abs(wanted));
  assert.ok(Math.abs(got - wanted) <= ulps * ulp, `${what}: ${got}, not ${wanted}`);
}

/** 2^e times numbers in [1, 2), for all exponents of f64; denormals too. */
const magnitudes = Array.from({ length: 2098 }, (_, i) => i - 1074).flatMap((e) =>
  Array.from(values(8, 0.5), (v) => 2 ** Math.max(e, -1022) * (e < -1022 ? 2 ** (e + 1022) : 1.5 + v)),
);

test('exp is within an ulp over all its range, at its limits and beyond', () => {
  const edges = [
    0,
    -0,
    nan,
    infinity,
    -infinity,
    709.782712893384,
    709.7827128933841,
    -745.1332191019411,
    -745.14,
    -708.5,
  ];
  const grid = Array.from({ length: 14_600 }, (_, i) => -746 + i / 10 + values(1, 0.05)[0]);
  for (const x of [...edges, ...grid, ...magnitudes, ...magnitudes.map((x) => -x)]) {
    assertNear(exp(x), Math.exp(x), 2, `exp(${x})`);
  }
});

test('log is within an ulp over all its range, at its limits and beyond', () => {
  const edges = [
    0,
    -0,
    nan,
    infinity,
    -infinity,
    -1,
    1,
    1 - EPSILON / 2,
    1 + EPSILON,
    MIN_VALUE,
    MAX_VALUE,
    Math.SQRT2,
  ];
  const near1 = Array.from(values(2000), (v) => 1 + v / 2);
  for (const x of [...edges, ...near1, ...magnitudes]) assertNear(log(x), Math.log(x), 2, `log(${x})`);
});

test('power is near base^exponent, the number itself and its reciprocal for 1 and -1', () => {
  for (const base of Array.from(values(200), (v) => (v + 1) / 2 + MIN_VALUE)) {
    assert.is(power(base, 1), base);
    assert.is(power(base, -1), 1 / base);
    assert.is(power(base, 0), 1);
    assert.is(power(base, 2), base * base);
    for (const exponent of [0.5, -0.5, 1.5, 3, 7.25, -2.7, 0.999, 20]) {
      const allowed = Math.abs(exponent) + Math.abs(Math.log(base)) + 4;
      assertNear(power(base, exponent), base ** exponent, allowed, `${base}^${exponent}`);
    }
  }
  for (const n of [1, 10, 1000, 1_000_000]) assertNear(power(0.999, n), 0.999 ** n, n, `0.999^${n}`);
  for (let n = -1022; n <= 1023; n++) assert.is(power(2, n), 2 ** n);
});

test('the cosine of pi x is within 1e-15', () => {
  for (let x = 0; x <= 1; x += 1 / 1024) assert.ok(Math.abs(cosineOfPi(x) - Math.cos(Math.PI * x)) <= 1e-15, `${x}`);
});

test.run();
