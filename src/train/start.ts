import { InputError } from '../errors.js';
import type { Network } from '../nn/network.js';
import { type Operator, parametersOf } from '../operators/operator.js';
import { complete, type Work } from '../work.js';
import type { Trainable } from './trainer.js';

/** What a model starts from: its parameters, and all its matrices, by name. */
export type Trained = Pick<Network, 'parameters' | 'operators'>;

/**
 * Initialises a model from a trained one of the same sizes: its compressed matrices become the nearest that they can be to
 * the trained ones, all other parameters are copied.
 *
 * @throws InputError if the models' sizes differ; nothing is changed then
 */
export function startFrom(model: Trainable & Trained, trained: Trained): void {
  complete(startFromInParts(model, trained));
}

/** The same as work in parts. */
export function* startFromInParts(model: Trainable & Trained, trained: Trained): Work<void> {
  const matrices = new Map(trained.operators());
  const parameters = new Map(trained.parameters());
  /** What the trained model has by this name; it must have the same shape. */
  const partner = <T>(name: string, all: ReadonlyMap<string, T>, one: T, shapeOf: (one: T) => readonly number[]): T => {
    const found = all.get(name);
    const sizes = (of: T) => shapeOf(of).join(' x ');
    const there = found ? sizes(found) : 'nothing';
    if (!found || there !== sizes(one)) {
      throw new InputError(`from: got ${there} for '${name}' in the trained model; expected ${sizes(one)}`);
    }
    return found;
  };
  const own = new Set(model.operators().map(([name]) => name));
  const lost = trained.operators().find(([name]) => !own.has(name));
  if (lost)
    throw new InputError(`from: got '${lost[0]}' in the trained model; expected none, as in this one: is it tied?`);
  // Nothing is changed before all shapes have been compared.
  const fits: Work<void>[] = [];
  const copies: (() => void)[] = [];
  const inside = new Set(model.matrices().flatMap(([, operator]) => parametersOf(operator)));
  for (const [name, operator] of model.matrices()) {
    const from = partner(name, matrices, operator, ({ M, N }) => [M, N]);
    fits.push(fitted(operator, from));
  }
  for (const [name, parameter] of model.parameters()) {
    if (inside.has(parameter)) continue;
    // Of a matrix that only the trained model has compressed, the dense one that it stands for.
    const compressed = parameters.has(name) ? undefined : matrices.get(name);
    if (compressed && compressed.M === parameter.shape[0] && compressed.N === parameter.shape[1]) {
      copies.push(() => parameter.data.set(compressed.toDense()));
      continue;
    }
    const from = partner(name, parameters, parameter, ({ shape }) => shape);
    copies.push(() => parameter.data.set(from.data));
  }
  for (const copy of copies) copy();
  for (const [i, fit] of fits.entries()) {
    for (const share of fit) yield (i + share) / fits.length;
  }
}

function* fitted(operator: Operator, trained: Operator): Work<void> {
  yield* operator.fitInParts(trained.toDense());
}
