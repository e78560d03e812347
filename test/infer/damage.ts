// What happens to files: cut short, with bytes changed, with other numbers in their header.

import * as fc from 'fast-check';

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

export const damage: fc.Arbitrary<Mutation> = fc.oneof(
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
