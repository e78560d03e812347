// Bundles the benchmarks and runs one: `node bench/run.mjs inference` or `training`.
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
