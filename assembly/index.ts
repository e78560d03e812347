// All kernels. Pointers are in bytes, sizes in elements. Kernels neither allocate nor check anything: the caller does.
export * from './activation';
export * from './attention';
export { f32_dequantise, f32_from_halves, rice_decode } from './codes';
export * from './embedding';
export * from './gemm';
export * from './gemv';
export * from './gru';
export * from './kron';
export * from './lstm';
export * from './optim';
export * from './program';
export * from './quantise';
export * from './random';
export * from './softmax';
export * from './sparse';
export * from './vector';

/** The first byte after the static data. */
export function heapBase(): usize {
  return __heap_base;
}
