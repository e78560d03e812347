// What the `task` of a model file says, read without any code of training.

import { FileFormatError, malformed } from '../errors.js';
import type { Header, TaskData } from '../io/model-header.js';
import { checkNetwork, type NetworkSpec } from '../network/spec.js';
import { show } from '../values.js';

/** A network and its task: the header of a file, or a model. */
export type Described = Pick<Header, 'task' | 'network'>;

/** Throws FileFormatError where a model is for another task. */
export function expectTask({ name }: TaskData, expected: string): void {
  if (name !== expected)
    throw new FileFormatError(`got a model for the task ${show(name)}; expected one for '${expected}'`);
}

/** Throws FileFormatError where a network is not that of its settings and its schema. */
export function expectNetwork(network: NetworkSpec, expected: NetworkSpec): void {
  const parts = ({ input, layers, encoder }: NetworkSpec): string[] => [
    ...[input, ...layers].map((part) => JSON.stringify(part)),
    ...(encoder ? parts(encoder) : []),
  ];
  const [got, wanted] = [parts(network), parts(checkNetwork(expected))];
  const at = wanted.findIndex((part, i) => part !== got[i]);
  if (at >= 0) throw malformed('metadata.network', got[at], wanted[at]);
  if (got.length > wanted.length) throw malformed('metadata.network', got[wanted.length], 'no further layer');
}
