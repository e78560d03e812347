// The library: operators, networks, training, tasks. Runs wherever WebAssembly SIMD does; nothing in here is Node's.
export { Tape, type Tensor } from './autograd/tape.js';
export { FileFormatError, InputError, TrainingError } from './errors.js';
export { type Inventory, type InventoryEntry, takeInventory } from './io/inventory.js';
export { measureFile, type StoredFile } from './io/measure-file.js';
export { decodeNetwork } from './io/model-file.js';
export { type Header, readHeader, type TaskData } from './io/model-header.js';
export { type Dtype, decodeSafetensors, encodeSafetensors, type NamedTensor } from './io/safetensors.js';
export {
  checkNetwork,
  type LayerSpec,
  type NetworkSpec,
  type TensorShape,
  tensorsOf,
  whyNotCausal,
} from './network/spec.js';
export { type ModelConfig, modelConfig, type TextModelConfig } from './nn/config.js';
export { type DropoutKey, dropout } from './nn/dropout.js';
export { binaryLoss, meanSquaredLoss } from './nn/element-loss.js';
export { embed } from './nn/embedding.js';
export { GruLayer, gru } from './nn/gru.js';
export { type Bits, bitsOfAll, type FewBits, type Role, type StoredBits } from './nn/leaves.js';
export { linear } from './nn/linear.js';
export { type Distillation, type SoftmaxHead, type SoftTargets, softmaxLoss } from './nn/loss.js';
export { LstmLayer, lstm } from './nn/lstm.js';
export { Model, recipeOf } from './nn/model.js';
export {
  type Batch,
  type CreateOptions,
  type ForwardOptions,
  type MatrixRecipe,
  Network,
  type NetworkState,
  planNetwork,
  type Recipe,
} from './nn/network.js';
export { buildOperator, describePlan, type Plan, planMatrix, type Structure } from './operators/budget.js';
export type { CsrArrays } from './operators/csr.js';
export { Dense } from './operators/dense.js';
export { dense, doped, hmd, kron, lmf } from './operators/factories.js';
export { Kronecker } from './operators/kronecker.js';
export { type KronShape, METHODS, type Method } from './operators/methods.js';
export { type Noise, Operator, parametersOf, walk } from './operators/operator.js';
export { Parameter } from './operators/parameter.js';
export { Product } from './operators/product.js';
export type { Place, Program } from './operators/program.js';
export { Sparse } from './operators/sparse.js';
export type { OperatorSpec } from './operators/spec.js';
export { type CoMatrixDropout, type Probe, Sum } from './operators/sum.js';
export { VStack } from './operators/vstack.js';
export { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './tasks/checkpoint.js';
export { decodeIntentModel, IntentModel } from './tasks/intent/model.js';
export {
  classifySentences,
  defaultIntentOptions,
  type Examples,
  evaluateIntents,
  type IntentData,
  type IntentEvaluation,
  type IntentOptions,
  IntentTraining,
} from './tasks/intent/training.js';
export { Evaluation } from './tasks/lm/evaluation.js';
export { generate } from './tasks/lm/generate.js';
export { decodeLanguageModel, LanguageModel } from './tasks/lm/model.js';
export { Streams } from './tasks/lm/streams.js';
export {
  defaultOptions,
  type EncodedCorpus,
  type LanguageModelOptions,
  LanguageModelTraining,
} from './tasks/lm/training.js';
export { encodeModel } from './tasks/model-file.js';
export { SequenceTraining } from './tasks/sequence-training.js';
export { decodeSeriesModel, SeriesModel } from './tasks/series/model.js';
export type { SeriesSchema, Standard } from './tasks/series/schema.js';
export {
  defaultSeriesOptions,
  evaluateSeries,
  type SeriesData,
  type SeriesEvaluation,
  type SeriesExamples,
  type SeriesOptions,
  type SeriesTarget,
  SeriesTraining,
  seriesSchema,
} from './tasks/series/training.js';
export { decodeTagModel, TagModel } from './tasks/tag/model.js';
export {
  defaultTagOptions,
  evaluateTags,
  type TagData,
  type TagEvaluation,
  type TaggedTexts,
  type TagOptions,
  TagTraining,
  tagVocabulary,
} from './tasks/tag/training.js';
export {
  commonOptions,
  type Fingerprint,
  fingerprintOf,
  type NamedArray,
  type Quality,
  Training,
  type TrainingClass,
  type TrainingOptions,
  type TrainingStart,
} from './tasks/training.js';
export { type Bleu, type BleuOptions, type BleuTokenisation, bleu } from './tasks/translate/bleu.js';
export { decodeTranslationModel, TranslationModel } from './tasks/translate/model.js';
export type { TranslationConfig, Vocabularies } from './tasks/translate/schema.js';
export {
  defaultTranslationOptions,
  type Pairs,
  type TranslationData,
  type TranslationOptions,
  TranslationTraining,
  translationVocabularies,
} from './tasks/translate/training.js';
export { buildVocabulary } from './text/build-vocabulary.js';
export { type Splits, sampleTexts, splitText, splitTexts } from './text/split.js';
export type { Level, Rule } from './text/tokens.js';
export { Vocabulary, type VocabularyJson } from './text/vocabulary.js';
export { type AnnealingOptions, defaultAnnealing } from './train/annealing.js';
export { type CoMatrixDropoutOptions, noCoMatrixDropout } from './train/comatrix.js';
export type { OptimizerName } from './train/optimizers.js';
export type { MatrixAdaptation, TrainRecord } from './train/records.js';
export type { Schedule } from './train/schedule.js';
export { startFrom } from './train/start.js';
export { defaultTrainerOptions, type Trainable, Trainer, type TrainerOptions } from './train/trainer.js';
export type { Kernels, Pointer } from './wasm/kernels.js';
export { kernelBytes, Runtime, type RuntimeOptions } from './wasm/runtime.js';
export { hasRelaxedSimd, type SimdChoice } from './wasm/simd.js';
export { whyNoThreads } from './wasm/threads.js';
export type { Work } from './work.js';
