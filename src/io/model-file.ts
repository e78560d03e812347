import { IntentModel } from '../nn/intent-model.js';
import { LanguageModel } from '../nn/language-model.js';
import { LstmLayer } from '../nn/lstm.js';
import type { Model, ModelParts } from '../nn/model.js';
import type { Operator } from '../operators/operator.js';
import { Parameter } from '../operators/parameter.js';
import { Program, X, Y } from '../operators/program.js';
import type { Runtime } from '../wasm/runtime.js';
import type { ByteSource } from './bytes.js';
import {
  blamingTheFile,
  formatOf,
  type Header,
  type IntentModelHeader,
  type LanguageModelHeader,
  MODEL_VERSION,
  readIntentModelHeader,
  readLanguageModelHeader,
  readModelHeader,
} from './model-header.js';
import { encodeSafetensors, type NamedTensor } from './safetensors.js';
import { checkSums } from './sums.js';
import { loadOperator, operatorTensors, parameterTensor } from './tensors.js';

/** The bytes of a model file; the same model gives the same bytes. */
export function encodeModel(model: Model): Uint8Array {
  const tensors = new Map<string, NamedTensor>();
  for (const [name, parameter] of model.loose()) tensors.set(name, parameterTensor(parameter));
  for (const [name, operator] of model.operators()) {
    for (const [path, tensor] of operatorTensors(operator, name)) tensors.set(path, tensor);
  }
  const operators = Object.fromEntries(model.operators().map(([name, operator]) => [name, operator.spec()]));
  return encodeSafetensors(tensors, {
    format: formatOf(model.kind),
    version: MODEL_VERSION,
    config: JSON.stringify(model.config),
    vocabulary: JSON.stringify(model.vocabulary),
    operators: JSON.stringify(operators),
    ...(model instanceof IntentModel && { labels: JSON.stringify(model.labels) }),
  });
}

export function encodeLanguageModel(model: LanguageModel): Uint8Array {
  return encodeModel(model);
}

export function encodeIntentModel(model: IntentModel): Uint8Array {
  return encodeModel(model);
}

/**
 * The model of a file. Everything is checked before a kernel sees it: the tensors there are, their shapes, finite
 * weights, column indices. Throws FileFormatError saying what is wrong.
 */
export function decodeModel(runtime: Runtime, bytes: ByteSource): LanguageModel | IntentModel {
  return modelOf(runtime, readModelHeader(bytes));
}

/** The same for a file that must hold a language model. */
export function decodeLanguageModel(runtime: Runtime, bytes: ByteSource): LanguageModel {
  return modelOf(runtime, readLanguageModelHeader(bytes)) as LanguageModel;
}

/** The same for a file that must hold an intent model. */
export function decodeIntentModel(runtime: Runtime, bytes: ByteSource): IntentModel {
  return modelOf(runtime, readIntentModelHeader(bytes)) as IntentModel;
}

function modelOf(runtime: Runtime, header: LanguageModelHeader | IntentModelHeader): LanguageModel | IntentModel {
  const { vocabulary, memory } = header;
  const parts = blamingTheFile(() => runtime.within(memory, () => decodeParts(runtime, header)));
  return header.kind === 'language-model'
    ? new LanguageModel(runtime, header.config, vocabulary, parts)
    : new IntentModel(runtime, header.config, vocabulary, header.labels, parts);
}

function decodeParts(runtime: Runtime, { architecture, spec, source, finish }: Header): ModelParts {
  const { embedding, layers, hidden: H, head } = architecture;
  const parameter = (name: string, shape: readonly number[]) => {
    const values = source.floats(name, shape);
    const result = new Parameter(runtime, shape);
    result.data.set(values);
    return result;
  };
  const matrix = (name: string, M: number, N: number) => loadOperator(runtime, spec(name, M, N), name, source);
  const parts = {
    embedding: parameter('embedding', embedding),
    layers: layers.map(({ name, inputs }) => {
      const ih = matrix(`${name}.ih`, 4 * H, inputs);
      const hh = matrix(`${name}.hh`, 4 * H, H);
      return new LstmLayer(ih, hh, parameter(`${name}.bias_ih`, [4 * H]), parameter(`${name}.bias_hh`, [4 * H]));
    }),
    head: { weight: matrix('head', ...head), bias: parameter('head.bias', [head[0]]) },
  };
  finish();
  checkSums(architecture, spec, source);
  for (const { ih, hh } of parts.layers) for (const operator of [ih, hh]) rehearse(runtime, operator);
  rehearse(runtime, parts.head.weight);
  return parts;
}

/** Takes the memory that the product with one vector takes, and gives it back. */
function rehearse(runtime: Runtime, operator: Operator): void {
  runtime.scoped(() => {
    const program = Program.product(runtime, 1);
    operator.forward(program, X, Y, false);
    program.place();
  });
}
