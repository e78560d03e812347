import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, initSync, loadSync } from '../../src/infer/index.js';
import { encodeLanguageModel } from '../../src/io/model-file.js';
import { makeModel } from './models.js';

// What reaches a deployed model's loader: files cut short, with bytes changed, with other numbers in their header.

initSync({ simd: 'plain' });

const FILES = [
  encodeLanguageModel(makeModel('dense', 5)),
  encodeLanguageModel(makeModel('doped-kron', 6, 0.5)),
  encodeLanguageModel(makeModel('doped-hmd', 6, 0.9).withInt8Head()),
  encodeLanguageModel(makeModel('doped-lmf', 4, 0.9, 4)),
  encodeLanguageModel(makeModel('pruned', 8, 0.8, 8)),
];

const headerEnd = (file: Uint8Array) => 8 + new DataView(file.buffer, file.byteOffset).getUint32(0, true);

type Mutation = (file: Uint8Array) => Uint8Array;

const place = fc.nat(0xffffffff);

/** Any byte, or one of the header: there are many more of weights. */
const changedByte: fc.Arbitrary<Mutation> = fc
  .tuple(place, fc.integer({ min: 0, max: 255 }), fc.boolean())
  .map(([at, byte, header]) => (file) => {
    const result = file.slice();
    result[at % (header ? headerEnd(file) : file.length)] = byte;
    return result;
  });

const cutShort: fc.Arbitrary<Mutation> = place.map((at) => (file) => file.slice(0, at % file.length));

const grown: fc.Arbitrary<Mutation> = fc
  .uint8Array({ minLength: 1, maxLength: 9 })
  .map((more) => (file) => Uint8Array.from([...file, ...more]));

/** Another number where the header has one, of as many digits, so that everything else stays where it is. */
const changedNumber: fc.Arbitrary<Mutation> = fc.tuple(place, fc.nat()).map(([which, number]) => (file) => {
  const header = new TextDecoder('latin1').decode(file.subarray(8, headerEnd(file)));
  const numbers = [...header.matchAll(/\d+/g)];
  const chosen = numbers[which % numbers.length];
  const digits = String(number).padStart(chosen[0].length, '1').slice(-chosen[0].length);
  const result = file.slice();
  result.set(new TextEncoder().encode(digits), 8 + chosen.index);
  return result;
});

/** Bits of a float's exponent: weights near the largest and the smallest there are. */
const hugeWeight: fc.Arbitrary<Mutation> = fc
  .tuple(place, fc.constantFrom(0x7f, 0xff, 0x7e, 0))
  .map(([at, byte]) => (file) => {
    const result = file.slice();
    const start = headerEnd(file);
    result[start + 4 * (at % Math.floor((file.length - start) / 4)) + 3] = byte;
    return result;
  });

const mutation = fc.oneof(
  changedByte,
  changedByte.chain((first) =>
    changedByte.map(
      (second): Mutation =>
        (file) =>
          second(first(file)),
    ),
  ),
  cutShort,
  grown,
  changedNumber,
  hugeWeight,
);

test('100,000 mutated and truncated files: each loads to finite outputs or is refused by name', () => {
  const counts = { loaded: 0, refused: 0 };
  fc.assert(
    fc.property(fc.constantFrom(...FILES), mutation, (file, mutate) => {
      let plan: ReturnType<typeof loadSync>;
      try {
        plan = loadSync(mutate(file));
      } catch (error) {
        if (!(error instanceof FileFormatError)) throw error;
        assert.ok(error.message.length > 10, error.message);
        counts.refused++;
        return;
      }
      const session = plan.session();
      for (const token of [0, plan.vocabulary.size - 1, 1]) {
        const logits = session.next(token);
        for (let v = 0; v < logits.length; v++) assert.ok(Number.isFinite(logits[v]), `logit ${v} is ${logits[v]}`);
      }
      counts.loaded++;
    }),
    { numRuns: 100_000, endOnFailure: true },
  );
  // Both happen, or the mutations are not what they should be.
  assert.ok(counts.loaded > 10_000, `${counts.loaded} files loaded`);
  assert.ok(counts.refused > 10_000, `${counts.refused} files were refused`);
});

test.run();
