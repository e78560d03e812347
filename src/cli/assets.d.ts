// esbuild puts these files into the bundle as text: --loader:.iife.min.js=text --loader:.css=text

declare module 'uplot/dist/uPlot.iife.min.js' {
  const text: string;
  export default text;
}

declare module '*.css' {
  const text: string;
  export default text;
}
