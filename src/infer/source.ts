import { FileFormatError, InputError, invalid } from '../errors.js';
import { type ByteSource, bytesOf } from '../io/bytes.js';
import { decompressedFor } from '../io/memory.js';

/**
 * Where a model comes from: its bytes, the URL of its file, in Node the path of its file, or a Blob, File, Request or Response.
 *
 * In Node, strings that begin with http:, https:, data:, blob: or file:/ are URLs; all others are paths, such as
 * 'C:\models\m.safetensors'. Elsewhere every string is a URL, and fetch() resolves a relative one.
 */
export type ModelSource = ByteSource | string | { readonly href: string } | Body;

/** A Blob, File, Request or Response. */
interface Body {
  arrayBuffer(): Promise<ArrayBufferLike>;
}

/** What distinguishes and names a Body. */
interface Described {
  method?: string;
  ok?: boolean;
  status?: number;
  statusText?: string;
  url?: string;
  name?: string;
}

/** The bytes of a source, and its name in messages; empty where the source is bytes. */
export interface Loaded {
  name: string;
  bytes: Uint8Array;
}

/**
 * Reads a source, and decompresses a gzip file. Throws InputError, naming the source, where reading fails, FileFormatError for a
 * gzip file that is damaged or far larger than a model's.
 */
export async function readSource(source: ModelSource | PromiseLike<ModelSource>): Promise<Loaded> {
  const { name, bytes } = await readGiven(await settled(source));
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return { name, bytes };
  try {
    return { name, bytes: await decompressed(bytes) };
  } catch (cause) {
    const wrong = new FileFormatError('got a damaged gzip file; expected that of a model', { cause });
    return naming(name, () => {
      throw wrong;
    });
  }
}

/** Node's module for gzip, which starts sooner than its streams. */
interface Zlib {
  gunzipSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

async function decompressed(bytes: Uint8Array): Promise<Uint8Array> {
  const most = decompressedFor(bytes.length);
  const zlib = builtin<Zlib>('node:zlib');
  if (zlib) return zlib.gunzipSync(bytes, { maxOutputLength: most });
  const reader = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    if (size > most) throw new Error('too large');
  }
  const all = new Uint8Array(size);
  size = 0;
  for (const part of parts) {
    all.set(part, size);
    size += part.length;
  }
  return all;
}

async function readGiven(given: ModelSource): Promise<Loaded> {
  const bytes = bytesOf(given);
  if (bytes) return { name: '', bytes };
  const { href, arrayBuffer, url, name, method } = Object(given) as Partial<{ href: string } & Body & Described>;
  if (typeof arrayBuffer === 'function') {
    return readBody(url || name || 'source', async () => (method ? fetch(given as Request) : (given as Body)));
  }
  const isString = typeof given === 'string';
  const place = isString ? given : href;
  if (typeof place !== 'string' || place === '')
    throw invalid('source', given, 'bytes, a URL, a path, a Blob or a Response');
  const isFileUrl = /^file:\//i.test(place);
  const isPath = isString && !/^(https?|data|blob):/i.test(place) && !isFileUrl;
  const files = isPath || isFileUrl ? fileSystem(place) : undefined;
  if (files) return readFile(place, isFileUrl, files);
  const shown = /^data:/i.test(place) && place.length > 60 ? `${place.slice(0, 60)}...` : place;
  return readBody(shown, () => fetch(place));
}

/** What a source resolves to, such as fetch(url); that it rejects is an error of the source. */
async function settled<T>(source: T | PromiseLike<T>): Promise<T> {
  try {
    return await source;
  } catch (error) {
    throw unreadable('source', error);
  }
}

/** Runs `read`; its FileFormatErrors and InputErrors name the source. */
export function naming<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (name && error instanceof FileFormatError)
      throw new FileFormatError(`${name}: ${error.message}`, { cause: error });
    if (name && error instanceof InputError) throw new InputError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function readBody(name: string, open: () => Promise<Body & Described>): Promise<Loaded> {
  try {
    const body = await open();
    if (body.ok === false) throw new Error(`the server answered ${body.status} ${body.statusText}`.trim());
    return { name, bytes: bytesOf(await body.arrayBuffer())! };
  } catch (error) {
    throw unreadable(name, error);
  }
}

interface FileReader {
  readFile(path: string | URL, done: (error: Error | null, bytes: Uint8Array) => void): void;
}

async function readFile(path: string, isUrl: boolean, files: FileReader): Promise<Loaded> {
  try {
    const bytes = await new Promise<Uint8Array>((resolve, reject) =>
      files.readFile(isUrl ? new URL(path) : path, (error, bytes) => (error ? reject(error) : resolve(bytes))),
    );
    return { name: path, bytes: bytesOf(bytes)! };
  } catch (error) {
    throw unreadable(path, error);
  }
}

/**
 * A module of Node; undefined on other hosts. It is requested by name at run time, so that no bundler looks for it, and only
 * where it is used: in the edge runtime of Next.js, the mere access throws.
 */
function builtin<T>(name: string, found: (node: string | undefined) => void = () => {}): T | undefined {
  interface Process {
    versions?: { node?: string };
    getBuiltinModule?(name: string): T | undefined;
  }
  try {
    const { process } = globalThis as { process?: Process };
    if (process?.getBuiltinModule) return process.getBuiltinModule(name);
    found(process?.versions?.node);
  } catch {}
  return undefined;
}

/** Node's module for files; undefined on other hosts. */
function fileSystem(path: string): FileReader | undefined {
  let node: string | undefined;
  const files = builtin<FileReader>('node:fs', (version) => {
    node = version;
  });
  if (!node) return files;
  throw new InputError(`cannot load ${path}: got Node ${node}; expected 20.16 or later, or the file's bytes`);
}

const REASONS: Record<string, string> = { ENOENT: 'there is no such file', EISDIR: 'it is a folder' };

function unreadable(name: string, error: unknown): InputError {
  const { code = '', message, cause } = Object(error) as Error & { code?: string; cause?: Error & { code?: string } };
  // The message of fetch() is the same for every failure.
  const detail = cause ? ` (${cause.code ?? cause.message})` : '';
  return new InputError(`cannot load ${name}: ${REASONS[code] ?? message + detail}`, { cause: error });
}
