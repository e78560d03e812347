/**
 * The bundler's binary loader turns the compiled kernels into bytes inside the bundle: no path, no fetch, no setting.
 */
declare module '*.wasm' {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}

/** The same as text, two digits a byte. */
declare module '*.hex' {
  const digits: string;
  export default digits;
}
