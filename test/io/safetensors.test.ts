import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, InputError } from '../../src/errors.js';
import { type Dtype, decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';

const arrayTypes = {
  F32: Float32Array,
  F16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  U16: Uint16Array,
  U32: Uint32Array,
  I32: Int32Array,
};

/** Any bits are a tensor: built from random bytes, NaN payloads included. */
const anyTensor: fc.Arbitrary<NamedTensor> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(arrayTypes) as Dtype[])),
    fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  )
  .chain(([dtype, shape]) => {
    const length = shape.reduce((product, size) => product * size, 1) * arrayTypes[dtype].BYTES_PER_ELEMENT;
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => ({ dtype, shape, data: new arrayTypes[dtype](bytes.slice().buffer) }) as NamedTensor);
  });

const anyName = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '0', '1', '__proto__', 'constructor', '"', '\u2028', 'layers.0.weight_ih'),
);

const anyTensors = fc
  .uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, maxLength: 6 })
  .map((entries) => new Map(entries.filter(([name]) => name !== '__metadata__')));

const anyMetadata = fc.dictionary(anyName, fc.string({ unit: 'binary' }), { noNullPrototype: true });

const bytesOf = ({ data }: NamedTensor) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];

/** Every name with what it holds, bit for bit, whatever the order. */
const contents = (tensors: ReadonlyMap<string, NamedTensor>) =>
  [...tensors]
    .map(([name, tensor]) => [name, tensor.dtype, [...tensor.shape], tensor.data.constructor.name, bytesOf(tensor)])
    .sort(([a], [b]) => (`${a}` < `${b}` ? -1 : 1));

const small = () =>
  encodeSafetensors(
    new Map<string, NamedTensor>([
      ['mask', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 0, 1) }],
      ['weight', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, -2, 0.5, 3) }],
      ['columns', { dtype: 'U16', shape: [3], data: Uint16Array.of(7, 8, 9) }],
    ]),
    { kind: 'test' },
  );

/** A file of this header and this many bytes of data, whatever they say about one another. */
const fileOf = (header: unknown, dataLength = 0) => {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
};

const refuses = (bytes: Uint8Array, message: RegExp) =>
  assert.throws(
    () => decodeSafetensors(bytes),
    (error: unknown) => error instanceof FileFormatError && message.test(error.message),
    `should be refused with ${message}`,
  );

test('any tensors and metadata come back as they were, bit for bit', () => {
  fc.assert(
    fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
      const decoded = decodeSafetensors(encodeSafetensors(tensors, metadata));
      assert.equal(contents(decoded.tensors), contents(tensors));
      assert.equal(Object.entries(decoded.metadata), Object.entries(metadata));
    }),
  );
});

test('a file that starts at any address is read alike', () => {
  const file = small();
  for (let shift = 0; shift < 8; shift++) {
    const moved = new Uint8Array(file.length + 8).subarray(shift, shift + file.length);
    moved.set(file);
    assert.equal(contents(decodeSafetensors(moved).tensors), contents(decodeSafetensors(file).tensors));
  }
});

test('data are aligned in the file, without a hole', () => {
  fc.assert(
    fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
      const bytes = encodeSafetensors(tensors, metadata);
      const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      assert.is(headerLength % 8, 0);
      let stored = 0;
      for (const { data } of decodeSafetensors(bytes).tensors.values()) {
        assert.is(data.buffer, bytes.buffer, 'an aligned array is a view');
        stored += data.byteLength;
      }
      assert.is(bytes.length, 8 + headerLength + stored);
    }),
  );
});

test('larger elements come first, otherwise the order given is kept', () => {
  const one = (dtype: Dtype) => ({ dtype, shape: [1], data: new arrayTypes[dtype](1) }) as NamedTensor;
  const given: [string, Dtype][] = [
    ['z', 'U8'],
    ['b', 'I32'],
    ['9', 'F32'],
    ['1', 'U32'],
    ['c', 'U16'],
    ['a', 'U8'],
  ];
  const bytes = encodeSafetensors(new Map(given.map(([name, dtype]) => [name, one(dtype)])), {});
  assert.equal([...decodeSafetensors(bytes).tensors.keys()], ['b', '9', '1', 'c', 'z', 'a']);
});

