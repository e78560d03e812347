import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { FileFormatError, InputError, TrainingError } from '../../src/errors.js';
import { takeInventory } from '../../src/io/inventory.js';
import { memoryFor } from '../../src/io/memory.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import type { ModelConfig } from '../../src/nn/config.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { walk } from '../../src/operators/operator.js';
import { Sparse } from '../../src/operators/sparse.js';
import { uniform } from '../../src/random.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { decodeLanguageModel, LanguageModel } from '../../src/tasks/lm/model.js';
import { defaultOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import type { TrainRecord } from '../../src/train/records.js';
import { Runtime } from '../../src/wasm/runtime.js';

const runtime = new Runtime();

/** Runs with the memory that it takes given back afterwards. */
const briefly = <T>(run: () => T): T => {
  const mark = runtime.mark();
  try {
    return run();
  } finally {
    runtime.release(mark);
  }
};

const TEXT = 'the old man and the sea. the sea and the old man. a fish, a boat and no more. '.repeat(12);
const vocabulary = buildVocabulary([TEXT], 'word');
const V = vocabulary.size;
const H = 6;

/** A model as training leaves it: the sparse matrices whole in memory, with most of their weights pruned. */
function makeModel(method: Method, config: Partial<ModelConfig> = {}, keep = 0.1): LanguageModel {
  const full: ModelConfig = { hidden: H, layers: 2, method, compression: 2, ...config };
  const model = LanguageModel.create(runtime, full, vocabulary, 1);
  Sparse.prune(sparseOf(model), Math.ceil(keep * 2 * full.layers * 4 * full.hidden ** 2));
  return model;
}

const sparseOf = (model: LanguageModel) =>
  model
    .matrices()
    .flatMap(([name, operator]) => [...walk(operator, name)].map(([, inner]) => inner))
    .filter((operator) => operator instanceof Sparse);

const bitsOf = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)];

/** All numbers of a model, bit for bit: what belongs to no operator, and every matrix written out. */
const numbersOf = (model: LanguageModel) => [
  ...model.plainParameters().map(([name, { data, shape }]) => [name, shape, bitsOf(data)]),
  ...model.operators().map(([name, operator]) => [name, [operator.M, operator.N], bitsOf(operator.toDense())]),
];

/** Logits after each word of a few, by the whole forward pass. */
function logitsOf(model: LanguageModel): Float32Array {
  const { runtime: own } = model;
  const state = model.newState(2);
  const ids = own.alloc(4 * 6);
  own.ints(ids, 6).set([0, 1, 1, 0, 1, 1]);
  const { value } = model.forward(new Tape(own, false), ids, 3, 2, state);
  return own.floats(value, 6 * model.vocabulary.size).slice();
}

for (const method of METHODS) {
  test(`a model of ${method} comes back bit for bit`, () => {
    briefly(() => {
      const model = makeModel(method);
      // What could be lost on the way.
      const extremes = [-0, 2 ** -149, -(2 ** -126), 2 ** 30];
      for (const [, { data }] of model.parameters()) data.set(extremes.slice(0, data.length));
      const bytes = encodeModel(model);
      const read = decodeLanguageModel(runtime, bytes);
      assert.equal(read.config, model.config);
      assert.equal(read.vocabulary.toJSON(), vocabulary.toJSON());
      assert.equal(numbersOf(read), numbersOf(model));
      assert.equal(encodeModel(read), bytes);
      assert.equal(takeInventory(read), takeInventory(model));
    });
  });
}

test('a weight that is alive and zero is no pruned one', () => {
  briefly(() => {
    const model = makeModel('pruned');
    const [{ weight }] = sparseOf(model);
    const alive = runtime.bytes(weight.mask, weight.size).indexOf(1);
    weight.data[alive] = 0;
    const read = decodeLanguageModel(runtime, encodeModel(model));
    assert.equal(
      sparseOf(read).map(({ nonzeros }) => nonzeros),
      sparseOf(model).map(({ nonzeros }) => nonzeros),
    );
  });
});

