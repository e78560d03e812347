// Writes the binaries as hexadecimal text, to be embedded in bundles. Plain and relaxed SIMD differ in their multiply-adds
// alone, so their pieces alternate: gzip then finds the second of each pair in the first, within its window of 32 kB.
// Base64, whose digits straddle bytes, would take a third more. Read back by src/wasm/binary.ts.
import { readFileSync, writeFileSync } from 'node:fs';

const PIECE = 9000; // bytes

for (const name of ['dopant', 'infer']) {
  const binaries = [name, `${name}-relaxed`].map((file) => readFileSync(`build/${file}.wasm`));
  const count = Math.ceil(binaries[0].length / PIECE);
  const pieces = Array.from({ length: count }, (_, i) =>
    binaries.map((bytes) => {
      const cut = (k) => Math.floor((k * bytes.length) / count);
      return bytes.subarray(cut(i), cut(i + 1)).toString('hex');
    }),
  );
  writeFileSync(`build/${name}.hex`, pieces.flat().join(' '));
}
