// The language model in f64, said slowly, from the dense matrices that its operators stand for; and small models to
// compare with it.

import * as assert from 'uvu/assert';
import type { Model } from '../../src/nn/model.js';
import { type Operator, parametersOf, walk } from '../../src/operators/operator.js';
import type { Parameter } from '../../src/operators/parameter.js';
import { Sparse } from '../../src/operators/sparse.js';
import { Sum } from '../../src/operators/sum.js';
import { Stream, seedWords, uniform } from '../../src/random.js';
import * as reference from '../../src/reference.js';
import type { LanguageModel } from '../../src/tasks/lm/model.js';
import { defaultOptions, type LanguageModelOptions } from '../../src/tasks/lm/training.js';
import { commonOptions } from '../../src/tasks/training.js';
import { asTheyAre, denseOf, type Numbers } from '../../src/testing/operators.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { close, U, U64, values } from '../support.js';
import { partsOf } from './parts.js';

// ---- small models

export const vocabulary = buildVocabulary(['abcdefgh'], 'char');

/** n tokens, the same in every run; the same start for every length. */
export const tokens = (n: number, stream = 0) =>
  Int32Array.from({ length: n }, (_, i) => Math.floor(uniform(3, stream, i) * vocabulary.size));

export const tinyOptions = (changes: Partial<LanguageModelOptions> = {}): LanguageModelOptions => ({
  ...defaultOptions('char'),
  ...commonOptions('adam'),
  hidden: 8,
  layers: 2,
  compression: 4,
  batch: 3,
  bptt: 5,
  epochs: 2,
  seed: 7,
  ...changes,
});

export const bits = (numbers: Float32Array) => Buffer.from(numbers.slice().buffer).toString('hex');

/** All weights as they are now, by name, bit for bit. */
export const weightsOf = (model: Model) => new Map(model.parameters().map(([name, { data }]) => [name, bits(data)]));

/** The doped matrices with their dopants. */
export function dopedOf(model: LanguageModel): { name: string; sum: Sum; structure: Operator; sparse: Sparse }[] {
  return model.matrices().flatMap(([name, operator]) => {
    if (!(operator instanceof Sum)) return [];
    const [structure, sparse] = operator.terms;
    if (!(sparse instanceof Sparse)) throw new Error(`${name} has no dopants`);
    return [{ name, sum: operator, structure, sparse }];
  });
}

export function sparseOf(model: Model): Sparse[] {
  return model
    .matrices()
    .flatMap(([name, operator]) => [...walk(operator, name)])
    .map(([, operator]) => operator)
    .filter((operator) => operator instanceof Sparse);
}

/** The model, its weights all noise, half of its dopants pruned. */
export function noisy<M extends Model>(model: M): M {
  for (const sparse of sparseOf(model)) {
    sparse.weight.data.set(values(sparse.weight.size));
    Sparse.prune([sparse], sparse.weight.size / 2);
  }
  for (const [, parameter] of model.parameters()) {
    if (!parameter.mask) parameter.data.set(values(parameter.size));
  }
  return model;
}

/** The weights with only one of the two matrices in all doped ones, the other zero. */
export function only(model: LanguageModel, which: 'structure' | 'dopants'): Numbers {
  const off = new Set<Parameter>();
  for (const { structure, sparse } of dopedOf(model)) {
    for (const parameter of parametersOf(which === 'structure' ? sparse : structure)) off.add(parameter);
  }
  return (parameter) => (off.has(parameter) ? new Float64Array(parameter.size) : parameter.data);
}

// ---- the oracle

type Numbers64 = Float64Array<ArrayBuffer>;

export type SlowState = { h: Numbers64; c: Numbers64 }[];

export const zeroState = ({ config: { hidden, layers } }: LanguageModel, B: number): SlowState =>
  Array.from({ length: layers }, () => ({ h: new Float64Array(B * hidden), c: new Float64Array(B * hidden) }));

export interface SlowOptions {
  state?: SlowState;
  numbers?: Numbers;
  drop?: { rate: number; seed: number; step: number };
  /** Shown every vector that a matrix is multiplied with. */
  watch?: (name: string, x: Numbers64) => void;
}

/** x[R,N] W^T, with the masks of co-matrix dropout if they are set. */
function product(operator: Operator, x: Numbers64, R: number, firstRow: number, numbers: Numbers): Numbers64 {
  const { M, N } = operator;
  const y = new Float64Array(R * M);
  if (operator instanceof Sum && operator.dropout) {
    const { rates, seed, step, stream, period } = operator.dropout;
    const [low, high] = seedWords(seed);
    operator.terms.forEach((term, i) => {
      const part = product(term, x, R, firstRow, numbers);
      const rate = Math.fround(rates[i]);
      reference.f32_dropout(part, y, R, M, firstRow, period, rate, low, high, step, stream + i, true);
    });
  } else {
    reference.f32_gemm_nt(x, denseOf(operator, numbers), y, R, M, N, false);
  }
  return y;
}

