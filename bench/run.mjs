// Bundles a benchmark and runs it: `node bench/run.mjs`.
import { build } from 'esbuild';

await build({
  entryPoints: ['bench/main.ts'],
  outdir: 'build/bench',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  loader: { '.wasm': 'binary', '.hex': 'text' },
  logLevel: 'warning',
});
await import('../build/bench/main.js');
