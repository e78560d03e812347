// The kernels of inference, in a separate binary that is small enough for a page.
export { f32_flush } from './flush';
export { f32_largest } from './largest';
export { f32_transpose } from './packed-kron';
export * from './packing';
export * from './step';
export { f32_add } from './vector';

/** The first byte after the static data. */
export function heapBase(): usize {
  return __heap_base;
}
