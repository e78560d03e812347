import { checkNumber } from '../checks.js';
import { invalid } from '../errors.js';
import { power } from '../math.js';
import type { Parameter } from '../operators/parameter.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Call } from '../wasm/threads.js';

export interface Optimizer {
  /** One step: the gradients are multiplied by `clip`, the learning rate `rate` by each parameter's rateScale. */
  step(rate: number, clip: number): void;
  /** The addresses of a parameter's moments, by name, as many floats as it has: a checkpoint must store them. */
  moments(parameter: Parameter): Record<string, Pointer>;
  /** Number of steps done. */
  steps: number;
}

/** Plain gradient descent, or Adam (Kingma and Ba, 2015). */
export type OptimizerName = 'sgd' | 'adam';

/** Throws InputError for a name that is not an optimiser's. */
export function checkOptimizer(name: OptimizerName): void {
  if (name !== 'sgd' && name !== 'adam') throw invalid('optimizer', name, "'sgd' or 'adam'");
}

/** @param beta1 how much of Adam's first moment is kept at each step */
export function createOptimizer(
  runtime: Runtime,
  name: OptimizerName,
  parameters: readonly Parameter[],
  beta1 = BETA1,
): Optimizer {
  checkOptimizer(name);
  return name === 'sgd' ? new Sgd(runtime, parameters) : new Adam(runtime, parameters, beta1);
}

class Sgd implements Optimizer {
  steps = 0;

  constructor(
    private readonly runtime: Runtime,
    private readonly parameters: readonly Parameter[],
  ) {}

  step(rate: number, clip: number): void {
    checkStep(rate, clip);
    this.steps++;
    const { runtime } = this;
    for (const { value, grad, mask, size, rateScale, frozen } of this.parameters) {
      if (frozen) continue;
      const calls = runtime.shares(size).map(([first, count]) => {
        const at = 4 * first;
        return [value + at, grad + at, mask && mask + first, count, rate * rateScale, clip] satisfies Call<'f32_sgd'>;
      });
      runtime.parallel('f32_sgd', calls);
    }
  }

  moments(): Record<string, Pointer> {
    return {};
  }
}

function checkStep(rate: number, clip: number): void {
  checkNumber('rate', rate, true, 'a finite number');
  checkNumber('clip', clip, true, 'a finite number');
}

/** PyTorch's. */
export const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

class Adam implements Optimizer {
  steps = 0;
  private readonly state = new Map<Parameter, { m: Pointer; v: Pointer }>();

  constructor(
    private readonly runtime: Runtime,
    parameters: readonly Parameter[],
    private readonly beta1: number,
  ) {
    for (const parameter of parameters) {
      const bytes = 4 * parameter.size;
      const moments = { m: runtime.zeros(bytes), v: runtime.zeros(bytes) };
      parameter.companions.push(moments.m, moments.v);
      this.state.set(parameter, moments);
    }
  }

  step(rate: number, clip: number): void {
    checkStep(rate, clip);
    this.steps++;
    const rate1 = rate / (1 - power(this.beta1, this.steps));
    const root2 = 1 / Math.sqrt(1 - power(BETA2, this.steps));
    const { runtime } = this;
    for (const [{ value, grad, mask, size, rateScale, frozen }, { m, v }] of this.state) {
      if (frozen) continue;
      const calls = runtime.shares(size).map(([first, count]) => {
        const at = 4 * first;
        const arrays = [value + at, grad + at, m + at, v + at, mask && mask + first] as const;
        return [
          ...arrays,
          count,
          rate1 * rateScale,
          this.beta1,
          BETA2,
          root2,
          EPSILON,
          clip,
        ] satisfies Call<'f32_adam'>;
      });
      runtime.parallel('f32_adam', calls);
    }
  }

  moments(parameter: Parameter): Record<string, Pointer> {
    return { ...this.state.get(parameter)! };
  }
}
