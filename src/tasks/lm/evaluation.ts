import { Tape } from '../../autograd/tape.js';
import { checkWhole } from '../../checks.js';
import { InputError } from '../../errors.js';
import { complete, type Work } from '../../work.js';
import type { LanguageModel } from './model.js';

/** Parallel streams, and time steps per part: enough for whole batches. */
export const EVALUATION = { batch: 20, steps: 35 };

/**
 * Measures the loss of a model on texts; every token but the first is predicted once. A stream starts without a past, so
 * the loss depends on the number of streams: compare only what was measured with the same `batch`.
 */
export class Evaluation {
  constructor(
    private readonly model: LanguageModel,
    private readonly batch = EVALUATION.batch,
    private readonly steps = EVALUATION.steps,
  ) {
    checkWhole('batch', batch, 1);
    checkWhole('steps', steps, 1);
  }

  /**
   * Returns the mean loss in nats over all tokens but the first. The text is cut into `batch` parallel streams, which start
   * with a state of zeros; the last one may be shorter, and missing targets do not count.
   *
   * @throws InputError for fewer than 2 tokens, or a token that is not in the vocabulary
   */
  meanLoss(ids: Int32Array, onProgress?: (share: number) => void): { loss: number; tokens: number } {
    return complete(this.meanLossInParts(ids), onProgress);
  }

  /** meanLoss() in parts. */
  *meanLossInParts(ids: Int32Array): Work<{ loss: number; tokens: number }> {
    const { model, batch, steps } = this;
    const { runtime } = model;
    const last = ids.length - 1;
    if (last < 1)
      throw new InputError(`ids: got ${ids.length} tokens; expected at least 2, the second of which is predicted`);
    model.vocabulary.check(ids, 'ids');
    const length = Math.ceil(last / batch);
    const n = batch * steps;
    const size = batch * model.config.hidden;
    // Kept outside the runtime's memory, which others may use between two parts.
    let carried: Float32Array[] = [];
    let sum = 0;
    let tokens = 0;
    for (let from = 0; from < length; from += steps) {
      const piece = runtime.scoped(() => {
        const state = model.newState(batch);
        const arrays = state.flatMap(({ h, c }) => (c ? [h, c] : [h]));
        for (const [i, values] of carried.entries()) runtime.floats(arrays[i], size).set(values);
        const [inputsAt, targetsAt] = [runtime.alloc(4 * n), runtime.alloc(4 * n)]; // i32[steps batch]
        const inputs = runtime.ints(inputsAt, n);
        const targets = runtime.ints(targetsAt, n);
        for (let b = 0; b < batch; b++) {
          for (let t = 0; t < steps; t++) {
            const at = b * length + from + t;
            const counts = from + t < length && at < last;
            inputs[t * batch + b] = counts ? ids[at] : 0;
            targets[t * batch + b] = counts ? ids[at + 1] : -1;
          }
        }
        const loss = model.loss(new Tape(runtime, false), targetsAt, [inputsAt, steps, batch, state]);
        carried = arrays.map((at) => runtime.floats(at, size).slice());
        return loss;
      });
      sum += piece.sum;
      tokens += piece.count;
      yield Math.min(1, (from + steps) / length);
    }
    return { loss: sum / tokens, tokens };
  }
}