test('the bytes are those that the format prescribes', () => {
  const bytes = encodeSafetensors(new Map([['a', { dtype: 'U16', shape: [1, 2], data: Uint16Array.of(0x0102, 3) }]]), {
    k: 'v',
  });
  const header = '{"__metadata__":{"k":"v"},"a":{"dtype":"U16","shape":[1,2],"data_offsets":[0,4]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  assert.equal([...bytes.subarray(0, 8)], [padded.length, 0, 0, 0, 0, 0, 0, 0]);
  assert.is(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length)), padded);
  assert.equal([...bytes.subarray(8 + padded.length)], [2, 1, 3, 0]);
});

test('a part of an array is written, not the buffer behind it', () => {
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  const decoded = decodeSafetensors(encodeSafetensors(new Map([['a', { dtype: 'F32', shape: [2], data }]]), {}));
  assert.equal([...decoded.tensors.get('a')!.data], [2, 3]);
});

test('no file cut short, and none with a byte too many, is accepted', () => {
  const bytes = small();
  for (let length = 0; length < bytes.length; length++) refuses(bytes.slice(0, length), /./);
  refuses(Uint8Array.of(...bytes, 0), /data: got 26; expected 25 bytes/);
});

test('one wrong byte gives something well-formed or FileFormatError, never another error', () => {
  const bytes = small();
  let refused = 0;
  for (let at = 0; at < bytes.length; at++) {
    const original = bytes[at]!;
    for (let value = 0; value < 256; value++) {
      bytes[at] = value;
      try {
        for (const { dtype, shape, data } of decodeSafetensors(bytes).tensors.values()) {
          assert.instance(data, arrayTypes[dtype]);
          assert.is(
            data.length,
            shape.reduce((product, size) => product * size, 1),
          );
        }
      } catch (error) {
        assert.instance(error, FileFormatError, `byte ${at} as ${value}: ${error}`);
        refused++;
      }
    }
    bytes[at] = original;
  }
  assert.ok(refused > 0);
});

test('random bytes and random JSON give FileFormatError, never another error', () => {
  const attempt = (bytes: Uint8Array) => {
    try {
      decodeSafetensors(bytes);
    } catch (error) {
      assert.instance(error, FileFormatError);
    }
  };
  const field = fc.record(
    {
      dtype: fc.oneof(fc.constantFrom('F32', 'U8', 'F16', 'toString'), fc.jsonValue()),
      shape: fc.oneof(fc.array(fc.nat(4)), fc.jsonValue()),
      data_offsets: fc.oneof(fc.tuple(fc.nat(16), fc.nat(16)), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  const header = fc.dictionary(fc.oneof(fc.string(), fc.constant('__metadata__')), fc.oneof(field, fc.jsonValue()));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), attempt));
  fc.assert(fc.property(header, fc.nat(16), (fields, dataLength) => attempt(fileOf(fields, dataLength))));
});

test('a lie about the header is refused', () => {
  const lie = (length: bigint) => {
    const bytes = small();
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return bytes;
  };
  refuses(new Uint8Array(), /got an empty file; expected a safetensors file/);
  refuses(new Uint8Array(7), /got 7 bytes; expected a safetensors file/);
  refuses(lie(2n ** 64n - 1n), /header length: got 18446744073709551615n; expected at most/);
  refuses(lie(100_000_001n), /100000001/);
  refuses(lie(100_000_000n), /got 100000000n; expected at most \d+ bytes; the file may be cut short/);
  refuses(lie(0n), /header: got .*; expected JSON/);
});

test('a header that is no JSON object is refused', () => {
  refuses(fileOf('{"a'), /header: got .*; expected JSON in UTF-8/);
  refuses(fileOf(' {}'), /got other data; expected a safetensors file/);
  refuses(fileOf('[]'), /got other data; expected a safetensors file/);
  refuses(fileOf('\u{feff}{}'), /got other data; expected a safetensors file/);
  const notUtf8 = fileOf('{"a":1}');
  notUtf8[10] = 0xff;
  refuses(notUtf8, /header: got .*; expected JSON in UTF-8/);
});

