import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';

/** Trainable numbers: a row-major f32 array in the runtime's memory. */
export class Parameter {
  readonly value: Pointer;
  readonly size: number; // elements
  /** The same number of floats, or 0 until training asks for them: a model that only runs needs none. */
  grad: Pointer = 0;
  /** u8[size], 0 where a weight has been pruned; 0 when nothing can be. */
  mask: Pointer = 0;
  /** What the optimiser's learning rate is multiplied by. */
  rateScale = 1;
  /** Left as it is by the optimiser. */
  frozen = false;

  constructor(
    private readonly runtime: Runtime,
    readonly shape: readonly number[],
  ) {
    this.size = shape.reduce((product, n) => product * n, 1);
    this.value = runtime.zeros(this.size * 4);
  }

  /** Its values, in place; valid until memory is next handed out. */
  get data(): Float32Array {
    return this.runtime.floats(this.value, this.size);
  }

  /** Its gradient, in place; empty before prepareGradient(). */
  get gradient(): Float32Array {
    return this.runtime.floats(this.grad, this.grad ? this.size : 0);
  }

  prepareGradient(): void {
    if (!this.grad) this.grad = this.runtime.zeros(this.size * 4);
  }
}
