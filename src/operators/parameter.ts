import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';

/** Trainable numbers: a row-major f32 array in the runtime's memory. */
export class Parameter {
  readonly value: Pointer;
  /** The same number of floats, or 0 until training asks for them: a model that only runs needs none. */
  grad: Pointer = 0;
  /** u8[size], 0 where a weight has been pruned; 0 when nothing can be. */
  mask: Pointer = 0;
  /** What the optimiser's learning rate is multiplied by. */
  rateScale = 1;
  /** Left as it is by the optimiser. */
  frozen = false;
  /** Other arrays of as many floats that belong to the same weights: the optimiser's moments. */
  readonly companions: Pointer[] = [];
  private elements: number;

  constructor(
    private readonly runtime: Runtime,
    private dimensions: readonly number[],
  ) {
    this.elements = dimensions.reduce((product, n) => product * n, 1);
    this.value = runtime.zeros(this.size * 4);
  }

  get shape(): readonly number[] {
    return this.dimensions;
  }

  /** Elements. */
  get size(): number {
    return this.elements;
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

  /**
   * Keeps only the elements at these places, in this order, as one row: those of its values, of its gradient and of its
   * companions move to the front of the memory they are in.
   */
  keep(places: Uint32Array): void {
    const n = places.length;
    for (const at of [this.value, this.grad, ...this.companions]) {
      if (!at) continue;
      const data = this.runtime.floats(at, this.size);
      const kept = new Float32Array(n);
      for (let i = 0; i < n; i++) kept[i] = data[places[i]];
      data.set(kept);
    }
    this.elements = n;
    this.dimensions = [n];
  }
}
