import { InputError } from '../errors.js';
import { sampler } from '../tasks/sampling.js';
import type { Plan } from './plan.js';

/** One conversation with a model: a plan and a state of its own. All calls are synchronous and none allocates. */
export class Session {
  /** h and c of every layer, [layers, 2, H]; stale while the plan works on this session. */
  readonly saved: Float32Array;

  constructor(private readonly plan: Plan) {
    this.saved = new Float32Array(2 * plan.layers * plan.hidden);
  }

  /**
   * One step of the LSTM: h of the last layer, [H], for the input x, [H]. The result is overwritten by the plan's next
   * step, whichever session's.
   */
  step(x: ArrayLike<number>): Float32Array {
    return this.plan.step(this, x);
  }

  /** Steps over a whole sequence: [T,H] for [T,H]. */
  run(sequence: Float32Array): Float32Array {
    const H = this.plan.hidden;
    if (sequence.length % H !== 0) {
      throw new InputError(`sequence: ${sequence.length} numbers given; a multiple of ${H} is wanted`);
    }
    const result = new Float32Array(sequence.length);
    for (let at = 0; at < sequence.length; at += H) result.set(this.step(sequence.subarray(at, at + H)), at);
    return result;
  }

  /**
   * The logits of what comes after this token, [V], given all before it. Overwritten by the plan's next step, whichever
   * session's.
   */
  next(token: number): Float32Array {
    return this.plan.next(this, token);
  }

  /** Back to a state of zeros. */
  reset(): void {
    this.plan.release(this);
    this.saved.fill(0);
  }

  /** A copy of the state, to be kept and set again later, in this session or another of the same model. */
  get state(): Float32Array {
    this.plan.release(this);
    return this.saved.slice();
  }

  set state(state: Float32Array) {
    if (state.length !== this.saved.length) {
      throw new InputError(`state: ${state.length} numbers given; ${this.saved.length} are wanted`);
    }
    this.plan.release(this);
    this.saved.set(state);
  }

  /**
   * Text that goes on from the prompt, token by token, without end: stop the loop when it is enough. `temperature`
   * divides the logits: 0 always takes the likeliest token. `<unk>` is never drawn. The same seed gives the same text.
   * Other work gets its turn between tokens.
   */
  async *generate(
    prompt: string,
    { temperature = 0.8, seed = 1 }: { temperature?: number; seed?: number } = {},
  ): AsyncGenerator<{ token: number; text: string }, never> {
    const { vocabulary } = this.plan;
    const draw = sampler(temperature, seed, vocabulary.unknown);
    let logits = this.next(vocabulary.start);
    const ids = vocabulary.encode(prompt);
    for (const id of ids) logits = this.next(id);
    let before = ids.slice(-1);
    while (true) {
      const token = draw(logits);
      const shown = vocabulary.decode(before);
      yield { token, text: vocabulary.decode([...before, token]).slice(shown.length) };
      before = Int32Array.of(token);
      logits = this.next(token);
    }
  }
}
