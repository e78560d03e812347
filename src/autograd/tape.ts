import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';

/** rows x cols numbers that an operation made or takes, in the runtime's memory. */
export interface Tensor {
  readonly rows: number;
  readonly cols: number;
  readonly value: Pointer;
  /** dLoss/dvalue, once somebody downstream has asked for it; 0 until then. */
  grad: Pointer;
}

/**
 * Remembers what was computed, to go back over it. Operations record a step that adds to the gradients of their inputs,
 * given those of their outputs; backward() runs the steps in reverse. All memory is the runtime's: the caller marks
 * before and releases after.
 */
export class Tape {
  private steps: (() => void)[] = [];

  /** Without `recording` nothing is remembered: for inference and evaluation. */
  constructor(
    readonly runtime: Runtime,
    readonly recording: boolean,
  ) {}

  tensor(rows: number, cols: number): Tensor {
    return { rows, cols, value: this.runtime.alloc(4 * rows * cols), grad: 0 };
  }

  /**
   * The gradient of a tensor, zero at first; for operations to call while recording, on the inputs they have a gradient
   * for.
   */
  gradient(tensor: Tensor): Pointer {
    if (!tensor.grad) tensor.grad = this.runtime.zeros(4 * tensor.rows * tensor.cols);
    return tensor.grad;
  }

  record(step: () => void): void {
    if (this.recording) this.steps.push(step);
  }

  backward(): void {
    const steps = this.steps.reverse();
    this.steps = [];
    for (const step of steps) step();
  }
}
