import type { NetworkSpec } from '../network/spec.js';
import type { IntentModelConfig, ModelConfig } from './config.js';

/** Embedding, LSTM layers and softmax head, as wide everywhere as a layer. */
export function languageModelSpec({ hidden, layers }: ModelConfig, V: number): NetworkSpec {
  return {
    input: { tokens: V, width: hidden },
    layers: [
      ...Array.from({ length: layers }, (_, l) => ({ name: `lstm.${l}`, kind: 'lstm' as const, units: hidden })),
      { name: 'head', kind: 'linear', outputs: V },
    ],
  };
}

/** Embedding, LSTM layers that read a sentence in both directions, and a softmax head over the states at both ends. */
export function intentSpec({ hidden, layers, embedding }: IntentModelConfig, V: number, labels: number): NetworkSpec {
  return {
    input: { tokens: V, width: embedding },
    layers: [
      ...Array.from({ length: layers }, (_, l) => ({
        name: `lstm.${l}`,
        kind: 'lstm' as const,
        units: hidden,
        direction: 'both' as const,
      })),
      { name: 'ends', kind: 'pool', over: 'ends' },
      { name: 'head', kind: 'linear', outputs: labels },
    ],
  };
}