test('each fault of a tensor is named with the tensor, what should be and what was found', () => {
  const sound = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  const fault = (change: object, message: RegExp) => refuses(fileOf({ w: { ...sound, ...change } }, 8), message);
  assert.is(decodeSafetensors(fileOf({ w: sound }, 8)).tensors.size, 1);

  refuses(fileOf({ w: null }), /tensor "w": got null; expected an object/);
  refuses(fileOf({ w: [] }), /tensor "w": got \[\]; expected an object/);
  fault({ dtype: 'BF16' }, /tensor "w"\.dtype: got "BF16"; expected one of F32, F16, I8, U8, U16, U32, I32/);
  fault({ dtype: 'toString' }, /dtype: got "toString"/);
  fault({ dtype: undefined }, /dtype: got nothing/);
  fault({ shape: undefined }, /shape: got nothing; expected whole numbers/);
  fault({ shape: [-2] }, /shape: got \[-2\]/);
  fault({ shape: [0.5] }, /shape: got \[0.5\]/);
  fault({ shape: ['2'] }, /shape: got \["2"\]/);
  fault({ shape: [2 ** 53] }, /shape: got/);
  fault({ shape: [2 ** 27, 2 ** 27] }, /shape: got .* below 2\^53/);
  fault({ shape: [2 ** 52] }, /shape: got .* below 2\^53/);
  fault({ shape: [2 ** 27, 2 ** 27, 0] }, /shape: got .* below 2\^53/);
  fault({ shape: [3] }, /data_offsets: got \[0, 8\]; expected two whole numbers up to 8, .*, 12 apart/);
  fault({ data_offsets: undefined }, /data_offsets: got nothing; expected two whole numbers/);
  fault({ data_offsets: [0] }, /got \[0\]; expected two whole numbers/);
  fault({ data_offsets: [0, 8, 8] }, /got \[0, 8, 8\]; expected two whole numbers/);
  fault({ data_offsets: [0, 8.5] }, /got \[0, 8.5\]; expected two whole numbers/);
  fault({ data_offsets: [8, 0] }, /got \[8, 0\]; expected .* up to 8, .*, 8 apart/);
  fault({ data_offsets: [0, 12] }, /got \[0, 12\]; expected .* up to 8, .*, 8 apart/);
});

test('overlaps, holes and uncovered data are refused', () => {
  const bytesAt = (begin: number, end: number) => ({ dtype: 'U8', shape: [end - begin], data_offsets: [begin, end] });
  refuses(
    fileOf({ a: bytesAt(0, 4), b: bytesAt(2, 6) }, 6),
    /"b"\.data_offsets: got \[2, 6\]; expected 4 first, where the tensor before ends/,
  );
  refuses(fileOf({ a: bytesAt(0, 4), b: bytesAt(0, 4) }, 4), /got \[0, 4\]; expected 4 first/);
  refuses(fileOf({ b: bytesAt(5, 6), a: bytesAt(0, 4) }, 6), /"b"\.data_offsets: got \[5, 6\]; expected 4 first/);
  refuses(fileOf({ a: bytesAt(0, 4) }, 6), /data: got 6; expected 4 bytes/);
  refuses(fileOf({}, 6), /data: got 6; expected 0 bytes/);
});

test('metadata other than strings are refused', () => {
  refuses(fileOf({ __metadata__: null }), /__metadata__: got null; expected an object of strings/);
  refuses(fileOf({ __metadata__: ['a'] }), /__metadata__: got \["a"\]/);
  refuses(fileOf({ __metadata__: { epoch: 3 } }), /__metadata__\["epoch"\]: got 3; expected a string/);
});

test('a hostile header neither overflows the stack nor fills the message', () => {
  const deep = 100_000;
  const message = (bytes: Uint8Array) => {
    try {
      decodeSafetensors(bytes);
    } catch (error) {
      assert.instance(error, FileFormatError);
      return (error as Error).message;
    }
    throw new Error('should have been refused');
  };
  assert.ok(message(fileOf(`{"w":${'['.repeat(deep)}${']'.repeat(deep)}}`)).length < 400);
  assert.ok(message(fileOf(`{"w":{"dtype":"U8","shape":${'['.repeat(deep)}${']'.repeat(deep)}}}`)).length < 400);
  assert.ok(message(fileOf({ ['w'.repeat(deep)]: { dtype: 'U8', shape: Array(deep).fill(-1) } })).length < 400);
});

