// Bundles a program of this folder and runs it: `node bench/run.mjs NAME`, and what it is to be told.
import { build } from 'esbuild';

const name = process.argv[2];
await build({
  entryPoints: [`bench/${name}.ts`],
  outbase: 'bench',
  outdir: 'build/bench',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  loader: { '.wasm': 'binary', '.hex': 'text' },
  logLevel: 'warning',
});
await import(`../build/bench/${name}.js`);
