import { type NetworkSpec, tensorsOf } from '../network/spec.js';
import type { StoredBits } from '../nn/leaves.js';
import { Network } from '../nn/network.js';
import type { Operator } from '../operators/operator.js';
import { Parameter } from '../operators/parameter.js';
import { Program, X, Y } from '../operators/program.js';
import type { OperatorSpec } from '../operators/spec.js';
import type { Runtime } from '../wasm/runtime.js';
import { blamingTheFile, type Header, MODEL_FORMAT, MODEL_VERSION, type TaskData } from './model-header.js';
import { encodeSafetensors, type NamedTensor, safetensorsBytes } from './safetensors.js';
import { storeTensors } from './storage.js';
import { checkSums } from './sums.js';
import { loadOperator, operatorTensors, parameterTensor, readFloats } from './tensors.js';

/**
 * Encodes a model file; the same network and task give the same bytes. `task` is stored as JSON and not read. With `bits`, the
 * file is a small one; `rounded` is what storeTensors() takes.
 */
export function encodeNetwork(
  network: Network,
  task: TaskData,
  bits?: StoredBits,
  rounded?: ReadonlyMap<string, Uint8Array>,
): Uint8Array {
  const { tensors, codings } = bits ? storeTensors(network, bits, rounded) : { tensors: plainTensors(network) };
  const operators = Object.fromEntries(network.operators().map(([name, operator]) => [name, operator.spec()]));
  return encodeSafetensors(tensors, {
    ...describe(network.spec, operators, task),
    ...(codings && { coding: JSON.stringify(codings) }),
  });
}

/** Bytes of the file of a network of this spec whose matrices are all dense, f32, and none tied to the embedding. */
export function denseBytes({ layers, ...rest }: NetworkSpec, task: TaskData): number {
  const spec = {
    ...rest,
    layers: layers.map((layer) => (layer.kind === 'linear' ? { ...layer, tied: undefined } : layer)),
  };
  const tensors = new Map<string, Pick<NamedTensor, 'dtype' | 'shape'>>();
  const operators: Record<string, OperatorSpec> = {};
  for (const { name, shape, role } of tensorsOf(spec)) {
    const isMatrix = role !== 'table' && role !== 'vector';
    tensors.set(isMatrix ? `${name}.weight` : name, { dtype: 'F32', shape });
    if (isMatrix) operators[name] = { type: 'dense', shape: shape as [number, number] };
  }
  return safetensorsBytes(tensors, describe(spec, operators, task));
}

const describe = (spec: NetworkSpec, operators: Record<string, OperatorSpec>, task: TaskData) => ({
  format: MODEL_FORMAT,
  version: MODEL_VERSION,
  network: JSON.stringify(spec),
  operators: JSON.stringify(operators),
  task: JSON.stringify(task),
});

function plainTensors(network: Network): Map<string, NamedTensor> {
  const tensors = new Map<string, NamedTensor>();
  for (const [name, parameter] of network.plainParameters()) tensors.set(name, parameterTensor(parameter));
  for (const [name, operator] of network.operators()) {
    for (const [path, tensor] of operatorTensors(operator, name)) tensors.set(path, tensor);
  }
  return tensors;
}

/**
 * Builds the network of a file whose header has been read. Everything is checked before a kernel sees it: which tensors there
 * are, their shapes, finite weights, column indices, and the memory that all of it takes.
 *
 * @throws FileFormatError naming what is wrong
 */
export function decodeNetwork(runtime: Runtime, header: Header): Network {
  return blamingTheFile(() => runtime.within(header.memory, () => build(runtime, header)));
}

function build(runtime: Runtime, { network: spec, spec: operatorOf, source, finish }: Header): Network {
  const vectors = new Map<string, Parameter>();
  const operators = new Map<string, Operator>();
  for (const { name, shape, role } of tensorsOf(spec)) {
    if (role === 'table' || role === 'vector') {
      const values = readFloats(runtime, source, name, shape);
      const parameter = new Parameter(runtime, shape);
      parameter.data.set(values);
      vectors.set(name, parameter);
    } else {
      const [M, N] = shape as readonly [number, number];
      operators.set(name, loadOperator(runtime, operatorOf(name, M, N), name, source));
    }
  }
  finish();
  checkSums(spec, operatorOf, source);
  for (const operator of operators.values()) rehearse(runtime, operator);
  return new Network(runtime, spec, vectors, operators);
}

/** Allocates what the product with one vector needs, both vectors included, and releases it. */
function rehearse(runtime: Runtime, operator: Operator): void {
  runtime.scoped(() => {
    runtime.alloc(4 * (operator.M + operator.N));
    const program = Program.product(runtime, 1);
    operator.forward(program, X, Y, false);
    program.place();
  });
}
