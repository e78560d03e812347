// Writes the binaries as hexadecimal text, to be embedded in bundles: gzip sees the bytes in it. Base64, whose digits straddle
// bytes, would take a third more. The two instructions of a multiply-add become * and +, see madd() in assembly/simd.ts;
// src/wasm/binary.ts reads the text.
import { readFileSync, writeFileSync } from 'node:fs';

const MARKS = { '\xfd\xf6\x01': '*', '\xfd\xf7\x01': '+' }; // f64x2.pmin, f64x2.pmax

for (const name of ['dopant', 'infer']) {
  const parts = readFileSync(`build/${name}.wasm`, 'latin1').split(RegExp(`(${Object.keys(MARKS).join('|')})`));
  const count = (mark) => parts.filter((part) => MARKS[part] === mark).length;
  if (count('*') !== count('+')) throw new Error(`${name}.wasm: something else has the bytes of a multiply-add`);
  const text = parts.map((part) => MARKS[part] ?? Buffer.from(part, 'latin1').toString('hex')).join('');
  writeFileSync(`build/${name}.hex`, text);
}
