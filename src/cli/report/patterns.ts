import { html } from 'hono/html';
import { invalid } from '../../errors.js';
import type { Model } from '../../nn/model.js';
import { type Operator, walk } from '../../operators/operator.js';
import { Sum } from '../../operators/sum.js';
import { callScript, dataScript, readData } from './scripts.js';

/** A picture of a matrix. */
export interface MatrixPattern {
  title: string;
  note: string;
  rows: number;
  cols: number;
  /** A signed byte per pixel, 127 for the largest magnitude. */
  base64: string;
}

/** A pixel of a larger matrix stands for several weights. */
const MOST_ROWS = 1024;
const MOST_COLS = 768;

/** All weights are formed to be drawn: 256 MB. */
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

/** The part of the page that shows the matrices: empty until the page's script paints them. */
export function renderPatterns(patterns: MatrixPattern[]) {
  if (patterns.length === 0) return '';
  return html`<section>
<h2>Weights</h2>
<p>Each pixel is a weight, or the largest of a few: orange above zero, blue below, the stronger the larger; nothing where it is zero.</p>
<div class="patterns">
${patterns.map(renderPattern)}</div>
</section>
`;
}

const renderPattern = ({ title, note }: MatrixPattern) =>
  html`<figure><figcaption>${title}</figcaption><p>${note}</p><div class="scroll"><canvas class="pattern"></canvas></div></figure>\n`;

/** The script that paints all matrices of the page. */
export function patternScripts(patterns: MatrixPattern[]) {
  if (patterns.length === 0) return '';
  return html`${dataScript('patterns', patterns)}${callScript(paintPatterns, readData('patterns'))}`;
}

/** Paints the matrices into the elements of class "pattern". It runs in the page, as drawCharts does, from its source text. */
function paintPatterns(patterns: MatrixPattern[]): void {
  const places = document.querySelectorAll<HTMLCanvasElement>('canvas.pattern');
  patterns.forEach(({ rows, cols, base64 }, i) => {
    const canvas = places[i]!;
    canvas.width = cols;
    canvas.height = rows;
    canvas.style.width = `${cols * Math.max(1, Math.min(Math.floor(384 / cols), Math.floor(1024 / rows)))}px`;
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const context = canvas.getContext('2d')!;
    const image = context.createImageData(cols, rows);
    bytes.forEach((byte, at) => {
      const value = byte > 127 ? byte - 256 : byte;
      // Even the smallest stays visible.
      const alpha = value === 0 ? 0 : 70 + Math.round((185 * Math.abs(value)) / 127);
      image.data.set(value > 0 ? [213, 94, 0, alpha] : [15, 127, 196, alpha], 4 * at);
    });
    context.putImageData(image, 0, 0);
  });
}
