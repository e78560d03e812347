// Grids and records with anything in them: each is read, or refused in one line that names the file.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkRecord } from '../../src/cli/experiment/check-record.js';
import { readRecords } from '../../src/cli/experiment/record.js';
import { FileFormatError } from '../../src/errors.js';
import { uniform } from '../../src/random.js';
import { dopantHere, makeFolder, makeText } from './command.js';
import { record } from './records.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
writeFileSync(path('text.txt'), makeText(500));

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Texts that JSON.stringify does not write. */
const RAW: Record<string, string> = {
  NOT: 'NaN',
  DEEP: '['.repeat(100_000) + ']'.repeat(100_000),
  DEEPER: `${'{"a":'.repeat(100_000)}null${'}'.repeat(100_000)}`,
  TWICE: '{"lr": 1, "lr": 2}',
  LINES: '"a\\nb\\u001b[31m"',
};
const JUNK: Json[] = [null, true, false, 0, -1, 1.5, 1e300, '', '@x', 'constructor', '__proto__', '0x8', '1e400'];
JUNK.push([], [[]], [null], [1, 1], {}, { a: 1 }, { extends: 'grid.json' }, 'x'.repeat(10_000), ...Object.keys(RAW));
const KEYS = ['__proto__', 'constructor', 'toString', '', 'length', 'seed', 'method', 'data', 'name'];

/** The text of a value with something wrong, or odd, somewhere in it. */
function spoil(value: Json, seed: number): string {
  let draws = 0;
  const draw = (n: number) => Math.floor(n * uniform(seed, 7, draws++));
  const junk = () => JUNK[draw(JUNK.length)];
  const spoiled = (part: Json): Json => {
    if (typeof part !== 'object' || part === null || draw(4) === 0) return junk();
    const keys = Object.keys(part);
    const key = keys[draw(keys.length)];
    if (Array.isArray(part)) {
      if (keys.length === 0 || draw(6) === 0) return [...part, junk()];
      return part.map((one, i) => (String(i) === key ? spoiled(one) : one));
    }
    const entries = Object.entries(part);
    if (keys.length === 0 || draw(6) === 0) return Object.fromEntries([...entries, [KEYS[draw(KEYS.length)], junk()]]);
    if (draw(8) === 0) return Object.fromEntries(entries.filter(([name]) => name !== key));
    return Object.fromEntries(entries.map(([name, one]) => [name, name === key ? spoiled(one) : one]));
  };
  const text = JSON.stringify(spoiled(value)).replace(/"([A-Z]+)"/g, (all, name) => RAW[name] ?? all);
  return draw(10) === 0 ? text.slice(0, draw(text.length)) : text;
}

