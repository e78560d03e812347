// Writes the kernels of inference as text in hexadecimal, to be embedded in bundles. Gzip sees through it: the two
// binaries, alike but for their multiply-adds, take 4.4 kB together, where base64, whose digits straddle bytes, takes a third more.
import { readFileSync, writeFileSync } from 'node:fs';

for (const name of ['infer', 'infer-relaxed']) {
  writeFileSync(`build/${name}.hex`, readFileSync(`build/${name}.wasm`, 'hex'));
}
