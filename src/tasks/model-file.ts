import { invalid } from '../errors.js';
import { encodeNetwork } from '../io/model-file.js';
import type { TaskData } from '../io/model-header.js';
import { Model } from '../nn/model.js';
import { Network } from '../nn/network.js';

/**
 * The bytes of a model file, for `load()` of dopant/infer and for the commands; the same model gives the same bytes.
 *
 * @param model of any task; or a network, with what is said of its task, which is stored as JSON and read by nobody else
 * @throws InputError for what is neither, and for a network without a task
 * @example
 * writeFileSync('doped.safetensors', encodeModel(training.model));
 * writeFileSync('voice.safetensors', encodeModel(network, { name: 'voice-activity', hop: 0.01 }));
 */
export function encodeModel(model: Model): Uint8Array;
export function encodeModel(network: Network, task: TaskData): Uint8Array;
export function encodeModel(model: Model | Network, task?: TaskData): Uint8Array {
  if (model instanceof Model) {
    return encodeNetwork(model.network, { name: model.task, config: model.config, ...model.schema });
  }
  if (!(model instanceof Network)) throw invalid('model', model, 'a Model or a Network');
  if (typeof task?.name !== 'string') throw invalid('task', task, 'an object with a name, a text');
  return encodeNetwork(model, task);
}
