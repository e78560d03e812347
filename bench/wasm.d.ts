/** peak.wasm and its relaxed twin, which esbuild embeds as bytes. */
declare module '*.wasm' {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
