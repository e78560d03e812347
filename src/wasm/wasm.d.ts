/** Compiled kernels as hexadecimal text, see hex.mjs: a bundler embeds it, so loading needs no path and no fetch. */
declare module '*.hex' {
  const digits: string;
  export default digits;
}