test('a matrix may be pruned to nothing, or have more weights than 16 bits count', () => {
  briefly(() => {
    for (const model of [makeModel('doped-kron', {}, 0), makeModel('pruned', { hidden: 128, layers: 1 }, 1)]) {
      const bytes = encodeModel(model);
      const read = decodeLanguageModel(runtime, bytes);
      assert.equal(takeInventory(read), takeInventory(model));
      assert.ok(Buffer.from(encodeModel(read)).equals(bytes));
    }
  });
  const { tensors } = decodeSafetensors(encodeModel(makeModel('pruned', { hidden: 128, layers: 1 }, 1)));
  assert.is(tensors.get('lstm.0.ih.starts')!.dtype, 'U32');
  assert.is(tensors.get('lstm.0.ih.columns')!.dtype, 'U16');
});

test('a factorisation by hand comes back', () => {
  briefly(() => {
    const model = makeModel('kron', { kron: [4 * H, 1, 1, H] });
    const read = decodeLanguageModel(runtime, encodeModel(model));
    assert.equal(read.config.kron, [4 * H, 1, 1, H]);
    assert.equal(numbersOf(read), numbersOf(model));
  });
});

test('the inventory counts parameters and bytes', () => {
  const floats = (n: number) => ({ nnz: n, bytes: 4 * n });
  // Values, columns in 16 bits, row starts in 16 bits.
  const entries = (n: number) => ({ nnz: n, bytes: 4 * n + 2 * n + 2 * (4 * H + 1) });
  const structures: Record<Method, { nnz: number; bytes: number }> = {
    dense: floats(4 * H * H),
    pruned: { nnz: 0, bytes: 0 },
    kron: floats(8 * 2 + 3 * 3),
    lmf: floats(2 * (4 * H + H)),
    hmd: floats(6 * H + 1 * (4 * H - 6 + H)),
    'doped-kron': floats(8 * 2 + 3 * 3),
    'doped-lmf': floats(4 * H + H),
    'doped-hmd': floats(1 * H + 1 * (4 * H - 1 + H)),
  };
  for (const method of METHODS) {
    briefly(() => {
      const kron = method.endsWith('kron') ? { kron: [8, 2, 3, 3] as const } : {};
      const model = makeModel(method, kron);
      const { tensors, parameters, compression, method: named } = takeInventory(model);
      assert.is(named, method);
      const of = (name: string) => {
        const parts = tensors.filter((entry) => entry.name === name || entry.name.startsWith(`${name}.`));
        return parts.reduce(({ nnz, bytes }, part) => ({ nnz: nnz + part.nnz, bytes: bytes + part.bytes }), floats(0));
      };
      assert.equal(of('embedding'), floats(V * H));
      assert.equal(of('lstm.1.bias_hh'), floats(4 * H));
      assert.equal(
        tensors.find(({ name }) => name === 'head'),
        { name: 'head', kind: 'dense', role: 'head', shape: [V, H], ...floats(V * H) },
      );
      const sparse = new Map(
        model.matrices().flatMap(([name, operator]) => {
          const found = [...walk(operator, name)].find(([, inner]) => inner instanceof Sparse);
          return found ? [[name, (found[1] as Sparse).nonzeros]] : [];
        }),
      );
      let lstm = floats(0);
      for (const [name] of model.matrices()) {
        const wanted = { ...structures[method] };
        if (sparse.has(name)) {
          wanted.nnz += entries(sparse.get(name)!).nnz;
          wanted.bytes += entries(sparse.get(name)!).bytes;
        }
        assert.equal(of(name), wanted, `${method} ${name}`);
        lstm = { nnz: lstm.nnz + wanted.nnz, bytes: lstm.bytes + wanted.bytes };
      }
      const rest = 2 * V * H + V + 2 * 2 * 4 * H;
      assert.equal(parameters, { lstm: lstm.nnz, total: lstm.nnz + rest });
      assert.equal(compression, { parameters: (4 * 4 * H * H) / lstm.nnz, bytes: (4 * 4 * 4 * H * H) / lstm.bytes });
    });
  }
});

// ---- damaged files

const modelBytes = (method: Method) => briefly(() => encodeModel(makeModel(method)));
const doped = modelBytes('doped-hmd'); // every kind of operator but the Kronecker product
const kron = modelBytes('doped-kron');

/** What a decoder does with bytes, which is to refuse them with FileFormatError or to give a model that works. */
function attempt(bytes: Uint8Array): LanguageModel | FileFormatError {
  return briefly(() => {
    let model: LanguageModel;
    try {
      model = decodeLanguageModel(runtime, bytes);
    } catch (error) {
      if (error instanceof FileFormatError) return error;
      throw error;
    }
    const logits = logitsOf(model);
    assert.ok(logits.every(Number.isFinite), 'the forward pass is finite');
    return model;
  });
}

