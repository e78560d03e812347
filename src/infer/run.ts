import { invalid } from '../errors.js';
import { GATES, type LayerSpec } from '../network/spec.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Engine } from './engine.js';
import { Activation } from './instruction.js';
import type { Layer, Network } from './network.js';

/** The outputs of a layer for a whole sequence: f32[T, its outputs]. */
export interface Steps {
  at: Pointer;
  T: number;
}

/** Memory past all that is handed out, handed out in turn until the next sequence. */
class Room {
  private used = 0;
  constructor(private readonly engine: Engine) {}

  /** Room for n floats and for what kernels read past their end, with whatever was there. */
  floats(n: number): Pointer {
    const at = this.used;
    this.used += 64 * Math.ceil(n / 16) + 64;
    return this.engine.scratch(this.used) + at;
  }

  zeros(n: number): Pointer {
    const at = this.floats(n);
    this.engine.floats(at, n + 8).fill(0);
    return at;
  }

  /** Does `act`; what it asks for is free again afterwards. */
  scoped<T>(act: () => T): T {
    const { used } = this;
    const result = act();
    this.used = used;
    return result;
  }
}

/**
 * Runs all layers over T steps from states of zeros. `fill` writes the input, [T, width], to an address. The result is there
 * until the next call. `ended` gets copies of the last states of each recurrent layer and direction: h, then c of an LSTM.
 *
 * @throws InputError where there is not so much memory, and where a convolution gives no step
 */
export function runLayers(
  engine: Engine,
  network: Network,
  T: number,
  width: number,
  fill: (at: Pointer) => void,
  ended: (state: Float32Array) => void = () => {},
): Steps {
  const room = new Room(engine);
  const input = room.floats(T * width);
  const done: (Steps & { n: number })[] = [{ at: input, T, n: width }];
  const many = room.floats(network.scratch / 4);
  fill(input);
  for (const layer of network.layers) {
    const read = layer.from.map((one) => done[one]);
    const steps = stepsOf(layer, read[0].T);
    const at = room.floats(steps * layer.outputs);
    room.scoped(() =>
      runLayer(engine, room, network, layer, many, gather(engine, room, read, layer), at, steps, ended),
    );
    done.push({ at, T: steps, n: layer.outputs });
  }
  return done[done.length - 1];
}

function stepsOf({ spec }: Layer, T: number): number {
  if (spec.kind === 'pool') return 1;
  if (spec.kind !== 'conv') return T;
  const { width, stride = 1, padding = [width - 1, 0] } = spec;
  const steps = Math.floor((T + padding[0] + padding[1] - width) / stride) + 1;
  if (steps >= 1) return steps;
  throw invalid('sequence', T, `at least ${width - padding[0] - padding[1]} steps, for layer '${spec.name}'`);
}

/** What a layer reads, side by side. */
function gather(engine: Engine, room: Room, read: readonly (Steps & { n: number })[], { inputs }: Layer): Steps {
  if (read.length === 1) return read[0];
  const { T } = read[0];
  const at = room.floats(T * inputs);
  const memory = engine.floats(0, engine.kernels.memory.buffer.byteLength / 4);
  let column = at / 4;
  for (const one of read) {
    for (let t = 0; t < T; t++) {
      const from = one.at / 4 + t * one.n;
      memory.copyWithin(column + t * inputs, from, from + one.n);
    }
    column += one.n;
  }
  return { at, T };
}

