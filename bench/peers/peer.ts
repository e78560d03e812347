/** One layer as PyTorch keeps it: gates in the order i, f, g, o, or r, z, n of a GRU; G is their number. */
export interface LayerWeights {
  cell: 'lstm' | 'gru';
  input: number;
  hidden: number;
  ih: Float32Array; // [G H, I]
  hh: Float32Array; // [G H, H]
  biasIh: Float32Array; // [G H]
  biasHh: Float32Array; // [G H]
}

export interface ModelWeights {
  vocabulary: number;
  hidden: number;
  embedding: Float32Array; // [V, H]
  layers: LayerWeights[];
  head: Float32Array; // [V, H]
  headBias: Float32Array; // [V]
}

/** Takes something in and gives something out, with the state carried on from call to call. */
export interface Runner<In> {
  run(input: In): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** A runtime of others, of one thread and batches of one. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** T steps of one LSTM layer at once: x [T, I] to the last h [H]. */
  layer(weights: LayerWeights, T: number): Promise<Runner<Float32Array>>;
  /** The same of a GRU. */
  gru?(weights: LayerWeights, T: number): Promise<Runner<Float32Array>>;
  /** The same of an LSTM whose weights are int8, and whose inputs and states are quantised as they come. */
  int8?(weights: LayerWeights, T: number): Promise<Runner<Float32Array>>;
  /** One token of a language model, to the logits [V]. */
  model?(weights: ModelWeights): Promise<Runner<number>>;
  /** The same with the weights of layers and head in int8. */
  int8Model?(weights: ModelWeights): Promise<Runner<number>>;
  /** A model of about 1 MB, and the body of a function that imports the package and answers from the model at a path. */
  readonly cold?: { model: Uint8Array; program(path: string): string };
}

/** A peer that is not installed or does not start, and why. */
export interface Missing {
  name: string;
  missing: string;
}

const PEERS: Record<string, () => Promise<{ load(): Promise<Peer> }>> = {
  'onnxruntime-node': () => import('./onnxruntime-node.js'),
  'onnxruntime-web': () => import('./onnxruntime-web.js'),
  'tfjs-wasm': () => import('./tfjs.js'),
};

/** All peers, or why they are missing; install them with `ONNXRUNTIME_NODE_INSTALL=skip npm ci --prefix bench`. */
export async function loadPeers(): Promise<(Peer | Missing)[]> {
  const peers: (Peer | Missing)[] = [];
  for (const [name, module] of Object.entries(PEERS)) {
    try {
      const peer = await (await module()).load();
      await probe(peer);
      peers.push(peer);
    } catch (error) {
      peers.push({ name, missing: String(error instanceof Error ? error.message : error).split('\n')[0] });
    }
  }
  return peers;
}

/** Some start only with their first model. */
async function probe(peer: Peer): Promise<void> {
  const zeros = () => new Float32Array(4);
  const weights = { input: 1, hidden: 1, ih: zeros(), hh: zeros(), biasIh: zeros(), biasHh: zeros() };
  const layer = await peer.layer({ cell: 'lstm', ...weights }, 1);
  await layer.run(new Float32Array(1));
  await layer.dispose();
}