function refused(bytes: Uint8Array, message: RegExp): void {
  const outcome = attempt(bytes);
  assert.instance(outcome, FileFormatError, `should be refused with ${message}`);
  assert.match((outcome as FileFormatError).message, message);
}

/** A file again, with its tensors and metadata changed. */
function changed(
  bytes: Uint8Array,
  change: (tensors: Map<string, NamedTensor>, metadata: Record<string, string>) => void,
): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(bytes.slice());
  change(tensors, metadata);
  return encodeSafetensors(tensors, metadata);
}

test('what is not damaged is read', () => {
  for (const bytes of [doped, kron]) assert.instance(attempt(bytes), LanguageModel);
  assert.equal(
    changed(doped, () => {}),
    doped,
  );
});

test('a file cut short at any byte is refused, and so is one with a byte too many', () => {
  for (let length = 0; length < doped.length; length++) {
    assert.instance(attempt(doped.subarray(0, length)), FileFormatError, `${length} bytes`);
  }
  assert.instance(attempt(Uint8Array.of(...doped, 0)), FileFormatError);
});

test('a wrong length of the header is refused', () => {
  const header = Number(new DataView(doped.buffer).getBigUint64(0, true));
  for (const length of [0, 1, header - 8, header - 1, header + 1, header + 8, doped.length, 2 ** 31, 2 ** 53]) {
    const bytes = doped.slice();
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
    assert.instance(attempt(bytes), FileFormatError, `${length}`);
  }
});

test('any wrong byte of the header gives FileFormatError or a model that works', () => {
  const header = Number(new DataView(doped.buffer).getBigUint64(0, true));
  let wrong = 0;
  for (let at = 0; at < 8 + header; at++) {
    const bytes = doped.slice();
    bytes[at] ^= 1 << (at % 7);
    if (attempt(bytes) instanceof FileFormatError) wrong++;
  }
  assert.ok(wrong > header / 2, 'most of them are noticed');
});

test('a tensor that is missing, too many, or of another shape or type is refused by name', () => {
  for (const bytes of [doped, kron]) {
    for (const name of decodeSafetensors(bytes).tensors.keys()) {
      const here = new RegExp(`tensor '${name.replaceAll('.', '\\.')}'`);
      const replaced = (tensor: NamedTensor) => changed(bytes, (tensors) => tensors.set(name, tensor));
      const { dtype, shape, data } = decodeSafetensors(bytes).tensors.get(name)!;
      refused(
        changed(bytes, (tensors) => tensors.delete(name)),
        here,
      );
      refused(replaced({ dtype, shape: [...shape, 1], data } as NamedTensor), here);
      refused(replaced({ dtype, shape: [1, ...shape], data } as NamedTensor), here);
      const shorter = { dtype, shape: [data.length - 1], data: data.slice(1) };
      refused(replaced(shorter as NamedTensor), here);
      refused(replaced({ dtype: 'I32', shape, data: Int32Array.from(data) }), here);
      const other = dtype === 'F32' ? 'U32' : 'F32';
      const array = dtype === 'F32' ? Uint32Array.from(data) : Float32Array.from(data);
      refused(replaced({ dtype: other, shape, data: array } as NamedTensor), here);
    }
    const extra: NamedTensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    refused(
      changed(bytes, (tensors) => tensors.set('stowaway', extra)),
      /tensors: got "stowaway"; expected none but/,
    );
  }
});

test('weights that are no numbers are refused by name and place', () => {
  for (const name of [...decodeSafetensors(doped).tensors.keys()]) {
    if (decodeSafetensors(doped).tensors.get(name)!.dtype !== 'F32') continue;
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const bytes = changed(doped, (tensors) => {
        const { data } = tensors.get(name)!;
        data[data.length - 1] = value;
      });
      refused(
        bytes,
        new RegExp(`tensor '${name.replaceAll('.', '\\.')}'\\[\\d+\\]: got ${value}; expected a finite number`),
      );
    }
  }
});

