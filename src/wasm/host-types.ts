// Types of the host, written so that our declarations compile in every project from TypeScript 5.2 on: Uint8Array takes a
// type argument only since 5.7, and a project without "DOM" in its lib may not know WebAssembly.

type Host = typeof globalThis;

/** Uint8Array<ArrayBuffer>, or Uint8Array before TypeScript 5.7. */
export type Bytes = ReturnType<Uint8ArrayConstructor['of']>;

/** WebAssembly.Module */
export type WasmModule = Host extends { WebAssembly: { Module: { prototype: infer Module } } } ? Module : object;

/** WebAssembly.Memory */
export type WasmMemory = Host extends { WebAssembly: { Memory: { prototype: infer Memory } } } ? Memory : object;
