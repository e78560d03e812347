// The kernels of inference alone: a binary of its own, small enough for a page.
export { f32_flush } from './flush';
export { f32_largest } from './largest';
export { f32_transpose } from './packed-kron';
export * from './packing';
export * from './step';
export { f32_add } from './vector';

/** First byte that no static data uses. */
export function heapBase(): usize {
  return __heap_base;
}
