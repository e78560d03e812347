import { blamingTheFile, type Header } from '../io/model-header.js';
import { checkSums } from '../io/sums.js';
import {
  clustersOf,
  directionsOf,
  ENCODER,
  fedLayer,
  GATES,
  inputWidth,
  isTied,
  type LayerSpec,
  memoryWidth,
  type NetworkSpec,
  resolveLayers,
  tiedScale,
} from '../network/spec.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Engine } from './engine.js';
import {
  type Int8Rows,
  isByRow,
  packInt8,
  packMatrix,
  packTable,
  putFloats,
  scaleInt8,
  scratchForMany,
} from './pack.js';

/** A recurrent layer in one direction, in the form that assembly/step.ts reads. */
export interface Cell {
  ih: Pointer;
  hh: Pointer;
  h: Pointer; // [H]
  c: Pointer; // [H], or 0 where the cell has none
  backward: boolean;
}

/** Numbers that are carried from step to step; those that are multiplied by weights must not be beyond the model's limit. */
export interface Carried {
  at: Pointer;
  n: number;
  multiplied: boolean;
}

/** A cluster of an adaptive softmax, see clustersOf(): its programs leave its logits in `out` of the layer. */
export interface Cluster {
  /** The program of the projection, into `projected`; 0 of the first cluster, which reads the inputs. */
  down: Pointer;
  projected: Pointer;
  weight: Pointer;
  /** Its place among the outputs, and their number; the first cluster has more rows behind them. */
  first: number;
  outputs: number;
  rows: number;
  width: number;
}

/** What attention needs besides W_c, and, once there is a source, see Model.encode(), where that lies. */
export interface Attention {
  /** The program of W_a, which leaves the key of a step in `key`; 0 for the score 'dot'. */
  score: Pointer;
  key: Pointer;
  /** [S, inputs], what is compared with the layer's inputs. */
  keys: Pointer;
  /** [S, width], the outputs of the encoder. */
  values: Pointer;
  width: number;
  /** [S], of the last step. */
  weights: Pointer;
  /** Steps of the source, S, and those that there is room for. */
  steps: number;
  room: number;
}

/** A layer, packed. Whatever a matrix is multiplied with is padded with zeros to whole vectors. */
export interface Layer {
  spec: LayerSpec;
  /** What it reads: 0 is the input, l + 1 the layer l. */
  from: readonly number[];
  inputs: number;
  outputs: number;
  /** Of a recurrent layer, one for each direction. */
  cells: readonly Cell[];
  /** The program of a linear layer or a convolution, which leaves W x + b in `out`; otherwise 0. */
  weight: Pointer;
  /** Where what it reads is gathered at a step: [inputs], or the window of a convolution, [width, inputs]; 0 where it lies together. */
  gathered: Pointer;
  /** Of an adaptive softmax, its clusters. */
  clusters?: readonly Cluster[];
  /** Of attention; `weight` is then the program of W_c, which reads what is gathered: context and inputs. */
  attention?: Attention;
  /** Frames in it; 1 but for a convolution. */
  window: number;
  /** What a forward layer carries from step to step, in order. */
  carried: readonly Carried[];
  /** What it gives at a step: [outputs], h where it has cells; 0 where that is what it reads. */
  out: Pointer;
}

/** The contents of a model file, packed to run. */
export interface Network {
  encoder?: Network;
  /** Where input and fed outputs lie side by side, [width + outputs of the fed layer]; 0 where none is fed. */
  fed: Pointer;
  /** Rows of an embedding, `stride` bytes apart, padded; or room for one row or frame. */
  input: Pointer;
  stride: number;
  /** The embedding where it is quantised row by row. */
  codes: Int8Rows | undefined;
  layers: readonly Layer[];
  /** [most gates], shared by all recurrent layers, and what W_hh h + b_hh of a GRU needs beside it. */
  gates: Pointer;
  inner: Pointer;
  /** Bytes that run_many needs beside what it reads and writes. */
  scratch: number;
  /** The largest magnitude of numbers from outside, inputs and states, with which all sums stay finite. */
  limit: number;
}

/** Where the row of a token lies: in the table, or decoded. */
export function lookUp({ kernels }: Engine, { input, stride, codes }: Network, token: number): Pointer {
  if (!codes) return input + token * stride;
  kernels.int8_panel_row(codes.at, codes.scales, token, codes.blocks, input);
  return input;
}

/** Packs a model file. Throws FileFormatError, saying what is wrong with it. */
export function packNetwork(engine: Engine, header: Header): Network {
  return blamingTheFile(() => engine.within(header.memory, () => pack(engine, header)));
}

function pack(engine: Engine, header: Header): Network {
  const { network, spec, source, finish } = header;
  const encoder = network.encoder && packPart(engine, network.encoder, ENCODER, header);
  const packed = packPart(engine, network, '', header);
  finish();
  return { ...packed, ...(encoder && { encoder }), limit: checkSums(network, spec, source) };
}

