// Bundles every test for Node: `node test/build.mjs`. Fresh each time, so that no deleted test lingers.

import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

const HARNESS = resolve('test/harness');
const harness = {
  name: 'harness',
  setup({ onResolve }) {
    onResolve({ filter: /^uvu(\/assert)?$/ }, ({ path, resolveDir }) =>
      resolveDir === HARNESS ? { path, external: true } : { path: join(HARNESS, `${path.split('/').at(-1)}.ts`) },
    );
    // The assertions of the batteries count as well.
    onResolve({ filter: /^\.\/assert\.js$/ }, ({ resolveDir }) =>
      resolveDir === resolve('src/testing') ? { path: join(HARNESS, 'assert.ts') } : undefined,
    );
  },
};

const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync('build/test', { recursive: true, force: true });
await build({
  entryPoints: ['test/**/*.test.ts'],
  outbase: 'test',
  outdir: 'build/test',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20', // later ones decode binary files with what Node 20 does not have
  sourcemap: true,
  plugins: [harness],
  // uplot is no program here but a text that goes into a report.
  external: Object.keys({ ...dependencies, ...devDependencies }).filter((name) => name !== 'uplot'),
  loader: { '.hex': 'text', '.iife.min.js': 'text', '.css': 'text' },
  logLevel: 'warning',
});
