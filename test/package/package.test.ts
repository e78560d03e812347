// The package as npm installs it: packed, unpacked into a project of its own, compiled and run there.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeFolder } from '../cli/command.js';

const project = makeFolder();
const installed = join(project, 'node_modules/dopant');

test.before(() => {
  mkdirSync(installed, { recursive: true });
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', project], { stdio: 'pipe' });
  const tarball = readdirSync(project).find((name) => name.endsWith('.tgz'))!;
  execFileSync('tar', ['-xzf', join(project, tarball), '-C', installed, '--strip-components=1']);
  rmSync(join(project, tarball));
  symlinkSync(resolve('node_modules/@assemblyscript'), join(project, 'node_modules/@assemblyscript'));
  for (const name of ['@types', 'undici-types']) {
    const types = resolve('test/package/node_modules', name);
    if (existsSync(types)) symlinkSync(types, join(project, 'node_modules', name));
  }
});

const manifest = () => JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));

/** Runs a script in the project and returns what it prints. */
function node(source: string, name: string): string {
  writeFileSync(join(project, name), source);
  const { stdout, stderr, status } = spawnSync(process.execPath, [name], { cwd: project, encoding: 'utf8' });
  assert.is(status, 0, stderr);
  return stdout.trim();
}

test('a packed package is whole: every file that the manifest names is there, and so are the sources of its maps', () => {
  const { exports, main, types, bin } = manifest();
  const named = [
    main,
    types,
    ...Object.values(bin),
    ...Object.values(exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry as object),
    ),
  ];
  for (const path of named) assert.ok(existsSync(join(installed, path as string)), String(path));
  for (const map of ['dist/index.js.map', 'dist/infer.js.map', 'dist/types/src/index.d.ts.map']) {
    const { sources } = JSON.parse(readFileSync(join(installed, map), 'utf8')) as { sources: string[] };
    const own = sources.filter((source) => !source.includes('build/'));
    assert.ok(own.length > 0);
    for (const source of own) assert.ok(existsSync(join(installed, map, '..', source)), `${map}: ${source}`);
  }
  const files = readdirSync(installed);
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md', 'assembly', 'src', 'infer'])
    assert.ok(files.includes(file), file);
});

test('resolvers that know no "exports" find both entries', () => {
  const stub = JSON.parse(readFileSync(join(installed, 'infer/package.json'), 'utf8'));
  const { exports, main, types } = manifest();
  const path = (...parts: string[]) => join(installed, ...parts);
  assert.is(path(main), path(exports['.'].default));
  assert.is(path(types), path(exports['.'].types));
  assert.is(path('infer', stub.main), path(exports['./infer'].default));
  assert.is(path('infer', stub.types), path(exports['./infer'].types));
  assert.is(stub.type, 'module');
});

test('both entries can be imported and, from 20.19 on, required', () => {
  const check = 'console.log(typeof dopant.Runtime, typeof infer.load)';
  const imported = node(`import * as dopant from 'dopant'; import * as infer from 'dopant/infer'; ${check}`, 'a.mjs');
  assert.is(imported, 'function function');
  const [major, minor] = process.versions.node.split('.').map(Number);
  assert.ok(major > 20 || minor >= 19, 'engines asks for 20.19');
  const required = node(`const dopant = require('dopant'); const infer = require('dopant/infer'); ${check}`, 'b.cjs');
  assert.is(required, 'function function');
});

const USER = `
import { dense, kernelBytes, Runtime, Vocabulary } from 'dopant';
import { init, Intents, kernelBytes as inferenceBytes, LanguageModel, load, loadSync, type Model } from 'dopant/infer';
const runtime: Runtime = new Runtime({ threads: 1 });
const shape: number = dense(runtime, 3, 4).M;
// Options that are passed on may be undefined, also with exactOptionalPropertyTypes.
const unset = undefined as number | undefined;
const bytes: Uint8Array = kernelBytes({ simd: 'plain' });
export async function use(model: Uint8Array): Promise<string> {
  await init({ simd: 'plain' });
  const loaded: Model = loadSync(model);
  const text = new LanguageModel(loaded);
  text.generate('', { temperature: unset, seed: unset, topK: unset, topP: unset, maxTokens: unset, signal: undefined });
  await init({ simd: undefined, module: undefined });
  new Runtime({ simd: undefined, threads: unset, module: undefined });
  new Intents(loaded).classify('text', { threshold: unset });
  const logits: Float32Array = loaded.session().step(1);
  const [frame]: Float32Array[] = (await load('model.safetensors')).run([1, 2]);
  const vocabulary: Vocabulary = text.vocabulary as Vocabulary;
  return frame.length + new Intents(loaded).classify('text').intent + logits.length + shape + bytes.length + vocabulary.size + inferenceBytes().length;
}
`;
const COMPILE = `
export const module = new WebAssembly.Module(kernelBytes());
export const compiled = new Runtime({ module });
`;

const COMPILERS = ['typescript-5.2', 'typescript-6', 'typescript'];
const at = (name: string) =>
  [`test/package/node_modules/${name}`, `node_modules/${name}`]
    .map((path) => resolve(path))
    .find((path) => existsSync(path));

for (const name of COMPILERS) {
  const compiler = at(name);
  if (!compiler) console.log(`SKIPPED  types under ${name}: run npm ci --prefix test/package`);
  const typesTest = compiler || process.env.CI ? test : test.skip;
  typesTest(`types compile under ${name}, every library file checked`, () => {
    assert.ok(compiler, 'npm ci --prefix test/package');
    for (const [file, text] of Object.entries({ 'user.mts': USER, 'user.ts': USER, 'page.ts': USER + COMPILE })) {
      writeFileSync(join(project, file), text);
    }
    const settings = [
      { files: ['user.mts'], module: 'nodenext', moduleResolution: 'nodenext', lib: ['es2022'], types: ['node'] },
      { files: ['page.ts'], module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'], types: [] },
      // TypeScript 6 deprecates node10, 7 has dropped it.
      ...(name.includes('-5')
        ? [{ files: ['user.ts'], module: 'esnext', moduleResolution: 'node10', lib: ['es2022'], types: ['node'] }]
        : []),
    ];
    for (const { files, ...options } of settings) {
      const compilerOptions = {
        noEmit: true,
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        target: 'es2022',
        ...options,
      };
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
      const { stdout, status } = spawnSync(process.execPath, [join(compiler!, 'bin/tsc'), '-p', project], {
        encoding: 'utf8',
      });
      assert.is(stdout, '', JSON.stringify(options));
      assert.is(status, 0, JSON.stringify(options));
    }
  });
}

/** Bytes of an entry in a page: bundled, minified, gzip -9. */
function bundled(contents: string): number {
  const { outputFiles } = buildSync({
    stdin: { contents, resolveDir: project },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    external: ['@assemblyscript/loader'],
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

/** What the README imports to train. */
const TRAINING = 'buildVocabulary, defaultOptions, encodeModel, LanguageModelTraining, Runtime, takeInventory';

test('bundles stay small', () => {
  const sizes = {
    training: bundled(`export { ${TRAINING} } from 'dopant'`),
    load: bundled("export { load } from 'dopant/infer'"),
    translator: bundled("export { Translator } from 'dopant/infer'"),
    inference: bundled("export * from 'dopant/infer'"),
  };
  assert.ok(sizes.training < 59_700, JSON.stringify(sizes));
  assert.ok(sizes.load < 26_800, JSON.stringify(sizes));
  assert.ok(sizes.translator < 18_000, JSON.stringify(sizes));
  assert.ok(sizes.inference < 35_700, JSON.stringify(sizes));
});

test.run();
