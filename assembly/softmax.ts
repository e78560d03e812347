// Softmax over rows of V logits, f32, and the cross-entropy of a target in each row. x[R,V] row-major; R, V >= 1.

import { run_program } from './program';
import { Constant, constant, exp4, flushPositive, loadPart, put, storePart, sum4 } from './simd';
import { f32_add, f32_set_rows, f32_sum } from './vector';

/** The largest of x[V]. */
function largestOf(x: usize, V: i32): f32 {
  const whole = (<usize>V >> 2) << 4;
  const rest = V & 3;
  let top = v128.load32_splat(x);
  for (let at: usize = 0; at < whole; at += 16) top = f32x4.pmax(top, v128.load(x + at));
  let max = Mathf.max(
    Mathf.max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)),
    Mathf.max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)),
  );
  for (let j = 0; j < rest; ++j) max = Mathf.max(max, load<f32>(x + whole + ((<usize>j) << 2)));
  return max;
}

/** sum(e^(a (x - max))) of x[V], a > 0. */
function sumExp(x: usize, V: i32, max: f32, a: f32): f32 {
  const whole = (<usize>V >> 2) << 4;
  const rest = V & 3;
  const shift = f32x4.splat(max);
  const factor = f32x4.splat(a);
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < whole; at += 16) {
    sum = f32x4.add(sum, exp4(f32x4.mul(factor, f32x4.sub(v128.load(x + at), shift))));
  }
  let total = sum4(sum);
  if (rest) {
    const e = exp4(f32x4.mul(factor, f32x4.sub(loadPart(x + whole, rest), shift)));
    total += f32x4.extract_lane(e, 0);
    if (rest > 1) total += f32x4.extract_lane(e, 1);
    if (rest > 2) total += f32x4.extract_lane(e, 2);
  }
  return total;
}

/** log(sum(e^(a x))) of one row, a > 0. The largest x is subtracted first, so that nothing overflows. */
function logSumExp(x: usize, V: i32, a: f32 = 1): f32 {
  const max = largestOf(x, V);
  return a * max + Mathf.log(sumExp(x, V, max, a));
}

/** log(x), x >= 1, by Halley's iteration from the exponent of x on: shorter than the standard library's, which has tables. */
function logarithm(x: f32): f32 {
  let y = <f32>(reinterpret<i32>(x) - 0x3f800000) * 8.262958294867817e-8; // ln 2 / 2^23
  for (let i = 0; i < 2; ++i) {
    const e = f32x4.extract_lane(exp4(f32x4.splat(y)), 0);
    y += (2 * (x - e)) / (x + e);
  }
  return y;
}

/** x[n] += add - log(sum(e^x)): logits of which e^x add up to e^add. */
export function f32_share(add: f32, x: usize, n: i32): void {
  const max = largestOf(x, n);
  const shift = add - max - logarithm(sumExp(x, n, max, 1));
  for (const end = x + ((<usize>n) << 2); x < end; x += 4) store<f32>(x, load<f32>(x) + shift);
}

/** y = x - log(sum(e^x)) for each row. y may be x. */
export function f32_log_softmax(x: usize, y: usize, R: i32, V: i32): void {
  const row = (<usize>V) << 2;
  for (let r = 0; r < R; ++r, x += row, y += row) {
    const lse = logSumExp(x, V);
    for (let at: usize = 0; at < row; at += 4) store<f32>(y + at, load<f32>(x + at) - lse);
  }
}

/**
 * losses[r] = lse[r] - x[r, targets[r]]. Also writes lse[r] = log(sum(e^x[r])), which the gradient needs. targets: i32[R]; a
 * row with a negative target has loss 0.
 */
export function f32_cross_entropy(x: usize, targets: usize, lse: usize, losses: usize, R: i32, V: i32): void {
  const row = (<usize>V) << 2;
  for (let r = 0; r < R; ++r, x += row, targets += 4, lse += 4, losses += 4) {
    const l = logSumExp(x, V);
    const target = load<i32>(targets);
    store<f32>(lse, l);
    store<f32>(losses, target < 0 ? 0 : l - load<f32>(x + ((<usize>target) << 2)));
  }
}

