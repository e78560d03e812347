// What the `task` of a model file says, read without any code of training.

import { FileFormatError, malformed } from '../errors.js';
import type { Header, TaskData } from '../io/model-header.js';
import { checkNetwork, type NetworkSpec } from '../network/spec.js';
import { checkConfig, checkIntentConfig, type IntentModelConfig, type ModelConfig } from '../nn/config.js';
import { checkLabels } from '../nn/labels.js';
import { intentSpec, languageModelSpec } from '../nn/specs.js';
import { Vocabulary } from '../text/vocabulary.js';

/** Words for error messages, and what reads a model of the task. */
const TASKS: Record<string, [what: string, readers: string]> = {
  lm: ['a language model', 'load(), decodeLanguageModel() and dopant generate'],
  intent: ['an intent model', 'loadIntent(), decodeIntentModel() and dopant predict'],
};

/** Throws FileFormatError where a model is for another task, saying which and what reads that. */
function expectTask({ name }: TaskData, expected: string): void {
  if (name === expected) return;
  const [wanted] = TASKS[expected];
  if (!Object.hasOwn(TASKS, name)) throw malformed('metadata.task.name', name, `'${expected}', ${wanted}`);
  const [what, readers] = TASKS[name];
  throw new FileFormatError(`got ${what}, which ${readers} read; expected ${wanted}`);
}

export interface LanguageMeaning {
  config: ModelConfig;
  vocabulary: Vocabulary;
}

/** Throws FileFormatError for a header that is not of a language model. */
export function readLanguageMeaning({ task, network }: Header): LanguageMeaning {
  expectTask(task, 'lm');
  const [config, vocabulary] = [checkConfig(task.config), Vocabulary.fromJSON(task.vocabulary)];
  expectNetwork(network, languageModelSpec(config, vocabulary.size));
  return { config, vocabulary };
}

export interface IntentMeaning {
  config: IntentModelConfig;
  vocabulary: Vocabulary;
  labels: string[];
}

/** Throws FileFormatError for a header that is not of an intent model. */
export function readIntentMeaning({ task, network }: Header): IntentMeaning {
  expectTask(task, 'intent');
  const [config, vocabulary] = [checkIntentConfig(task.config), Vocabulary.fromJSON(task.vocabulary)];
  const { level, size } = vocabulary;
  if (level !== 'word') throw malformed('vocabulary.level', level, 'word, for an intent model');
  const labels = checkLabels('metadata.labels', task.labels, malformed);
  expectNetwork(network, intentSpec(config, size, labels.length));
  return { config, vocabulary, labels };
}

/** A network must be that of its settings and of what its numbers mean. */
function expectNetwork(network: NetworkSpec, expected: NetworkSpec): void {
  const parts = ({ input, layers }: NetworkSpec) => [input, ...layers].map((part) => JSON.stringify(part));
  const [got, wanted] = [parts(network), parts(checkNetwork(expected))];
  const at = wanted.findIndex((part, i) => part !== got[i]);
  if (at >= 0) throw malformed('metadata.network', got[at], wanted[at]);
  if (got.length > wanted.length) throw malformed('metadata.network', got[wanted.length], 'no further layer');
}
