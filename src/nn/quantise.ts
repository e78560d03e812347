import type { Runtime } from '../wasm/runtime.js';
import type { Bits, Leaf } from './leaves.js';

// Numbers in few bits, in the form of assembly/codes.ts.

/** The largest number that f16 stores, with room for rounding. */
const LARGEST_STORED = 65000;

/** The numbers of a leaf in order. */
export function valuesOf({ parameter, places, plus, added }: Leaf): Float32Array {
  const { data } = parameter;
  if (added) return new Float32Array(data.length);
  if (plus) {
    const others = plus.data;
    return data.map((value, i) => value + others[i]);
  }
  return places ? Float32Array.from(places, (place) => data[place]) : data.slice();
}

/** The bits that numbers can have: those too large for f16, and for scales, stay f32. */
export const bitsFor = (values: Float32Array, wanted: Bits): Bits =>
  values.length === 0 || values.some((value) => Math.abs(value) > LARGEST_STORED) ? 32 : wanted;

/** The numbers of a leaf, in order, as a file that stores it in so many bits gives them back. */
export function storedValues(runtime: Runtime, leaf: Leaf, wanted: Bits): Float32Array {
  const values = valuesOf(leaf);
  const bits = bitsFor(values, wanted);
  if (bits === 32) return values;
  const n = values.length;
  const group = Math.min(leaf.group, n);
  const { kernels } = runtime;
  return runtime.scoped(() => {
    const at = runtime.alloc(4 * n);
    runtime.floats(at, n).set(values);
    const stored = runtime.zeros((bits === 16 ? 2 * n : quantisedBytes(n, bits, group)) + 1);
    if (bits === 16) {
      kernels.f32_to_halves(at, stored, n);
      kernels.f32_from_halves(stored, at, n);
    } else {
      kernels.f32_quantise(at, stored, n, bits, group);
      kernels.f32_dequantise(stored, at, n, bits, group);
    }
    return runtime.floats(at, n).slice();
  });
}

/** The form of assembly/codes.ts: scales and codes. */
export function quantise(runtime: Runtime, values: Float32Array, bits: number, group: number): Uint8Array {
  const n = values.length;
  const bytes = quantisedBytes(n, bits, group);
  return runtime.scoped(() => {
    const from = runtime.alloc(4 * n);
    runtime.floats(from, n).set(values);
    const to = runtime.zeros(bytes + 1);
    runtime.kernels.f32_quantise(from, to, n, bits, group);
    return runtime.bytes(to, bytes).slice();
  });
}

/** Bytes of n numbers of so many bits, with a scale for each group. */
export const quantisedBytes = (n: number, bits: number, group: number): number =>
  2 * Math.ceil(n / group) + Math.ceil((n * bits) / 8);

/** The same form from scales, f16, and codes from -2^(bits-1) on. */
export function packCodes(scales: Uint16Array, codes: ArrayLike<number>, bits: number): Uint8Array {
  const bytes = new Uint8Array(2 * scales.length + Math.ceil((codes.length * bits) / 8));
  for (const [i, scale] of scales.entries()) {
    bytes[2 * i] = scale & 255;
    bytes[2 * i + 1] = scale >> 8;
  }
  for (let i = 0; i < codes.length; i++) {
    const at = i * bits;
    const place = 2 * scales.length + (at >> 3);
    const code = (codes[i] + (1 << (bits - 1))) << (at & 7);
    bytes[place] |= code & 255;
    if (code > 255) bytes[place + 1] |= code >> 8;
  }
  return bytes;
}

/** f16 of numbers, as bits. */
export function toHalves(runtime: Runtime, values: Float32Array): Uint16Array {
  const n = values.length;
  return runtime.scoped(() => {
    const from = runtime.alloc(4 * n);
    runtime.floats(from, n).set(values);
    const to = runtime.alloc(2 * n);
    runtime.kernels.f32_to_halves(from, to, n);
    return new Uint16Array(runtime.bytes(to, 2 * n).slice().buffer);
  });
}
