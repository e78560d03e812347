// Files that someone forged: sound ones, taken apart, changed where it hurts, and put together again. The same seed gives
// the same file.

import { type Dtype, decodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import type { KroneckerSpec, OperatorSpec } from '../../src/operators/spec.js';
import { uniform } from '../../src/random.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A file in parts. Names may occur twice. */
export interface Parts {
  tensors: [name: string, tensor: NamedTensor][];
  /** Objects and lists stand for their JSON, texts for themselves. */
  metadata: [name: string, value: Json][];
}

/** Numbers and choices from a seed. */
export class Dice {
  private rolls = 0;

  constructor(private readonly seed: number) {}

  /** A whole number below n. */
  below(n: number): number {
    return Math.floor(n * uniform(this.seed, 1, this.rolls++));
  }

  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

// ---- taking apart and putting together

export function partsOf(file: Uint8Array): Parts {
  const { tensors, metadata } = decodeSafetensors(file);
  return {
    tensors: [...tensors],
    metadata: Object.entries(metadata).map(([name, text]) => [name, /^[[{]/.test(text) ? JSON.parse(text) : text]),
  };
}

/** The file of some parts, its header changed once more as text. */
function assemble({ tensors, metadata }: Parts, change: (header: string) => string): Uint8Array {
  const text = (value: Json) => (typeof value === 'string' ? value : textOf(value));
  const said = metadata.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(text(value))}`);
  let end = 0;
  const entries = tensors.map(([name, { dtype, shape, data }]) => {
    const begin = end;
    end += data.byteLength;
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
  });
  const header = new TextEncoder().encode(change(`{${[`"__metadata__":{${said}}`, ...entries]}}`));
  const file = new Uint8Array(8 + header.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  let at = 8 + header.length;
  for (const [, { data }] of tensors) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

/** JSON with the numbers that JSON.stringify does not write, and with names twice: see RAW. */
function textOf(value: Json): string {
  const known = typeof value === 'object' && value !== null ? texts.get(value) : undefined;
  if (known !== undefined) return known;
  const text = JSON.stringify(value).replace(/"raw (.*?)"/g, '$1');
  if (typeof value === 'object' && value !== null) texts.set(value, text);
  return text;
}

/** Most values are the same in most files. */
const texts = new WeakMap<object, string>();

// ---- what is put in

/** Text that JSON.stringify would not write, and JSON.parse may read. */
const RAW = ['1e308', '-1e308', '1e400', '1e-308', '-0', '0.0', '1E1', '9007199254740993', '1.5', 'NaN', '01'];

const SIZES = [
  -1,
  0,
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  12,
  16,
  24,
  31,
  100,
  4096,
  65535,
  65536,
  2 ** 17,
  2 ** 24,
  2 ** 31,
  2 ** 32,
  2 ** 53,
];

const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  '0',
  'type',
  '\ud800',
  '__metadata__',
  'x'.repeat(5000),
];

const VALUES: readonly Json[] = [
  null,
  true,
  '',
  '<unk>',
  '<eos>',
  'dense',
  'char',
  'gates',
  [],
  {},
  [[]],
  [1, 1],
  [1, 1, 1, 1, 1, 1],
  Array.from({ length: 40 }, () => 1),
  [2 ** 24, 2 ** 24],
  { length: 5 },
  { toString: 1, valueOf: 1 },
  { type: 'dense', shape: [1, 1] },
  { type: 'kronecker', B: [2 ** 24, 1], C: [1, 2 ** 24] },
  { type: 'kronecker', B: [1, 1], C: { type: 'kronecker', B: [2 ** 12, 1], C: [1, 2 ** 12] } },
  { type: 'sparse', shape: [2 ** 24, 2 ** 24], nonzeros: 0 },
  [4, 8],
  [3, 1],
];

function hostile(dice: Dice): Json {
  const kind = dice.below(8);
  if (kind < 3) return dice.one(SIZES);
  if (kind < 4) return `raw ${dice.one(RAW)}`;
  if (kind < 5) return dice.one(NAMES);
  if (kind < 6) return nested(dice.one([3, 20, 200]), dice.below(2) === 0);
  return dice.one(VALUES);
}

function nested(depth: number, inLists: boolean): Json {
  let value: Json = 1;
  for (let i = 0; i < depth; i++) value = inLists ? [value] : { type: 'sum', terms: [value] };
  return value;
}

/** A value with something at a place in it replaced, left out, named otherwise, or there twice. */
function changed(value: Json, dice: Dice): Json {
  // Down to some depth: most values lie at the bottom.
  if (typeof value !== 'object' || value === null || dice.below(6) === 0) return hostile(dice);
  const keys = Object.keys(value);
  if (keys.length === 0) return hostile(dice);
  const key = dice.one(keys);
  if (Array.isArray(value)) {
    const at = Number(key);
    const copy = [...value];
    const kind = dice.below(8);
    if (kind === 0) copy.splice(at, 1);
    else if (kind === 1) copy.push(copy[at]);
    else if (kind === 2) copy.reverse();
    else copy[at] = changed(value[at], dice);
    return copy;
  }
  const { [key]: inner, ...others } = value;
  const kind = dice.below(8);
  if (kind === 0) return others;
  const name = kind === 1 ? dice.one(NAMES) : key;
  // Object.fromEntries, for a name such as __proto__.
  return Object.fromEntries([...Object.entries(others), [name, kind < 2 ? inner : changed(inner, dice)]]);
}

// ---- changes of a file

type Change = (parts: Parts, dice: Dice) => void;

const zeros = (dtype: Dtype, shape: readonly number[]): NamedTensor => {
  const n = shape.reduce((product, side) => product * side, 1);
  const length = Number.isSafeInteger(n) && n >= 0 && n <= 4096 ? n : 0;
  const types = {
    F32: Float32Array,
    F16: Uint16Array,
    I8: Int8Array,
    U8: Uint8Array,
    U16: Uint16Array,
    U32: Uint32Array,
    I32: Int32Array,
  };
  return { dtype, shape, data: new types[dtype](length) } as NamedTensor;
};

const changeMetadata: Change = ({ metadata }, dice) => {
  const entry = dice.one(metadata);
  if (entry) entry[1] = changed(entry[1], dice);
};

/** A field that is missing, there twice, or called otherwise. */
const changeFields: Change = ({ metadata }, dice) => {
  const at = dice.below(metadata.length);
  const kind = dice.below(4);
  if (kind === 0) metadata.splice(at, 1);
  else if (kind === 1) metadata.push([metadata[at][0], dice.one(metadata)[1]]);
  else if (kind === 2) metadata.push([dice.one(NAMES), dice.one(metadata)[1]]);
  else metadata[at] = [dice.one(NAMES), metadata[at][1]];
};

/** A tensor that is missing, there twice, called otherwise, in another's place, or of another type or shape. */
const changeTensors: Change = ({ tensors }, dice) => {
  const at = dice.below(tensors.length);
  const [name, tensor] = tensors[at];
  const other = dice.below(tensors.length);
  switch (dice.below(8)) {
    case 0:
      tensors.splice(at, 1);
      break;
    case 1:
      tensors.push([name, dice.one(tensors)[1]]);
      break;
    case 2:
      tensors[at] = [dice.one(NAMES), tensor];
      break;
    case 3:
      tensors.push([dice.one(NAMES), zeros('F32', [0])]);
      break;
    case 4:
      [tensors[at][1], tensors[other][1]] = [tensors[other][1], tensor];
      break;
    case 5:
      tensors[at] = [name, zeros(dice.one(['F32', 'I8', 'U8', 'U16', 'U32', 'I32'] as const), tensor.shape)];
      break;
    default: {
      const shape = [...tensor.shape];
      shape[dice.below(shape.length + 1)] = dice.one(SIZES);
      tensors[at] = [name, zeros(tensor.dtype, shape)];
    }
  }
};

/** Numbers of a tensor that are wrong, or at the edge of it. */
const changeNumbers: Change = ({ tensors }, dice) => {
  const at = dice.below(tensors.length);
  const [name, tensor] = tensors[at];
  const data = tensor.data.slice();
  for (let i = dice.below(4); i >= 0; i--) {
    const value = dice.one([Number.NaN, Infinity, 3e38, -1e38, 1e-45, -0, 0, 1, 2, 127, -128, 65535, 2 ** 32 - 1]);
    data[dice.below(data.length)] = value;
  }
  if (dice.below(4) === 0) data.reverse();
  tensors[at] = [name, { ...tensor, data } as NamedTensor];
};

/** A matrix inside others that leave it as it is, as deep as can be and deeper. */
const wrapMatrix: Change = (parts, dice) => {
  const operators = operatorsOf(parts);
  if (!operators) return;
  const name = dice.one(Object.keys(operators));
  let spec = operators[name] as Json;
  const depth = dice.one([1, 2, 15, 16, 17, 100]);
  let inside = '';
  for (let i = 0; i < depth; i++) {
    spec = dice.below(2) ? { type: 'sum', terms: [spec] } : { type: 'vstack', blocks: [spec] };
    inside += '.0';
  }
  operators[name] = spec;
  parts.tensors = parts.tensors.map(([tensor, data]) =>
    tensor.startsWith(`${name}.`) ? [`${name}${inside}${tensor.slice(name.length)}`, data] : [tensor, data],
  );
};

/** Another matrix of the same shape, sound, but of parts that no method makes, and with sides that no tensor bounds. */
const replaceMatrix: Change = (parts, dice) => {
  const operators = operatorsOf(parts);
  if (!operators) return;
  const name = dice.one(Object.keys(operators).filter((key) => key.startsWith('lstm.')));
  const shape = shapeIn(operators[name]);
  const isSide = (side: unknown) => Number.isInteger(side) && (side as number) >= 1 && (side as number) <= 4096;
  if (name === undefined || shape?.length !== 2 || !shape.every(isSide)) return;
  parts.tensors = parts.tensors.filter(([tensor]) => !tensor.startsWith(`${name}.`) || tensor.includes('.bias'));
  operators[name] = matrixOf(...shape, name, 3, parts.tensors, dice) as unknown as Json;
};

/** What the file says that its matrices are made of, as a copy that is now the file's. */
function operatorsOf({ metadata }: Parts): { [key: string]: Json } | undefined {
  const entry = metadata.find(([name]) => name === 'operators');
  if (!entry || typeof entry[1] !== 'object' || entry[1] === null || Array.isArray(entry[1])) return undefined;
  const copy = { ...entry[1] };
  entry[1] = copy;
  return copy;
}

/** Of a spec that may be anything by now. */
function shapeIn(spec: Json | undefined): [number, number] | undefined {
  const { type, shape, B, C, U, V, blocks, terms } = (spec ?? {}) as Record<string, Json>;
  const pair = (value: Json) => (Array.isArray(value) ? (value as [number, number]) : shapeIn(value));
  switch (type) {
    case 'kronecker': {
      const [b, c] = [pair(B), pair(C)];
      return b && c && [b[0] * c[0], b[1] * c[1]];
    }
    case 'product': {
      const [u, v] = [shapeIn(U), shapeIn(V)];
      return u && v && [u[0], v[1]];
    }
    case 'vstack': {
      const all = (Array.isArray(blocks) ? blocks : []).map(shapeIn);
      return all[0] && [all.reduce((sum, one) => sum + (one?.[0] ?? 0), 0), all[0][1]];
    }
    case 'sum':
      return Array.isArray(terms) ? shapeIn(terms[0]) : undefined;
    default:
      return shape as [number, number] | undefined;
  }
}

/** A random spec of an M x N matrix, its tensors added to the list. */
function matrixOf(
  M: number,
  N: number,
  name: string,
  depth: number,
  tensors: Parts['tensors'],
  dice: Dice,
): OperatorSpec {
  const floats = (part: string, ...shape: number[]) => {
    const tensor = zeros('F32', shape);
    tensors.push([
      `${name}.${part}`,
      { ...tensor, data: tensor.data.map(() => dice.below(9) / 8 - 0.5) } as NamedTensor,
    ]);
  };
  const inner = (m: number, n: number, part: string | number) =>
    matrixOf(m, n, `${name}.${part}`, depth - 1, tensors, dice);
  const kind = depth === 0 ? dice.below(3) : dice.below(7);
  if (kind === 0 && M * N <= 4096) {
    floats('weight', M, N);
    return { type: 'dense', shape: [M, N] };
  }
  if (kind === 1 && M <= 4096) {
    const block = M % 4 === 0 ? dice.one([1, 4, 'gates'] as const) : 1;
    const size = block === 1 ? 1 : 4;
    const blocks = dice.below(Math.min(N, 5));
    floats('values', blocks * size);
    // All in the first row.
    tensors.push([
      `${name}.columns`,
      { dtype: 'U32', shape: [blocks], data: new Uint32Array(blocks).map((_, i) => i) },
    ]);
    const starts = new Uint32Array(M / size + 1).fill(blocks, 1);
    tensors.push([`${name}.starts`, { dtype: 'U32', shape: [starts.length], data: starts }]);
    return { type: 'sparse', shape: [M, N], nonzeros: blocks * size, block };
  }
  if (kind <= 3) {
    const kronecker = (m: number, n: number, path: string, left: number): KroneckerSpec => {
      const [a, b] = [divisor(m, dice), divisor(n, dice)];
      floats(`${path}B.weight`, a, b);
      if (left > 0) return { type: 'kronecker', B: [a, b], C: kronecker(m / a, n / b, `${path}C.`, left - 1) };
      floats(`${path}C.weight`, m / a, n / b);
      return { type: 'kronecker', B: [a, b], C: [m / a, n / b] };
    };
    return kronecker(M, N, '', dice.below(3));
  }
  if (kind === 4) {
    const rank = dice.one([1, 2, 3, 8, 4096, 65536, 2 ** 20, 2 ** 24]);
    return { type: 'product', U: inner(M, rank, 'U'), V: inner(rank, N, 'V') };
  }
  if (kind === 5 && M > 1) {
    const rows = 1 + dice.below(M - 1);
    return { type: 'vstack', blocks: [inner(rows, N, 0), inner(M - rows, N, 1)] };
  }
  return { type: 'sum', terms: [inner(M, N, 0), inner(M, N, 1)] };
}

/** A divisor of n, a small one or what a small one leaves. */
function divisor(n: number, dice: Dice): number {
  const small = [1, 2, 3, 4, 5, 8, 16, 64, 256].filter((d) => n % d === 0);
  const d = dice.one(small);
  return dice.below(2) ? d : n / d;
}

/** Another number where the header has one, whatever else it says. */
function changedNumber(header: string, dice: Dice): string {
  const numbers = [...header.matchAll(/\d+/g)];
  const { index, 0: digits } = dice.one(numbers);
  const by = dice.below(2) ? dice.one(RAW) : String(dice.one(SIZES));
  return header.slice(0, index) + by + header.slice(index + digits.length);
}

const CHANGES: readonly Change[] = [
  changeMetadata,
  changeMetadata,
  changeMetadata,
  changeFields,
  changeTensors,
  changeTensors,
  changeNumbers,
  wrapMatrix,
  replaceMatrix,
  replaceMatrix,
];

/** The file of the parts with a change or a few. */
export function forge({ tensors, metadata }: Parts, seed: number): Uint8Array {
  const dice = new Dice(seed);
  // Changes replace what is in here, and leave what it is made of as it is.
  const parts: Parts = {
    tensors: tensors.map(([name, tensor]) => [name, tensor]),
    metadata: metadata.map(([name, value]) => [name, value]),
  };
  for (let left = dice.one([1, 1, 1, 2, 3]); left > 0; left--) {
    if (parts.tensors.length > 0 && parts.metadata.length > 0) dice.one(CHANGES)(parts, dice);
  }
  return assemble(parts, (header) => (dice.below(6) === 0 ? changedNumber(header, dice) : header));
}
