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

test.run();