test('indices that lead out of a matrix, or astray in it, are refused', () => {
  const lie = (part: 'columns' | 'starts', change: (data: NamedTensor['data']) => void, message: RegExp) =>
    refused(
      changed(doped, (tensors) => change(tensors.get(`lstm.1.ih.1.${part}`)!.data)),
      message,
    );
  const columns = decodeSafetensors(doped).tensors.get('lstm.1.ih.1.columns')!.data;
  const starts = decodeSafetensors(doped).tensors.get('lstm.1.ih.1.starts')!.data;
  const row = starts.findIndex((start, i) => starts[i + 1] - start >= 2); // with two entries at least
  const [first, last] = [starts[row], starts.length - 1];
  assert.ok(row >= 0 && columns.length > 2, 'there is something to lie about');

  lie('columns', (data) => data.fill(H, 0, 1), /columns\[0\]: got 6; expected a whole number from 0 to 5/);
  lie('columns', (data) => data.fill(65535), /columns\[0\]: got 65535/);
  lie('columns', (data) => data.fill(columns[first], first + 1, first + 2), /columns\[\d+\]: .*ascending/);
  lie('columns', (data) => data.set([columns[first + 1], columns[first]], first), /columns\[\d+\]: .*ascending/);
  lie('starts', (data) => data.fill(1, 0, 1), /starts\[0\]: got 1; expected 0/);
  lie('starts', (data) => data.fill(0, last), /starts\[\d+\]: got 0; expected/);
  lie('starts', (data) => data.fill(65535, last), /starts\[\d+\]: got 65535; expected/);
  lie('starts', (data) => data.fill(65535, 1, 2), /starts\[2\]: got \d+; expected at least 65535/);
  lie('starts', (data) => data.reverse(), /starts\[0\]: got/);
});

const FIELDS = ['network', 'operators', 'task'] as const;

test('metadata that are missing, not JSON or of another format are refused by name', () => {
  const metadata = (change: (metadata: Record<string, string>) => void) => changed(doped, (_, found) => change(found));
  for (const field of FIELDS) {
    refused(
      metadata((found) => delete found[field]),
      new RegExp(`metadata\\.${field}: got nothing; expected JSON`),
    );
    for (const text of ['', '{', 'undefined', '[1,]']) {
      refused(
        metadata((found) => {
          found[field] = text;
        }),
        new RegExp(`metadata\\.${field}: got .*; expected JSON`),
      );
    }
  }
  const { metadata: own } = decodeSafetensors(doped);
  assert.equal(Object.keys(own), ['format', 'version', ...FIELDS]);
  refused(
    encodeSafetensors(decodeSafetensors(doped).tensors, {}),
    /metadata\.format: got nothing; expected that of a model of dopant/,
  );
  refused(
    metadata((found) => {
      found.format = 'dopant-checkpoint';
    }),
    /got a checkpoint, which .* read; expected a model/,
  );
  refused(
    metadata((found) => {
      found.version = '1';
    }),
    /metadata\.version: got "1"; expected 2, which this release reads/,
  );
});

// ---- hostile metadata

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Every place in a value, as the keys that lead there. */
function placesIn(value: Json, here: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [here];
  return [here, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...here, key]))];
}

/** The value with what is at a place replaced; left out when there is no replacement. */
function replacedIn(value: Json, place: readonly string[], by: Json | undefined): Json | undefined {
  const [key, ...rest] = place;
  if (key === undefined) return by;
  if (Array.isArray(value)) {
    return value.flatMap((inner, i) => (String(i) === key ? (replacedIn(inner, rest, by) ?? []) : [inner]));
  }
  const entries = Object.entries(value as object).flatMap(([name, inner]) => {
    const next = name === key ? replacedIn(inner, rest, by) : inner;
    return next === undefined ? [] : [[name, next] as const];
  });
  return Object.fromEntries(entries);
}

/**
 * What is likeliest to get through or to do harm: numbers near the right ones, huge ones, names that objects have by
 * birth.
 */
const hostile: fc.Arbitrary<Json | undefined> = fc.oneof(
  fc.constantFrom<Json | undefined>(
    undefined,
    null,
    '',
    '<unk>',
    'dense',
    'char',
    -1,
    0,
    1,
    2,
    H,
    H + 1,
    0.5,
    2 ** 16,
    2 ** 24,
    2 ** 32,
    2 ** 53,
    1e300,
    [],
    {},
    [1, 1],
    [2 ** 24, 2 ** 24],
    { toString: 1, valueOf: 1 },
    { type: 'dense', shape: [4 * H, H] },
    { type: 'kronecker', B: [2 ** 24, 1], C: [1, 2 ** 24] },
    { type: 'sparse', shape: [2 ** 24, 2 ** 24], nonzeros: 0 },
  ),
  fc.integer({ min: -2, max: 40 }),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
);

