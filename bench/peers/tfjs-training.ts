import { dirname } from 'node:path';
import { requirePeer } from './install.js';

interface Tensor {
  dataSync(): Float32Array;
  dispose(): void;
}

interface Variable extends Tensor {
  assign(value: Tensor): void;
}

/** What is used of @tensorflow/tfjs, which unlike its core brings the gradients of all operations. */
interface Tf {
  readonly version_core: string;
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  tidy<T>(compute: () => T): T;
  variable(value: Tensor): Variable;
  randomUniform(shape: number[], low: number, high: number): Tensor;
  tensor1d(data: Int32Array, type: 'int32'): Tensor;
  zeros(shape: number[]): Tensor;
  scalar(value: number): Tensor;
  gather(x: Tensor, rows: Tensor): Tensor;
  concat(x: Tensor[], axis: number): Tensor;
  slice(x: Tensor, begin: number[], size: number[]): Tensor;
  oneHot(x: Tensor, depth: number): Tensor;
  add(a: Tensor, b: Tensor): Tensor;
  sub(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor): Tensor;
  neg(x: Tensor): Tensor;
  sum(x: Tensor): Tensor;
  mean(x: Tensor): Tensor;
  sigmoid(x: Tensor): Tensor;
  tanh(x: Tensor): Tensor;
  logSoftmax(x: Tensor): Tensor;
  matMul(a: Tensor, b: Tensor): Tensor;
  variableGrads(loss: () => Tensor, variables: Variable[]): { value: Tensor; grads: Record<string, Tensor> };
}

export interface Shape {
  vocabulary: number;
  hidden: number;
  layers: number;
  batch: number;
  steps: number;
}

/**
 * Steps of gradient descent, clipped, on the language model of src/tasks/lm/model.ts, dense and without dropout: ids
 * and targets are i32[steps batch], rows of one time step together. Returns a step, which gives the mean loss.
 */
function training(tf: Tf, backend: string, { vocabulary: V, hidden: H, layers, batch: B, steps: T }: Shape) {
  const weight = (rows: number, cols: number, width: number) =>
    tf.variable(tf.randomUniform([rows, cols], -width, width));
  const width = H ** -0.5;
  const embedding = weight(V, H, 3 ** 0.5);
  const cells = Array.from({ length: layers }, () => ({
    ih: weight(H, 4 * H, width),
    hh: weight(H, 4 * H, width),
    bias: weight(1, 4 * H, width),
  }));
  const head = weight(H, V, width);
  const headBias = weight(1, V, width);
  const variables = [embedding, ...cells.flatMap(({ ih, hh, bias }) => [ih, hh, bias]), head, headBias];

  function layer(x: Tensor, { ih, hh, bias }: (typeof cells)[number]): Tensor {
    const given = tf.add(tf.matMul(x, ih), bias);
    let h = tf.zeros([B, H]);
    let c = tf.zeros([B, H]);
    const hs: Tensor[] = [];
    for (let t = 0; t < T; t++) {
      const a = tf.add(tf.slice(given, [t * B, 0], [B, 4 * H]), tf.matMul(h, hh));
      const gate = (n: number) => tf.slice(a, [0, n * H], [B, H]);
      const [i, f, g, o] = [tf.sigmoid(gate(0)), tf.sigmoid(gate(1)), tf.tanh(gate(2)), tf.sigmoid(gate(3))];
      c = tf.add(tf.mul(f, c), tf.mul(i, g));
      h = tf.mul(o, tf.tanh(c));
      hs.push(h);
    }
    return tf.concat(hs, 0);
  }

  const loss = (ids: Int32Array, targets: Int32Array) => {
    const words = tf.tensor1d(ids, 'int32');
    // The wasm backend has no gradient of gather(); a product with ones and zeros has, and is little beside the head.
    const embedded = backend === 'wasm' ? tf.matMul(tf.oneHot(words, V), embedding) : tf.gather(embedding, words);
    const top = cells.reduce(layer, embedded);
    const logits = tf.add(tf.matMul(top, head), headBias);
    const right = tf.mul(tf.oneHot(tf.tensor1d(targets, 'int32'), V), tf.logSoftmax(logits));
    return tf.neg(tf.mul(tf.sum(right), tf.scalar(1 / (B * T))));
  };

  return (ids: Int32Array, targets: Int32Array): number =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => loss(ids, targets), variables);
      const list = Object.values(grads); // in the order of the variables
      const norm = Math.sqrt(list.reduce((sum, grad) => sum + tf.sum(tf.mul(grad, grad)).dataSync()[0], 0));
      const rate = tf.scalar(norm > 5 ? 5 / norm : 1);
      list.forEach((grad, i) => {
        variables[i].assign(tf.sub(variables[i], tf.mul(grad, rate)));
      });
      return value.dataSync()[0];
    });
}

/** The first of the backends that can train, a step of it, and why those before it cannot. */
export async function tfjsTraining(shape: Shape) {
  const tf: Tf = requirePeer('@tensorflow/tfjs');
  tf.enableProdMode();
  const wasm: { setWasmPaths(directory: string): void; setThreadsCount(count: number): void } = requirePeer(
    '@tensorflow/tfjs-backend-wasm',
  );
  wasm.setWasmPaths(`${dirname(requirePeer.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  wasm.setThreadsCount(1);
  const refused: string[] = [];
  for (const backend of ['wasm', 'cpu']) {
    try {
      if (!(await tf.setBackend(backend))) throw new Error('it does not start');
      training(tf, backend, { vocabulary: 5, hidden: 2, layers: 1, batch: 2, steps: 1 })(
        Int32Array.of(1, 2),
        Int32Array.of(2, 3),
      );
      return { name: `tfjs-${backend}`, version: tf.version_core, step: training(tf, backend, shape), refused };
    } catch (error) {
      refused.push(`tfjs-${backend}: ${String(error instanceof Error ? error.message : error).split('\n')[0]}`);
    }
  }
  throw new Error(refused.join('; '));
}
