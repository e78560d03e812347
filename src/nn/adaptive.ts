import type { Tape, Tensor } from '../autograd/tape.js';
import type { ClusterShape } from '../network/spec.js';
import type { Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkIndices, runtimeOf } from './checks.js';
import { linear, project } from './linear.js';
import { softmaxLoss } from './loss.js';
import { selectRows } from './rows.js';

/** A cluster of an adaptive softmax with its weights. */
export interface Cluster extends ClusterShape {
  weight: Operator; // [rows, width]
  bias: Parameter; // [rows]
  /** [width, inputs], of all but the first. */
  projection?: Operator;
}

/** Called with what a matrix is multiplied with. */
type Look = ((name: string, x: Tensor) => void) | undefined;

const LEAST = -(2 ** 31); // any negative target

/**
 * Cross-entropy of the targets, i32[R], under an adaptive softmax of x[R,N]; a negative target does not count. Returns the sum
 * over the rows that count, in nats, and their number; the gradient is that of the mean. A cluster computes only the rows whose
 * targets it has. It ends the tape, as softmaxLoss() does. Source: Grave et al. (2017).
 *
 * @throws InputError for a target that is not below the number of outputs
 */
export function adaptiveLoss(
  tape: Tape,
  [first, ...clusters]: readonly Cluster[],
  x: Tensor,
  targets: Pointer,
  look?: Look,
): { sum: number; count: number } {
  const runtime = runtimeOf(tape);
  const R = x.rows;
  const last = clusters[clusters.length - 1];
  checkIndices(runtime, 'targets', targets, R, LEAST, last.first + last.outputs);
  // Where each row's target lies: its own place in the first cluster, or that of its cluster.
  const wanted = runtime.ints(targets, R).slice();
  const rows: number[][] = clusters.map(() => []);
  const places = wanted.map((target, r) => {
    if (target < first.outputs) return target;
    const i = clusters.findIndex(({ first, outputs }) => target < first + outputs);
    rows[i].push(r);
    return first.outputs + i;
  });
  const count = wanted.reduce((sum, target) => sum + (target >= 0 ? 1 : 0), 0);
  const ints = (values: ArrayLike<number>): Pointer => {
    const at = runtime.alloc(4 * values.length);
    runtime.ints(at, values.length).set(values);
    return at;
  };
  look?.(first.name, x);
  let { sum } = softmaxLoss(tape, first, x, ints(places), undefined, count);
  for (const [i, cluster] of clusters.entries()) {
    const own = rows[i];
    if (own.length === 0) continue;
    const read = selectRows(tape, x, ints(own), own.length);
    look?.(cluster.down!, read);
    const down = project(tape, cluster.projection!, read);
    look?.(cluster.name, down);
    const inside = own.map((r) => wanted[r] - cluster.first);
    sum += softmaxLoss(tape, cluster, down, ints(inside), undefined, count).sum;
  }
  return { sum, count };
}

/** The logits of all outputs, [R, outputs]; nothing is recorded. */
export function adaptiveLogits(tape: Tape, [first, ...clusters]: readonly Cluster[], x: Tensor): Tensor {
  const runtime = runtimeOf(tape);
  const { kernels } = runtime;
  const R = x.rows;
  const last = clusters[clusters.length - 1];
  const V = last.first + last.outputs;
  const y = tape.tensor(R, V);
  const head = linear(tape, first.weight, first.bias, x);
  kernels.f32_copy_columns(head.value, head.cols, y.value, V, R, first.outputs, false);
  for (const [i, cluster] of clusters.entries()) {
    const tail = linear(tape, cluster.weight, cluster.bias, project(tape, cluster.projection!, x));
    for (let r = 0; r < R; r++) {
      const row = tail.value + 4 * r * tail.cols;
      const [own] = runtime.floats(head.value + 4 * (r * head.cols + first.outputs + i), 1);
      kernels.f32_share(own, row, tail.cols);
    }
    kernels.f32_copy_columns(tail.value, tail.cols, y.value + 4 * cluster.first, V, R, tail.cols, false);
  }
  return y;
}
