/** Says what bytes that are not a safetensors file seem to be, for error messages. */
export function describe(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const start = String.fromCharCode(...bytes.subarray(0, 40));
  if (/^\W*<(!doctype|html|\?xml)/i.test(start)) return 'an HTML page, as servers send for a wrong address';
  if (start.startsWith('version https://git-lfs')) return 'a Git LFS pointer; git lfs pull fetches the file';
  if (start.startsWith('\x1f\x8b')) return 'a gzip file, which load() and the commands read';
  if (/^[\t\n\r -~]+$/.test(start)) return `text that begins with ${JSON.stringify(start)}`;
  return bytes.length < 9 ? `${bytes.length} bytes` : 'other data';
}