/** A file with something in one of its metadata replaced. */
const replacements = (bytes: Uint8Array, fields: readonly string[]) => {
  const { metadata } = decodeSafetensors(bytes);
  return fc
    .constantFrom(...fields)
    .chain((field) => {
      const value = JSON.parse(metadata[field]) as Json;
      return fc.tuple(fc.constant(field), fc.constant(value), fc.constantFrom(...placesIn(value)), hostile);
    })
    .map(([field, value, place, by]) => ({ field, text: JSON.stringify(replacedIn(value, place, by) ?? null) }));
};

const withField = (bytes: Uint8Array, field: string, text: string) =>
  changed(bytes, (_, metadata) => {
    metadata[field] = text;
  });

test('whatever stands in the metadata: FileFormatError, or a model that works', () => {
  for (const bytes of [doped, kron]) {
    let wrong = 0;
    fc.assert(
      fc.property(replacements(bytes, FIELDS), ({ field, text }) => {
        if (attempt(withField(bytes, field, text)) instanceof FileFormatError) wrong++;
      }),
      { numRuns: 1500 },
    );
    assert.ok(wrong > 0);
  }
});

const DEEP = 100_000;
const deep = `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`;

/** Places where a value may stand that no message can show whole. */
const buried = (bytes: Uint8Array, field: string) => {
  const value = JSON.parse(decodeSafetensors(bytes).metadata[field]) as Json;
  const marks = placesIn(value).map((place) => JSON.stringify(replacedIn(value, place, 'MARK')));
  return marks.map((text) => text.replace('"MARK"', deep));
};

test('a value nested without end overflows no stack and fills no message', () => {
  for (const field of FIELDS) {
    for (const text of buried(doped, field)) {
      const outcome = attempt(withField(doped, field, text));
      if (outcome instanceof FileFormatError) assert.ok(outcome.message.length < 1000);
    }
  }
});

// ---- checkpoints

const ids = vocabulary.encode(TEXT);
const corpus = { train: ids.slice(0, 150), valid: ids.slice(150) };
const OPTIONS = {
  ...defaultOptions('word'),
  hidden: H,
  layers: 1,
  method: 'doped-hmd',
  compression: 2,
  batch: 3,
  bptt: 5,
  epochs: 3,
  annealing: { ...defaultOptions('word').annealing, every: 2 },
  coMatrixDropout: { ...defaultOptions('word').coMatrixDropout, structure: 0.2 },
} as const;
const RUN = { data: 'text.txt', level: 'word', out: 'model' };

/** A training in the middle of its second pass, with records of every kind. */
const training = LanguageModelTraining.create(new Runtime(), vocabulary, OPTIONS, corpus);
while (training.epoch < 1 || training.piece < 3) training.step();
const checkpoint = encodeCheckpoint(training, RUN);
const CHECKPOINT_FIELDS = ['options', 'schema', 'position', 'records', 'corpus', 'run'];

/** What comes of a checkpoint: a training that makes its next step, or one of the errors that are told to people. */
function resumed(bytes: Uint8Array): LanguageModelTraining | Error {
  try {
    const next = decodeCheckpoint(bytes, LanguageModelTraining).resume(new Runtime(), corpus);
    if (!next.done) assert.ok(Number.isFinite(next.step()));
    return next;
  } catch (error) {
    if (error instanceof FileFormatError || error instanceof InputError || error instanceof TrainingError) return error;
    throw error;
  }
}

test('a checkpoint goes on where it was, and is written again as it was', () => {
  assert.equal(new Set(training.records.map(({ kind }) => kind)), new Set(['step', 'prune', 'cma', 'valid']));
  const decoded = decodeCheckpoint(checkpoint, LanguageModelTraining);
  assert.equal(decoded.run, RUN);
  assert.equal(decoded.options, OPTIONS);
  const copy = decoded.resume(new Runtime(), corpus);
  assert.equal(encodeCheckpoint(copy, RUN), checkpoint);
  assert.is(copy.step(), decodeCheckpoint(checkpoint, LanguageModelTraining).resume(new Runtime(), corpus).step());
});

