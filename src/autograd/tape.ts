import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { isObject } from '../values.js';
import type { Pointer } from '../wasm/kernels.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';

/** rows x cols numbers that an operation takes or makes, in the runtime's memory. */
export interface Tensor {
  readonly rows: number;
  readonly cols: number;
  /** The address of f32[rows,cols], row-major. */
  readonly value: Pointer;
  /** dLoss/dvalue, once an operation downstream has asked for it; 0 until then. */
  grad: Pointer;
  /** Whose memory it is in; operations reject the tensors of another runtime. */
  readonly runtime?: Runtime;
}

/**
 * Remembers what was computed, for the way back. Operations record a step that adds to the gradients of their inputs,
 * given those of their outputs; backward() runs the steps in reverse. All memory is the runtime's: run a step of training
 * in runtime.scoped(), which takes it back.
 */
export class Tape {
  private steps: (() => void)[] = [];

  /** Without `recording` nothing is remembered: for inference and evaluation. */
  constructor(
    readonly runtime: Runtime,
    readonly recording: boolean,
  ) {
    checkRuntime(runtime);
  }

  /**
   * A new tensor, with whatever its memory held before.
   *
   * @throws InputError for sides that are not whole numbers >= 0, and where memory runs out
   */
  tensor(rows: number, cols: number): Tensor {
    checkWhole('rows', rows, 0);
    checkWhole('cols', cols, 0);
    const { runtime } = this;
    return { rows, cols, value: runtime.alloc(4 * rows * cols), grad: 0, runtime };
  }

  /** The gradient of a tensor, zeros at first. While recording, operations ask for those of their inputs. */
  gradient(tensor: Tensor): Pointer {
    this.check('tensor', tensor);
    if (!tensor.grad) tensor.grad = this.runtime.zeros(4 * tensor.rows * tensor.cols);
    return tensor.grad;
  }

  /**
   * Checks a tensor.
   *
   * @throws InputError unless it lies in this runtime's memory and has so many rows and columns, if any are given
   */
  check(name: string, tensor: Tensor, { rows, cols }: { rows?: number; cols?: number } = {}): void {
    const { runtime } = this;
    if (!isObject(tensor)) throw invalid(name, tensor, 'a tensor');
    if (tensor.runtime && tensor.runtime !== runtime) {
      throw new InputError(`${name}: got a tensor of another runtime; expected one of the tape's`);
    }
    // Names are put together only for the errors: this is called for every operation of every step.
    checkSide(name, 'rows', tensor.rows, rows);
    checkSide(name, 'cols', tensor.cols, cols);
    const n = tensor.rows * tensor.cols;
    if (!runtime.holds(tensor.value, n)) runtime.check(`${name}.value`, tensor.value, n);
    if (tensor.grad !== 0 && !runtime.holds(tensor.grad, n)) runtime.check(`${name}.grad`, tensor.grad, n);
  }

  /** Remembers a step of the way back, if the tape is recording. */
  record(step: () => void): void {
    if (this.recording) this.steps.push(step);
  }

  /** Runs the recorded steps, the last one first, and forgets them. */
  backward(): void {
    const steps = this.steps.reverse();
    this.steps = [];
    for (const step of steps) step();
  }
}

function checkSide(name: string, side: 'rows' | 'cols', value: number, expected: number | undefined): void {
  if (!Number.isSafeInteger(value) || value < 0) checkWhole(`${name}.${side}`, value, 0);
  if (expected !== undefined && value !== expected) throw invalid(`${name}.${side}`, value, `${expected}`);
}
