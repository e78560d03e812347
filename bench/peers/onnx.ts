// Writes ONNX models: protocol buffers by hand, just the fields of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
// that these need. States are inputs h0, c0, h1, ..., and what to feed to each the next time is the output NAME_next.

import { reorder } from './gates.js';
import type { LstmWeights, ModelWeights } from './peer.js';

const IR_VERSION = 8;
const OPSET = 17;
const FLOAT = 1;
const INT32 = 6;
const ATTRIBUTE_INT = 2;

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

function tensor(name: string, dims: number[], data: Float32Array): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...repeated(1, dims), [2, FLOAT], [8, name], [9, bytes]);
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

function node(op: string, inputs: string[], outputs: string[], integers: Record<string, number> = {}): Uint8Array {
  const attributes = Object.entries(integers).map(([name, value]) =>
    message([1, name], [3, value], [20, ATTRIBUTE_INT]),
  );
  return message(...repeated(1, inputs), ...repeated(2, outputs), [4, op], ...repeated(5, attributes));
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
  return message([1, IR_VERSION], [7, graph], [8, message([2, OPSET])]);
}

/** Adds layer `n`, which reads the tensor `x` [T, 1, I]; its last h is the tensor h{n}_next [1, 1, H]. */
function addLstm(graph: Graph, n: number, x: string, { input, hidden, ih, hh, bias }: LstmWeights): void {
  const both = new Float32Array(8 * hidden); // of the input and of the state
  both.set(reorder(bias, 'iofg'));
  graph.initializers.push(
    tensor(`ih${n}`, [1, 4 * hidden, input], reorder(ih, 'iofg')),
    tensor(`hh${n}`, [1, 4 * hidden, hidden], reorder(hh, 'iofg')),
    tensor(`bias${n}`, [1, 8 * hidden], both),
  );
  const inputs = [x, `ih${n}`, `hh${n}`, `bias${n}`, '', `h${n}`, `c${n}`];
  graph.nodes.push(node('LSTM', inputs, ['', `h${n}_next`, `c${n}_next`], { hidden_size: hidden }));
  for (const state of [`h${n}`, `c${n}`]) {
    graph.inputs.push(valueInfo(state, [1, 1, hidden]));
    graph.outputs.push(valueInfo(`${state}_next`, [1, 1, hidden]));
  }
}

/** One layer over x [T, 1, I]. */
export function layerModel(weights: LstmWeights, T: number): Uint8Array {
  const graph: Graph = {
    nodes: [],
    initializers: [],
    inputs: [valueInfo('x', [T, 1, weights.input])],
    outputs: [],
  };
  addLstm(graph, 0, 'x', weights);
  return encode(graph);
}

/** From token [1, 1] to logits [1, V]. */
export function tokenModel({ vocabulary, hidden, embedding, layers, head, headBias }: ModelWeights): Uint8Array {
  const graph: Graph = {
    nodes: [node('Gather', ['embedding', 'token'], ['embedded'])],
    initializers: [
      tensor('embedding', [vocabulary, hidden], embedding),
      tensor('head', [vocabulary, hidden], head),
      tensor('head_bias', [vocabulary], headBias),
    ],
    inputs: [valueInfo('token', [1, 1], INT32)],
    outputs: [valueInfo('logits', [1, vocabulary])],
  };
  for (const [n, layer] of layers.entries()) addLstm(graph, n, n ? `h${n - 1}_next` : 'embedded', layer);
  graph.nodes.push(
    node('Flatten', [`h${layers.length - 1}_next`], ['last'], { axis: 2 }),
    node('Gemm', ['last', 'head', 'head_bias'], ['logits'], { transB: 1 }),
  );
  return encode(graph);
}