test('a perplexity beyond all numbers is a record like any other', () => {
  const copy = decodeCheckpoint(checkpoint, LanguageModelTraining).resume(new Runtime(), corpus);
  const prune = { kind: 'prune', step: 1, sparsity: 0, before: 5, after: Number.POSITIVE_INFINITY } as const;
  copy.records.push(prune);
  const again = decodeCheckpoint(encodeCheckpoint(copy, RUN), LanguageModelTraining).resume(new Runtime(), corpus);
  assert.equal(again.records.at(-1), prune);
});

test('a number of a record that JSON does not have, and that no training records, is refused by name', () => {
  const records = decodeSafetensors(checkpoint).metadata.records;
  const numbers = (value: unknown, at: string[]): string[][] =>
    typeof value === 'number'
      ? [at]
      : typeof value === 'object'
        ? Object.entries(value!).flatMap(([key, inner]) => numbers(inner, [...at, key]))
        : [];
  const infinite = ['before', 'after', 'both', 'structureOnly', 'dopantsOnly', 'structureNorm', 'dopantsNorm'];
  const list: TrainRecord[] = JSON.parse(records);
  let refused = 0;
  for (const kind of ['step', 'valid', 'prune', 'cma'] as const) {
    const i = list.findIndex((record) => record.kind === kind);
    const shares = kind === 'valid' ? { accuracy: 0.5, exact: 0.5 } : {};
    for (const at of numbers({ ...list[i], ...shares }, [])) {
      for (const text of ['null', '1e999', '-1e999', '"NaN"', '{}']) {
        const changed = structuredClone(list) as unknown as Record<string, unknown>[];
        Object.assign(changed[i], shares);
        const parent = at.slice(0, -1).reduce((value, key) => value[key] as Record<string, unknown>, changed[i]);
        parent[at.at(-1)!] = 'HERE';
        const json = JSON.stringify(changed).replace('"HERE"', text);
        const outcome = resumed(withField(checkpoint, 'records', json));
        if (text === 'null' && infinite.includes(at.at(-1)!)) {
          assert.instance(outcome, LanguageModelTraining, at.join('.'));
          continue;
        }
        refused++;
        assert.instance(outcome, FileFormatError, `${at.join('.')}: ${text}`);
        assert.ok((outcome as Error).message.startsWith(`records.${[i, ...at].join('.')}: got `), `${outcome}`);
      }
    }
  }
  assert.ok(refused > 4 * 15);
});

test('a model that gives no number on the probe has records that are written and read', () => {
  const copy = decodeCheckpoint(checkpoint, LanguageModelTraining).resume(new Runtime(), corpus);
  for (const [name, { data }] of copy.model.parameters()) if (name.startsWith('head')) data.fill(3e38);
  copy.trainer.measureAdaptation(() => new Evaluation(copy.model).meanLoss(corpus.valid).loss);
  const record = copy.records.at(-1)!;
  assert.ok(record.kind === 'cma' && record.both === Number.POSITIVE_INFINITY, JSON.stringify(record));
  const again = decodeCheckpoint(encodeCheckpoint(copy, RUN), LanguageModelTraining).resume(new Runtime(), corpus);
  assert.equal(again.records, copy.records);
});

