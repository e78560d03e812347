import type { Tape, Tensor } from '../../autograd/tape.js';
import { invalid } from '../../errors.js';
import type { ByteSource } from '../../io/bytes.js';
import { decodeNetwork } from '../../io/model-file.js';
import { readHeader } from '../../io/model-header.js';
import { checkModelSize, type ModelConfig } from '../../nn/config.js';
import { Model, recipeOf } from '../../nn/model.js';
import { type Batch, type CreateOptions, Network, type Recipe } from '../../nn/network.js';
import type { Runtime } from '../../wasm/runtime.js';
import { readSeriesSchema, type SeriesSchema, seriesSpec, standardise, TASK } from './schema.js';

/** Matrices with fewer columns stay dense: frames of a few numbers leave nothing to compress. */
const FEWEST_COLUMNS = 8;

function seriesRecipe(config: ModelConfig): Recipe {
  const recipe = recipeOf(config);
  return (tensor) => (tensor.shape[1]! < FEWEST_COLUMNS ? undefined : recipe(tensor));
}

/** Classifies series of frames, or estimates a number for them. */
export class SeriesModel extends Model {
  readonly task = TASK;

  constructor(
    network: Network,
    config: ModelConfig,
    readonly series: SeriesSchema,
  ) {
    super(network, config);
  }

  /** A new model, its weights drawn from the seed. Throws InputError for settings that make none. */
  static create(
    runtime: Runtime,
    config: ModelConfig,
    series: SeriesSchema,
    seed: number,
    options: Omit<CreateOptions, 'recipe'> = {},
  ): SeriesModel {
    checkModelSize(config);
    if (!Array.isArray(series?.frame)) throw invalid('series', series, 'what seriesSchema() gives');
    const network = Network.create(runtime, seriesSpec(config, series), seed, {
      ...options,
      recipe: seriesRecipe(config),
    });
    return new SeriesModel(network, config, series);
  }

  override get recipe(): Recipe {
    return seriesRecipe(this.config);
  }

  get schema(): Record<string, unknown> {
    return { ...this.series };
  }

  /** Sequences side by side, standardised, in memory that the caller takes back. */
  batch(sequences: readonly Float32Array[]): Batch {
    return this.network.batch(sequences.map((sequence) => standardise(this.series, sequence)));
  }

  /** Logits, or standardised numbers: [B, outputs], or [T B, outputs] where each step has an answer. */
  forward(tape: Tape, batch: Batch): Tensor {
    return this.network.forward(tape, batch);
  }
}

/**
 * The model of a file.
 *
 * @throws FileFormatError saying what is wrong, such as a model of another task
 */
export function decodeSeriesModel(runtime: Runtime, bytes: ByteSource): SeriesModel {
  const header = readHeader(bytes);
  const { config, schema } = readSeriesSchema(header);
  return new SeriesModel(decodeNetwork(runtime, header), config, schema);
}
