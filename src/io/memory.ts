/**
 * The most bytes that the numbers of a file of `n` bytes may take in memory, packed to run or laid out to be trained: 32 MB and
 * 48 times the file. Files that dopant writes take up to 3 times their size, of 3 bits up to 12 times; states and gates take less than the biases that
 * the file must hold for them. The rest of a file, JSON above all, may take as much again.
 */
export function memoryFor(n: number): number {
  return 2 ** 25 + 48 * n;
}

/** The most bytes that a gzip file of `n` bytes may be decompressed to: no file that dopant writes is so much smaller compressed. */
export function decompressedFor(n: number): number {
  return 2 ** 20 + 64 * n;
}
