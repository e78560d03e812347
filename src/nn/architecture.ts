import type { IntentModelConfig, ModelConfig } from './config.js';

/** The shapes of a model's weights, and what its layers are called in files. */
export interface Architecture {
  embedding: readonly [number, number]; // [V,E]
  /** LSTM layers of `hidden` units. */
  layers: readonly { name: string; inputs: number }[];
  hidden: number; // H
  head: readonly [number, number]; // classes, and the width of what they are told from
}

/** Predicts one of V tokens from those before it: as wide everywhere as a layer. */
export function languageModelArchitecture({ hidden, layers }: ModelConfig, V: number): Architecture {
  return {
    embedding: [V, hidden],
    layers: Array.from({ length: layers }, (_, l) => ({ name: `lstm.${l}`, inputs: hidden })),
    hidden,
    head: [V, hidden],
  };
}

export const DIRECTIONS = ['forward', 'backward'] as const;

/** Tells one of `labels` intents from a whole text: every layer reads it in both directions, and the next one reads both. */
export function intentArchitecture(
  { hidden, layers, embedding }: IntentModelConfig,
  V: number,
  labels: number,
): Architecture {
  return {
    embedding: [V, embedding],
    layers: Array.from({ length: layers }, (_, l) =>
      DIRECTIONS.map((direction) => ({ name: `lstm.${l}.${direction}`, inputs: l === 0 ? embedding : 2 * hidden })),
    ).flat(),
    hidden,
    head: [labels, 2 * hidden],
  };
}
