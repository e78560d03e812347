// The weights of the models of tasks, by what they are for.

import { directionsOf } from '../../src/network/spec.js';
import type { ModelConfig } from '../../src/nn/config.js';
import { LstmLayer } from '../../src/nn/lstm.js';
import type { Model } from '../../src/nn/model.js';
import type { Network } from '../../src/nn/network.js';
import { planMatrix } from '../../src/operators/budget.js';

const layerOf = (network: Network, name: string) =>
  [
    network.operator(`${name}.ih`),
    network.operator(`${name}.hh`),
    network.vector(`${name}.bias_ih`),
    network.vector(`${name}.bias_hh`),
  ] as const;

/** The embedding, the LSTM layers in the order of their tensors, and the head. */
export function partsOf({ network }: Model) {
  const layers = network.spec.layers.flatMap((layer) =>
    layer.kind === 'lstm' ? directionsOf(layer).map(({ name }) => new LstmLayer(...layerOf(network, name))) : [],
  );
  const head = { weight: network.operator('head'), bias: network.vector('head.bias') };
  return { embedding: network.vector('embedding'), layers, head };
}

/** How a matrix of 4H x inputs is made. */
export function matrixPlan({ hidden, method, compression, kron, block }: Omit<ModelConfig, 'layers'>, inputs = hidden) {
  return planMatrix(4 * hidden, inputs, method, method === 'dense' ? 1 : compression, kron, block);
}
