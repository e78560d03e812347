// The library: operators, training and language models. Runs wherever WebAssembly SIMD does; nothing in here is Node's.
export { Tape, type Tensor } from './autograd/tape';
export { FileFormatError, InputError, TrainingError } from './errors';
export { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './io/checkpoint';
export { type Inventory, type InventoryEntry, takeInventory } from './io/inventory';
export { decodeLanguageModel, encodeLanguageModel } from './io/model-file';
export { type Dtype, decodeSafetensors, encodeSafetensors, type NamedTensor } from './io/safetensors';
export { type DropoutKey, dropout } from './nn/dropout';
export { embed } from './nn/embedding';
export { LanguageModel, type LanguageModelConfig, type State } from './nn/language-model';
export { linear } from './nn/linear';
export { crossEntropy } from './nn/loss';
export { LstmLayer, lstm } from './nn/lstm';
export {
  buildOperator,
  describePlan,
  METHODS,
  type Method,
  type Plan,
  planMatrix,
  type Structure,
} from './operators/budget';
export { Dense } from './operators/dense';
export { dense, doped, hmd, type KronShape, kron, lmf } from './operators/factories';
export { Kronecker } from './operators/kronecker';
export { type Noise, type Operator, type OperatorSpec, parametersOf, walk } from './operators/operator';
export { Parameter } from './operators/parameter';
export { Product } from './operators/product';
export { type CsrArrays, Sparse } from './operators/sparse';
export { type CoMatrixDropout, type Probe, Sum } from './operators/sum';
export { VStack } from './operators/vstack';
export { Streams } from './tasks/batches';
export { generate } from './tasks/generate';
export {
  defaultOptions,
  type EncodedCorpus,
  Evaluation,
  type LanguageModelOptions,
  LanguageModelTraining,
} from './tasks/language-model';
export { type Level, sampleTexts, splitText, Vocabulary } from './tasks/text';
export { type AnnealingOptions, defaultAnnealing } from './train/annealing';
export { type CoMatrixDropoutOptions, noCoMatrixDropout } from './train/comatrix';
export type { OptimizerName } from './train/optimizers';
export type { MatrixAdaptation, TrainRecord } from './train/records';
export type { Schedule } from './train/schedule';
export { type Trainable, Trainer, type TrainerOptions } from './train/trainer';
export type { Kernels, Pointer } from './wasm/kernels';
export { Runtime } from './wasm/runtime';
