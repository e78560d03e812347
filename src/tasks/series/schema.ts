// What a file of a model of series says of it, read without any code of training.

import { malformed } from '../../errors.js';
import type { NetworkSpec } from '../../network/spec.js';
import { checkConfig, type ModelConfig } from '../../nn/config.js';
import { checkLabels } from '../../nn/labels.js';
import { lastOutputs, recurrentLayers } from '../../nn/recurrent-layers.js';
import { isObject } from '../../values.js';
import { type Described, expectNetwork, expectTask } from '../schema.js';

export const TASK = 'series';

/** Numbers are standardised: what is read less the mean, divided by the deviation, which is never 0. */
export interface Standard {
  mean: number;
  deviation: number;
}

/** What goes into a model of series, and what comes out: labels, or one number. */
export interface SeriesSchema {
  /** Of each number of a frame. */
  frame: readonly Standard[];
  /** Whether an answer is for a whole sequence or for each of its steps. */
  per: 'sequence' | 'step';
  labels?: readonly string[];
  /** Where there are no labels. */
  value?: Standard;
}

/** More numbers than any series has, such as 10^300, cannot be standardised. */
const LARGEST = 1e30;

function checkStandard(value: unknown, at: string): Standard {
  const { mean, deviation } = isObject(value) ? value : {};
  for (const [name, number] of Object.entries({ mean, deviation })) {
    const isGood =
      typeof number === 'number' && Math.abs(number) <= LARGEST && (name === 'mean' || number >= 1 / LARGEST);
    if (!isGood)
      throw malformed(`${at}.${name}`, number, `a number${name === 'mean' ? '' : ' > 0'}, at most ${LARGEST}`);
  }
  return { mean: mean as number, deviation: deviation as number };
}

/** Throws FileFormatError for JSON that is not the schema of a series, naming the field. */
export function checkSeriesSchema({ frame, per, labels, value }: Record<string, unknown>): SeriesSchema {
  if (!Array.isArray(frame) || frame.length === 0)
    throw malformed('metadata.frame', frame, 'a list of numbers of a frame');
  if (per !== 'sequence' && per !== 'step') throw malformed('metadata.per', per, "'sequence' or 'step'");
  const checked = frame.map((one, i) => checkStandard(one, `metadata.frame.${i}`));
  return labels === undefined
    ? { frame: checked, per, value: checkStandard(value, 'metadata.value') }
    : { frame: checked, per, labels: checkLabels('metadata.labels', labels, malformed) };
}

/** Frames, recurrent layers that read forward unless told otherwise, and a linear head for a sequence or for each step. */
export function seriesSpec(config: ModelConfig, { frame, per, labels }: SeriesSchema): NetworkSpec {
  const { directions = 1 } = config;
  return {
    input: { frames: frame.length },
    layers: [
      ...recurrentLayers(config, directions),
      ...(per === 'sequence' ? [lastOutputs(directions)] : []),
      { name: 'head', kind: 'linear', outputs: labels?.length ?? 1 },
    ],
  };
}

/** Throws FileFormatError for a model of another task. */
export function readSeriesSchema({ task, network }: Described): { config: ModelConfig; schema: SeriesSchema } {
  expectTask(task, TASK);
  const [config, schema] = [checkConfig(task.config), checkSeriesSchema(task)];
  expectNetwork(network, seriesSpec(config, schema));
  return { config, schema };
}

/** Frames, one after another, as the network reads them. */
export function standardise({ frame }: SeriesSchema, frames: ArrayLike<number>): Float32Array {
  const F = frame.length;
  return Float32Array.from(frames, (x, i) => (x - frame[i % F].mean) / frame[i % F].deviation);
}
