// Elementary functions in f64 that give the same bits in every engine. ECMAScript leaves the accuracy of Math.exp, log,
// pow, cos and of `**` to the engine; it rounds sums, products, quotients and Math.sqrt correctly.
//
// exp and log: FreeBSD's msun, e_exp.c and e_log.c, which come from Sun's fdlibm.

const LN2_HIGH = 0.6931471803691238; // its products with integers below 2^20 are exact
const LN2_LOW = 1.9082149292705877e-10; // ln 2 - LN2_HIGH

/** 2^-538 to 2^512. Without power(), which whoever needs only exp() need not bundle. */
const POWERS_OF_2 = /* @__PURE__ */ powersOf2();

function powersOf2(): Float64Array {
  const powers = new Float64Array(1051).fill(1);
  for (let i = 537; i >= 0; i--) powers[i] = powers[i + 1] / 2;
  for (let i = 539; i < powers.length; i++) powers[i] = powers[i - 1] * 2;
  return powers;
}

/** Returns e^x, within 1 ulp. */
export function exp(x: number): number {
  if (!(x <= 709.782712893384)) return x + Number.POSITIVE_INFINITY; // NaN stays NaN
  if (x < -745.1332191019411) return 0;
  const n = Math.floor(x * Math.LOG2E + 0.5);
  const high = x - n * LN2_HIGH;
  const low = n * LN2_LOW;
  const r = high - low; // |r| <= ln(2) / 2
  const t = r * r;
  // 2 - (r (e^r + 1) / (e^r - 1) - r), a minimax polynomial in r^2
  const c =
    r -
    t *
      (0.16666666666666602 +
        t *
          (-0.0027777777777015593 +
            t * (6.613756321437934e-5 + t * (-1.6533902205465252e-6 + t * 4.1381367970572385e-8))));
  const y = 1 - (low - (r * c) / (2 - c) - high);
  // In two factors: 2^n alone may be too large or too small.
  const half = n >> 1;
  return y * POWERS_OF_2[half + 538] * POWERS_OF_2[n - half + 538];
}

const bits = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(8));

/** Returns the natural logarithm of x, within 1 ulp; -Infinity for 0, NaN below 0. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  if (x < 2 ** -1022) return log(x * 2 ** 54) - 54 * Math.LN2;
  bits.setFloat64(0, x);
  // x = 2^n m, m in [sqrt(1/2), sqrt(2)): from sqrt(2) on, adding 0x95f64 carries into the exponent.
  const word = bits.getInt32(0);
  const n = ((word + 0x95f64) >> 20) - 1023;
  bits.setInt32(0, word - (n << 20));
  const f = bits.getFloat64(0) - 1;
  const s = f / (2 + f);
  const z = s * s;
  // log((1 + s) / (1 - s)) = 2 s + s R, R a minimax polynomial in s^2
  const R =
    z *
    (0.6666666666666735 +
      z *
        (0.3999999999940942 +
          z *
            (0.2857142874366239 +
              z *
                (0.22222198432149784 +
                  z * (0.1818357216161805 + z * (0.15313837699209373 + z * 0.14798198605116586))))));
  const square = 0.5 * f * f;
  return n * LN2_HIGH - (square - (s * (square + R) + n * LN2_LOW) - f);
}

/**
 * Returns base^exponent for a base above 0, within |exponent| + |log base| + 4 ulp. Squaring takes care of the exponent's
 * integer part, so that power(x, 1) is x and power(x, -1) is 1 / x.
 */
export function power(base: number, exponent: number): number {
  if (exponent < 0) return 1 / power(base, -exponent);
  const whole = Math.floor(exponent);
  let result = whole < exponent ? exp((exponent - whole) * log(base)) : 1;
  for (let square = base, left = whole; left > 0; left = Math.floor(left / 2), square *= square) {
    if (left % 2) result *= square;
  }
  return result;
}

/** Returns cos(pi x) for 0 <= x <= 1 by its series, within 1e-15. */
export function cosineOfPi(x: number): number {
  const y = (0.5 - x) * Math.PI; // cos(pi x) = sin(y)
  let term = y;
  let sum = y;
  for (let k = 1; k <= 10; k++) {
    term *= (-y * y) / (2 * k * (2 * k + 1));
    sum += term;
  }
  return sum;
}