for (const block of [1, 4, 'gates'] as const) {
  test(`what lies under a mask of blocks of ${block} is whole, and 0`, () => {
    const options = { ...OPTIONS, block, method: 'pruned', compression: 4, alternate: 0 } as const;
    const run = LanguageModelTraining.create(new Runtime(), vocabulary, options, corpus);
    const masked = () => run.sparse().find(([, sparse]) => !sparse.compressed && sparse.density < 1)?.[0];
    while (masked() === undefined) run.step();
    const name = masked()!;
    const sound = encodeCheckpoint(run, RUN);
    const outcome = (bytes: Uint8Array) => {
      try {
        return decodeCheckpoint(bytes, LanguageModelTraining).resume(new Runtime(), corpus);
      } catch (error) {
        return error as Error;
      }
    };
    assert.instance(outcome(sound), LanguageModelTraining);
    const { tensors } = decodeSafetensors(sound);
    const mask = tensors.get(`mask.${name}`)!.data;
    const dead = mask.indexOf(0);
    for (const part of ['value', 'm', 'v']) {
      for (const number of [1e-30, -1]) {
        const bytes = changed(sound, (all) => {
          (all.get(`${part}.${name}`)!.data as Float32Array)[dead] = number;
        });
        const error = outcome(bytes);
        assert.instance(error, FileFormatError, part);
        assert.match((error as Error).message, `tensor '${part}.${name}': got ${Math.fround(number)}; expected 0`);
      }
    }
    if (block === 1) return;
    for (const flag of [0, 1]) {
      const bytes = changed(sound, (all) => {
        const data = all.get(`mask.${name}`)!.data;
        const at = data.indexOf(flag);
        data[at] = 1 - flag;
        // Whatever else is wrong with it, the block is not whole.
        for (const part of ['value', 'm', 'v']) (all.get(`${part}.${name}`)!.data as Float32Array)[at] = 0;
      });
      const error = outcome(bytes);
      assert.instance(error, FileFormatError);
      assert.match(
        (error as Error).message,
        new RegExp(`^tensor 'mask\\.${name.replaceAll('.', '\\.')}': got .* block`),
      );
    }
  });
}

test('checkFinite finds what could be written but not read again', () => {
  const copy = decodeCheckpoint(checkpoint, LanguageModelTraining).resume(new Runtime(), corpus);
  copy.checkFinite();
  for (const { name, at } of [...copy.arrays()]) {
    const place = copy.model.runtime.floats(at, 1);
    const [before] = place;
    place[0] = Number.POSITIVE_INFINITY;
    assert.instance(resumed(encodeCheckpoint(copy, RUN)), FileFormatError, name);
    assert.throws(
      () => copy.checkFinite(),
      (error: unknown) => error instanceof TrainingError && error.message.includes(`'${name}' became Infinity at step`),
    );
    place[0] = before;
  }
});

test('a checkpoint of another text is refused as such', () => {
  const { resume } = decodeCheckpoint(checkpoint, LanguageModelTraining);
  const other = { train: corpus.train.with(7, corpus.train[7] ? 0 : 1), valid: corpus.valid };
  assert.throws(
    () => resume(new Runtime(), other),
    (error: unknown) => error instanceof InputError && /the text is not the one/.test(error.message),
  );
});

test('a checkpoint cut short is refused', () => {
  // Every byte of what comes before the numbers, and some of those.
  const header = 8 + Number(new DataView(checkpoint.buffer).getBigUint64(0, true));
  for (let length = 0; length < checkpoint.length; length += length < header ? 1 : 97) {
    assert.throws(
      () => decodeCheckpoint(checkpoint.subarray(0, length), LanguageModelTraining),
      (error: unknown) => error instanceof FileFormatError,
      `${length} bytes`,
    );
  }
});

test('every array of a checkpoint must be there, of its size, finite; masks of 0 and 1, columns in range', () => {
  const isFormatError = (bytes: Uint8Array, name: string) => {
    const outcome = resumed(bytes);
    assert.instance(outcome, FileFormatError, name);
  };
  for (const [name, { dtype, data }] of decodeSafetensors(checkpoint).tensors) {
    const replaced = (tensor: NamedTensor) => changed(checkpoint, (tensors) => tensors.set(name, tensor));
    isFormatError(
      changed(checkpoint, (tensors) => tensors.delete(name)),
      name,
    );
    isFormatError(replaced({ dtype, shape: [data.length - 1], data: data.slice(1) } as NamedTensor), name);
    const bad = data.slice();
    bad[bad.length - 1] = { F32: Number.NaN, U8: 2, U16: 65535, U32: 65535, F16: 65535, I8: -128, I32: -1 }[dtype];
    isFormatError(replaced({ dtype, shape: [data.length], data: bad } as NamedTensor), name);
  }
  const extra: NamedTensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
  for (const name of ['stowaway', 'value.stowaway']) {
    isFormatError(
      changed(checkpoint, (tensors) => tensors.set(name, extra)),
      name,
    );
  }
});

