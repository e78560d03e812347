import { FileFormatError } from '../errors.js';
import { blamingTheFile, type ModelHeader } from '../io/model-header.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Engine } from './engine.js';
import { packMatrix } from './pack.js';

/** A layer as assembly/step.ts wants it. */
interface Layer {
  ih: Pointer;
  hh: Pointer;
  h: Pointer; // [H], padded with zeros to whole vectors, as is all that matrices are multiplied with
  c: Pointer;
}

/** All that a model file holds, packed to run. */
export interface Network {
  embedding: Pointer;
  stride: number; // bytes of an embedding, padded
  layers: readonly Layer[];
  gates: Pointer; // [4H], for all layers
  /** Leaves the head's logits there. */
  head: Pointer;
  logits: Pointer;
}

/** Half of the largest float. */
const LARGEST_SUM = 1.7e38;

/** Throws FileFormatError, saying what is wrong with the file. */
export function packNetwork(engine: Engine, { architecture, spec, source, finish }: ModelHeader): Network {
  const { embedding: table, hidden: H, head } = architecture;
  const [V, E] = table;
  const stride = 16 * Math.ceil(E / 4);
  const embedding = engine.alloc(stride * V);
  const words = source.floats('embedding', table);
  const rows = engine.floats(embedding, (stride / 4) * V);
  for (let v = 0; v < V; v++) rows.set(words.subarray(v * E, (v + 1) * E), (stride / 4) * v);

  const checkSums = (name: string, largest: number, bias: Float32Array) => {
    const all = bias.reduce((most, value) => Math.max(most, Math.abs(value)), 0) + largest;
    if (!(all < LARGEST_SUM)) {
      throw new FileFormatError(`'${name}' has weights so large that sums of them may be infinite`);
    }
  };
  // What later layers read, h, is never beyond 1.
  const largest = Math.max(1, engine.kernels.f32_largest(embedding, rows.length));
  const gates = engine.alloc(16 * H);
  const logits = engine.alloc(4 * head[0]);
  return blamingTheFile(() => {
    const layers = architecture.layers.map(({ name, inputs }): Layer => {
      const [biasIh, biasHh] = ['bias_ih', 'bias_hh'].map((part) => source.floats(`${name}.${part}`, [4 * H]));
      const bias = biasIh.map((value, i) => value + biasHh[i]);
      const matrix = (part: string, N: number, add: true | Float32Array) =>
        packMatrix(engine, spec(`${name}.${part}`, 4 * H, N), `${name}.${part}`, source, gates, add);
      const ih = matrix('ih', inputs, bias);
      const hh = matrix('hh', H, true);
      checkSums(name, largest * ih.gain + hh.gain, bias);
      return { ih: ih.program, hh: hh.program, h: engine.alloc(4 * H), c: engine.alloc(4 * H) };
    });
    const bias = source.floats('head.bias', [head[0]]);
    const { program, gain } = packMatrix(engine, spec('head', ...head), 'head', source, logits, bias);
    checkSums('head', gain, bias);
    finish();
    return { embedding, stride, layers, gates, head: program, logits };
  });
}
