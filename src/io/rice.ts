// The places of a sparse matrix's entries, Rice-coded; assembly/codes.ts decodes them. With each entry kept by chance, the code
// is within a few hundredths of a bit of the entropy of its place.

/** The parameter of the code for `count` entries among `places`: about log2 of half the mean gap. */
export function riceParameter(count: number, places: number): number {
  let k = 0;
  let power = 1; // 2^k
  // (3 - sqrt 5) / 2 per unit of the mean: where a longer remainder begins to pay for a geometric distribution.
  for (; count > 0 && power * count <= 0.4812 * (places - count / 2); power *= 2) k++;
  return k;
}

/** Codes the places of entries, given as CSR arrays, in rows of N. */
export function riceEncode(columns: ArrayLike<number>, starts: ArrayLike<number>, N: number): Uint8Array {
  const k = riceParameter(columns.length, (starts.length - 1) * N);
  const bytes: number[] = [];
  let at = 0; // bits
  const write = (bit: number) => {
    if (at % 8 === 0) bytes.push(0);
    bytes[bytes.length - 1] |= bit << (at++ % 8);
  };
  let next = 0;
  for (let i = 0; i + 1 < starts.length; i++) {
    for (let entry = starts[i]; entry < starts[i + 1]; entry++) {
      const place = i * N + columns[entry];
      const gap = place - next;
      let [high, low] = [gap, gap];
      for (let b = 0; b < k; b++) high = Math.floor(high / 2);
      for (let ones = 0; ones < high; ones++) write(1);
      write(0);
      for (let b = 0; b < k; b++, low = Math.floor(low / 2)) write(low % 2);
      next = place + 1;
    }
  }
  return Uint8Array.from(bytes);
}
