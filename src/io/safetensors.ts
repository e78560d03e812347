// The safetensors format: eight bytes of header length, a JSON header, then the data of all tensors without a gap.
// Source: https://github.com/huggingface/safetensors, README, section "Format".

import { FileFormatError, invalid, malformed } from '../errors.js';
import { isObject, show } from '../values.js';
import { type ByteSource, tagOf, toBytes } from './bytes.js';
import { describe } from './describe.js';
import { parseJson } from './json.js';

const arrayTypes = {
  F32: Float32Array,
  F16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  U16: Uint16Array,
  U32: Uint32Array,
  I32: Int32Array,
} as const;

interface ArrayOf {
  F32: Float32Array;
  /** As bits: older hosts have no array of them. */
  F16: Uint16Array;
  I8: Int8Array;
  U8: Uint8Array;
  U16: Uint16Array;
  U32: Uint32Array;
  I32: Int32Array;
}

/** Types of numbers that files may have. */
export type Dtype = keyof ArrayOf;

/** A row-major array: `data` has as many numbers as the sides of `shape` multiply to, one for an empty shape. */
export type NamedTensor = { [D in Dtype]: { dtype: D; shape: readonly number[]; data: ArrayOf[D] } }[Dtype];

/** As in the reference library, so that each reads what the other writes. */
const headerLimit = 100_000_000;

/** The only field of the header that is not a tensor. */
const metadataKey = '__metadata__';

/**
 * Encodes a safetensors file; the same input gives the same bytes. Tensors keep their order, except that those with larger
 * elements come first: so each is aligned without padding, which the format forbids.
 *
 * @throws InputError for a tensor whose data do not match its dtype and shape, and for metadata that are not strings
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, NamedTensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  for (const [name, tensor] of tensors) checkTensor(name, tensor);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw invalid(`metadata[${show(key)}]`, value, 'a string');
  }
  const ordered = [...tensors].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  const { header, headerLength, end } = layOut(ordered, metadata);
  if (headerLength > headerLimit) {
    throw invalid('header length', headerLength, `at most ${headerLimit} bytes of names, shapes and metadata`);
  }
  const bytes = new Uint8Array(8 + headerLength + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(header, 8);
  bytes.fill(0x20, 8 + header.length, 8 + headerLength);
  let offset = 8 + headerLength;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}

/** Bytes of the file that encodeSafetensors() would make of tensors of these types and shapes. */
export function safetensorsBytes(
  tensors: ReadonlyMap<string, Pick<NamedTensor, 'dtype' | 'shape'>>,
  metadata: Readonly<Record<string, string>>,
): number {
  const size = ({ dtype }: Pick<NamedTensor, 'dtype'>) => arrayTypes[dtype].BYTES_PER_ELEMENT;
  const ordered = [...tensors].sort(([, a], [, b]) => size(b) - size(a));
  const { headerLength, end } = layOut(ordered, metadata);
  return 8 + headerLength + end;
}

function layOut(
  ordered: readonly [string, Pick<NamedTensor, 'dtype' | 'shape'>][],
  metadata: Readonly<Record<string, string>>,
) {
  // Joined by hand: an object would move names such as "0" to the front and lose one called "__proto__".
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`${JSON.stringify(metadataKey)}:${JSON.stringify(metadata)}`);
  let end = 0;
  for (const [name, { dtype, shape }] of ordered) {
    const begin = end;
    end += elementCount(shape) * arrayTypes[dtype].BYTES_PER_ELEMENT;
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
  }
  const header = new TextEncoder().encode(`{${fields.join(',')}}`);
  return { header, headerLength: Math.ceil(header.length / 8) * 8, end };
}

/**
 * Decodes a safetensors file: its tensors, in the order of their data, and its metadata. The arrays are views of the bytes
 * wherever alignment allows, so write to neither afterwards. Values are not checked: NaN is accepted.
 *
 * @throws FileFormatError for an inconsistent file, having allocated no more than its header
 */
export function decodeSafetensors(source: ByteSource): {
  tensors: Map<string, NamedTensor>;
  metadata: Record<string, string>;
} {
  const bytes = toBytes(source);
  const { header, dataStart } = readHeader(bytes);
  const { [metadataKey]: metadata = {} } = header;
  checkMetadata(metadata);
  const dataLength = bytes.length - dataStart;
  const entries: Entry[] = [];
  for (const name of Object.keys(header)) {
    if (name !== metadataKey) entries.push(readEntry(name, header[name], dataLength));
  }
  checkCoverage(entries, dataLength);

  const tensors = new Map<string, NamedTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    const stored = bytes.subarray(dataStart + begin, dataStart + end);
    tensors.set(name, { dtype, shape, data: arrayOver(stored, dtype) } as NamedTensor);
  }
  return { tensors, metadata };
}

interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number; // bytes from the start of the data
  end: number;
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  // Eight bytes of header length, then the brace that begins the header.
  if (bytes.length < 9 || bytes[8] !== 0x7b) {
    throw new FileFormatError(`got ${describe(bytes)}; expected a safetensors file`);
  }
  const claimed = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const most = Math.min(headerLimit, bytes.length - 8);
  if (claimed > most) throw malformed('header length', claimed, `at most ${most} bytes; the file may be cut short`);
  const dataStart = 8 + Number(claimed);
  try {
    return { header: parseJson(decodeUtf8(bytes.subarray(8, dataStart))) as Record<string, unknown>, dataStart };
  } catch (cause) {
    throw new FileFormatError(`header: got ${(cause as Error).message}; expected JSON in UTF-8`, { cause });
  }
}

/** Throws for bytes that are not UTF-8. */
function decodeUtf8(bytes: Uint8Array): string {
  // An AudioWorklet has no TextDecoder.
  if (typeof TextDecoder === 'undefined') {
    let text = '';
    for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
    return decodeURIComponent(escape(text));
  }
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

function checkMetadata(metadata: unknown): asserts metadata is Record<string, string> {
  if (!isObject(metadata)) throw malformed(metadataKey, metadata, 'an object of strings');
  for (const key of Object.keys(metadata)) {
    if (typeof metadata[key] !== 'string') throw malformed(`${metadataKey}[${show(key)}]`, metadata[key], 'a string');
  }
}

function readEntry(name: string, field: unknown, dataLength: number): Entry {
  const where = `tensor ${show(name)}`;
  if (!isObject(field)) throw malformed(where, field, 'an object');
  const { dtype, shape, data_offsets: offsets } = field;

  if (!isDtype(dtype)) throw malformed(`${where}.dtype`, dtype, `one of ${Object.keys(arrayTypes).join(', ')}`);
  const byteLength = isShape(shape) ? elementCount(shape) * arrayTypes[dtype].BYTES_PER_ELEMENT : Number.NaN;
  if (!Number.isSafeInteger(byteLength)) {
    throw malformed(`${where}.shape`, shape, 'whole numbers whose product is below 2^53');
  }
  const [begin, end] = isShape(offsets) ? offsets : [];
  if (!(end <= dataLength && end - begin === byteLength && (offsets as number[]).length === 2)) {
    const expected = `two whole numbers up to ${dataLength}, the size of the data, ${byteLength} apart`;
    throw malformed(`${where}.data_offsets`, offsets, expected);
  }
  return { name, dtype, shape: shape as number[], begin, end };
}

/** Sorts the entries by position, and checks that they cover the data exactly. */
function checkCoverage(entries: Entry[], dataLength: number): void {
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) {
      const expected = `${covered} first, where the tensor before ends`;
      throw malformed(`tensor ${show(name)}.data_offsets`, [begin, end], expected);
    }
    covered = end;
  }
  if (covered !== dataLength) throw malformed('data', dataLength, `${covered} bytes, where the last tensor ends`);
}

function arrayOver(stored: Uint8Array, dtype: Dtype): ArrayOf[Dtype] {
  const ArrayType = arrayTypes[dtype];
  const aligned = stored.byteOffset % ArrayType.BYTES_PER_ELEMENT === 0;
  const { buffer, byteOffset, byteLength } = aligned ? stored : new Uint8Array(stored);
  return new ArrayType(buffer as ArrayBuffer, byteOffset, byteLength / ArrayType.BYTES_PER_ELEMENT);
}

function checkTensor(name: string, { dtype, shape, data }: NamedTensor): void {
  const where = `tensor ${show(name)}`;
  if (name === metadataKey) throw invalid('tensor', name, 'another name: the format reserves this one');
  if (!isDtype(dtype)) throw invalid(`${where}.dtype`, dtype, `one of ${Object.keys(arrayTypes).join(', ')}`);
  if (!isShape(shape)) throw invalid(`${where}.shape`, shape, 'whole numbers from 0 to 2^53 - 1');
  // An array of another realm has another constructor.
  const { name: type } = arrayTypes[dtype];
  if (tagOf(data) !== `[object ${type}]`) throw invalid(`${where}.data`, tagOf(data), `a ${type}, for dtype ${dtype}`);
  const count = elementCount(shape);
  if (data.length !== count) throw invalid(`${where}.data.length`, data.length, `${count}, for shape ${show(shape)}`);
}

function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(arrayTypes, value);
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** NaN if a partial product is too large to be exact, even if a later side is 0: the reference rejects that too. */
function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => (Number.isSafeInteger(product * size) ? product * size : Number.NaN), 1);
}