/**
 * dx = scale (softmax(x) - onehot(target)), 0 in rows with a negative target. Probabilities below 2^-58 count as 0, see
 * Constant.Tiny. dx may be x.
 */
export function f32_cross_entropy_grad(
  x: usize,
  targets: usize,
  lse: usize,
  dx: usize,
  R: i32,
  V: i32,
  scale: f32,
): void {
  const row = (<usize>V) << 2;
  const whole = (<usize>V >> 2) << 4;
  const rest = V & 3;
  const s = f32x4.splat(scale);
  const least = constant(Constant.Tiny);
  for (let r = 0; r < R; ++r, x += row, dx += row, targets += 4, lse += 4) {
    const target = load<i32>(targets);
    if (target < 0) {
      memory.fill(dx, 0, row);
      continue;
    }
    const l = v128.load32_splat(lse);
    for (let at: usize = 0; at < whole; at += 16) {
      v128.store(dx + at, f32x4.mul(s, flushPositive(exp4(f32x4.sub(v128.load(x + at), l)), least)));
    }
    if (rest)
      storePart(dx + whole, f32x4.mul(s, flushPositive(exp4(f32x4.sub(loadPart(x + whole, rest), l)), least)), rest);
    const at = dx + ((<usize>target) << 2);
    store<f32>(at, load<f32>(at) - scale);
  }
}

/**
 * Label smoothing (Szegedy et al., 2016): of cross-entropies of x[R,V], those of targets that are (1 - smoothing) onehot(target) +
 * smoothing / V. losses[r] += smoothing (x[r, targets[r]] - mean of x[r]), but not where the target, i32[R], is negative.
 */
export function f32_label_smoothing(x: usize, targets: usize, losses: usize, R: i32, V: i32, smoothing: f32): void {
  const row = (<usize>V) << 2;
  for (let r = 0; r < R; ++r, x += row, targets += 4, losses += 4) {
    const target = load<i32>(targets);
    if (target < 0) continue;
    const mean = <f32>(f32_sum(x, V) / V);
    store<f32>(losses, load<f32>(losses) + smoothing * (load<f32>(x + ((<usize>target) << 2)) - mean));
  }
}

/** dx[r] += scale smoothing (onehot(target) - 1 / V), but not where the target is negative. */
export function f32_label_smoothing_grad(targets: usize, dx: usize, R: i32, V: i32, smoothing: f32, scale: f32): void {
  const row = (<usize>V) << 2;
  const share = scale * smoothing;
  for (let r = 0; r < R; ++r, dx += row, targets += 4) {
    const target = load<i32>(targets);
    if (target < 0) continue;
    const each = f32x4.splat(share / <f32>V);
    let n = V;
    let at = dx;
    for (; n >= 4; n -= 4, at += 16) v128.store(at, f32x4.sub(v128.load(at), each));
    if (n) storePart(at, f32x4.sub(loadPart(at, n), each), n);
    at = dx + ((<usize>target) << 2);
    store<f32>(at, load<f32>(at) + share);
  }
}

/** a x - lse, at least -87. pmax keeps its first operand when the comparison is false, so NaN stays NaN. */
function logProbability(x: v128, a: v128, lse: v128): v128 {
  return f32x4.pmax(f32x4.sub(f32x4.mul(a, x), lse), f32x4.splat(-87));
}

/**
 * Distillation from a teacher's logits t[R,V] (Hinton et al., 2015) at temperature T, with p = softmax(t / T) and s = softmax(x
 * / T):
 *
 *   losses[r] = (1 - weight) losses[r] + weight T^2 KL(p || s)
 *   t = scale weight T (s - p), the gradient with respect to x of scale times the second term
 *
 * In logarithms, probabilities below e^-87 count as e^-87; elsewhere, those below 2^-58 count as 0, see Constant.Tiny. A row
 * with a negative target, i32[R], keeps its loss and has gradient 0. t must not be x.
 */
