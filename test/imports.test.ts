// What production code may import.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** Files of the project that a file imports, re-exports or loads dynamically; types, which are erased, too. */
function importsOf(path: string): string[] {
  const specifiers = readFileSync(path, 'utf8').matchAll(/(?:\bfrom|\bimport\(?)\s*['"](\.[^'"]+)['"]/g);
  return [...specifiers].map(([, specifier]) => join(dirname(path), specifier.replace(/\.js$/, '.ts')));
}

/** All files that can be reached from these, each with the file that imports it first. */
function reachableFrom(entries: readonly string[]): Map<string, string> {
  const reached = new Map(entries.map((path) => [path, 'an entry']));
  for (const [path] of reached) {
    if (!path.endsWith('.ts') || path.endsWith('.d.ts')) continue;
    for (const imported of importsOf(path)) if (!reached.has(imported)) reached.set(imported, path);
  }
  return reached;
}

const files = (readdirSync('src', { recursive: true }) as string[]).map((name) => join('src', name));
const commands = files.filter((path) => dirname(path).startsWith(join('src', 'cli')) && path.endsWith('.ts'));
const production = reachableFrom([join('src', 'index.ts'), join('src', 'infer', 'index.ts'), ...commands]);

test('the walk finds what production code is made of', () => {
  const missing = [...production].filter(([path]) => path.endsWith('.ts') && !existsSync(path));
  assert.equal(missing, []);
  for (const path of [
    'wasm/runtime.ts',
    'train/trainer.ts',
    'operators/sparse.ts',
    'infer/engine.ts',
    'cli/train.ts',
  ]) {
    assert.ok(production.has(join('src', path)), `${path} is not reached`);
  }
});

test('production code does not import the oracle of its tests', () => {
  assert.is(production.get(join('src', 'reference.ts')), undefined);
});

/** From below; a folder imports those before it only, types included. */
const FOLDERS =
  'values errors checks math work random text wasm network operators autograd nn train io tasks infer index testing cli'.split(
    ' ',
  );

test('no import runs upward', () => {
  const folderOf = (path: string) => path.split('/')[1].replace(/\.ts$/, '');
  for (const path of files.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))) {
    const folder = folderOf(path);
    if (folder === 'reference') continue; // the oracle of the tests
    assert.ok(FOLDERS.includes(folder), `${path} is in none of the folders`);
    for (const imported of importsOf(path)) {
      if (!imported.startsWith('src/') || (folder === 'testing' && imported === 'src/reference.ts')) continue;
      const other = folderOf(imported);
      const goesDown = other === folder || FOLDERS.indexOf(other) < FOLDERS.indexOf(folder);
      assert.ok(goesDown, `${path} imports ${imported}`);
    }
  }
});

/** Where all tasks are listed, and what users import. */
const LISTS = ['src/index.ts', 'src/infer/index.ts', 'src/cli/tasks.ts', 'src/cli/default-task.ts'];

test('no file names a task but those of the task, and the lists', () => {
  const tasks = readdirSync('src/tasks', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.ok(tasks.length >= 4);
  for (const { name } of tasks) {
    const own = new RegExp(`^src/(tasks|cli)/${name}/`);
    const naming = new RegExp(`['"]${name}['"]|/${name}/`);
    for (const path of files.filter((path) => path.endsWith('.ts'))) {
      const text = readFileSync(path, 'utf8');
      if (own.test(path) || LISTS.includes(path) || !naming.test(text)) continue;
      // A client of a task in dopant/infer imports what it needs of the task's folder, and of no other's.
      const folders = new Set([...text.matchAll(/from '\.\.\/tasks\/(\w+)\//g)].map(([, folder]) => folder));
      const isClient = dirname(path) === join('src', 'infer') && folders.size === 1 && folders.has(name);
      assert.ok(isClient, `${path} names the task ${name}`);
    }
  }
});

test('no imports run in circles, but for types, which are erased', () => {
  const bench = (readdirSync('bench', { recursive: true, encoding: 'utf8' }) as string[])
    .filter((name) => !name.includes('node_modules'))
    .map((name) => join('bench', name));
  const modules = [...files, ...bench].filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
  const valuesOf = (path: string) => {
    const text = readFileSync(path, 'utf8').replace(/^(import|export) type [^;]*;/gm, '');
    return [...text.matchAll(/\bfrom '(\.[^']+)'/g)].map(([, to]) => join(dirname(path), to.replace(/\.js$/, '.ts')));
  };
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]) => {
    assert.not(way.includes(path), `${[...way, path].join(' imports ')}`);
    if (done.has(path) || !modules.includes(path)) return;
    for (const imported of valuesOf(path)) visit(imported, [...way, path]);
    done.add(path);
  };
  for (const path of modules) visit(path, []);
  assert.is(done.size, modules.length);
});

test.run();
