import type { Inventory } from '../io/inventory.js';

/** Bytes for people, such as '4.2 MB'. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

/** The three compressions of a model, always reported together. */
export function describeCompression({ parameters, bytes, file }: Inventory['compression']): string {
  const parts = [
    parameters && `${parameters.toFixed(2)}x in parameters`,
    `${bytes.toFixed(2)}x in bytes of the recurrent matrices`,
    file && `${file.toFixed(2)}x in bytes of the file`,
  ];
  return parts.filter(Boolean).join(', ');
}
