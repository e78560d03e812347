// Writes ONNX models: protocol buffers by hand, just the fields of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
// that these need. States are inputs h0, c0, h1, ..., and what to feed to each the next time is the output NAME_next.

import { reorder } from './gates.js';
import type { LayerWeights, ModelWeights } from './peer.js';

const IR_VERSION = 8;
const OPSET = 17;
const FLOAT = 1;
const INT8 = 3;
const INT32 = 6;
const ATTRIBUTE_INT = 2;
/** The domain of onnxruntime's own operators. */
const MICROSOFT = 'com.microsoft';

type Value = number | string | Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/** A message of [field, value]s: integers are varints, all else has its length in front. */
function message(...fields: [number, Value][]): Uint8Array {
  const parts = fields.flatMap(([field, value]) => {
    if (typeof value === 'number') return [Uint8Array.from([...varint(field << 3), ...varint(value)])];
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return [Uint8Array.from([...varint((field << 3) | 2), ...varint(bytes.length)]), bytes];
  });
  return new Uint8Array(Buffer.concat(parts));
}

/** The value under the same field, each. */
const repeated = (field: number, values: readonly Value[]) => values.map((value): [number, Value] => [field, value]);

function tensor(name: string, dims: number[], data: Float32Array | Int8Array): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...repeated(1, dims), [2, data instanceof Int8Array ? INT8 : FLOAT], [8, name], [9, bytes]);
}

function valueInfo(name: string, dims: number[], type = FLOAT): Uint8Array {
  const shape = message(
    ...repeated(
      1,
      dims.map((dim) => message([1, dim])),
    ),
  );
  return message([1, name], [2, message([1, message([1, type], [2, shape])])]);
}

function node(
  op: string,
  inputs: string[],
  outputs: string[],
  integers: Record<string, number> = {},
  domain = '',
): Uint8Array {
  const attributes = Object.entries(integers).map(([name, value]) =>
    message([1, name], [3, value], [20, ATTRIBUTE_INT]),
  );
  return message(...repeated(1, inputs), ...repeated(2, outputs), [4, op], ...repeated(5, attributes), [7, domain]);
}

interface Graph {
  nodes: Uint8Array[];
  initializers: Uint8Array[];
  inputs: Uint8Array[];
  outputs: Uint8Array[];
}

function encode({ nodes, initializers, inputs, outputs }: Graph): Uint8Array {
  const graph = message(
    ...repeated(1, nodes),
    [2, 'peer'],
    ...repeated(5, initializers),
    ...repeated(11, inputs),
    ...repeated(12, outputs),
  );
  return message([1, IR_VERSION], [7, graph], [8, message([2, OPSET])], [8, message([1, MICROSOFT], [2, 1])]);
}

/** Gates in PyTorch's order and in that of ONNX. */
const ORDERS = { lstm: ['ifgo', 'iofg'], gru: ['rzn', 'zrn'] } as const;

/**
 * Adds layer `n`, which reads the tensor `x` [T, 1, I]; its last h is the tensor h{n}_next [1, 1, H]. With `int8`, an LSTM's
 * weights are quantised, one scale for each matrix, as onnxruntime's own quantisation does.
 */
