// The files that took the longest or the most, each of a kind, and how each is read.

import { decodeModel } from '../../src/cli/tasks.js';
import { loadSync } from '../../src/infer/index.js';
import { readHeader } from '../../src/io/model-header.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import type { ModelConfig } from '../../src/nn/config.js';
import type { KroneckerSpec, OperatorSpec } from '../../src/operators/spec.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { readIntentSchema } from '../../src/tasks/intent/schema.js';
import { defaultIntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { languageModelSpec, readLanguageSchema } from '../../src/tasks/lm/schema.js';
import { defaultOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { vocabulary } from '../infer/models.js';

export interface Instance {
  name: string;
  file: Uint8Array;
  read(file: Uint8Array): unknown;
  /** What its error says; files without are read. */
  error?: string;
}

const LENGTH = 1_000_000; // of what is long

type Tensors = Map<string, NamedTensor>;

const floats = (tensors: Tensors, name: string, ...shape: number[]) => {
  const data = new Float32Array(shape.reduce((product, side) => product * side, 1)).fill(0.01);
  tensors.set(name, { dtype: 'F32', shape, data });
};

const metadataOf = (fields: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );

const configOf = (hidden: number): ModelConfig => ({ hidden, layers: 1, method: 'dense', compression: 1 });

/** The metadata of a language model, with something else where told. */
function languageModel(H: number, fields: Record<string, unknown> = {}) {
  const config = configOf(H);
  return metadataOf({
    format: 'dopant',
    version: '2',
    network: languageModelSpec(config, 2),
    operators: {},
    task: { name: 'lm', config, vocabulary: { rule: 'char', start: 1, tokens: ['<unk>', 'a'] } },
    ...fields,
  });
}

/** A language model of one layer, each of its matrices as told. */
function modelOf(
  H: number,
  matrix: (name: string, M: number, N: number, tensors: Tensors) => OperatorSpec,
): Uint8Array {
  const tensors: Tensors = new Map();
  floats(tensors, 'embedding', 2, H);
  const operators: Record<string, OperatorSpec> = { head: { type: 'dense', shape: [2, H] } };
  for (const part of ['ih', 'hh']) {
    operators[`lstm.0.${part}`] = matrix(`lstm.0.${part}`, 4 * H, H, tensors);
    floats(tensors, `lstm.0.bias_${part}`, 4 * H);
  }
  floats(tensors, 'head.weight', 2, H);
  floats(tensors, 'head.bias', 2);
  return encodeSafetensors(tensors, languageModel(H, { operators }));
}

function kronecker(tensors: Tensors, name: string, [B, ...others]: [number, number][]): KroneckerSpec {
  floats(tensors, `${name}.B.weight`, ...B);
  if (others.length > 1) return { type: 'kronecker', B, C: kronecker(tensors, `${name}.C`, others) };
  floats(tensors, `${name}.C.weight`, ...others[0]);
  return { type: 'kronecker', B, C: others[0] };
}

const empty = (tensors: Tensors, name: string, M: number, N: number): OperatorSpec => {
  floats(tensors, `${name}.values`, 0);
  tensors.set(`${name}.columns`, { dtype: 'U16', shape: [0], data: new Uint16Array(0) });
  tensors.set(`${name}.starts`, { dtype: 'U16', shape: [M + 1], data: new Uint16Array(M + 1) });
  return { type: 'sparse', shape: [M, N], nonzeros: 0 };
};

/** A file of this header. */
function headed(header: string): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

/** Items of a list or an object, as many as fit. */
function items(item: (i: number) => string, length = LENGTH): string {
  const all: string[] = [];
  for (let i = 0, left = length; left > 0; i++) {
    all.push(item(i));
    left -= all[i].length + 1;
  }
  return all.join();
}

const name = (i: number) => `"${i.toString(36)}"`;
const half = LENGTH / 2;

/** Headers, and what is said of them. */
const headers: Record<string, [() => string, error: string]> = {
  'lists in lists': [() => `{"a":${'['.repeat(half)}${']'.repeat(half)}}`, 'nesting'],
  'lists that do not end': [() => `{"a":${'['.repeat(LENGTH)}`, 'nesting'],
  'objects in objects': [() => `{"a":${'{"":'.repeat(LENGTH / 4)}`, 'nesting'],
  'empty objects': [() => `{"a":[${items(() => '{}')}]}`, 'tensor "a"'],
  'empty lists': [() => `{"a":[${items(() => '[]')}]}`, 'tensor "a"'],
  'many names': [() => `{${items((i) => `${name(i)}:0`)}}`, 'tensor "0"'],
  'many metadata': [() => `{"__metadata__":{${items((i) => `${name(i)}:""`)}}}`, 'metadata.format'],
  'many empty tensors': [
    () => `{${items((i) => `${name(i)}:{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)}}`,
    'metadata.format',
  ],
  'a long shape': [
    () => `{"a":{"dtype":"F32","shape":[${items(() => '1')},0],"data_offsets":[0,0]}}`,
    'metadata.format',
  ],
  'a long name': [() => `{"${'a'.repeat(LENGTH)}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 'data_offsets'],
};

/** A header with one field of the metadata, or of the task, as told. */
const withField = (field: string, text: string) => encodeSafetensors(new Map(), languageModel(4, { [field]: text }));
const withWords = (rule: string, tokens: string) =>
  withField(
    'task',
    `{"name":"lm","config":${JSON.stringify(configOf(4))},"vocabulary":{"rule":"${rule}","start":0,"tokens":["<unk>",${tokens}]}}`,
  );

const fields: Record<string, [() => Uint8Array, error: string]> = {
  'many words': [() => withWords('tokens', `"<eos>",${items(name)}`), 'metadata.network'],
  'a long name of a layer': [
    () => withField('network', `{"input":{"frames":1},"layers":[{"name":"${'a.'.repeat(half)}!","kind":"pool"}]}`),
    'network.layers.0.name',
  ],
  'a long word': [() => withWords('tokens', `"<eos>","${'a'.repeat(LENGTH)}"`), 'metadata.network'],
  'a long character': [() => withWords('char', `"${'世'.repeat(LENGTH / 3)}"`), 'vocabulary.tokens[1]'],
  'words that are objects': [
    () =>
      withWords(
        'tokens',
        items(() => '{}'),
      ),
    'vocabulary.tokens[1]',
  ],
  'many factors': [
    () => withField('task', JSON.stringify({ name: 'lm', config: { ...configOf(4), kron: Array(half).fill(1) } })),
    'config.kron',
  ],
  'many operators': [() => withField('operators', `{${items((i) => `${name(i)}:0`)}}`), "tensor 'embedding'"],
  'a task of many fields': [
    () => withField('task', `{"name":"other",${items((i) => `${name(i)}:0`)}}`),
    'got a model for the task "other"',
  ],
  'many layers': [
    () => withField('network', `{"input":{"frames":1},"layers":[${items(() => '{}')}]}`),
    'network.layers',
  ],
  'many inputs of a layer': [
    () =>
      withField(
        'network',
        `{"input":{"frames":1},"layers":[{"name":"a","kind":"pool","over":"max","from":[${items(() => '"input"')}]}]}`,
      ),
    'network.layers.0.from',
  ],
  'many labels': [
    () => {
      const task = `{"name":"intent","config":${JSON.stringify({ ...configOf(4), embedding: 4 })},"vocabulary":{"rule":"prose","start":1,"tokens":["<unk>","<eos>"]},"labels":[${items(name)}]}`;
      return withField('task', task);
    },
    'metadata.network',
  ],
};

/** Models, and what is said of them by the loader and by the reader for training; where nothing, they are read. */
const models: Record<string, [() => Uint8Array, loader?: string, reader?: string]> = {
  'Kronecker factors that make the whole matrix': [
    () =>
      modelOf(4096, (name, M, N, tensors) =>
        kronecker(tensors, name, [
          [1, 1],
          [M, 1],
          [1, N],
        ]),
      ),
    '.C',
    '.C',
  ],
  'Kronecker factors of 1 x 1': [
    () =>
      modelOf(1024, (name, M, N, tensors) =>
        kronecker(tensors, name, [...Array.from({ length: 13 }, (): [number, number] => [1, 1]), [M, 1], [1, N]]),
      ),
    '.C',
    '.C',
  ],
  'a product of 2^24 columns and rows': [
    () =>
      modelOf(16, (name, M, N, tensors) => ({
        type: 'product',
        U: empty(tensors, `${name}.U`, M, 2 ** 24),
        V: kronecker(tensors, `${name}.V`, [
          [4096, 4],
          [4096, N / 4],
        ]),
      })),
    '.V',
    '.V',
  ],
  'a matrix of no weights that would be packed densely': [
    () => modelOf(20_000, (name, M, N, tensors) => empty(tensors, name, M, N)),
    'memory: got',
  ],
  'many terms, each with vectors between its factors': [
    () =>
      modelOf(16, (name, M, N, tensors) => ({
        type: 'sum',
        terms: Array.from({ length: 2000 }, (_, i) =>
          kronecker(tensors, `${name}.${i}`, [
            [M, 1],
            [1, N],
          ]),
        ),
      })),
    undefined,
    'memory: got',
  ],
  'a product by a matrix of no weights that would be packed densely': [
    () =>
      modelOf(4096, (name, M, N, tensors) => ({
        type: 'product',
        U: empty(tensors, `${name}.U`, M, 20_480),
        V: kronecker(tensors, `${name}.V`, [
          [160, 64],
          [128, N / 64],
        ]),
      })),
    'memory: got',
  ],
  'many blocks of one row': [
    () =>
      modelOf(256, (name, M, N, tensors) => ({
        type: 'vstack',
        blocks: Array.from({ length: M }, (_, i) => {
          floats(tensors, `${name}.${i}.weight`, 1, N);
          return { type: 'dense', shape: [1, N] };
        }),
      })),
  ],
  'many blocks in a block in a block, and so on': [
    () =>
      modelOf(500, (name, M, N, tensors) => {
        const path = `${name}${'.0'.repeat(15)}`;
        const blocks = Array.from({ length: M }, (_, i) => empty(tensors, `${path}.${i}`, 1, N));
        let spec: OperatorSpec = { type: 'vstack', blocks };
        for (let i = 0; i < 15; i++) spec = { type: 'vstack', blocks: [spec] };
        return spec;
      }),
    undefined,
    'memory: got',
  ],
  'many terms whose tensors are missing': [
    () =>
      modelOf(16, (_, M, N) => ({
        type: 'sum',
        terms: Array.from({ length: 10_000 }, () => ({ type: 'dense', shape: [M, N] })),
      })),
    "tensor 'lstm.0.ih.0.weight'",
    "tensor 'lstm.0.ih.0.weight'",
  ],
  'blocks of eight rows': [
    () =>
      modelOf(256, (name, M, N, tensors) => {
        const [groups, blocks] = [M / 8, (M / 8) * N];
        floats(tensors, `${name}.values`, 8 * blocks);
        const columns = Uint32Array.from({ length: blocks }, (_, i) => i % N);
        tensors.set(`${name}.columns`, { dtype: 'U32', shape: [blocks], data: columns });
        const starts = Uint32Array.from({ length: groups + 1 }, (_, i) => i * N);
        tensors.set(`${name}.starts`, { dtype: 'U32', shape: [groups + 1], data: starts });
        return { type: 'sparse', shape: [M, N], nonzeros: 8 * blocks, block: 8 };
      }),
  ],
};

// ---- checkpoints

const ids = vocabulary.encode('the cat sat on the mat and the dog lay down by it, '.repeat(9));
const corpus = { train: ids.slice(20), valid: ids.slice(0, 20) };
const examples = { sentences: [Int32Array.of(2, 3, 1), Int32Array.of(4, 1)], intents: ['a', 'b'] };
const intents = { train: examples, valid: examples };

const intentCheckpoint = () =>
  encodeCheckpoint(
    IntentTraining.create(
      new Runtime(),
      vocabulary,
      { ...defaultIntentOptions(), hidden: 8, embedding: 8, compression: 2 },
      intents,
    ),
    {},
  );

const languageCheckpoint = () =>
  encodeCheckpoint(
    LanguageModelTraining.create(
      new Runtime(),
      vocabulary,
      { ...defaultOptions('word'), hidden: 8, compression: 2, batch: 2, bptt: 5 },
      corpus,
    ),
    {},
  );

function changed(
  checkpoint: Uint8Array,
  field: string,
  change: (value: Record<string, unknown>) => unknown,
): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(checkpoint);
  return encodeSafetensors(tensors, { ...metadata, [field]: JSON.stringify(change(JSON.parse(metadata[field]))) });
}

const resumeIntent = (file: Uint8Array) => decodeCheckpoint(file, IntentTraining).resume(new Runtime(), intents);
const resumeLanguage = (file: Uint8Array) =>
  decodeCheckpoint(file, LanguageModelTraining).resume(new Runtime(), corpus);
const load = (file: Uint8Array) => loadSync(file);
const readLanguage = (file: Uint8Array) => readLanguageSchema(readHeader(file));
const readIntent = (file: Uint8Array) => readIntentSchema(readHeader(file));
const decode = (file: Uint8Array) => decodeModel(new Runtime(), file);

/** All of them, made one by one when they are asked for: some are large. */
export function* instances(): Generator<Instance> {
  yield {
    name: 'a checkpoint of words of 10^9 numbers',
    file: changed(intentCheckpoint(), 'options', (options) => ({ ...options, embedding: 1e9 })),
    read: resumeIntent,
    error: 'embedding',
  };
  const options: Record<string, [change: Record<string, unknown>, error: string]> = {
    'a size with millions of Kronecker shapes': [{ hidden: 55440, compression: 1e9 }, 'compression'],
    'a size of which sparse matrices would start dense': [
      { hidden: 4096, method: 'pruned', compression: 1e6 },
      "tensor 'starts.lstm.0.ih'",
    ],
    'layers, steps and streams without number': [
      { layers: 64, hidden: 4096, method: 'kron', bptt: 2 ** 31, batch: 2 ** 31 },
      'memory: got',
    ],
    'a million factors': [{ method: 'kron', kron: Array(half).fill(1) }, 'config.kron'],
  };
  for (const [name, [change, error]] of Object.entries(options)) {
    const file = changed(languageCheckpoint(), 'options', (options) => ({ ...options, ...change }));
    yield { name: `a checkpoint of ${name}`, file, read: resumeLanguage, error };
  }
  const record = { kind: 'step', step: 1, epoch: 0, loss: 1, learningRate: 1, sparsity: 0 };
  yield {
    name: 'a checkpoint of many records',
    file: changed(languageCheckpoint(), 'records', () => Array(LENGTH / 80).fill(record)),
    read: resumeLanguage,
  };
  for (const [name, [make, loader, reader]] of Object.entries(models)) {
    const file = make();
    yield { name, file, read: load, ...(loader && { error: loader }) };
    yield { name: `${name}, to be trained`, file, read: decode, ...(reader && { error: reader }) };
  }
  for (const [name, [make, error]] of Object.entries(headers)) yield { name, file: headed(make()), read: load, error };
  for (const [name, [make, error]] of Object.entries(fields)) {
    const read = name === 'many operators' ? load : name === 'many labels' ? readIntent : readLanguage;
    yield { name, file: make(), read, error };
  }
}