/** A network whose tensors' names begin with `prefix`; its limit is not known yet. */
function packPart(engine: Engine, network: NetworkSpec, prefix: string, { spec, source }: Header): Network {
  const { kernels } = engine;
  const E = inputWidth(network);
  const stride = 16 * Math.ceil(E / 4);
  const table = 'tokens' in network.input ? ([network.input.tokens, E] as const) : undefined;
  const embedding = table && source.numbers(`${prefix}embedding`, table);
  const factor = tiedScale(network);
  const rows =
    embedding && isByRow(embedding, E) ? packInt8(engine, `${prefix}embedding`, table, embedding, source) : undefined;
  const codes = rows && factor !== 1 ? scaleInt8(engine, rows, table![0], factor) : rows;
  let input: Pointer;
  if (embedding && !codes) {
    const [V] = table;
    input = engine.alloc(stride * V);
    const raw = input + (stride - 4 * E) * V;
    putFloats(engine, raw, `${prefix}embedding`, embedding, source);
    if (factor !== 1) kernels.f32_scale(factor, raw, raw, V * E);
    kernels.pad_rows(raw, input, V, 4 * E, stride);
  } else {
    input = engine.alloc(32 * Math.ceil(E / 8));
  }
  /** The sum of vectors. */
  const vector = (n: number, ...names: string[]): Pointer => {
    const at = engine.alloc(4 * n);
    for (const name of names) {
      const one = engine.scratch(4 * n);
      putFloats(engine, one, prefix + name, source.numbers(prefix + name, [n]), source);
      kernels.f32_add(one, at, n);
    }
    return at;
  };
  const resolved = resolveLayers(network);
  const most = (kinds: string) =>
    resolved.reduce(
      (size, { spec: layer }) =>
        layer.kind === 'lstm' || layer.kind === 'gru'
          ? Math.max(size, kinds.includes(layer.kind) ? GATES[layer.kind] * layer.units : 0)
          : size,
      0,
    );
  const gates = engine.alloc(4 * most('lstm gru'));
  const inner = engine.alloc(4 * most('gru'));
  let scratch = 0;
  const noted = (program: Pointer): Pointer => {
    scratch = Math.max(scratch, scratchForMany(engine, program));
    return program;
  };
  const matrix = (name: string, M: number, N: number, to: Pointer, add: boolean | Pointer): Pointer =>
    noted(packMatrix(engine, spec(prefix + name, M, N), prefix + name, source, to, add));
  const feeding = fedLayer(network);
  const fed = feeding ? engine.alloc(4 * (E + feeding.outputs)) : 0;
  const memory = memoryWidth(network);
  const places = new Map([['input', 0]]);
  const layers = resolved.map(({ spec: layer, from, inputs, outputs }, l): Layer => {
    const { name, kind } = layer;
    places.set(name, l + 1);
    const cells: Cell[] = [];
    const carried: Carried[] = [];
    const carry = (at: Pointer, n: number, multiplied = true) => carried.push({ at, n, multiplied });
    let [weight, out, gathered, window] = [0, 0, 0, 1];
    let attention: Attention | undefined;
    switch (kind) {
      case 'lstm':
      case 'gru': {
        const H = layer.units;
        const M = GATES[kind] * H;
        const hidden = engine.alloc(4 * H);
        for (const { name, backward } of directionsOf(layer)) {
          const gru = kind === 'gru';
          // The two products of an LSTM are added; a GRU needs them apart.
          const bias = gru ? vector(M, `${name}.bias_ih`) : vector(M, `${name}.bias_ih`, `${name}.bias_hh`);
          const ih = matrix(`${name}.ih`, M, inputs, gates, bias);
          const hh = matrix(`${name}.hh`, M, H, gru ? inner : gates, gru ? vector(M, `${name}.bias_hh`) : true);
          cells.push({ ih, hh, h: hidden, c: gru ? 0 : engine.alloc(4 * H), backward });
        }
        carry(hidden, H);
        if (kind === 'lstm') carry(cells[0].c, H, false);
        out = hidden;
        break;
      }
      case 'attention': {
        const key = engine.alloc(4 * inputs);
        const score = layer.score === 'general' ? matrix(`${name}.score`, inputs, memory, key, false) : 0;
        attention = { score, key, keys: 0, values: 0, width: memory, weights: 0, steps: 0, room: 0 };
        out = engine.alloc(4 * outputs);
        gathered = engine.alloc(4 * (memory + inputs));
        weight = matrix(`${name}.combine`, outputs, memory + inputs, out, vector(outputs, `${name}.bias`));
        if (layer === feeding) carry(fed + 4 * E, outputs);
        break;
      }
      case 'adaptive':
        // The first cluster's program writes the rows for the others over outputs that they write after it.
        out = engine.alloc(4 * (outputs + layer.cutoffs.length));
        break;
      case 'linear':
      case 'conv': {
        if (kind === 'conv') window = layer.width;
        const N = inputs * window;
        const bias = vector(outputs, `${name}.bias`);
        out = engine.alloc(4 * outputs);
        weight = isTied(layer)
          ? noted(packTable(engine, `${prefix}embedding`, table!, rows ?? embedding!, source, out, bias))
          : matrix(name, outputs, N, out, bias);
        if (kind === 'conv') gathered = engine.alloc(4 * N);
        if (window > 1) carry(gathered + 4 * inputs, N - inputs);
        break;
      }
    }
    const clusters =
      kind === 'adaptive'
        ? clustersOf(layer, inputs).map(({ name, first, outputs, rows, width, down }, i): Cluster => {
            const projected = down ? engine.alloc(4 * width) : 0;
            const bias = vector(rows, `${name}.bias`);
            return {
              down: down ? matrix(down, width, inputs, projected, false) : 0,
              projected,
              // The rows for the clusters lie apart.
              weight: matrix(name, rows, width, i ? out + 4 * first : out, bias),
              first,
              outputs,
              rows,
              width,
            };
          })
        : undefined;
    if (from.length > 1 && !gathered) gathered = engine.alloc(4 * inputs);
    const read = from.map((one) => places.get(one)!);
    return {
      spec: layer,
      from: read,
      inputs,
      outputs,
      cells,
      weight,
      gathered,
      ...(clusters && { clusters }),
      ...(attention && { attention }),
      window,
      carried,
      out,
    };
  });
  return { input, stride, codes, fed, layers, gates, inner, scratch, limit: 0 };
}
