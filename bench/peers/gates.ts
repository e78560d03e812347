/** The rows of weights [4H, ...] with the gates in another order than i, f, g, o: `order` is 'iofg' for ONNX. */
export function reorder(weights: Float32Array, order: string): Float32Array {
  const size = weights.length / 4;
  const result = new Float32Array(weights.length);
  for (const [to, gate] of [...order].entries()) {
    const from = 'ifgo'.indexOf(gate) * size;
    result.set(weights.subarray(from, from + size), to * size);
  }
  return result;
}
