import { InputError } from '../errors.js';
import { parametersOf } from '../operators/operator.js';
import type { Trainable } from './trainer.js';

/**
 * Starts a model from a trained one of the same sizes: each of its compressed matrices as near to the trained one as it
 * comes, all other parameters as they are.
 */
export function startFrom(model: Trainable, trained: Trainable): void {
  const matrices = new Map(trained.matrices());
  const parameters = new Map(trained.parameters());
  const sizes = (shape: readonly number[]) => shape.join(' x ');
  const mismatch = (name: string, there: string, here: string) =>
    new InputError(`from: '${name}' is ${there} in the trained model and ${here} in the new one`);
  const fits: (() => void)[] = [];
  const inside = new Set(model.matrices().flatMap(([, operator]) => parametersOf(operator)));
  for (const [name, operator] of model.matrices()) {
    const from = matrices.get(name);
    const here = sizes([operator.M, operator.N]);
    const there = from ? sizes([from.M, from.N]) : 'missing';
    if (!from || there !== here) throw mismatch(name, there, here);
    fits.push(() => operator.fit(from.toDense()));
  }
  for (const [name, parameter] of model.parameters()) {
    if (inside.has(parameter)) continue;
    const from = parameters.get(name);
    const here = sizes(parameter.shape);
    const there = from ? sizes(from.shape) : 'missing';
    if (!from || there !== here) throw mismatch(name, there, here);
    fits.push(() => parameter.data.set(from.data));
  }
  for (const fit of fits) fit();
}
