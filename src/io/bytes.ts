import { InputError, invalid } from '../errors.js';

/** Bytes in any form: an ArrayBuffer or SharedArrayBuffer, or a view of one, such as a Uint8Array, DataView or Buffer. */
export type ByteSource = ArrayBufferLike | ArrayBufferView;

/**
 * Returns the bytes of a buffer or of a view of one, undefined for anything else. Buffers of another realm count: with jsdom or
 * in a vm, a file is a Uint8Array of another constructor. Shared and resizable memory is copied, since others may change it.
 * Throws InputError for a buffer that was transferred.
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  const tag = tagOf(value);
  let bytes: Uint8Array;
  try {
    if (ArrayBuffer.isView(value)) bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    else if (tag.endsWith('ArrayBuffer]')) bytes = new Uint8Array(value as ArrayBufferLike);
    else return undefined;
  } catch (cause) {
    throw new InputError('bytes: got a detached buffer; expected one that was not transferred', { cause });
  }
  const { buffer } = bytes;
  const mayChange = tagOf(buffer).includes('Shared') || (buffer as { resizable?: boolean }).resizable;
  return mayChange ? new Uint8Array(bytes) : bytes;
}

/** The same. Throws InputError for anything else. */
export function toBytes(value: ByteSource): Uint8Array {
  const bytes = bytesOf(value);
  if (!bytes) throw invalid('bytes', value, 'an ArrayBuffer or a view of one, such as a Uint8Array');
  return bytes;
}

/** '[object Float32Array]' and the like, in every realm. */
export const tagOf = (value: unknown): string => Object.prototype.toString.call(value);
