// What a network carries from one piece of a sequence to the next, and where it drops out.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import type { LayerSpec, NetworkSpec } from '../../src/network/spec.js';
import { Network } from '../../src/nn/network.js';
import { Stream } from '../../src/random.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { values } from '../support.js';

const FRAMES = 3;
const recurrent = (kind: 'lstm' | 'gru', name: string, units: number): LayerSpec => ({ name, kind, units });

for (const [name, layers] of Object.entries({
  lstm: [recurrent('lstm', 'a', 4), recurrent('lstm', 'b', 3)],
  gru: [recurrent('gru', 'a', 4), recurrent('gru', 'b', 3)],
  both: [recurrent('gru', 'a', 4), recurrent('lstm', 'b', 3)],
})) {
  test(`${name}: pieces with a carried state give what the whole sequence gives`, () => {
    const spec: NetworkSpec = { input: { frames: FRAMES }, layers };
    const network = Network.create(new Runtime(), spec, 5);
    const { runtime } = network;
    for (const [, parameter] of network.parameters()) parameter.data.set(values(parameter.size));
    const sequences = [values(12 * FRAMES), values(12 * FRAMES)];
    const piece = (from: number, to: number, state = network.newState(sequences.length)) => {
      const parts = sequences.map((sequence) => sequence.subarray(from * FRAMES, to * FRAMES));
      const { value, rows, cols } = network.forward(new Tape(runtime, false), network.batch(parts), state);
      return [...runtime.floats(value, rows * cols)];
    };
    const whole = piece(0, 12);
    const state = network.newState(sequences.length);
    const pieces = [
      [0, 1],
      [1, 6],
      [6, 12],
    ].flatMap(([from, to]) => piece(from, to, state));
    assert.equal(pieces, whole);
    network.resetState(state, sequences.length);
    assert.equal(piece(0, 12, state), whole);
  });
}

test('what a layer with weights reads is dropped out, each with masks of its own, but not frames as they come', () => {
  const layers: LayerSpec[] = [
    recurrent('gru', 'a', 4),
    { name: 'mean', kind: 'pool', over: 'mean' },
    { name: 'out', kind: 'linear', outputs: 2 },
  ];
  const inputs: [NetworkSpec['input'], number[]][] = [
    [{ frames: FRAMES }, [1]],
    [{ tokens: 9, width: 4 }, [0, 1]],
  ];
  for (const [input, places] of inputs) {
    const network = Network.create(new Runtime(), { input, layers }, 5);
    const { kernels } = network.runtime;
    const streams: number[] = [];
    const f32_dropout: typeof kernels.f32_dropout = (...args) => {
      streams.push(args[10]);
      kernels.f32_dropout(...args);
    };
    const watched = Object.create(kernels, { f32_dropout: { value: f32_dropout } });
    Object.defineProperty(network.runtime, 'kernels', { value: watched });
    const forward = (dropout?: { rate: number; seed: number; step: number }) =>
      network.forward(new Tape(network.runtime, false), network.batch([new Array(6).fill(1)]), undefined, dropout);
    forward();
    assert.equal(streams, []);
    forward({ rate: 0.5, seed: 1, step: 1 });
    assert.equal(
      streams,
      places.map((place) => Stream.dropout + place),
    );
  }
});

test.run();