function addLayer(graph: Graph, n: number, x: string, weights: LayerWeights, int8: boolean): void {
  const { cell, input, hidden } = weights;
  const [from, to] = ORDERS[cell];
  const gates = to.length * hidden;
  const [ih, hh, biasIh, biasHh] = [weights.ih, weights.hh, weights.biasIh, weights.biasHh].map((one) =>
    reorder(one, from, to),
  );
  const both = new Float32Array(2 * gates);
  both.set(biasIh);
  both.set(biasHh, gates);
  graph.initializers.push(tensor(`bias${n}`, [1, 2 * gates], both));
  const states = cell === 'lstm' ? [`h${n}`, `c${n}`] : [`h${n}`];
  const inputs = [x, `ih${n}`, `hh${n}`, `bias${n}`, '', ...states];
  const outputs = ['', ...states.map((state) => `${state}_next`)];
  if (int8) {
    // The inputs of DynamicQuantizeLSTM are [1, I, G H], transposed.
    for (const [name, matrix, columns] of [
      ['ih', ih, input],
      ['hh', hh, hidden],
    ] as const) {
      const { values, scale } = quantised(transposed(matrix, gates, columns));
      graph.initializers.push(
        tensor(`${name}${n}`, [1, columns, gates], values),
        tensor(`${name}${n}_scale`, [1], Float32Array.of(scale)),
        tensor(`${name}${n}_zero`, [1], Int8Array.of(0)),
      );
    }
    inputs.push('', `ih${n}_scale`, `ih${n}_zero`, `hh${n}_scale`, `hh${n}_zero`);
    graph.nodes.push(node('DynamicQuantizeLSTM', inputs, outputs, { hidden_size: hidden }, MICROSOFT));
  } else {
    graph.initializers.push(tensor(`ih${n}`, [1, gates, input], ih), tensor(`hh${n}`, [1, gates, hidden], hh));
    // PyTorch's GRU multiplies with r after the product, not before.
    const attributes: Record<string, number> = cell === 'lstm' ? {} : { linear_before_reset: 1 };
    graph.nodes.push(node(cell.toUpperCase(), inputs, outputs, { hidden_size: hidden, ...attributes }));
  }
  for (const state of states) {
    graph.inputs.push(valueInfo(state, [1, 1, hidden]));
    graph.outputs.push(valueInfo(`${state}_next`, [1, 1, hidden]));
  }
}

function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(matrix, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]);
}

/** Weights as scale times whole numbers from -127 to 127. */
function quantised(weights: Float32Array): { values: Int8Array; scale: number } {
  const scale = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) / 127 || 1;
  return { values: Int8Array.from(weights, (weight) => Math.round(weight / scale)), scale };
}

/** One layer over x [T, 1, I]. */
export function layerModel(weights: LayerWeights, T: number, int8 = false): Uint8Array {
  const graph: Graph = {
    nodes: [],
    initializers: [],
    inputs: [valueInfo('x', [T, 1, weights.input])],
    outputs: [],
  };
  addLayer(graph, 0, 'x', weights, int8);
  return encode(graph);
}

/** From token [1, 1] to logits [1, V]. With `int8`, the weights of the layers and of the head are quantised. */
export function tokenModel(
  { vocabulary, hidden, embedding, layers, head, headBias }: ModelWeights,
  int8 = false,
): Uint8Array {
  const graph: Graph = {
    nodes: [node('Gather', ['embedding', 'token'], ['embedded'])],
    initializers: [tensor('embedding', [vocabulary, hidden], embedding), tensor('head_bias', [vocabulary], headBias)],
    inputs: [valueInfo('token', [1, 1], INT32)],
    outputs: [valueInfo('logits', [1, vocabulary])],
  };
  for (const [n, layer] of layers.entries()) addLayer(graph, n, n ? `h${n - 1}_next` : 'embedded', layer, int8);
  graph.nodes.push(node('Flatten', [`h${layers.length - 1}_next`], ['last'], { axis: 2 }));
  if (int8) {
    const { values, scale } = quantised(transposed(head, vocabulary, hidden));
    graph.initializers.push(
      tensor('head', [hidden, vocabulary], values),
      tensor('head_scale', [1], Float32Array.of(scale)),
      tensor('head_zero', [1], Int8Array.of(0)),
    );
    const inputs = ['last', 'head', 'head_scale', 'head_zero', 'head_bias'];
    graph.nodes.push(node('DynamicQuantizeMatMul', inputs, ['logits'], {}, MICROSOFT));
  } else {
    graph.initializers.push(tensor('head', [vocabulary, hidden], head));
    graph.nodes.push(node('Gemm', ['last', 'head', 'head_bias'], ['logits'], { transB: 1 }));
  }
  return encode(graph);
}
