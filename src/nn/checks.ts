// What the operations of this folder check before a kernel sees it.

import { Tape } from '../autograd/tape.js';
import { checkWhole } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { checkOperator, type Operator } from '../operators/operator.js';
import { Parameter } from '../operators/parameter.js';
import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';

/** Returns the tape's runtime. Throws InputError for a value that is not a Tape. */
export function runtimeOf(tape: Tape): Runtime {
  if (!(tape instanceof Tape)) throw invalid('tape', tape, 'a Tape');
  return tape.runtime;
}

/** Throws InputError unless this is a parameter of the runtime of this shape. */
export function checkParameter(runtime: Runtime, name: string, parameter: Parameter, shape: readonly number[]): void {
  if (!(parameter instanceof Parameter)) throw invalid(name, parameter, 'a Parameter');
  if (parameter.runtime !== runtime) {
    throw new InputError(`${name}: got a parameter of another runtime; expected one of the same runtime`);
  }
  const got = parameter.shape;
  if (got.length !== shape.length || got.some((side, i) => side !== shape[i])) {
    throw new InputError(`${name}: got ${got.join(' x ')} numbers; expected ${shape.join(' x ')}`);
  }
}

/** Throws InputError unless this is an operator of the runtime of M x N. */
export function checkMatrix(runtime: Runtime, name: string, operator: Operator, M: number, N: number): void {
  checkOperator(runtime, name, operator);
  if (operator.M !== M || operator.N !== N) {
    throw new InputError(`${name}: got ${operator.M} x ${operator.N}; expected ${M} x ${N}`);
  }
}

/** Throws InputError unless i32[n] lies at this address and each is from `least` to `below` - 1. */
export function checkIndices(
  runtime: Runtime,
  name: string,
  at: Pointer,
  n: number,
  least: number,
  below: number,
): void {
  runtime.check(name, at, n);
  const indices = runtime.ints(at, n);
  for (let i = 0; i < n; i++) {
    if (!(indices[i] >= least && indices[i] < below)) checkWhole(`${name}[${i}]`, indices[i], least, below - 1);
  }
}
