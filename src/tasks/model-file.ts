import { invalid } from '../errors.js';
import { encodeNetwork } from '../io/model-file.js';
import type { TaskData } from '../io/model-header.js';
import { BITS, ROLES, type StoredBits } from '../nn/leaves.js';
import { Model } from '../nn/model.js';
import { Network } from '../nn/network.js';
import { isObject } from '../values.js';

/**
 * The bytes of a model file, for `load()` of dopant/infer and for the commands; the same model gives the same bytes.
 *
 * @param model of any task; or a network, with what is said of its task, which is stored as JSON and read by nobody else
 * @param bits of a number, for each role that shall have fewer than 32; sparse matrices are then stored by their gaps
 * @throws InputError for what is neither, for a network without a task, and for other bits than 32, 16, 8, 4 or 3
 * @example
 * writeFileSync('doped.safetensors', encodeModel(training.model));
 * writeFileSync('small.safetensors', encodeModel(training.model, { embedding: 4, head: 4, factors: 8, dopants: 4 }));
 * writeFileSync('voice.safetensors', encodeModel(network, { name: 'voice-activity', hop: 0.01 }));
 */
export function encodeModel(model: Model, bits?: StoredBits): Uint8Array;
export function encodeModel(network: Network, task: TaskData, bits?: StoredBits): Uint8Array;
export function encodeModel(model: Model | Network, taskOrBits?: TaskData | StoredBits, bits?: StoredBits): Uint8Array {
  if (model instanceof Model) {
    return encodeNetwork(model.network, taskData(model), checkBits(taskOrBits as StoredBits | undefined));
  }
  if (!(model instanceof Network)) throw invalid('model', model, 'a Model or a Network');
  const task = taskOrBits as TaskData | undefined;
  if (typeof task?.name !== 'string') throw invalid('task', task, 'an object with a name, a text');
  return encodeNetwork(model, task, checkBits(bits));
}

/** What the file of a model says of its task. */
export const taskData = (model: Model): TaskData => ({ name: model.task, config: model.config, ...model.schema });

function checkBits(bits: StoredBits | undefined): StoredBits | undefined {
  if (bits === undefined) return undefined;
  if (!isObject(bits)) throw invalid('bits', bits, 'an object, such as { embedding: 4 }');
  for (const [role, n] of Object.entries(bits)) {
    if (!ROLES.some((one) => one === role)) throw invalid('bits', role, `roles among ${ROLES.join(', ')}`);
    if (n !== undefined && !BITS.some((one) => one === n))
      throw invalid(`bits.${role}`, n, `one of ${BITS.join(', ')}`);
  }
  return bits;
}
