import { checkNumber, checkWhole } from '../checks.js';
import { invalid } from '../errors.js';
import { buildOperator, type Plan, planMatrix, sparseName } from '../operators/budget.js';
import { Dense } from '../operators/dense.js';
import { type Noise, type Operator, walk } from '../operators/operator.js';
import { Parameter } from '../operators/parameter.js';
import type { Pattern } from '../operators/sparse.js';
import { Sum } from '../operators/sum.js';
import { Stream, seedWords } from '../random.js';
import { Vocabulary } from '../text/vocabulary.js';
import { checkRuntime, type Runtime } from '../wasm/runtime.js';
import type { Architecture } from './architecture.js';
import { checkMatrix, checkParameter } from './checks.js';
import { LARGEST_HIDDEN, MOST_LAYERS, type ModelConfig, type ModelKind } from './config.js';
import type { SoftmaxHead } from './loss.js';
import { LstmLayer } from './lstm.js';

/** All weights of a model: what files hold. */
export interface ModelParts {
  embedding: Parameter; // [V,E]
  layers: readonly LstmLayer[]; // in the order of the architecture's
  head: SoftmaxHead;
}

/** What all models have: an embedding, LSTM layers whose matrices are compressed, and a softmax head. */
export abstract class Model {
  abstract readonly kind: ModelKind;

  constructor(
    readonly runtime: Runtime,
    readonly config: ModelConfig,
    readonly vocabulary: Vocabulary,
    readonly architecture: Architecture,
    readonly parts: ModelParts,
  ) {
    checkParts(runtime, architecture, parts);
  }

  /** What its input and output ids stand for, as JSON. */
  get meaning(): unknown {
    return this.vocabulary;
  }

  /** The LSTM's matrices, which are compressed, by their names in files. */
  matrices(): [string, Operator][] {
    return this.layers().flatMap(([name, { ih, hh }]): [string, Operator][] => [
      [`${name}.ih`, ih],
      [`${name}.hh`, hh],
    ]);
  }

  /** The parameters outside operators, by their names in files. */
  loose(): [string, Parameter][] {
    const { embedding, head } = this.parts;
    return [
      ['embedding', embedding],
      ...this.layers().flatMap(([name, { biasIh, biasHh }]): [string, Parameter][] => [
        [`${name}.bias_ih`, biasIh],
        [`${name}.bias_hh`, biasHh],
      ]),
      ['head.bias', head.bias],
    ];
  }

  /** All operators by their names in files: the LSTM's and the head's. */
  operators(): [string, Operator][] {
    return [...this.matrices(), ['head', this.parts.head.weight]];
  }

  /** All parameters, each by a unique name. */
  parameters(): [string, Parameter][] {
    const inside = this.operators().flatMap(([name, operator]) =>
      [...walk(operator, name)].flatMap(([path, inner]) => inner.own().map((p): [string, Parameter] => [path, p])),
    );
    return [...this.loose(), ...inside];
  }

  private layers(): [string, LstmLayer][] {
    return this.parts.layers.map((layer, l) => [this.architecture.layers[l].name, layer]);
  }
}

/** The plan of a 4H x inputs matrix. */
export function matrixPlan({ hidden, method, compression, kron, block }: ModelConfig, inputs: number = hidden): Plan {
  return planMatrix(4 * hidden, inputs, method, method === 'dense' ? 1 : compression, kron, block);
}

/** The plans of the LSTM's matrices, in the order of Model.matrices(). */
export function matrixPlans(config: ModelConfig, { layers, hidden }: Architecture): Plan[] {
  // Layers have few widths, and a plan may take long.
  const plans = new Map<number, Plan>();
  const planFor = (inputs: number) => {
    const plan = plans.get(inputs) ?? matrixPlan(config, inputs);
    plans.set(inputs, plan);
    return plan;
  };
  return layers.flatMap(({ inputs }) => [planFor(inputs), planFor(hidden)]);
}

/** Which weights of a sparse matrix are alive when it is made, by the name that it has in files. */
export type PatternOf = (name: string, plan: Plan) => Pattern;

