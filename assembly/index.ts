// Every kernel. Pointers are bytes, sizes are elements; nothing is allocated and nothing is checked here: the caller
// has.
export * from './activation';
export * from './embedding';
export * from './gemm';
export * from './gemv';
export * from './gru';
export * from './kron';
export * from './lstm';
export * from './optim';
export * from './program';
export * from './random';
export * from './softmax';
export * from './sparse';
export * from './vector';

/** First byte that no static data uses. */
export function heapBase(): usize {
  return __heap_base;
}
