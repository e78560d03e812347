import { invalid } from '../errors.js';
import type { NetworkSpec } from '../network/spec.js';
import type { Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Vocabulary } from '../text/vocabulary.js';
import type { Runtime } from '../wasm/runtime.js';
import type { ModelConfig } from './config.js';
import type { Network, Recipe } from './network.js';

/** A network and what its numbers mean. */
export abstract class Model {
  /** The name of the task that it is for: 'lm' or 'intent'. */
  abstract readonly task: string;

  constructor(
    readonly network: Network,
    readonly config: ModelConfig,
    readonly vocabulary: Vocabulary,
  ) {}

  /** What its input and output ids stand for, as JSON. */
  get meaning(): Record<string, unknown> {
    return { vocabulary: this.vocabulary.toJSON() };
  }

  get runtime(): Runtime {
    return this.network.runtime;
  }

  get spec(): NetworkSpec {
    return this.network.spec;
  }

  /** The matrices of the recurrent layers, which are what is compressed, by their names in files. */
  matrices(): [string, Operator][] {
    return this.network.matrices();
  }

  /** The parameters that belong to no operator, by their names in files. */
  loose(): [string, Parameter][] {
    return this.network.loose();
  }

  /** All operators by their names in files. */
  operators(): [string, Operator][] {
    return this.network.operators();
  }

  /** Every parameter by a name of its own. */
  parameters(): [string, Parameter][] {
    return this.network.parameters();
  }
}

/** Throws InputError for a value that is not a Vocabulary. */
export function checkVocabulary(vocabulary: Vocabulary): void {
  if (!(vocabulary instanceof Vocabulary)) throw invalid('vocabulary', vocabulary, 'a Vocabulary');
}

/** The matrices of recurrent layers as the settings ask; all others dense. */
export function recipeOf({ method, compression, kron, block }: ModelConfig): Recipe {
  return ({ role }) => (role === 'recurrent' ? { method, compression, kron, block } : undefined);
}