/** Runs a command, which must succeed or say in one line what is wrong; returns the exit code. */
async function runHere(line: string, about: string): Promise<number> {
  const { code, stderr } = await dopantHere(folder, line);
  const said = `${line}: ${stderr}\n${about.slice(0, 2000)}`;
  // Before it there may be what is worth to know of the data.
  assert.is([...stderr.matchAll(/^dopant: /gm)].length, code === 0 ? 0 : 1, said);
  if (code !== 0) assert.match(stderr, /(?:^|\n)dopant: [^\p{Cc}]{1,2000}\n$/u, said);
  assert.not.match(stderr, /\w*Error: |undefined|\[object/, said);
  return code!;
}

const grid: Json = {
  task: 'lm',
  settings: { data: 'text.txt', hidden: 4, layers: 1, batch: 2, bptt: 4, epochs: 1, 'max-tokens': 200 },
  tune: { lr: [0.01, 0.03], dropout: [0] },
  seeds: [1, 2],
  cells: [
    { method: 'dense' },
    { method: ['pruned', 'doped-kron'], compression: 2, with: { anneal: '0.1,0.5' } },
    { method: 'small-dense', compression: 4 },
    { name: 'from', method: 'pruned', compression: 3, seeds: [1], tune: { lr: [1] }, with: { from: '@dense' } },
  ],
};

test('grids', async () => {
  const codes = [0, 0, 0];
  writeFileSync(path('grid.json'), JSON.stringify(grid));
  for (let seed = 0; seed < 200; seed++) {
    const text = spoil(grid, seed);
    writeFileSync(path('spoiled.json'), text);
    codes[await runHere('experiment spoiled.json --dry-run', text)]++;
  }
  assert.ok(codes[0] > 10 && codes[2] > 50, `${codes}`);
  assert.is(codes[1], 0, 'a grid is an argument: whatever is wrong with it is wrong usage');
});

const shares = { train: 0.1, valid: 0.2, test: 0.3 };
const run = record({ name: 'whole', tuned: ['lr'], final: true, test: { perplexity: 90, accuracy: 0.5, exact: 0.4 } });
const whole: Json = JSON.parse(
  JSON.stringify({
    ...run,
    result: { ...run.result, unknown: shares, unknownLabels: shares },
    curves: [
      { kind: 'step', step: 1, epoch: 0, loss: 2, learningRate: 0.1, sparsity: 0 },
      { kind: 'prune', step: 2, sparsity: 0.5, before: 3, after: 4 },
      {
        kind: 'cma',
        step: 3,
        sparsity: 0.5,
        both: 3,
        structureOnly: 4,
        dopantsOnly: 5,
        matrices: [{ name: 'lstm.0.ih', structureNorm: 1, dopantsNorm: 2, cosine: 0.5 }],
      },
      { kind: 'valid', step: 4, epoch: 0, perplexity: 3, accuracy: 0.5, exact: 0.5 },
    ],
    dopant: { version: '1.0.0', commit: 'abc' },
  }),
);
const other = record({ name: 'other', cell: 'pruned 5x', method: 'pruned', compression: 5, final: true });

test('records', async () => {
  mkdirSync(path('records'));
  writeFileSync(path('records', 'other.json'), JSON.stringify(other));
  const codes = [0, 0, 0];
  for (let seed = 0; seed < 200; seed++) {
    const text = spoil(whole, seed);
    writeFileSync(path('records', 'whole.json'), text);
    codes[await runHere('report records --out page.html', text)]++;
  }
  assert.ok(codes[0] > 5 && codes[1] > 50, `${codes}`);
  assert.is(codes[2], 0, 'a record is a file: whatever is wrong with it is damage');
  rmSync(path('records'), { recursive: true });
});

/** Every place in a value: the keys that lead there. */
function places(value: Json, to: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [to];
  return [...(to.length ? [to] : []), ...Object.entries(value).flatMap(([key, one]) => places(one, [...to, key]))];
}

/** The value with that at a place replaced, or removed. */
function changed(value: Json, [key, ...rest]: string[], by: Json | undefined): Json {
  const copy = structuredClone(value) as { [key: string]: Json };
  if (rest.length) copy[key] = changed(copy[key], rest, by);
  else if (by === undefined) delete copy[key];
  else copy[key] = by;
  return copy;
}

test('a record with anything else in any field is refused by the name of the field', () => {
  checkRecord(whole);
  const all = places(whole);
  assert.ok(all.length > 50);
  for (const place of all) {
    const field = place.reduce(
      (name, key) => (/^\d+$/.test(key) ? `${name}[${key}]` : name ? `${name}.${key}` : key),
      '',
    );
    // An object of shares may lack all that it has.
    const others = /unknown\w*$/.test(field) ? [0] : [{ a: [] }];
    for (const value of [null, Number.NaN, [{}], ...others]) {
      assert.throws(
        () => checkRecord(changed(whole, place, value)),
        (error: Error) => error instanceof FileFormatError && error.message.startsWith(field),
        `${field}: ${JSON.stringify(value)}`,
      );
    }
  }
});

test('a record whose figures cannot be is refused by the name of the field', () => {
  for (const [place, value] of [
    ['result.valid.perplexity', -3],
    ['result.valid.perplexity', 0],
    ['result.valid.accuracy', 1.5],
    ['result.test.exact', -0.1],
    ['result.unknown.train', 2],
    ['result.compression.bytes', 0],
  ] as const) {
    assert.throws(
      () => checkRecord(changed(whole, place.split('.'), value)),
      (error: Error) =>
        error instanceof FileFormatError && error.message.startsWith(`${place}: got ${value}; expected`),
      place,
    );
  }
});

test('a record without a field that it needs is refused by the name of the field', () => {
  const free = ['final', 'timing', 'settings.data'];
  free.push('result.test', 'result.compression.parameters', 'timing.step', 'dopant.commit');
  for (const place of places(whole)) {
    const name = place.join('.');
    const isFree =
      free.includes(name) || name.startsWith('result.unknown') || /accuracy$|exact$|perplexity$/.test(name);
    let refused = false;
    try {
      checkRecord(changed(whole, place, undefined));
    } catch (error) {
      refused = true;
      assert.instance(error, FileFormatError, name);
    }
    if (name !== 'result.valid.perplexity') assert.is(refused, !isFree, name);
  }
});

test('a record must be called as its file', async () => {
  mkdirSync(path('named'));
  writeFileSync(path('named', 'other.json'), JSON.stringify(whole));
  await readRecords(path('named')).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /other\.json: name: got "whole"; expected other, as the file/),
  );
});

test.run();
