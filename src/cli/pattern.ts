import { invalid } from '../errors.js';
import type { Model } from '../nn/model.js';
import { type Operator, walk } from '../operators/operator.js';
import { Sum } from '../operators/sum.js';

/** A matrix to be looked at. */
export interface MatrixPattern {
  title: string;
  note: string;
  rows: number;
  cols: number;
  /** A signed byte a pixel, 127 for the largest magnitude. */
  base64: string;
}

/** Larger ones are thinned out. */
const MOST_ROWS = 1024;
const MOST_COLS = 768;

/** Which are all formed to be drawn: 256 MB. */
const MOST_WEIGHTS = 2 ** 26;

/** The first doped matrix of a model: structure, dopants, and what they make together; none where nothing is doped. */
export function dopedPatterns(model: Model): MatrixPattern[] {
  const found = model.matrices().flatMap(([name, operator]) => [...walk(operator, name)]);
  const [name, sum] = found.find(([, operator]) => operator instanceof Sum) ?? [];
  if (!(sum instanceof Sum)) return [];
  const [structure, dopants] = sum.terms;
  return [
    patternOf(`${name}: structure S`, structure),
    patternOf(`${name}: dopants M_sp`, dopants),
    patternOf(`${name}: S + M_sp`, sum),
  ];
}

function patternOf(title: string, operator: Operator): MatrixPattern {
  const { M, N } = operator;
  if (M * N > MOST_WEIGHTS)
    throw invalid('--model', `${M} x ${N}`, `a matrix of at most ${MOST_WEIGHTS} weights to draw`);
  const weights = operator.toDense();
  const step = Math.max(1, Math.ceil(M / MOST_ROWS), Math.ceil(N / MOST_COLS));
  const [rows, cols] = [Math.ceil(M / step), Math.ceil(N / step)];
  // The largest of each square, so that no dopant is lost.
  const pixels = new Float32Array(rows * cols);
  let largest = 0;
  let nonzeros = 0;
  weights.forEach((weight, at) => {
    const pixel = Math.floor(Math.floor(at / N) / step) * cols + Math.floor((at % N) / step);
    if (Math.abs(weight) > Math.abs(pixels[pixel])) pixels[pixel] = weight;
    largest = Math.max(largest, Math.abs(weight));
    if (weight !== 0) nonzeros++;
  });
  const bytes = Int8Array.from(pixels, (pixel) => {
    const level = Math.round((127 * pixel) / (largest || 1));
    return level === 0 ? Math.sign(pixel) : level;
  });
  return {
    title,
    note: `${M} x ${N}, ${nonzeros.toLocaleString('en')} nonzeros, largest magnitude ${largest.toPrecision(3)}${step > 1 ? `; a pixel is ${step} x ${step} weights` : ''}`,
    rows,
    cols,
    base64: Buffer.from(bytes.buffer).toString('base64'),
  };
}
