// Rounding to few bits, against its twins to the last bit, and by what it must do.

import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TensorSource } from '../../src/io/tensor-source.js';
import { readFloats } from '../../src/io/tensors.js';
import { quantise, quantisedBytes } from '../../src/nn/quantise.js';
import * as reference from '../../src/reference.js';
import { CODE_KERNELS, runtime } from '../support.js';

const numbers = (maxLength: number) =>
  fc
    .tuple(
      fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -4, max: 4 }), { minLength: 1, maxLength }),
      fc.constantFrom(1, 1e-4, 1e4),
    )
    .map(([values, scale]) => Float32Array.from(values, (value) => value * scale));
const bits = fc.integer({ min: 2, max: 8 });
const group = fc.integer({ min: 1, max: 40 });

const decoded = (stored: Uint8Array, n: number, bits: number, group: number) =>
  readFloats(
    runtime,
    new TensorSource(
      new Map([['w', { dtype: 'U8', shape: [stored.length], data: stored }]]),
      new Map([['w', [bits, group] as const]]),
    ),
    'w',
    [n],
  );

test('these kernels have twins', () => {
  const twins = { ...reference };
  for (const name of CODE_KERNELS) assert.type(twins[name], 'function');
});

test('numbers are quantised as the twin does it, bit for bit', () => {
  fc.assert(
    fc.property(numbers(90), bits, group, (values, bits, group) => {
      const expected = new Uint8Array(quantisedBytes(values.length, bits, group));
      reference.f32_quantise(values, expected, values.length, bits, group);
      assert.equal(quantise(runtime, values, bits, group), expected);
    }),
  );
});

test('decoded, numbers are within half a step, those beyond the last code at the end of the range', () => {
  fc.assert(
    fc.property(numbers(90), bits, group, (values, bits, group) => {
      const stored = quantise(runtime, values, bits, group);
      const groups = Math.ceil(values.length / group);
      const scales = new Float32Array(groups);
      reference.f32_from_halves(new Uint16Array(stored.slice(0, 2 * groups).buffer), scales, groups);
      for (const [i, value] of decoded(stored, values.length, bits, group).entries()) {
        const scale = scales[Math.floor(i / group)];
        const [low, high] = [-(2 ** (bits - 1)) * scale, (2 ** (bits - 1) - 1) * scale].sort((a, b) => a - b);
        const inside = Math.min(high, Math.max(low, values[i]));
        assert.ok(Math.abs(value - inside) <= Math.abs(scale) * (0.5 + 1e-3), `${value}, not ${values[i]}`);
      }
    }),
  );
});

test('numbers that a code stands for come back as they are', () => {
  for (const bits of [3, 4, 8]) {
    const codes = Array.from({ length: 2 ** bits }, (_, i) => i - 2 ** (bits - 1));
    const values = Float32Array.from(codes, (code) => code * 0.03125);
    assert.equal(decoded(quantise(runtime, values, bits, values.length), values.length, bits, values.length), values);
  }
  const zeros = new Float32Array(5);
  assert.equal(decoded(quantise(runtime, zeros, 4, 3), 5, 4, 3), zeros);
});

test('halves are the nearest there are, ties to even, and too large ones infinite', () => {
  const around = Array.from({ length: 0x7c00 }, (_, half) => {
    const exact = new Float32Array(1);
    reference.f32_from_halves([half], exact, 1);
    return exact[0];
  });
  const values = Float32Array.from(
    around.flatMap((value, i) => {
      const middle = (value + (around[i + 1] ?? 65536)) / 2;
      return [value, -value, middle, -middle, middle * (1 + 2 ** -23), middle * (1 - 2 ** -23)];
    }),
  );
  const all = Float32Array.from([...values, 65519, 65520, 1e9, 1e-8, 2.9e-8, 3.1e-8, 1e-45]);
  const n = all.length;
  const expected = new Uint16Array(n);
  reference.f32_to_halves(all, expected, n);
  runtime.scoped(() => {
    const [from, to] = [runtime.alloc(4 * n), runtime.alloc(2 * n)];
    runtime.floats(from, n).set(all);
    runtime.kernels.f32_to_halves(from, to, n);
    assert.equal(new Uint16Array(runtime.bytes(to, 2 * n).slice().buffer), expected);
  });
});

test.run();
