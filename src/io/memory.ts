/**
 * Bytes that the numbers of a file of `n` bytes may take in memory, packed to run or laid out to be trained: 20 times what is
 * stored, and 32 MB. What is read besides them, JSON above all, may take as much again.
 */
export function memoryFor(n: number): number {
  return 2 ** 25 + 20 * n;
}
