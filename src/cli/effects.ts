import { invalid } from '../errors.js';
import type { Method } from '../operators/methods.js';
import { flagOf, numbers } from './parsers.js';
import type { TrainArguments } from './train-options.js';

/** Throws InputError for an option that has no effect with the others given: its user expects one. */
export function checkEffects(given: TrainArguments, method: Method): void {
  const doped = method.startsWith('doped-');
  const prunes = doped || method === 'pruned';
  const cmr = given.cmrRates === undefined ? [given.cmr ?? 0] : cmrRates(given.cmrRates);
  const hasCmr = cmr.some((rate) => rate > 0);
  const needs = (met: boolean, expected: string, ...names: (keyof TrainArguments)[]) => {
    const name = names.find((one) => given[one] !== undefined && given[one] !== false);
    if (!met && name !== undefined) throw invalid(flagOf(name), given[name], expected);
  };
  const instead = `not ${method}`;
  needs(method !== 'dense' || given.compression === 1, 'a --method other than dense', 'compression');
  needs(method !== 'dense' || given.matrices !== 'all', 'a --method other than dense', 'matrices');
  needs(given.matrices === 'all', 'only with --matrices all', 'linearCompression');
  needs(method.endsWith('kron'), `only with --method kron or doped-kron, ${instead}`, 'kron');
  needs(
    prunes,
    `only with a --method that prunes (pruned or doped-...), ${instead}`,
    'block',
    'anneal',
    'pruneEvery',
    'threshold',
    'saliency',
    'l1',
    'finalSparsity',
  );
  needs(
    method !== 'pruned' || given.finalSparsity === undefined,
    '--compression or --final-sparsity: with --method pruned one follows from the other',
    'compression',
  );
  needs(prunes || method === 'dense', `only with --method dense, pruned or doped-..., ${instead}`, 'freeRate');
  needs(doped, `only with a --method doped-..., ${instead}`, 'structureShare');
  needs(given.from === undefined, 'only without --from, which gives all weights', 'structureShare');
  needs(doped || !hasCmr, `only with a --method doped-..., ${instead}`, 'cmr', 'cmrRates');
  needs(doped || !given.alternate, `only with a --method doped-..., ${instead}`, 'alternate');
  needs(hasCmr, 'only with a rate > 0 in --cmr or --cmr-rates', 'cmrHold', 'cmrUntil');
  needs(given.optimizer !== 'sgd', 'only with --optimizer adam', 'beta1');
  needs(
    given.optimizer !== 'sgd' || given.saliency !== 'moment',
    'magnitude: only adam has second moments',
    'saliency',
  );
  needs(given.cmrUntil !== 0, 'a share > 0 of the training', 'cmrUntil');
}

export function cmrRates(text: string): number[] {
  const rates = numbers(text, '--cmr-rates', ['structure', 'dopants']);
  if (!rates.every((rate) => rate >= 0 && rate < 1)) throw invalid('--cmr-rates', text, 'two numbers >= 0 and < 1');
  return rates;
}
