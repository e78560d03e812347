export * from './train/trainer';
export * from './tasks/language-model';
export * from './nn/language-model';
export * from './tasks/text';
export { Runtime } from './wasm/runtime';
