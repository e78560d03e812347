// The slow twin of nn/network.ts: one sequence at a time, in double precision, straight from the formulas.

import { type ConvSpec, directionsOf, type NetworkSpec, resolveLayers } from '../../src/network/spec.js';

/** Steps of vectors. */
type Steps = readonly Float64Array[];
export type Tensors = ReadonlyMap<string, Float64Array>;

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const ACTIVATIONS = { tanh: Math.tanh, sigmoid, relu: (x: number) => Math.max(x, 0) };

/** W x + b */
function affine(W: Float64Array, x: Float64Array, b: Float64Array): Float64Array {
  return b.map((bias, i) => {
    let sum = bias;
    for (let j = 0; j < x.length; j++) sum += W[i * x.length + j] * x[j];
    return sum;
  });
}

function recurrence(kind: 'lstm' | 'gru', name: string, tensors: Tensors, steps: Steps, H: number): Steps {
  const [ih, hh, bih, bhh] = ['ih', 'hh', 'bias_ih', 'bias_hh'].map((part) => tensors.get(`${name}.${part}`)!);
  let h = new Float64Array(H);
  let c = new Float64Array(H);
  return steps.map((x) => {
    const a = affine(ih, x, bih);
    const u = affine(hh, h, bhh);
    const before = h;
    h = new Float64Array(H);
    if (kind === 'gru') {
      for (let j = 0; j < H; j++) {
        const r = sigmoid(a[j] + u[j]);
        const z = sigmoid(a[H + j] + u[H + j]);
        const n = Math.tanh(a[2 * H + j] + r * u[2 * H + j]);
        h[j] = (1 - z) * n + z * before[j];
      }
    } else {
      c = c.slice();
      for (let j = 0; j < H; j++) {
        const [i, f, g, o] = [0, 1, 2, 3].map((gate) => a[gate * H + j] + u[gate * H + j]);
        c[j] = sigmoid(f) * c[j] + sigmoid(i) * Math.tanh(g);
        h[j] = sigmoid(o) * Math.tanh(c[j]);
      }
    }
    return h;
  });
}

const join = (parts: readonly Float64Array[]) => Float64Array.from(parts.flatMap((part) => [...part]));

function windowsOf(steps: Steps, { width, stride = 1, padding = [width - 1, 0] }: ConvSpec): Steps {
  const zeros = () => new Float64Array(steps[0].length);
  const padded = [...Array.from({ length: padding[0] }, zeros), ...steps, ...Array.from({ length: padding[1] }, zeros)];
  const result: Float64Array[] = [];
  for (let t = 0; t + width <= padded.length; t += stride) result.push(join(padded.slice(t, t + width)));
  return result;
}

/** The network's outputs for one sequence: tokens, or frames one after another. */
export function slowNetwork(spec: NetworkSpec, tensors: Tensors, sequence: ArrayLike<number>): Steps {
  const { input } = spec;
  const width = 'tokens' in input ? input.width : input.frames;
  const source = 'tokens' in input ? tensors.get('embedding')! : Float64Array.from(sequence);
  const row = (t: number) => ('tokens' in input ? sequence[t] : t);
  const T = 'tokens' in input ? sequence.length : sequence.length / width;
  const first = Array.from({ length: T }, (_, t) => source.slice(row(t) * width, (row(t) + 1) * width));
  const done = new Map<string, Steps>([['input', first]]);
  let last: Steps = first;
  for (const { spec: layer, from } of resolveLayers(spec)) {
    const parts = from.map((name) => done.get(name)!);
    const x = parts[0].map((_, t) => join(parts.map((part) => part[t])));
    switch (layer.kind) {
      case 'lstm':
      case 'gru': {
        const outputs = directionsOf(layer).map(({ name, backward }) => {
          const y = recurrence(layer.kind, name, tensors, backward ? [...x].reverse() : x, layer.units);
          return backward ? [...y].reverse() : y;
        });
        last = x.map((_, t) => join(outputs.map((y) => y[t])));
        break;
      }
      case 'linear':
      case 'conv': {
        const [W, b] = [tensors.get(layer.name)!, tensors.get(`${layer.name}.bias`)!];
        const activation = layer.activation ? ACTIVATIONS[layer.activation] : (v: number) => v;
        last = (layer.kind === 'conv' ? windowsOf(x, layer) : x).map((v) => affine(W, v, b).map(activation));
        break;
      }
      case 'pool': {
        const N = x[0].length;
        const end = x[x.length - 1];
        if (layer.over === 'last') last = [end];
        else if (layer.over === 'ends') last = [join([end.slice(0, N / 2), x[0].slice(N / 2)])];
        else {
          const over = layer.over === 'max' ? Math.max : (a: number, b: number) => a + b;
          const all = x.reduce((sum, v) => sum.map((s, j) => over(s, v[j])));
          last = [layer.over === 'mean' ? all.map((s) => s / x.length) : all];
        }
        break;
      }
    }
    done.set(layer.name, last);
  }
  return last;
}
