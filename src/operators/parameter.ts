import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';

/** Trainable numbers: a row-major f32 array in the runtime's memory. */
export class Parameter {
  readonly value: Pointer;
  /** u8[size], 0 where a weight has been pruned; 0 if nothing can be pruned. */
  mask: Pointer = 0;
  /** The optimiser multiplies its learning rate by this. */
  rateScale = 1;
  /** The optimiser does not change it. */
  frozen = false;
  /** Other arrays of as many floats that belong to the same weights: the optimiser's moments. */
  readonly companions: Pointer[] = [];
  private prepared: Pointer = 0;
  private elements: number;

  /**
   * @param dimensions the shape, such as [rows, columns]
   * @throws InputError unless the dimensions are whole numbers >= 0
   * @throws RangeError when there is not so much memory
   */
  constructor(
    readonly runtime: Runtime,
    private dimensions: readonly number[],
  ) {
    checkRuntime(runtime);
    if (!Array.isArray(dimensions) || dimensions.length === 0) throw invalid('shape', dimensions, 'a list of sizes');
    for (const size of dimensions) checkWhole('shape', size, 0);
    this.elements = dimensions.reduce((product, n) => product * n, 1);
    this.value = runtime.zeros(this.size * 4);
  }

  get shape(): readonly number[] {
    return this.dimensions;
  }

  /** Number of elements. */
  get size(): number {
    return this.elements;
  }

  /** Its values, in place; valid until memory is next handed out. */
  get data(): Float32Array {
    return this.runtime.floats(this.value, this.size);
  }

  /** The address of the gradient, f32[size]. Throws InputError before prepareGradient(). */
  get grad(): Pointer {
    if (this.prepared) return this.prepared;
    throw new InputError('gradient: got none; expected prepareGradient() to be called first');
  }

  /** The gradient, in place; empty before prepareGradient(). */
  get gradient(): Float32Array {
    return this.runtime.floats(this.prepared, this.prepared ? this.size : 0);
  }

  /** Makes room for the gradient, all zeros, if there is none: training needs it, a model that only runs does not. */
  prepareGradient(): void {
    if (!this.prepared) this.prepared = this.runtime.zeros(this.size * 4);
  }

  /**
   * Keeps only the elements at these places, in this order, as one row. Values, gradient and companions move to the front
   * of the memory they are in.
   *
   * @throws InputError for a place that is not below size, and for more places than there are elements
   */
  keep(places: Uint32Array): void {
    const { size } = this;
    const n = places.length;
    checkWhole('places.length', n, 0, size);
    for (let i = 0; i < n; i++) {
      if (places[i] >>> 0 !== places[i] || places[i] >= size) checkWhole(`places[${i}]`, places[i], 0, size - 1);
    }
    for (const at of [this.value, this.prepared, ...this.companions]) {
      if (!at) continue;
      const data = this.runtime.floats(at, size);
      const kept = new Float32Array(n);
      for (let i = 0; i < n; i++) kept[i] = data[places[i]];
      data.set(kept);
    }
    this.elements = n;
    this.dimensions = [n];
  }
}
