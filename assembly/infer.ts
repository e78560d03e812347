// The kernels of inference, in a separate binary that is small enough for a page.
export { f32_attention } from './attention';
export { f32_dequantise, f32_from_halves, i8_from_codes, rice_decode } from './codes';
export { f32_flush } from './flush';
export { f32_largest } from './largest';
export { int8_panel_row } from './packed-int8';
export { f32_transpose } from './packed-kron';
export * from './packing';
export { f32_share } from './softmax';
export * from './step';
export { f32_add, f32_scale } from './vector';

/** The first byte after the static data. */
export function heapBase(): usize {
  return __heap_base;
}
