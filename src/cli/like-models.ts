import { invalid } from '../errors.js';
import { loadModel } from './model.js';
import { flagOf } from './parsers.js';
import { vocabularyOf } from './task.js';
import type { TrainArguments } from './train-options.js';

/**
 * Adds the sizes of the model of --from, and the vocabulary of --from or --teacher. Throws InputError if the options
 * contradict them.
 */
export async function likeModels<A extends TrainArguments>(given: A): Promise<A> {
  const { from, teacher } = given;
  const path = from ?? teacher;
  if (path === undefined) return given;
  const model = await loadModel(path);
  const { config } = model;
  const vocabulary = vocabularyOf(model);
  const { hidden, layers, cell = 'lstm' } = config;
  const there: Record<string, number | string> = {};
  if (vocabulary) Object.assign(there, { vocab: vocabulary.size, level: vocabulary.level });
  if (vocabulary?.level === 'word') there.rule = vocabulary.rule;
  if (from !== undefined)
    Object.assign(there, {
      hidden,
      layers,
      cell,
      ...(config.directions && { directions: String(config.directions) }),
      ...('embedding' in config && { embedding: config.embedding }),
    });
  for (const [name, value] of Object.entries(there)) {
    const here = given[name as keyof A];
    if (here === undefined || here === value) continue;
    throw invalid(
      flagOf(name),
      here,
      `${value}, as in the model of ${from === undefined ? '--teacher' : '--from'}; leave it out`,
    );
  }
  return { ...given, ...there };
}
