/** The rows of weights [G H, ...] with the gates in another order: from 'ifgo', PyTorch's, to 'iofg', ONNX's. */
export function reorder(weights: Float32Array, from: string, to: string): Float32Array {
  const size = weights.length / from.length;
  const result = new Float32Array(weights.length);
  for (const [i, gate] of [...to].entries()) {
    const at = from.indexOf(gate) * size;
    result.set(weights.subarray(at, at + size), i * size);
  }
  return result;
}