function runLayer(
  engine: Engine,
  room: Room,
  { inner }: Network,
  layer: Layer,
  many: Pointer,
  { at: x, T }: Steps,
  out: Pointer,
  steps: number,
  ended: (state: Float32Array) => void,
): void {
  const { spec, cells, weight, inputs, outputs } = layer;
  const { kernels } = engine;
  const row = 4 * outputs;
  switch (spec.kind) {
    case 'lstm':
    case 'gru': {
      const { kind, units: H } = spec;
      const gates = GATES[kind] * H;
      const products = room.floats(T * gates);
      for (const [k, { ih, hh, backward }] of cells.entries()) {
        const [h, c] = [room.zeros(H), room.zeros(H)];
        kernels.run_many(ih, x, 4 * inputs, T, products, 4 * gates, many);
        const to = out + 4 * k * H;
        if (kind === 'lstm') kernels.lstm_run(hh, products, c, h, H, T, to, row, backward);
        else kernels.gru_run(hh, products, inner, h, H, T, to, row, backward);
        for (const at of kind === 'lstm' ? [h, c] : [h]) ended(engine.floats(at, H).slice());
      }
      break;
    }
    case 'conv': {
      const { width, stride = 1, padding = [width - 1, 0] } = spec;
      const padded = room.zeros((padding[0] + T + padding[1]) * inputs);
      const memory = engine.floats(0, engine.kernels.memory.buffer.byteLength / 4);
      memory.copyWithin(padded / 4 + padding[0] * inputs, x / 4, x / 4 + T * inputs);
      // The windows overlap.
      kernels.run_many(weight, padded, 4 * stride * inputs, steps, out, row, many);
      break;
    }
    case 'attention':
      break; // is only stepped
    case 'linear':
      kernels.run_many(weight, x, 4 * inputs, T, out, row, many);
      break;
    case 'adaptive':
      for (let t = 0; t < T; t++) {
        adapt(engine, layer, x + 4 * t * inputs);
        const memory = engine.floats(0, engine.kernels.memory.buffer.byteLength / 4);
        memory.copyWithin((out + t * row) / 4, layer.out / 4, layer.out / 4 + outputs);
      }
      break;
    case 'pool':
      pool(engine.floats(x, T * inputs), engine.floats(out, outputs), spec.over, T);
  }
  activate(engine, spec, out, steps * outputs);
}

/**
 * Runs a layer over one step of what lies at `x`. Returns where its outputs lie, which the next step overwrites. What it carries
 * is in its memory.
 */
export function stepLayer(engine: Engine, { gates, inner }: Network, layer: Layer, x: Pointer): Pointer {
  const { kernels } = engine;
  const { spec, cells, weight, out, outputs } = layer;
  switch (spec.kind) {
    case 'lstm':
      kernels.lstm_step(cells[0].ih, cells[0].hh, x, gates, cells[0].c, out, outputs);
      break;
    case 'gru':
      kernels.gru_step(cells[0].ih, cells[0].hh, x, gates, inner, out, outputs);
      break;
    case 'linear':
    case 'conv':
      kernels.run(weight, x);
      break;
    case 'attention': {
      const { keys, values, weights, steps, width } = layer.attention!;
      const { gathered, inputs } = layer;
      kernels.f32_attention(x, keys, values, weights, gathered, 1, steps, 1, inputs, width);
      kernels.f32_scale(1, x, gathered + 4 * width, inputs);
      kernels.run(weight, gathered);
      kernels.activate(Activation.Tanh, out, outputs);
      return out;
    }
    case 'adaptive':
      adapt(engine, layer, x);
      return out;
    case 'pool':
      return x; // the last step
  }
  activate(engine, spec, out, outputs);
  return out;
}

/** The logits of an adaptive softmax for one x, into `out`: those of a cluster share what its row in the first one has. */
function adapt(engine: Engine, { clusters = [], out }: Layer, x: Pointer): void {
  const { kernels } = engine;
  const { weight, outputs } = clusters[0];
  kernels.run(weight, x);
  // The rows for the clusters lie where the outputs of the second one begin: it comes last, when they have been read.
  for (let i = clusters.length - 1; i > 0; i--) {
    const { down, projected, weight, first, outputs: n } = clusters[i];
    kernels.adaptive_step(down, weight, x, projected, out + 4 * (outputs + i - 1), out + 4 * first, n);
  }
}

function activate(engine: Engine, spec: LayerSpec, at: Pointer, n: number): void {
  if ('activation' in spec && spec.activation) engine.kernels.activate(ACTIVATIONS[spec.activation], at, n);
}

/** y[n] of x[T,n]. */
function pool(x: Float32Array, y: Float32Array, over: 'last' | 'ends' | 'mean' | 'max', T: number): void {
  const n = y.length;
  y.set(x.subarray((T - 1) * n));
  if (over === 'ends') y.set(x.subarray(n / 2, n), n / 2);
  if (over !== 'mean' && over !== 'max') return;
  for (let t = T - 2; t >= 0; t--) {
    for (let j = 0; j < n; j++) y[j] = over === 'max' ? Math.max(y[j], x[t * n + j]) : y[j] + x[t * n + j];
  }
  if (over === 'mean') for (let j = 0; j < n; j++) y[j] /= T;
}

/** What the kernel `activate` calls them. */
const ACTIVATIONS = { tanh: Activation.Tanh, sigmoid: Activation.Sigmoid, relu: Activation.Relu } as const;
