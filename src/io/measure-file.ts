import type { ByteSource } from './bytes.js';
import { denseBytes } from './model-file.js';
import { readHeader } from './model-header.js';
import { decodeSafetensors } from './safetensors.js';

/** The sizes of a model file and its parts, in bytes. */
export interface StoredFile {
  /** Of each tensor, by its name. */
  tensors: ReadonlyMap<string, number>;
  /** Of the file, as it is downloaded. */
  size: number;
  /** Of the file that the model would have with dense f32 matrices, none of them tied to the embedding. */
  dense: number;
}

/**
 * Measures a model file.
 *
 * @param file its bytes, not compressed
 * @param size the bytes to download, where those are others, such as of a gzip file
 * @throws FileFormatError for a file that is not a model's
 */
export function measureFile(file: ByteSource, size = file.byteLength): StoredFile {
  const { network, task } = readHeader(file);
  const tensors = [...decodeSafetensors(file).tensors].map(([name, { data }]) => [name, data.byteLength] as const);
  return { tensors: new Map(tensors), size, dense: denseBytes(network, task) };
}