test('a header of much nesting is rejected before it is parsed', () => {
  const count = 200_000;
  for (const [open, close] of [
    ['[', ']'],
    ['{"":', '}'],
    [' [[', ']]'],
  ]) {
    for (const text of [`{"w":${open.repeat(count)}`, `{"w":${open.repeat(count)}0${close.repeat(count)}}`]) {
      refuses(fileOf(text), /header: got .*nesting of more than 64 levels.*; expected JSON/);
    }
  }
  // What looks like brackets but is not, and much of what is not deep.
  const strings = '["\\"", "[[{{", "\\\\"],'.repeat(count / 10);
  refuses(fileOf(`{"w":[${strings}[]]}`), /tensor "w": got .*; expected an object/);
  const name = `[${'['.repeat(count)}"`;
  const bytes = encodeSafetensors(new Map([[name, { dtype: 'U8', shape: [0], data: new Uint8Array(0) }]]), {});
  assert.equal([...decodeSafetensors(bytes).tensors.keys()], [name]);
});

test('where there is no TextDecoder, as in an AudioWorklet, headers are read alike', () => {
  const names = ['a'.repeat(4095), 'é'.repeat(3000), '世'.repeat(3001), '😀'.repeat(2999)];
  const tensors = new Map(
    names.flatMap((name) =>
      [0, 1, 2, 3].map((n): [string, NamedTensor] => [
        'x'.repeat(n) + name,
        { dtype: 'U8', shape: [1], data: Uint8Array.of(n) },
      ]),
    ),
  );
  const bytes = encodeSafetensors(tensors, { é: '世😀' });
  const expected = decodeSafetensors(bytes);
  const invalid = bytes.slice();
  invalid[5000] = 0xff;
  const { TextDecoder } = globalThis;
  try {
    Object.assign(globalThis, { TextDecoder: undefined });
    assert.equal(decodeSafetensors(bytes), expected);
    refuses(invalid, /UTF-8/);
    for (const bad of [[0x80], [0xc3], [0xe4, 0xb8], [0xf0, 0x9f, 0x98]]) {
      const part = Uint8Array.from({ length: 9000 }, (_, i) => (i < 7 ? 0x20 : bad[i % bad.length]));
      const file = new Uint8Array(9008);
      file[0] = 9000 & 0xff;
      file[1] = 9000 >> 8;
      file.set(part, 8);
      file[8] = 0x7b;
      refuses(file, /UTF-8/);
    }
  } finally {
    Object.assign(globalThis, { TextDecoder });
  }
});

test('what cannot be written is refused by name', () => {
  const refusesToWrite = (name: string, tensor: unknown, message: RegExp) =>
    assert.throws(
      () => encodeSafetensors(new Map([[name, tensor as NamedTensor]]), {}),
      (error: unknown) => error instanceof InputError && message.test(error.message),
    );
  const data = Float32Array.of(1, 2);
  refusesToWrite(
    '__metadata__',
    { dtype: 'F32', shape: [2], data },
    /^tensor: got "__metadata__"; expected another name/,
  );
  refusesToWrite('w', { dtype: 'F64', shape: [2], data }, /"w"\.dtype: got "F64"; expected one of F32/);
  refusesToWrite('w', { dtype: 'U32', shape: [2], data }, /"w"\.data: got .*Float32Array.*; expected a Uint32Array/);
  refusesToWrite('w', { dtype: 'F32', shape: [1.5], data }, /"w"\.shape: got \[1\.5\]; expected whole numbers/);
  refusesToWrite('w', { dtype: 'F32', shape: [3], data }, /"w"\.data\.length: got 2; expected 3, for shape \[3\]/);
  assert.throws(
    () => encodeSafetensors(new Map(), { epoch: 3 as unknown as string }),
    /^metadata\["epoch"\]: got 3; expected a string/,
  );
});

test.run();
