import { gunzipSync, gzipSync } from 'node:zlib';
import { FileFormatError } from '../errors.js';
import { readFileBytes, writeFileAtomically } from '../io/files.js';
import { decompressedFor } from '../io/memory.js';

/** The bytes of a model file, decompressed where it is a gzip file, and its size on the disk. */
export async function readModelBytes(path: string): Promise<{ bytes: Uint8Array; size: number }> {
  const bytes = await readFileBytes(path);
  const size = bytes.length;
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return { bytes, size };
  try {
    return { bytes: gunzipSync(bytes, { maxOutputLength: decompressedFor(size) }), size };
  } catch (cause) {
    throw new FileFormatError(`${path}: got a damaged gzip file; expected that of a model`, { cause });
  }
}

/** What writeModelBytes() writes to this path: compressed, where its name ends in .gz. */
export function compressedFor(path: string, bytes: Uint8Array): Uint8Array {
  if (!path.endsWith('.gz')) return bytes;
  const compressed = gzipSync(bytes, { level: 9 });
  compressed[9] = 255; // the operating system: unknown, so that it is the same on all
  return compressed;
}

/** Writes a model file. Returns its size on the disk. */
export async function writeModelBytes(path: string, bytes: Uint8Array): Promise<number> {
  const written = compressedFor(path, bytes);
  await writeFileAtomically(path, written);
  return written.length;
}
