import { dirname } from 'node:path';
import { reorder } from './gates.js';
import { requirePeer } from './install.js';
import type { LayerWeights, Peer } from './peer.js';

interface Tensor {
  data(): Promise<Float32Array>;
  dataSync(): Float32Array;
  dispose(): void;
}

/** What is used of @tensorflow/tfjs-core. */
interface Tf {
  readonly version_core: string;
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  tidy<T>(compute: () => T): T;
  keep(x: Tensor): Tensor;
  dispose(tensors: Tensor[]): void;
  tensor(data: Float32Array, shape: number[]): Tensor;
  zeros(shape: number[]): Tensor;
  transpose(x: Tensor): Tensor;
  slice(x: Tensor, begin: number[], size: number[]): Tensor;
  split(x: Tensor, count: number, axis: number): Tensor[];
  add(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor): Tensor;
  sigmoid(x: Tensor): Tensor;
  tanh(x: Tensor): Tensor;
  matMul(a: Tensor, b: Tensor): Tensor;
  readonly fused: { matMul(args: { a: Tensor; b: Tensor; bias: Tensor }): Tensor };
}

interface TfWasm {
  setWasmPaths(directory: string): void;
  setThreadsCount(count: number): void;
}

/** `matrix` [rows, columns], transposed once, as matMul() with transposeB takes six times as long. */
const transposed = (tf: Tf, matrix: Float32Array, rows: number, columns: number) =>
  tf.tidy(() => tf.transpose(tf.tensor(matrix, [rows, columns])));

/** Of single operations, as an LSTM of tfjs-layers takes twice as long. */
class Layer {
  h: Tensor; // [1, H]
  private c: Tensor; // [1, H]
  private readonly hidden: number;
  private readonly ih: Tensor; // [I, 4H], gates in the order i, f, o, g, so that one sigmoid does for three
  private readonly hh: Tensor; // [H, 4H]
  private readonly bias: Tensor; // [4H]

  constructor(
    private readonly tf: Tf,
    { input, hidden, ih, hh, biasIh, biasHh }: LayerWeights,
  ) {
    this.hidden = hidden;
    this.ih = transposed(tf, reorder(ih, 'ifgo', 'ifog'), 4 * hidden, input);
    this.hh = transposed(tf, reorder(hh, 'ifgo', 'ifog'), 4 * hidden, hidden);
    const bias = biasIh.map((b, i) => b + biasHh[i]);
    this.bias = tf.tensor(reorder(bias, 'ifgo', 'ifog'), [4 * hidden]);
    this.h = tf.zeros([1, hidden]);
    this.c = tf.zeros([1, hidden]);
  }

  /** Steps over x [T, I], to the last h; to be called inside of tidy(). */
  run(x: Tensor, T: number): Tensor {
    const { tf, hidden } = this;
    let { h, c } = this;
    const given = tf.fused.matMul({ a: x, b: this.ih, bias: this.bias });
    for (const row of T === 1 ? [given] : this.rows(given, T)) {
      const gates = tf.add(row, tf.matMul(h, this.hh));
      const [i, f, o] = tf.split(tf.sigmoid(tf.slice(gates, [0, 0], [1, 3 * hidden])), 3, 1);
      const g = tf.tanh(tf.slice(gates, [0, 3 * hidden], [1, hidden]));
      c = tf.add(tf.mul(f, c), tf.mul(i, g));
      h = tf.mul(o, tf.tanh(c));
    }
    tf.dispose([this.h, this.c]);
    this.h = tf.keep(h);
    this.c = tf.keep(c);
    return h;
  }

  /** The rows of a matrix [T, 4H], by way of JavaScript: slice() and split() copy all of it for each. */
  private rows(matrix: Tensor, T: number): Tensor[] {
    const data = matrix.dataSync();
    const size = 4 * this.hidden;
    return Array.from({ length: T }, (_, t) => this.tf.tensor(data.subarray(t * size, (t + 1) * size), [1, size]));
  }

  dispose(): void {
    this.tf.dispose([this.h, this.c, this.ih, this.hh, this.bias]);
  }
}

export async function load(): Promise<Peer> {
  const tf: Tf = requirePeer('@tensorflow/tfjs-core');
  const wasm: TfWasm = requirePeer('@tensorflow/tfjs-backend-wasm');
  tf.enableProdMode();
  wasm.setWasmPaths(`${dirname(requirePeer.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  wasm.setThreadsCount(1);
  if (!(await tf.setBackend('wasm'))) throw new Error('its wasm backend does not start');

  return {
    name: 'tfjs-wasm',
    version: tf.version_core,

    async layer(weights, T) {
      const layer = new Layer(tf, weights);
      return {
        run(x) {
          tf.tidy(() => layer.run(tf.tensor(x, [T, weights.input]), T));
          return layer.h.data();
        },
        dispose: async () => layer.dispose(),
      };
    },

    async model({ vocabulary, hidden, embedding, layers: weights, head, headBias }) {
      const layers = weights.map((layer) => new Layer(tf, layer));
      const b = transposed(tf, head, vocabulary, hidden);
      const bias = tf.tensor(headBias, [vocabulary]);
      return {
        async run(token) {
          const logits = tf.tidy(() => {
            const embedded = tf.tensor(embedding.subarray(token * hidden, (token + 1) * hidden), [1, hidden]);
            const a = layers.reduce((x, layer) => layer.run(x, 1), embedded);
            return tf.fused.matMul({ a, b, bias });
          });
          const data = await logits.data();
          logits.dispose();
          return data;
        },
        async dispose() {
          for (const layer of layers) layer.dispose();
          tf.dispose([b, bias]);
        },
      };
    },
  };
}