/** Logits [T B, V] and the state after; ids are rows of one time step together. */
export function slowForward(
  model: LanguageModel,
  ids: ArrayLike<number>,
  T: number,
  B: number,
  { state = zeroState(model, B), numbers = asTheyAre, drop, watch }: SlowOptions = {},
): { logits: Numbers64; state: SlowState } {
  const { embedding, layers, head } = partsOf(model);
  const H = model.config.hidden;
  const V = model.vocabulary.size;
  const thin = (x: Numbers64, place: number) => {
    if (!drop) return x;
    const [low, high] = seedWords(drop.seed);
    const y = new Float64Array(x.length);
    const rate = Math.fround(drop.rate);
    reference.f32_dropout(x, y, T * B, H, 0, 0, rate, low, high, drop.step, Stream.dropout + place, false);
    return y;
  };
  let x = new Float64Array(T * B * H);
  reference.f32_gather(numbers(embedding), ids, x, T * B, H);
  x = thin(x, 0);
  const after = layers.map(({ ih, hh, biasIh, biasHh }, l) => {
    const [bias1, bias2] = [numbers(biasIh), numbers(biasHh)];
    const y = new Float64Array(T * B * H);
    let { h, c } = state[l];
    for (let t = 0; t < T; t++) {
      const below = x.subarray(t * B * H, (t + 1) * B * H);
      for (let b = 0; b < B; b++) {
        watch?.(`lstm.${l}.ih`, below.slice(b * H, (b + 1) * H));
        watch?.(`lstm.${l}.hh`, h.slice(b * H, (b + 1) * H));
      }
      const fromBelow = product(ih, below, B, t * B, numbers);
      const fromBefore = product(hh, h, B, t * B, numbers);
      const gates = fromBelow.map((v, i) => v + fromBefore[i] + bias1[i % (4 * H)] + bias2[i % (4 * H)]);
      const next = { h: new Float64Array(B * H), c: new Float64Array(B * H) };
      reference.f32_lstm_cell(gates, c, next.c, new Float64Array(B * H), next.h, B, H);
      ({ h, c } = next);
      y.set(h, t * B * H);
    }
    x = thin(y, l + 1);
    return { h, c };
  });
  const logits = product(head.weight, x, T * B, 0, numbers);
  const bias = numbers(head.bias);
  return { logits: logits.map((v, i) => v + bias[i % V]), state: after };
}

/** Sum of the cross-entropies in nats, and how many targets count. */
export function slowLoss(logits: Float64Array, targets: ArrayLike<number>, V: number): { sum: number; count: number } {
  const R = targets.length;
  const losses = new Float64Array(R);
  reference.f32_cross_entropy(logits, targets, new Float64Array(R), losses, R, V);
  const count = Array.from(targets).filter((target) => target >= 0).length;
  return { sum: losses.reduce((sum, loss) => sum + loss, 0), count };
}

/**
 * Mean loss over a text cut into streams of equal length, the last perhaps shorter, each read alone and token by token.
 */
export function slowEvaluation(
  model: LanguageModel,
  ids: Int32Array,
  batch: number,
  options: Omit<SlowOptions, 'state' | 'drop'> = {},
): number {
  const last = ids.length - 1;
  const length = Math.ceil(last / batch);
  let sum = 0;
  for (let from = 0; from < last; from += length) {
    let state = zeroState(model, 1);
    for (let at = from; at < Math.min(from + length, last); at++) {
      const { logits, ...after } = slowForward(model, [ids[at]], 1, 1, { ...options, state });
      state = after.state;
      sum += slowLoss(logits, [ids[at + 1]], model.vocabulary.size).sum;
    }
  }
  return sum / last;
}

/**
 * The relative error that the roundings of a forward or backward pass in f32 may add up to, all of them in one chain
 * and to one side, through T steps of all layers: in each, two sums of H products and the 20 or so operations of a
 * cell, whose functions err by a few units; then the head.
 */
export function passError({ config: { hidden, layers }, vocabulary }: LanguageModel, T: number): number {
  return U * (layers * T * (2 * hidden + 20) + hidden + vocabulary.size);
}

/**
 * Fails unless the gradients that backward() left are those of central differences of `slow`, the same loss in f64: of a
 * sample of every parameter's entries, and of all of them along a random direction.
 */
export function checkModelGradients(model: Model, relative: number, slow: (numbers: Numbers) => number): void {
  const { runtime } = model;
  // As small as the errors of the difference, about h^2, and of its rounding, about U64 / h, can both be made.
  const h = Math.cbrt(U64);
  for (const [name, parameter] of model.parameters()) {
    const { data, gradient, size, mask } = parameter;
    const alive = mask ? runtime.bytes(mask, size) : new Uint8Array(size).fill(1);
    const slope = (direction: ArrayLike<number>) => {
      const at = (step: number) =>
        slow((p) => (p === parameter ? Float64Array.from(data, (v, i) => v + step * direction[i]) : p.data));
      return (at(h) - at(-h)) / (2 * h);
    };
    const largest = Math.max(...gradient.map(Math.abs));
    assert.ok(largest > 0, name);
    const places = Array.from({ length: 6 }, (_, k) => Math.floor(uniform(4, parameter.value, k) * size));
    for (const i of new Set([...places, gradient.findIndex((g) => Math.abs(g) === largest)])) {
      if (!alive[i]) {
        assert.is(gradient[i], 0, `${name} [${i}], which is pruned`);
        continue;
      }
      const wanted = slope(Float64Array.from(data, (_, j) => (i === j ? 1 : 0)));
      const allowed = relative * largest + 100 * h ** 2;
      assert.ok(close(gradient[i], wanted, allowed), `${name} [${i}]: the gradient is ${gradient[i]}, not ${wanted}`);
    }
    // All entries at once.
    const direction = values(size).map((v, i) => (alive[i] ? v : 0));
    const along = gradient.reduce((total, g, i) => total + g * direction[i], 0);
    const allowed = relative * gradient.reduce((total, g, i) => total + Math.abs(g * direction[i]), 0) + 100 * h ** 2;
    const wanted = slope(direction);
    assert.ok(close(along, wanted, allowed), `${name}: along a direction the gradient is ${along}, not ${wanted}`);
  }
}
