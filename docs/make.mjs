// Writes docs/cli.md: `npm run docs`.
import { writeFileSync } from 'node:fs';
import { build } from 'esbuild';

await build({
  entryPoints: ['docs/cli-page.ts'],
  outdir: 'build/docs',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  loader: { '.hex': 'text', '.iife.min.js': 'text', '.css': 'text' },
  logLevel: 'warning',
});
const { cliPage } = await import('../build/docs/cli-page.js');
writeFileSync('docs/cli.md', cliPage());
