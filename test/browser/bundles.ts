// What Chromium is given: test files, each with what it needs, and pages built the way users build them.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

export type Simd = 'plain' | 'relaxed';

/** Tests of inference that stay in Node: two that need it, for files and its heap, and a long one about bad files. */
const LEFT_OUT = ['infer/sources', 'infer/memory', 'infer/hostile'];

const OPTIONS: BuildOptions = {
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  sourcemap: 'inline',
  loader: { '.hex': 'text' },
  // package.json promises that no file has side effects, which is not true of tests.
  ignoreAnnotations: true,
  logLevel: 'silent', // errors are thrown
};

/** The tests of kernels and sessions, by the names of their files. */
export function batteryNames(): string[] {
  const files = ['', 'kernels/', 'infer/'].flatMap((at) => readdirSync(join('test', at)).map((file) => at + file));
  return files
    .filter((file) => /^(kernels|infer\/.*|kernels\/.*)\.test\.ts$/.test(file))
    .map((file) => file.slice(0, -'.test.ts'.length))
    .filter((name) => !LEFT_OUT.includes(name));
}

/** Bundles tests into a folder, each under its name. */
export async function bundleTests(folder: string, names: readonly string[], simd: Simd): Promise<void> {
  let replaced = 0;
  const relaxedKernels: Plugin = {
    name: 'relaxed kernels',
    setup({ onLoad }) {
      onLoad({ filter: /\/dopant\.hex$/ }, ({ path }) => {
        replaced++;
        // Multiply-adds in relaxed SIMD whatever is chosen, see src/wasm/binary.ts.
        const text = readFileSync(path, 'utf8');
        return { contents: text.replaceAll('*', '010101').replaceAll('+', 'fd8502'), loader: 'text' };
      });
    },
  };
  for (const name of names) {
    const parts = ['./scope.js', './simd.js', `../${name}.test.js`].map((part) => `import '${part}';`);
    await build({
      ...OPTIONS,
      stdin: {
        contents: [...parts, "export { outcome } from './outcome.js';"].join('\n'),
        resolveDir: 'test/browser',
        loader: 'ts',
      },
      outfile: join(folder, `${name}.js`),
      define: { DOPANT_SIMD: JSON.stringify(simd) },
      // Sessions take the binary that simd.ts chose; `new Runtime()` in a test takes the plain one, which is this then.
      plugins: simd === 'relaxed' ? [relaxedKernels] : [],
    }).catch((cause) => {
      throw new Error(`${name} is neither for browsers nor in LEFT_OUT of bundles.ts: ${cause.message}`, { cause });
    });
  }
  if (simd === 'relaxed' && replaced === 0) throw new Error('no test imports build/dopant.hex any more');
  writeBlankPage(folder);
}

/** Bundles a script of this folder into another. */
export async function bundleScript(folder: string, name: 'one-thread' | 'same-bits'): Promise<void> {
  await build({ ...OPTIONS, entryPoints: [`test/browser/${name}.ts`], outdir: folder });
  writeBlankPage(folder);
}

/** Bundles worklet.ts into a folder, beside a model. */
export async function bundleWorklet(folder: string, model: Uint8Array): Promise<void> {
  await build({ ...OPTIONS, entryPoints: ['test/browser/worklet.ts'], outdir: folder });
  writeFileSync(join(folder, 'model.safetensors'), model);
  writeBlankPage(folder);
}

function writeBlankPage(folder: string): void {
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>dopant</title>');
}

/** A folder with the app of test/browser/app, a model, and this package as npm would install it. */
export function makeApp(folder: string, model: Uint8Array): void {
  cpSync('test/browser/app', folder, { recursive: true });
  mkdirSync(join(folder, 'public'));
  writeFileSync(join(folder, 'public/model.safetensors'), model);

  if (!existsSync('dist/infer.js')) throw new Error('dist/infer.js is missing: run `npm run build` first');
  execute('npm', ['pack', '--ignore-scripts', '--pack-destination', folder]);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (!tarball) throw new Error('npm pack left no tarball');
  const installed = join(folder, 'node_modules/dopant');
  mkdirSync(installed, { recursive: true });
  execute('tar', ['-xzf', join(folder, tarball), '-C', installed, '--strip-components=1']);
  rmSync(join(folder, tarball));
  symlinkSync(resolve('node_modules/@assemblyscript'), join(folder, 'node_modules/@assemblyscript'));
}

/** Builds an app with Vite, without a setting, and says where the page is. */
export function buildWithVite(app: string): string {
  execute(resolve('node_modules/.bin/vite'), ['build'], app);
  return join(app, 'dist');
}

/** The same with esbuild, which leaves all but the script to its user. */
export function buildWithEsbuild(app: string): string {
  const page = join(app, 'page');
  const options = ['--bundle', '--format=esm', '--outfile=page/main.js'];
  execute(resolve('node_modules/.bin/esbuild'), ['main.js', ...options], app);
  cpSync(join(app, 'index.html'), join(page, 'index.html'));
  cpSync(join(app, 'public'), page, { recursive: true });
  return page;
}

function execute(program: string, args: string[], cwd = '.'): void {
  execFileSync(program, args, { cwd, timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] });
}
