import { requirePeer } from './install.js';

interface Array {
  readonly ref: Array; // one more reference: every operation takes one from its arguments
  dataSync(): Float32Array;
}

/** What is used of @jax-js/jax. */
interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): string;
  jit(f: (a: Array, b: Array) => Array): (a: Array, b: Array) => Array;
  readonly numpy: {
    array(data: Float32Array, options: { shape: number[] }): Array;
    matmul(a: Array, b: Array): Array;
  };
}

/** A[M,K] B[K,N] by the wasm backend of jax-js, compiled for the shape. */
export async function jaxMatmul(
  a: Float32Array,
  b: Float32Array,
  M: number,
  N: number,
  K: number,
): Promise<{ version: string; multiply: () => Float32Array }> {
  const jax: Jax = requirePeer('@jax-js/jax');
  if (!(await jax.init('wasm')).includes('wasm')) throw new Error('its wasm backend does not start');
  jax.defaultDevice('wasm');
  const { array, matmul } = jax.numpy;
  const left = array(a, { shape: [M, K] });
  const right = array(b, { shape: [K, N] });
  const compiled = jax.jit(matmul);
  return {
    version: requirePeer('./package.json').dependencies['@jax-js/jax'], // its own says nothing to those outside
    multiply: () => compiled(left.ref, right.ref).dataSync(),
  };
}
