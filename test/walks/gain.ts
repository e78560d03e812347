// The layer of docs/add-a-layer.md: a learnt gain for each number, written with what the library exports and nothing else.

import type { Parameter, Tape, Tensor } from '../../src/index.js';

/**
 * y[R,N] = gain[N] x[R,N], number by number in each row.
 *
 * @throws InputError for an x of another width
 */
export function scaleColumns(tape: Tape, gain: Parameter, x: Tensor): Tensor {
  const { runtime } = tape;
  tape.check('x', x, { cols: gain.size });
  const { rows: R, cols: N } = x;
  const y = tape.tensor(R, N);
  // Views are taken after the memory has been handed out: it may have moved.
  const floats = (at: number, n = R * N) => runtime.floats(at, n);
  const [g, from, to] = [gain.data, floats(x.value), floats(y.value)];
  for (let i = 0; i < R * N; i++) to[i] = g[i % N] * from[i];
  if (tape.recording) tape.gradient(x);
  tape.record(() => {
    const at = tape.gradient(y);
    const [g, dg, from, dx, dy] = [gain.data, gain.gradient, floats(x.value), floats(x.grad), floats(at)];
    for (let i = 0; i < R * N; i++) {
      dx[i] += g[i % N] * dy[i];
      dg[i % N] += from[i] * dy[i];
    }
  });
  return y;
}