/** Throws InputError unless the parts have the shapes of the architecture and lie in the runtime. */
function checkParts(runtime: Runtime, architecture: Architecture, { embedding, layers, head }: ModelParts): void {
  checkRuntime(runtime);
  const { hidden } = architecture;
  checkParameter(runtime, 'embedding', embedding, architecture.embedding);
  if (layers.length !== architecture.layers.length) {
    throw invalid('layers.length', layers.length, `${architecture.layers.length}`);
  }
  for (const [l, { name, inputs }] of architecture.layers.entries()) {
    checkMatrix(runtime, `${name}.ih`, layers[l].ih, 4 * hidden, inputs);
    checkMatrix(runtime, `${name}.hh`, layers[l].hh, 4 * hidden, hidden);
  }
  checkMatrix(runtime, 'head', head.weight, ...architecture.head);
  checkParameter(runtime, 'head.bias', head.bias, [architecture.head[0]]);
}

/** Throws InputError for a value that is not a Vocabulary. */
export function checkVocabulary(vocabulary: Vocabulary): void {
  if (!(vocabulary instanceof Vocabulary)) throw invalid('vocabulary', vocabulary, 'a Vocabulary');
}

/** Throws InputError for a size that no model may have. */
export function checkModelSize({ hidden, layers, embedding = hidden }: ModelConfig & { embedding?: number }): void {
  checkWhole('hidden', hidden, 1, LARGEST_HIDDEN);
  checkWhole('embedding', embedding, 1, LARGEST_HIDDEN);
  checkWhole('layers', layers, 1, MOST_LAYERS);
}

/** The parts of a new model, its weights drawn from the seed. Keeps no memory if it throws. */
export function createParts(
  runtime: Runtime,
  config: ModelConfig,
  architecture: Architecture,
  seed: number,
  structureShare?: number,
  patternOf?: PatternOf,
): ModelParts {
  checkRuntime(runtime);
  checkWhole('seed', seed, 0);
  if (structureShare !== undefined) {
    checkNumber('structureShare', structureShare, structureShare > 0 && structureShare < 1, 'a number > 0 and < 1');
  }
  return runtime.within(Number.POSITIVE_INFINITY, () =>
    makeParts(runtime, config, architecture, seed, structureShare, patternOf),
  );
}

function makeParts(
  runtime: Runtime,
  config: ModelConfig,
  architecture: Architecture,
  seed: number,
  structureShare?: number,
  patternOf?: PatternOf,
): ModelParts {
  const { embedding: table, layers, hidden: H, head } = architecture;
  const plans = matrixPlans(config, architecture);
  const [low, high] = seedWords(seed);
  let stream = Stream.initialisation;
  const noise: Noise = ({ value, size }, halfWidth) =>
    runtime.kernels.f32_uniform(value, size, -halfWidth, halfWidth, low, high, stream++);
  // PyTorch's variance for LSTM weights, whatever the structure.
  const variance = 1 / (3 * H);
  const matrix = (name: string, plan: Plan) => {
    const sparse = sparseName(plan, name);
    const operator = buildOperator(runtime, plan, sparse === undefined ? undefined : patternOf?.(sparse, plan));
    if (structureShare !== undefined && operator instanceof Sum) operator.structureShare = structureShare;
    operator.initialise(variance, noise);
    return operator;
  };
  const embedding = new Parameter(runtime, table);
  // Variance 1, PyTorch's. With entries a tenth of that, or forget gates that start open, a dense model of words ended at a
  // third more perplexity.
  noise(embedding, Math.sqrt(3));
  const bias = () => new Parameter(runtime, [4 * H]);
  const made = layers.map(({ name }, l) => {
    const [ih, hh] = [matrix(`${name}.ih`, plans[2 * l]), matrix(`${name}.hh`, plans[2 * l + 1])];
    return new LstmLayer(ih, hh, bias(), bias());
  });
  const weight = new Dense(runtime, ...head);
  weight.initialise(variance, noise);
  return { embedding, layers: made, head: { weight, bias: new Parameter(runtime, [head[0]]) } };
}
