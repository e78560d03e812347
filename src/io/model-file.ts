import { LanguageModel } from '../nn/language-model.js';
import { LstmLayer } from '../nn/lstm.js';
import { Parameter } from '../operators/parameter.js';
import type { Runtime } from '../wasm/runtime.js';
import { blamingTheFile, MODEL_FORMAT, MODEL_VERSION, readModelHeader } from './model-header.js';
import { encodeSafetensors, type NamedTensor } from './safetensors.js';
import { loadOperator, operatorTensors, parameterTensor } from './tensors.js';

/** The bytes of a model file; the same model gives the same bytes. */
export function encodeLanguageModel(model: LanguageModel): Uint8Array {
  const tensors = new Map<string, NamedTensor>();
  for (const [name, parameter] of model.loose()) tensors.set(name, parameterTensor(parameter));
  for (const [name, operator] of model.operators()) {
    for (const [path, tensor] of operatorTensors(operator, name)) tensors.set(path, tensor);
  }
  const operators = Object.fromEntries(model.operators().map(([name, operator]) => [name, operator.spec()]));
  return encodeSafetensors(tensors, {
    format: MODEL_FORMAT,
    version: MODEL_VERSION,
    config: JSON.stringify(model.config),
    vocabulary: JSON.stringify(model.vocabulary),
    operators: JSON.stringify(operators),
  });
}

/**
 * The model of a file. Everything is checked before a kernel sees it: the tensors there are, their shapes, finite
 * weights, column indices. Throws FileFormatError saying what is wrong.
 */
export function decodeLanguageModel(runtime: Runtime, bytes: Uint8Array): LanguageModel {
  const { config, vocabulary, spec, source, finish } = readModelHeader(bytes);
  const { hidden: H } = config;
  const V = vocabulary.size;

  const parameter = (name: string, shape: readonly number[]) => {
    const values = source.floats(name, shape);
    const result = new Parameter(runtime, shape);
    result.data.set(values);
    return result;
  };
  const matrix = (name: string, M: number, N: number) => loadOperator(runtime, spec(name, M, N), name, source);
  return blamingTheFile(() => {
    const embedding = parameter('embedding', [V, H]);
    const layers = Array.from({ length: config.layers }, (_, l) => {
      const ih = matrix(`lstm.${l}.ih`, 4 * H, H);
      const hh = matrix(`lstm.${l}.hh`, 4 * H, H);
      return new LstmLayer(ih, hh, parameter(`lstm.${l}.bias_ih`, [4 * H]), parameter(`lstm.${l}.bias_hh`, [4 * H]));
    });
    const head = { weight: matrix('head', V, H), bias: parameter('head.bias', [V]) };
    finish();
    return new LanguageModel(runtime, config, vocabulary, { embedding, layers, head });
  });
}
