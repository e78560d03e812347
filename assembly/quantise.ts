// Rounds numbers to few bits, in the form that codes.ts decodes.

import { f32_from_half } from './codes';

/** The nearest f16, ties to even; what is too large becomes infinity. */
function halfOf(x: f32): u32 {
  const sign = (reinterpret<u32>(x) >> 16) & 0x8000;
  // Below 2^-14 a half counts steps of 2^-24.
  if (abs(x) < 6.103515625e-5) return sign | <u32>nearest(abs(x) * 16777216);
  const scaled = reinterpret<u32>(abs(x) * 1.925929944387236e-34); // 2^-112: the exponent is that of an f16
  return sign | min(0x7c00, (scaled + 0xfff + ((scaled >> 13) & 1)) >> 13);
}

/** to[n], f16, of from[n], f32. */
export function f32_to_halves(from: usize, to: usize, n: i32): void {
  for (; n > 0; --n, from += 4, to += 2) store<u16>(to, <u16>halfOf(load<f32>(from)));
}

/** Scales that are tried for a group, as shares of the one that fits its largest number. */
const TRIED: i32 = 8;

/** The squared error of a group rounded with this scale. */
function errorOf(from: usize, n: u32, scale: f32, least: f32, most: f32): f32 {
  const inverse = <f32>1 / scale;
  let sum: f32 = 0;
  for (let i: u32 = 0; i < n; ++i, from += 4) {
    const x = load<f32>(from);
    const error = x - scale * min(most, max(least, nearest<f32>(x * inverse)));
    sum += error * error;
  }
  return sum;
}

/**
 * The scale of a group, an f16: the largest number gets the lowest code, which there is only on one side, so that scales may
 * be negative; of 7 bits or fewer, smaller scales are tried, too, and the one of the least squared error is taken.
 */
function scaleOfGroup(from: usize, n: u32, bits: u32): u32 {
  let extreme: f32 = 0;
  for (let i: u32 = 0; i < n; ++i) {
    const x = load<f32>(from + ((<usize>i) << 2));
    if (abs(x) > abs(extreme)) extreme = x;
  }
  const least = -(<f32>(1 << (bits - 1)));
  const full = extreme / least;
  let best = halfOf(full);
  if (bits > 7 || f32_from_half(best) === 0) return best;
  let error = errorOf(from, n, f32_from_half(best), least, <f32>-1 - least);
  for (let i: i32 = 1; i < TRIED; ++i) {
    const half = halfOf(full * (1 - <f32>i * (0.5 / <f32>TRIED)));
    const scale = f32_from_half(half);
    if (scale === 0) break;
    const other = errorOf(from, n, scale, least, <f32>-1 - least);
    if (other < error) {
      error = other;
      best = half;
    }
  }
  return best;
}

/**
 * Quantises from[n], f32, to the form of codes.ts: ceil(n/group) scales and n codes of `bits` bits, 1 to 8, at `to`, zero on
 * entry. Every number gets the code nearest to it.
 */
export function f32_quantise(from: usize, to: usize, n: u32, bits: u32, group: u32): void {
  const codes = to + ((<usize>((n + group - 1) / group)) << 1);
  const least = -(<f32>(1 << (bits - 1)));
  for (let first: u32 = 0; first < n; first += group, to += 2) {
    const count = min(group, n - first);
    const start = from + ((<usize>first) << 2);
    const half = scaleOfGroup(start, count, bits);
    store<u16>(to, <u16>half);
    const scale = f32_from_half(half);
    const inverse: f32 = scale === 0 ? 0 : 1 / scale;
    for (let i: u32 = 0; i < count; ++i) {
      const x = load<f32>(start + ((<usize>i) << 2));
      const code = <i32>(min<f32>(<f32>-1 - least, max<f32>(least, nearest<f32>(x * inverse))) - least);
      const at = (first + i) * bits;
      const place = codes + (at >> 3);
      store<u16>(place, load<u16>(place) | <u16>(code << (at & 7)));
    }
  }
}
