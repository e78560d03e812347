// Where a model comes from in Node; in a browser, see test/browser.

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeModel } from '../../src/cli/tasks.js';
import {
  FileFormatError,
  InputError,
  Intents,
  load,
  loadSync,
  type ModelSource,
  LanguageModel as TextModel,
} from '../../src/infer/index.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import { encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { decodeIntentModel, IntentModel } from '../../src/tasks/intent/model.js';
import { decodeLanguageModel } from '../../src/tasks/lm/model.js';
import { defaultOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { makeModel, vocabulary } from './models.js';

const bytes = encodeModel(makeModel('kron', 8));
const intents = encodeModel(
  IntentModel.create(
    new Runtime(),
    { hidden: 4, layers: 1, embedding: 6, method: 'kron', compression: 2 },
    vocabulary,
    ['sit', 'lie'],
    1,
  ),
);
const expected = [...new TextModel(loadSync(bytes)).next(1)];

const folder = mkdtempSync(join(tmpdir(), 'dopant-'));
const home = process.cwd();
process.chdir(folder); // some paths are relative
const place = (name: string) => join(folder, name);

/** What a server answers, by the name that is asked for. */
const answers: Record<string, { status?: number; body: Uint8Array | string }> = {
  model: { body: bytes },
  page: { body: '<!DOCTYPE html>\n<html><body>Not found</body></html>' },
  gone: { status: 404, body: 'gone' },
  broken: { status: 500, body: '<html></html>' },
};
const server = createServer((request, response) => {
  const { status = 200, body } = answers[request.url!.slice(1)];
  response.writeHead(status).end(body);
}).listen();
await once(server, 'listening');
const address = `http://localhost:${(server.address() as AddressInfo).port}/`;

test.after(() => {
  server.close();
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

async function assertLoads(source: ModelSource | PromiseLike<ModelSource>, what: string): Promise<void> {
  const plan = await load(source).catch((cause) => {
    throw new Error(`${what}: ${cause.message}`, { cause });
  });
  assert.equal([...new TextModel(plan).next(1)], expected, what);
}

async function assertRejects(
  promise: Promise<unknown>,
  ErrorType: typeof InputError | typeof FileFormatError,
  parts: readonly (string | RegExp)[],
): Promise<void> {
  const error = await promise.then(
    () => new Error('it was loaded'),
    (thrown: Error) => thrown,
  );
  assert.instance(error, ErrorType, `${parts}: ${error.stack}`);
  for (const part of parts) {
    assert.ok(typeof part === 'string' ? error.message.includes(part) : part.test(error.message), error.message);
  }
}

// ---- paths and URLs

test('a string is a path, whatever is in it, but for URLs that a network or a script answers', async () => {
  mkdirSync(place('a folder'));
  const names = [
    'model.safetensors',
    './model.safetensors',
    'a folder/50% off.safetensors',
    'a folder/%41.safetensors',
    'C:\\models\\m.safetensors',
    'C:m.safetensors',
    'a:b.safetensors',
    'file:b.safetensors',
    'httpx:b.safetensors',
    'http',
    '#1?.safetensors',
    'größe.safetensors',
  ];
  for (const name of names) {
    writeFileSync(name, bytes);
    await assertLoads(name, name);
    await assertLoads(place(name), place(name));
    const url = pathToFileURL(place(name));
    await assertLoads(url, url.href);
    await assertLoads(url.href, url.href);
  }
  mkdirSync('C:');
  writeFileSync('C:/m.safetensors', bytes);
  await assertLoads('C:/m.safetensors', 'C:/m.safetensors');
  await assertLoads(`FILE://${place('model.safetensors')}`, 'FILE://');
  await assertLoads(`file:${place('model.safetensors')}`, 'file:/');
  const data = `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`;
  await assertLoads(data, 'data:');
  await assertLoads(new URL(data), 'data: URL');
  await assertLoads(`${address}model`, 'http:');
  await assertLoads(`${address.replace('http', 'HTTP')}model`, 'HTTP:');
  await assertLoads(new URL(`${address}model`), 'URL');
  const blob = URL.createObjectURL(new Blob([Uint8Array.from(bytes)]));
  await assertLoads(blob, 'blob:');
  URL.revokeObjectURL(blob);
});

test('a Blob, a Response, and a promise of one are sources too', async () => {
  const copy = Uint8Array.from(bytes);
  await assertLoads(new Blob([copy]), 'Blob');
  await assertLoads(new Response(copy), 'Response');
  await assertLoads(new Request(`${address}model`), 'Request');
  await assertLoads(fetch(`${address}model`), 'fetch()');
  await assertLoads(Promise.resolve('model.safetensors'), 'promise of a path');
});

// ---- bytes

/** Another realm, as a page of jsdom or a context of Jest is one. */
const realm = createContext({ numbers: [...bytes] });
const foreign = (expression: string): ModelSource => runInContext(expression, realm);

const FORMS: Record<string, () => ModelSource> = {
  Uint8Array: () => bytes,
  ArrayBuffer: () => bytes.slice().buffer,
  Buffer: () => Buffer.from(bytes),
  'Buffer in a pool': () => Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]).subarray(6, -5),
  DataView: () => new DataView(bytes.slice().buffer),
  'DataView of a part': () => new DataView(Uint8Array.from([1, 2, 3, ...bytes, 4]).buffer, 3, bytes.length),
  Int8Array: () => new Int8Array(bytes),
  Uint8ClampedArray: () => new Uint8ClampedArray(bytes),
  SharedArrayBuffer: () => shared().buffer,
  'view of a SharedArrayBuffer': shared,
  'resizable ArrayBuffer': () => {
    const Resizable = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer;
    const buffer = new Resizable(bytes.length, { maxByteLength: 2 * bytes.length });
    new Uint8Array(buffer).set(bytes);
    return buffer;
  },
  'Uint8Array of another realm': () => foreign('Uint8Array.from(numbers)'),
  'ArrayBuffer of another realm': () => foreign('Uint8Array.from(numbers).buffer'),
  'DataView of another realm': () => foreign('new DataView(Uint8Array.from(numbers).buffer)'),
  'SharedArrayBuffer of another realm': () =>
    foreign('const s = new SharedArrayBuffer(numbers.length); new Uint8Array(s).set(numbers); s'),
};

function shared(): Uint8Array {
  const view = new Uint8Array(new SharedArrayBuffer(bytes.length));
  view.set(bytes);
  return view;
}

for (const [form, make] of Object.entries(FORMS)) {
  test(`${form} is bytes, wherever bytes are taken`, async () => {
    const source = make() as Uint8Array;
    await assertLoads(source, form);
    assert.equal([...new TextModel(loadSync(source)).next(1)], expected);
    assert.is(decodeLanguageModel(new Runtime(), source).vocabulary.size, vocabulary.size);
    assert.is(decodeModel(new Runtime(), source).task, 'lm');
    assert.equal(
      [...decodeSafetensors(source).tensors].map(([name, { data }]) => [name, [...data]]),
      [...decodeSafetensors(bytes).tensors].map(([name, { data }]) => [name, [...data]]),
    );
    const isKind = (error: unknown) =>
      error instanceof FileFormatError && /got a model for the task "lm"/.test(error.message);
    assert.throws(() => new Intents(loadSync(source)), isKind);
    assert.throws(() => decodeIntentModel(new Runtime(), source), isKind);
  });
}

test('a URL of another realm is a URL', async () => {
  const { href } = pathToFileURL(place('model.safetensors'));
  await assertLoads(foreign(`({ href: '${href}' })`), 'URL of another realm');
});

test('a model does not change when shared bytes change after loading', () => {
  const view = shared();
  const { tensors } = decodeSafetensors(view);
  view.fill(0);
  assert.equal(
    [...tensors].map(([, { data }]) => [...data]),
    [...decodeSafetensors(bytes).tensors].map(([, { data }]) => [...data]),
  );
});

test('tensors of another realm are written', () => {
  const data = runInContext('Float32Array.of(1, 2, 3)', realm) as Float32Array;
  const file = (values: Float32Array) =>
    encodeSafetensors(new Map<string, NamedTensor>([['a', { dtype: 'F32', shape: [3], data: values }]]), {});
  assert.equal(file(data), file(Float32Array.of(1, 2, 3)));
});

test('what is no source is rejected by name', async () => {
  for (const source of [undefined, null, 5, {}, [1, 2, 3], true, new Map()]) {
    await assertRejects(load(source as unknown as string), InputError, [/^source: got .*; expected bytes/]);
    for (const read of [loadSync, decodeSafetensors]) {
      assert.throws(
        () => read(source as unknown as Uint8Array),
        (error: unknown) => error instanceof InputError && /^bytes: got .*; expected/.test(error.message),
      );
    }
  }
  assert.throws(() => loadSync('model.safetensors' as unknown as Uint8Array), /^bytes: got "model/);
});

test('bytes that were transferred away are rejected by name', async () => {
  for (const view of [
    (buffer: ArrayBuffer) => buffer,
    (buffer: ArrayBuffer) => new Uint8Array(buffer),
    (buffer: ArrayBuffer) => new DataView(buffer),
  ]) {
    const buffer = bytes.slice().buffer;
    const source = view(buffer);
    structuredClone(buffer, { transfer: [buffer] });
    await assertRejects(load(source), InputError, ['bytes: got a detached buffer; expected ']);
    assert.throws(() => loadSync(source), /^bytes: got a detached buffer; expected /);
  }
});

// ---- faults, each with the name of the source

test('a source that cannot be read is named, with the reason', async () => {
  await assertRejects(load('nowhere'), InputError, ['cannot load nowhere: there is no such file']);
  await assertRejects(load(''), InputError, ['source: got ""; expected bytes']);
  await assertRejects(load(folder), InputError, [`cannot load ${folder}: it is a folder`]);
  await assertRejects(load('model.safetensors/x'), InputError, ['cannot load model.safetensors/x: ', /ENOTDIR/]);
  await assertRejects(load('nul\0'), InputError, ['cannot load nul']);
  await assertRejects(load('file:///nowhere%20at%20all'), InputError, [
    'cannot load file:///nowhere%20at%20all: there is',
  ]);
  await assertRejects(load('file:///a%2Fb'), InputError, ['cannot load file:///a%2Fb: ']);
  await assertRejects(load(new URL('file:///nowhere')), InputError, ['cannot load file:///nowhere: there is no such']);
  await assertRejects(load(`${address}gone`), InputError, [`cannot load ${address}gone: the server answered 404`]);
  await assertRejects(load(`${address}broken`), InputError, [`cannot load ${address}broken: the server answered 500`]);
  await assertRejects(load(fetch(`${address}gone`)), InputError, [
    `cannot load ${address}gone: the server answered 404`,
  ]);
  await assertRejects(load('http://localhost:1/m'), InputError, [
    'cannot load http://localhost:1/m: ',
    /ECONNREFUSED|bad port/,
  ]);
  await assertRejects(load(new URL('ftp://localhost/m')), InputError, ['cannot load ftp://localhost/m: ']);
  const used = new Response('used');
  await used.text();
  await assertRejects(load(used), InputError, ['cannot load source: ']);
  await assertRejects(load(fetch('http://localhost:1/m')), InputError, [
    'cannot load source: ',
    /ECONNREFUSED|bad port/,
  ]);
  await assertRejects(load(Promise.reject(new Error('no luck'))), InputError, ['cannot load source: no luck']);
});

const text = 'the cat sat on the mat. the dog lay on the rug. '.repeat(20);
const ids = vocabulary.encode(text);
const training = LanguageModelTraining.create(
  new Runtime(),
  vocabulary,
  { ...defaultOptions('word'), hidden: 4, layers: 1, compression: 2, dropout: 0, batch: 2, bptt: 4, epochs: 1 },
  { train: ids, valid: ids },
);

const CONTENTS: Record<string, [file: Uint8Array | string, message: RegExp]> = {
  'empty.safetensors': ['', /got an empty file; expected a safetensors file/],
  'page.html': ['\ufeff\n <!DOCTYPE html><html></html>', /got an HTML page.*; expected a safetensors file/],
  'html.safetensors': ['<html lang="en"><head>', /got an HTML page/],
  'pointer.safetensors': ['version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n', /got a Git LFS pointer/],
  'zip.safetensors': [gzipSync(bytes).subarray(0, 200), /got a (damaged )?gzip file/],
  'text.txt': ['the cat sat on the mat', /got text that begins with "the cat/],
  'short.txt': ['the', /got text that begins with "the"/],
  'answer.json': ['{"error":"Not found"}', /got text that begins with "\{/],
  'picture.png': [Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13]), /got other data/],
  'cut.safetensors': [bytes.slice(0, 100), /cut short/],
  'cut-later.safetensors': [bytes.slice(0, -1), /data_offsets/],
  'stub.safetensors': [bytes.slice(0, 8), /got 8 bytes/],
  'other.safetensors': [
    encodeSafetensors(new Map(), { format: 'pt' }),
    /metadata\.format: got "pt"; expected that of a model of dopant/,
  ],
  'bare.safetensors': [
    encodeSafetensors(new Map(), {}),
    /metadata\.format: got nothing; expected that of a model of dopant/,
  ],
  'proto.safetensors': [
    encodeSafetensors(new Map(), { format: '__proto__' }),
    /metadata\.format: got "__proto__"; expected that of a model of dopant/,
  ],
  'checkpoint.safetensors': [
    encodeCheckpoint(training, {}),
    /got a checkpoint, which decodeCheckpoint\(\) and dopant train --resume read; expected a model/,
  ],
};

test('a file that is no model is named, with what it is, from a disk and from a network', async () => {
  for (const [name, [file, message]] of Object.entries(CONTENTS)) {
    writeFileSync(name, file);
    answers[name] = { body: file };
    for (const source of [name, pathToFileURL(place(name)).href, address + name]) {
      await assertRejects(load(source), FileFormatError, [`${source}: `, message]);
    }
    const bare = typeof file === 'string' ? Buffer.from(file) : file;
    assert.throws(
      () => loadSync(bare),
      (error: unknown) => error instanceof FileFormatError && message.test(error.message),
    );
  }
  await assertRejects(load(`${address}page`), FileFormatError, [`${address}page: got an HTML page`]);
  const data = `data:text/html,${'<html>'.repeat(1000)}`;
  await assertRejects(load(data), FileFormatError, [/^data:text\/html,.{0,60}\.\.\.: got an HTML page/]);
});

test('a model of another task names what reads it', async () => {
  writeFileSync('intents.safetensors', intents);
  const model = await load('intents.safetensors');
  assert.is(model.task.name, 'intent');
  assert.equal(new Intents(model).labels, ['sit', 'lie']);
  assert.throws(() => new TextModel(model), /got a model for the task "intent"; expected one for 'lm'/);
});

// ---- hosts that are not this Node

/** Runs `act` with another `process`. */
async function withProcess(other: unknown, act: () => Promise<void>): Promise<void> {
  const own = Object.getOwnPropertyDescriptor(globalThis, 'process')!;
  Object.defineProperty(globalThis, 'process', { value: other, configurable: true, writable: true });
  try {
    await act();
  } finally {
    Object.defineProperty(globalThis, 'process', own);
  }
}

const throwing = {
  get getBuiltinModule(): never {
    throw new Error('A Node.js API is used (process.getBuiltinModule) which is not supported in the Edge Runtime.');
  },
};

test('Node modules are asked for only where a file is read', async () => {
  await withProcess(throwing, async () => {
    await assertLoads(bytes, 'bytes');
    await assertLoads(`${address}model`, 'http:');
    await assertLoads(new URL(`${address}model`), 'URL');
    await assertLoads(new Blob([Uint8Array.from(bytes)]), 'Blob');
    await assertRejects(load('model.safetensors'), InputError, ['cannot load model.safetensors: ']);
  });
});

test('a Node without getBuiltinModule, before 20.16, loads all but files, and says what would work', async () => {
  await withProcess({ versions: { node: '20.11.0' } }, async () => {
    await assertLoads(bytes, 'bytes');
    await assertLoads(`${address}model`, 'http:');
    for (const source of ['model.safetensors', pathToFileURL(place('model.safetensors'))]) {
      await assertRejects(load(source), InputError, [
        `cannot load ${source}: got Node 20.11.0; expected 20.16 or later`,
      ]);
    }
  });
});

test('where there is no Node at all, every string is a URL', async () => {
  const { fetch } = globalThis;
  const asked: unknown[] = [];
  globalThis.fetch = async (source) => {
    asked.push(source);
    return new Response(Uint8Array.from(bytes));
  };
  try {
    for (const other of [undefined, {}, { env: {}, versions: {} }, { getBuiltinModule: () => undefined }]) {
      await withProcess(other, async () => {
        for (const source of ['/models/m.safetensors', 'm.safetensors', 'capacitor://localhost/m']) {
          await assertLoads(source, source);
          assert.is(asked.pop(), source);
        }
      });
    }
  } finally {
    globalThis.fetch = fetch;
  }
});

test.run();