export function f32_distill(
  x: usize,
  t: usize,
  targets: usize,
  losses: usize,
  R: i32,
  V: i32,
  weight: f32,
  temperature: f32,
  scale: f32,
): void {
  const row = (<usize>V) << 2;
  const whole = (<usize>V >> 2) << 4;
  const rest = V & 3;
  const a: f32 = 1 / temperature;
  const factor = f32x4.splat(a);
  const g = f32x4.splat(scale * weight * temperature);
  const least = constant(Constant.Tiny);
  for (let r = 0; r < R; ++r, x += row, t += row, targets += 4, losses += 4) {
    if (load<i32>(targets) < 0) {
      memory.fill(t, 0, row);
      continue;
    }
    const lx = f32x4.splat(logSumExp(x, V, a));
    const lt = f32x4.splat(logSumExp(t, V, a));
    let sum = i32x4.splat(0);
    for (let at: usize = 0; at < row; at += 16) {
      const n = at < whole ? 4 : rest;
      const logS = logProbability(n === 4 ? v128.load(x + at) : loadPart(x + at, n), factor, lx);
      const logP = logProbability(n === 4 ? v128.load(t + at) : loadPart(t + at, n), factor, lt);
      const p = flushPositive(exp4(logP), least);
      put(t + at, f32x4.mul(g, f32x4.sub(flushPositive(exp4(logS), least), p)), n, false);
      const inside = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(n));
      sum = f32x4.add(sum, v128.and(inside, f32x4.mul(p, f32x4.sub(logP, logS))));
    }
    const loss = load<f32>(losses);
    store<f32>(losses, (1 - weight) * loss + weight * temperature * temperature * sum4(sum));
  }
}

/**
 * A softmax head over R rows of x[R,N], `block` rows at a time, so that their logits are still in cache when they are needed
 * again: logits = W x + bias, then lse and losses as above. `forward` is a program (see program.ts) that adds W x to a row of
 * logits.
 *
 * `transpose`, if not 0, is a program that adds W^T d to a row of dx[R,N]: the gradient is then computed as well, and `logits`,
 * [R,V], becomes that of the logits, see f32_cross_entropy_grad. Otherwise `logits` is memory for one block.
 *
 * `teacher`, if not 0, are a teacher's logits, [R,V], see f32_distill; otherwise `weight` is 0. `smoothing`, if not 0, is that of
 * the targets, see f32_label_smoothing.
 */
export function f32_softmax_head(
  forward: usize,
  transpose: usize,
  bias: usize,
  x: usize,
  logits: usize,
  targets: usize,
  lse: usize,
  losses: usize,
  dx: usize,
  R: i32,
  V: i32,
  N: i32,
  block: i32,
  scale: f32,
  scratch: usize,
  scratchBack: usize,
  teacher: usize,
  weight: f32,
  temperature: f32,
  smoothing: f32,
): void {
  for (let r = 0; r < R; r += block) {
    const n = min(block, R - r);
    f32_set_rows(bias, logits, n, V);
    run_program(forward, x, logits, n, r, scratch);
    f32_cross_entropy(logits, targets, lse, losses, n, V);
    if (smoothing > 0) f32_label_smoothing(logits, targets, losses, n, V, smoothing);
    if (teacher) f32_distill(logits, teacher, targets, losses, n, V, weight, temperature, scale);
    if (transpose) {
      f32_cross_entropy_grad(logits, targets, lse, logits, n, V, (1 - weight) * scale);
      if (smoothing > 0) f32_label_smoothing_grad(targets, logits, n, V, smoothing, (1 - weight) * scale);
      if (teacher) f32_add(teacher, logits, n * V);
      run_program(transpose, logits, dx, n, r, scratchBack);
      logits += (<usize>(n * V)) << 2;
      dx += (<usize>(n * N)) << 2;
    }
    if (teacher) teacher += (<usize>(n * V)) << 2;
    x += (<usize>(n * N)) << 2;
    targets += (<usize>n) << 2;
    lse += (<usize>n) << 2;
    losses += (<usize>n) << 2;
  }
}