test('a position that the run cannot have come to is refused', () => {
  const { position } = decodeSafetensors(checkpoint).metadata;
  const sound = JSON.parse(position);
  for (const change of [
    { piece: sound.piece + 1 },
    { piece: 1e9, steps: 1e9 },
    { epoch: sound.epoch + 1 },
    { epoch: 100 },
    { steps: sound.steps - 1 },
    { steps: -1 },
    { steps: 0.5 },
    { lossSum: null },
    { lossCount: '1' },
  ]) {
    const bytes = withField(checkpoint, 'position', JSON.stringify({ ...sound, ...change }));
    assert.instance(resumed(bytes), FileFormatError, JSON.stringify(change));
  }
});

test('options that call for more than the file holds are rejected, and take no more memory than its size allows', () => {
  const sound = JSON.parse(decodeSafetensors(checkpoint).metadata.options);
  for (const change of [
    { hidden: 2 ** 16 },
    { hidden: 2 ** 14, method: 'dense' },
    { hidden: 4096, method: 'doped-kron', compression: 1000 },
    { hidden: 55440, method: 'doped-kron', compression: 1e9 },
    { layers: 64 },
    { layers: 1e9 },
    { method: 'kron', kron: Array.from({ length: 1e5 }, () => 1) },
    { batch: 2 ** 30 },
    { bptt: 2 ** 30 },
  ]) {
    const bytes = withField(checkpoint, 'options', JSON.stringify({ ...sound, ...change }));
    const fresh = new Runtime();
    const before = fresh.usage().used;
    assert.throws(
      () => decodeCheckpoint(bytes, LanguageModelTraining).resume(fresh, corpus),
      (error: unknown) => error instanceof FileFormatError,
    );
    const { used, held } = fresh.usage();
    assert.is(used, before);
    // A quarter more than was asked for last.
    assert.ok(held <= 1.3 * memoryFor(bytes.length), `${held} bytes held for ${JSON.stringify(change)}`);
  }
});

// When training begins, sparse matrices are dense. Resumed once they are compressed, they must not be so again.
test('a compressed checkpoint of a matrix far larger than its file is resumed in memory in proportion to the file', () => {
  const options = {
    ...OPTIONS,
    hidden: 192,
    method: 'doped-lmf',
    compression: 60,
    epochs: 1,
    annealing: { ...OPTIONS.annealing, start: 0, end: 0 },
  } as const;
  const large = LanguageModelTraining.create(new Runtime(), vocabulary, options, corpus);
  large.step();
  const bytes = encodeCheckpoint(large, RUN);
  const fresh = new Runtime();
  const before = fresh.usage().used;
  const resumed = decodeCheckpoint(bytes, LanguageModelTraining).resume(fresh, corpus);
  const dense = 2 * 4 * 192 * 192;
  assert.ok(fresh.usage().used - before < 3 * bytes.length, `${fresh.usage().used - before} for ${bytes.length} bytes`);
  assert.ok(bytes.length < 8 * dense, `${bytes.length} bytes`);
  assert.equal(encodeCheckpoint(resumed, RUN), bytes);
  assert.is(resumed.step(), large.step());
});

test('whatever stands in the metadata of a checkpoint: a known error, or a training that goes on', () => {
  const wrong = { FileFormatError: 0, InputError: 0, TrainingError: 0 };
  fc.assert(
    fc.property(replacements(checkpoint, CHECKPOINT_FIELDS), ({ field, text }) => {
      const outcome = resumed(withField(checkpoint, field, text));
      if (!(outcome instanceof Error)) return;
      wrong[outcome.name as keyof typeof wrong]++;
      // The others are not about the file: another text than the caller's, steps that lead nowhere.
      if (outcome instanceof InputError) assert.is(field, 'corpus', outcome.message);
      if (outcome instanceof TrainingError) assert.is(field, 'options', outcome.message);
    }),
    { numRuns: 1500 },
  );
  assert.ok(wrong.FileFormatError > 0);
});

test('a value nested without end overflows no stack in a checkpoint either', () => {
  for (const field of ['options', 'position', 'corpus', 'run']) {
    for (const text of buried(checkpoint, field)) {
      const outcome = resumed(withField(checkpoint, field, text));
      if (outcome instanceof Error) assert.ok(outcome.message.length < 1000, field);
    }
  }
  const [, ...records] = buried(checkpoint, 'records');
  const some = records.filter((_, i) => uniform(1, 0, i) < 20 / records.length);
  for (const text of [deep, ...some]) assert.instance(resumed(withField(checkpoint, 'records', text)), FileFormatError);
});

test.run();
