import { blamingTheFile, type Header } from '../io/model-header.js';
import { checkSums } from '../io/sums.js';
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

function pack(engine: Engine, { architecture, spec, source, finish }: Header): Network {
  const { embedding: table, hidden: H, head } = architecture;
  const [V, E] = table;
  const { kernels } = engine;
  const stride = 16 * Math.ceil(E / 4);
  const vectors = source.unseenFloats('embedding', table);
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
  const gates = engine.alloc(16 * H);
  const logits = engine.alloc(4 * head[0]);
  const layers = architecture.layers.map(({ name, inputs }): Layer => {
    const bias = vector(4 * H, `${name}.bias_ih`, `${name}.bias_hh`);
    const matrix = (part: string, N: number, add: true | Pointer) =>
      packMatrix(engine, spec(`${name}.${part}`, 4 * H, N), `${name}.${part}`, source, gates, add);
    const ih = matrix('ih', inputs, bias);
    const hh = matrix('hh', H, true);
    return { ih, hh, h: engine.alloc(4 * H), c: engine.alloc(4 * H) };
  });
  const bias = vector(head[0], 'head.bias');
  const program = packMatrix(engine, spec('head', ...head), 'head', source, logits, bias);
  finish();
  return { embedding, stride, layers, gates, head: program, logits, limit: checkSums(architecture, spec, source) };
}
