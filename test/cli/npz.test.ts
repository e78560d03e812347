// Series in the files of numpy. The fixtures were written by numpy, see test/fixtures/make_fixtures.py.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { strToU8, zipSync } from 'fflate';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { examplesOfNpz } from '../../src/cli/series/npz.js';
import { readSeries } from '../../src/cli/series/read.js';
import { InputError } from '../../src/errors.js';
import { dopantHere, json, makeFolder, succeed } from './command.js';

const folder = makeFolder();
const FIXTURES = resolve('test/fixtures');
const read = (name: string, size = { frames: 0 }) =>
  examplesOfNpz(name, readFileSync(join(FIXTURES, name)), size, true);

test('labels, numbers for each step and classes are read as numpy wrote them', () => {
  const size = { frames: 0 };
  const labels = read('labels.npz', size);
  assert.is(size.frames, 2);
  assert.equal(labels.targets, ['a', 'bär', 'a']);
  assert.equal(labels.sequences[2], Float32Array.of(2, 2.015625, 2.125, 2.140625, 2.25, 2.265625, 2.375, 2.390625));
  const numbers = read('numbers.npz', size);
  assert.equal(numbers.sequences, labels.sequences);
  assert.equal(numbers.targets[1], [1.015625, 1.140625, 1.265625, 1.390625]);
  // Whole numbers are classes; frames may be single numbers.
  const classes = read('classes.npz');
  assert.equal(classes.targets, ['3', '-1', '3']);
  assert.equal(classes.sequences[1], Float32Array.of(8, 9, 10, 11));
});

/** An .npy file with this header. */
function npy(header: string, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = strToU8(`${header}\n`);
  return Uint8Array.of(0x93, ...strToU8('NUMPY'), 1, 0, text.length & 255, text.length >> 8, ...text, ...data);
}
const floats = (shape: string, ...numbers: number[]) =>
  npy(
    `{'descr': '<f8', 'fortran_order': False, 'shape': (${shape}), }`,
    new Uint8Array(new Float64Array(numbers).buffer),
  );
const X = floats('1, 2, 1', 1, 2);
const Y = floats('1,', 3);

for (const [what, bytes, message] of [
  ['no archive', strToU8('hello'), /^f\.npz: got what is no zip archive/],
  ['an archive cut short', zipSync({ 'x.npy': X, 'y.npy': Y }).subarray(0, 90), /no zip archive/],
  ['no x', zipSync({ 'y.npy': Y }), /got nothing for x; expected an array of numbers/],
  ['no y', zipSync({ 'x.npy': X }), /got nothing for y; expected the shape \[1\], or \[1,2\]/],
  ['x of one side', zipSync({ 'x.npy': Y, 'y.npy': Y }), /got \[1\] for x; expected the shape/],
  ['y of another length', zipSync({ 'x.npy': X, 'y.npy': floats('2,', 1, 2) }), /got \[2\] for y/],
  ['infinity', zipSync({ 'x.npy': floats('1, 2, 1', 1, 1e39), 'y.npy': Y }), /got 1e\+39 for number 1 of x/],
  ['NaN', zipSync({ 'x.npy': X, 'y.npy': floats('1,', Number.NaN) }), /got NaN for item 0 of y/],
  [
    'too little',
    zipSync({ 'x.npy': floats('1, 3, 1', 1, 2), 'y.npy': Y }),
    /array x: got "16 bytes"; expected 3 items/,
  ],
  ['a huge shape', zipSync({ 'x.npy': floats('99999999, 99999999, 9', 1), 'y.npy': Y }), /array x: got "8 bytes"/],
  ['no header', zipSync({ 'x.npy': npy('{}'), 'y.npy': Y }), /array x: got "\{\}\\n"; expected a header/],
  ['no magic', zipSync({ 'x.npy': strToU8('x'.repeat(50)), 'y.npy': Y }), /array x: got "50 bytes"/],
  ['columns first', readFileSync(join(FIXTURES, 'columns.npz')), /array x: got "columns first"; expected rows first/],
  ['texts for x', readFileSync(join(FIXTURES, 'objects.npz')), /got \[3, 2\] for x; expected an array of numbers/],
  [
    'big-endian numbers',
    zipSync({ 'x.npy': npy("{'descr': '>f8', 'fortran_order': False, 'shape': (1, 1), }"), 'y.npy': Y }),
    /expected a header of numbers or texts in little-endian order/,
  ],
  [
    'complex numbers',
    zipSync({
      'x.npy': npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1), }", new Uint8Array(8)),
      'y.npy': Y,
    }),
    /array x: got "type c8"; expected one of f4, f8/,
  ],
] as const) {
  test(`rejects ${what}`, () => {
    assert.throws(
      () => examplesOfNpz('f.npz', new Uint8Array(bytes), { frames: 0 }, true),
      (error: Error) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  });
}

test('an archive that grows without end is refused before it does', () => {
  const bomb = zipSync({ 'x.npy': [new Uint8Array(64 << 20), { level: 9 }] });
  // The central directory says how large the file becomes.
  const view = new DataView(bomb.buffer);
  for (let at = 0; at + 4 <= bomb.length; at++) {
    if (view.getUint32(at, true) === 0x02014b50) view.setUint32(at + 24, 2 ** 31, true);
  }
  assert.throws(
    () => examplesOfNpz('f.npz', bomb, { frames: 0 }, true),
    /got arrays of 2147483648 bytes; expected at most/,
  );
});

test('a folder of them trains, is measured and is answered', async () => {
  mkdirSync(join(folder, 'data'));
  for (const split of ['train', 'valid', 'test']) {
    copyFileSync(join(FIXTURES, 'labels.npz'), join(folder, 'data', `${split}.npz`));
  }
  await succeed(folder, 'train series --data data --hidden 8 --compression 2 --epochs 2 --out model.safetensors');
  const { examples } = await json<{ examples: number }>(folder, 'eval model.safetensors --data data');
  assert.is(examples, 3);
  const { stdout } = await succeed(folder, 'predict model.safetensors data/test.npz');
  assert.match(stdout, /^((a|bär) {2}\d+\.\d\d %\n){3}$/);
  writeFileSync(join(folder, 'data/test.jsonl'), '{}');
  const { code, stderr } = await dopantHere(folder, 'eval model.safetensors --data data');
  assert.is(code, 2);
  assert.match(stderr, /--data: got both test\.jsonl and test\.npz in data; expected one of them/);
  assert.is(await readSeries(join(folder, 'data')).catch((error) => error.name), 'InputError');
});

test.run();
