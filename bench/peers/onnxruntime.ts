import { PLACE } from './install.js';
import { layerModel, tokenModel } from './onnx.js';
import type { LayerWeights, ModelWeights, Peer, Runner } from './peer.js';

interface Tensor {
  readonly data: Float32Array | Int32Array;
}

interface InferenceSession {
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

/** What is used of onnxruntime-common, the interface of both packages. */
export interface OnnxRuntime {
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<InferenceSession> };
  readonly Tensor: new (type: string, data: Float32Array | Int32Array, dims: number[]) => Tensor;
  readonly env: { readonly versions: Record<string, string>; readonly wasm: { numThreads: number } };
}

/** The peer of one of the packages; `provider` is the name of its backend. */
export function onnxRuntimePeer(name: string, version: string, ort: OnnxRuntime, provider: string): Peer {
  const options = {
    executionProviders: [provider],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  };

  /** Feeds `input` and the states, and keeps the next states; `layers` are those with states. */
  async function start(model: Uint8Array, input: [string, Tensor], layers: readonly LayerWeights[], output: string) {
    const session = await ort.InferenceSession.create(model, options);
    const states = layers.flatMap(({ cell, hidden }, n) =>
      (cell === 'lstm' ? [`h${n}`, `c${n}`] : [`h${n}`]).map((state) => ({ state, next: `${state}_next`, hidden })),
    );
    const feeds = Object.fromEntries([input]);
    for (const { state, hidden } of states)
      feeds[state] = new ort.Tensor('float32', new Float32Array(hidden), [1, 1, hidden]);
    return {
      async run() {
        const results = await session.run(feeds);
        for (const { state, next } of states) feeds[state] = results[next];
        return results[output].data as Float32Array;
      },
      dispose: () => session.release(),
    };
  }

  async function layer(weights: LayerWeights, T: number, int8: boolean): Promise<Runner<Float32Array>> {
    const data = new Float32Array(T * weights.input);
    const x = new ort.Tensor('float32', data, [T, 1, weights.input]);
    const { run, dispose } = await start(layerModel(weights, T, int8), ['x', x], [weights], 'h0_next');
    return {
      run(x) {
        data.set(x);
        return run();
      },
      dispose,
    };
  }

  async function model(weights: ModelWeights, int8: boolean): Promise<Runner<number>> {
    const data = new Int32Array(1);
    const token = new ort.Tensor('int32', data, [1, 1]);
    const { run, dispose } = await start(tokenModel(weights, int8), ['token', token], weights.layers, 'logits');
    return {
      run(token) {
        data[0] = token;
        return run();
      },
      dispose,
    };
  }

  return {
    name,
    version,
    cold: coldStart(name, options),

    layer: (weights, T) => layer(weights, T, false),
    gru: (weights, T) => layer(weights, T, false),
    int8: (weights, T) => layer(weights, T, true),

    model: (weights) => model(weights, false),
    int8Model: (weights) => model(weights, true),
  };
}

/** One dense layer of 180 units. */
function coldStart(name: string, options: object): Peer['cold'] {
  const H = 180;
  const zeros = (n: number) => new Float32Array(n);
  const [ih, hh, biasIh, biasHh] = [4 * H * H, 4 * H * H, 4 * H, 4 * H].map(zeros);
  const weights = { cell: 'lstm', input: H, hidden: H, ih, hh, biasIh, biasHh } as const;
  return {
    model: layerModel(weights, 1),
    program: (path) => `
const ort = process.getBuiltinModule('node:module').createRequire(${JSON.stringify(PLACE)})(${JSON.stringify(name)});
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(${path}, ${JSON.stringify(options)});
const zeros = (...dims) => new ort.Tensor('float32', new Float32Array(${H}), dims);
const { h0_next } = await session.run({ x: zeros(1, 1, ${H}), h0: zeros(1, 1, ${H}), c0: zeros(1, 1, ${H}) });
return h0_next.data;`,
  };
}
