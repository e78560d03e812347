import { malformed } from '../errors.js';
import { blamingTheFile, type Header } from '../io/model-header.js';
import { checkSums } from '../io/sums.js';
import { directionsOf, resolveLayers } from '../network/spec.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Engine } from './engine.js';
import { packMatrix, putFloats } from './pack.js';

/** A layer in the form that assembly/step.ts reads. */
interface Layer {
  ih: Pointer;
  hh: Pointer;
  h: Pointer; // [H], padded with zeros to whole vectors, as is everything that a matrix is multiplied with
  c: Pointer;
}

/** The contents of a model file, packed to run. */
export interface Network {
  embedding: Pointer;
  stride: number; // bytes per embedding, padded
  layers: readonly Layer[];
  gates: Pointer; // [4H], shared by all layers
  head: Pointer; // a program that leaves its result in logits
  logits: Pointer;
  /** The largest magnitude of numbers from outside, inputs and states, with which all sums stay finite. */
  limit: number;
}

/** Packs a model file. Throws FileFormatError, saying what is wrong with it. */
export function packNetwork(engine: Engine, header: Header): Network {
  return blamingTheFile(() => engine.within(header.memory, () => pack(engine, header)));
}

function pack(engine: Engine, { network, spec, source, finish }: Header): Network {
  const { kernels } = engine;
  if (!('tokens' in network.input)) throw malformed('network.input', network.input, 'tokens');
  const { tokens: V, width: E } = network.input;
  const stride = 16 * Math.ceil(E / 4);
  const vectors = source.unseenFloats('embedding', [V, E]);
  const embedding = engine.alloc(stride * V);
  const raw = embedding + (stride - 4 * E) * V;
  putFloats(engine, raw, 'embedding', vectors, source);
  kernels.pad_rows(raw, embedding, V, 4 * E, stride);
  /** The sum of vectors. */
  const vector = (n: number, ...names: string[]): Pointer => {
    const at = engine.alloc(4 * n);
    for (const name of names) {
      const one = engine.scratch(4 * n);
      putFloats(engine, one, name, source.unseenFloats(name, [n]), source);
      kernels.f32_add(one, at, n);
    }
    return at;
  };
  const resolved = resolveLayers(network);
  const most = resolved.reduce((units, { spec: layer }) => Math.max(units, layer.kind === 'lstm' ? layer.units : 0), 0);
  const gates = engine.alloc(16 * most);
  const logits = engine.alloc(4 * resolved[resolved.length - 1].outputs);
  const layers: Layer[] = [];
  let head = 0;
  for (const { spec: layer, inputs, outputs } of resolved) {
    if (layer.kind === 'lstm') {
      const { units: H } = layer;
      for (const { name } of directionsOf(layer)) {
        const bias = vector(4 * H, `${name}.bias_ih`, `${name}.bias_hh`);
        const matrix = (part: string, N: number, add: true | Pointer) =>
          packMatrix(engine, spec(`${name}.${part}`, 4 * H, N), `${name}.${part}`, source, gates, add);
        const ih = matrix('ih', inputs, bias);
        const hh = matrix('hh', H, true);
        layers.push({ ih, hh, h: engine.alloc(4 * H), c: engine.alloc(4 * H) });
      }
    } else if (layer.kind === 'linear') {
      const bias = vector(outputs, `${layer.name}.bias`);
      head = packMatrix(engine, spec(layer.name, outputs, inputs), layer.name, source, logits, bias);
    }
  }
  finish();
  return { embedding, stride, layers, gates, head, logits, limit: checkSums(network, spec, source) };
}
