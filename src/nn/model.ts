import { invalid } from '../errors.js';
import type { NetworkSpec } from '../network/spec.js';
import type { Operator } from '../operators/operator.js';
import type { Parameter } from '../operators/parameter.js';
import { Vocabulary } from '../text/vocabulary.js';
import type { Runtime } from '../wasm/runtime.js';
import type { ModelConfig } from './config.js';
import type { Network, Recipe } from './network.js';

/** A network with its settings, and what its inputs and outputs stand for. */
export abstract class Model {
  /** The name of the task that it is for, as files have it. */
  abstract readonly task: string;

  constructor(
    readonly network: Network,
    readonly config: ModelConfig,
  ) {}

  /** What its inputs and outputs stand for, as JSON. */
  abstract get schema(): Record<string, unknown>;

  /** How its matrices are made. */
  get recipe(): Recipe {
    return recipeOf(this.config);
  }

  get runtime(): Runtime {
    return this.network.runtime;
  }

  get spec(): NetworkSpec {
    return this.network.spec;
  }

  /** The matrices of recurrent layers and of attention, and all others that are compressed, by their names in files. */
  matrices(): [string, Operator][] {
    return this.network.matrices();
  }

  /** The parameters that belong to no operator, by their names in files. */
  plainParameters(): [string, Parameter][] {
    return this.network.plainParameters();
  }

  /** All operators by their names in files. */
  operators(): [string, Operator][] {
    return this.network.operators();
  }

  /** The parameters of the last layer, which may learn at a rate of their own. */
  headParameters(): Parameter[] {
    return this.network.headParameters();
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

/** The matrices that the settings ask for as they ask, all others dense; those of attention are made like recurrent ones. */
export function recipeOf({ method, compression, matrices, linearCompression, kron, block }: ModelConfig): Recipe {
  const recurrent = { method, compression, kron, block };
  const others = matrices && { ...recurrent, compression: linearCompression ?? compression };
  return ({ role }) => (role === 'recurrent' || role === 'attention' ? recurrent : others);
}
