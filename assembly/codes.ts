// Decodes the numbers and indices of small files. Source of the Rice code: Rice and Plaunt (1971).
//
// Quantised numbers lie in groups of `group` consecutive ones, the last maybe shorter: f16[ceil(n/group)] scales, then n codes
// of `bits` bits, 1 to 8, the first in the lowest bits. A code c stands for scale (c - 2^(bits-1)). Numbers of 16 bits are f16
// by themselves. No alignment required; bytes past the end may be read.

/** The value of an f16 that is finite. */
export function f32_from_half(half: u32): f32 {
  const magnitude = reinterpret<f32>((half & 0x7fff) << 13) * 5.192296858534828e33; // 2^112
  return half & 0x8000 ? -magnitude : magnitude;
}

/** to[n], f32, of from[n], f16. Returns whether all are finite. */
export function f32_from_halves(from: usize, to: usize, n: i32): bool {
  let largest: u32 = 0;
  for (; n > 0; --n, from += 2, to += 4) {
    const half = <u32>load<u16>(from);
    largest = max(largest, half & 0x7fff);
    store<f32>(to, f32_from_half(half));
  }
  return largest < 0x7c00;
}

/** The code at a place, as a number from -2^(bits-1) on. */
function codeAt(codes: usize, i: u32, bits: u32): i32 {
  const at = i * bits;
  return <i32>((load<u16>(codes + (at >> 3)) >> (at & 7)) & ((1 << bits) - 1)) - (1 << (bits - 1));
}

/** to[n], f32, of numbers quantised as above. Returns whether all scales are finite. */
export function f32_dequantise(from: usize, to: usize, n: u32, bits: u32, group: u32): bool {
  const codes = from + ((<usize>((n + group - 1) / group)) << 1);
  let finite: bool = true;
  for (let i: u32 = 0; i < n; from += 2) {
    const half = <u32>load<u16>(from);
    if ((half & 0x7c00) === 0x7c00) finite = false;
    const scale = f32_from_half(half);
    for (const end = min(n, i + group); i < end; ++i, to += 4) store<f32>(to, scale * <f32>codeAt(codes, i, bits));
  }
  return finite;
}

/** to[n], i8, of codes[n]. Up to 8 bytes past the end of both may be read or written. */
export function i8_from_codes(codes: usize, to: usize, n: u32, bits: u32): void {
  const mask: u64 = (1 << bits) - 1;
  const middle = (<u64>1) << (bits - 1);
  // Eight codes are so many whole bytes as one has bits.
  for (const end = to + n; to < end; to += 8, codes += bits) {
    let word = load<u64>(codes);
    for (let k: usize = 0; k < 8; ++k, word >>= bits) store<i8>(to + k, <i8>((word & mask) - middle));
  }
}

/**
 * Decodes the places of the entries of a sparse matrix, in row-major order: the number of places without an entry before each
 * is Rice-coded with parameter k, as its high bits in unary, so many ones and a zero, then its k low bits, all from the lowest
 * bit of each byte on. Leaves columns, u32[count], and starts, u32[rows + 1]. Returns whether the `bytes` bytes hold exactly
 * `count` places below rows N and nothing else.
 */
export function rice_decode(
  from: usize,
  bytes: u32,
  k: u32,
  count: u32,
  rows: u32,
  N: u32,
  columns: usize,
  starts: usize,
): bool {
  const bits = (<u64>bytes) << 3;
  const end = <u64>rows * <u64>N;
  let at: u64 = 0;
  let next: u64 = 0; // the lowest place that is left
  let row: u32 = 0;
  let top: u64 = N; // the first place behind the row
  store<u32>(starts, 0);
  for (let i: u32 = 0; i < count; ++i) {
    let high: u64 = 0;
    while (at < bits && bitAt(from, at)) {
      ++high;
      ++at;
    }
    if (at + 1 + k > bits) return false;
    ++at;
    let low: u64 = 0;
    for (let b: u32 = 0; b < k; ++b, ++at) low |= (<u64>bitAt(from, at)) << b;
    const place = next + ((high << k) | low);
    if (place >= end) return false;
    for (; place >= top; top += N) store<u32>(starts + ((<usize>++row) << 2), i);
    store<u32>(columns + ((<usize>i) << 2), <u32>(place - (top - N)));
    next = place + 1;
  }
  while (row < rows) store<u32>(starts + ((<usize>++row) << 2), count);
  // The rest of the last byte is zeros.
  if (bits - at > 7) return false;
  for (; at < bits; ++at) if (bitAt(from, at)) return false;
  return true;
}

function bitAt(from: usize, at: u64): u32 {
  return (load<u8>(from + <usize>(at >> 3)) >> (<u32>at & 7)) & 1;
}
