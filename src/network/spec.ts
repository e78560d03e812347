// A network as plain data: training, files and inference share it and nothing else.

import { malformed } from '../errors.js';
import { isObject, show } from '../values.js';

/** A network as plain data: what it reads, and its layers in order. */
export interface NetworkSpec {
  /** What a step gives it: a token, or a frame of numbers. */
  input: TokenInput | FrameInput;
  /** Each reads the layer before, or those that `from` names; the last one's outputs are the network's. */
  layers: readonly LayerSpec[];
  /**
   * Another network, which ends with a recurrent layer: attention reads its outputs, and the recurrent layers, as many as its
   * own and of the same kinds, start with its last states, those of both directions side by side.
   */
  encoder?: NetworkSpec;
}

/** Numbers of tokens below `tokens`, each looked up as a row of `width` numbers. */
export interface TokenInput {
  tokens: number;
  width: number;
}

/** Vectors of `frames` numbers, as they come. */
export interface FrameInput {
  frames: number;
}

/** A layer: recurrent, linear, attention, an adaptive softmax, a convolution over time, or a pool over time. */
export type LayerSpec = RecurrentSpec | LinearSpec | AttentionSpec | AdaptiveSpec | ConvSpec | PoolSpec;

interface Placed {
  /** Unique; part of the names of the layer's tensors. */
  name: string;
  /** Earlier layers, or 'input', whose outputs are read side by side. Default: the layer before. */
  from?: readonly string[];
}

/** The order in which a recurrent layer reads its steps; 'both': each way, with weights of its own. */
export type Direction = 'forward' | 'backward' | 'both';
/** The function that a layer applies to each of its outputs. */
export type Activation = 'tanh' | 'sigmoid' | 'relu';

/** LSTM or GRU, in PyTorch's layout; `both` directions give 2 units outputs, forward first. */
export interface RecurrentSpec extends Placed {
  kind: 'lstm' | 'gru';
  units: number;
  /** Default 'forward'. */
  direction?: Direction;
}

/** outputs = activation(W x + b) at every step. */
export interface LinearSpec extends Placed {
  kind: 'linear';
  outputs: number;
  activation?: Activation;
  /**
   * Whether W is the table of the tokens (Press and Wolf, 2017): then there are as many outputs as tokens, as many inputs as
   * the embedding is wide, and what the network reads of a token is its row times tiedScale().
   */
  tied?: true;
}

/**
 * Attention to the outputs m_s of the encoder (Luong et al., 2015), s its steps. Of what it reads, x:
 *
 *   a = softmax over s of x . m_s, or of x . (W_a m_s);  c = sum over s of a_s m_s;  outputs = tanh(W_c [c; x] + b)
 */
export interface AttentionSpec extends Placed {
  kind: 'attention';
  outputs: number;
  /** 'dot', for which x is as wide as m, or 'general', with the matrix W_a. */
  score: 'dot' | 'general';
  /** Input feeding: at each step, the network reads its input and, behind it, what this layer gave at the step before. */
  feed?: true;
}

/**
 * An adaptive softmax (Grave et al., 2017), the last layer: frequent outputs, those below the first cutoff, are computed with
 * all inputs, rarer ones with few. An output of a later cluster is as likely as its cluster times its share of that. The clusters
 * end at the cutoffs, the last at `outputs`; cluster i reads a projection of inputs / 4^i numbers, at least 1, as in PyTorch's
 * AdaptiveLogSoftmaxWithLoss. The outputs are logits.
 */
export interface AdaptiveSpec extends Placed {
  kind: 'adaptive';
  outputs: number;
  /** Ascending, above 0 and below `outputs`. */
  cutoffs: readonly number[];
}

/**
 * A convolution over time: a linear layer over a window of `width` steps. Output t reads the inputs from t stride -
 * padding[0] on; steps outside the sequence are zeros.
 */
export interface ConvSpec extends Placed {
  kind: 'conv';
  outputs: number;
  width: number;
  /** Default 1. */
  stride?: number;
  /** Steps of zeros before and behind the sequence; default [width - 1, 0], which is causal and keeps the length. */
  padding?: readonly [number, number];
  activation?: Activation;
}

/** One vector for a whole sequence: its last step; its last step forward beside its first backward; mean or largest. */
export interface PoolSpec extends Placed {
  kind: 'pool';
  over: 'last' | 'ends' | 'mean' | 'max';
}

/** A layer with what follows from those before it. */
export interface ResolvedLayer {
  spec: LayerSpec;
  /** The names of what it reads: 'input' or layers. */
  from: readonly string[];
  /** Numbers that it reads at a step, and gives. */
  inputs: number;
  outputs: number;
  /** Whether it gives one vector for a whole sequence. */
  pooled: boolean;
}

/** Larger networks are neither made nor read from files, so that what is made can be read. */
export const LARGEST_WIDTH = 2 ** 16;
export const MOST_TOKENS = 2 ** 24;
export const MOST_LAYERS = 128;
const MOST_STEPS = 2 ** 12; // of a convolution's window
export const MOST_CUTOFFS = 8;

const NAME = /^[\w-]+(\.[\w-]+)*$/;
const DIRECTIONS: readonly unknown[] = ['forward', 'backward', 'both'];
const ACTIVATIONS: readonly unknown[] = ['tanh', 'sigmoid', 'relu'];
const SCORES: readonly unknown[] = ['dot', 'general'];
const POOLS: readonly unknown[] = ['last', 'ends', 'mean', 'max'];
const FIELDS: Record<LayerSpec['kind'], readonly string[]> = {
  lstm: ['units', 'direction'],
  gru: ['units', 'direction'],
  linear: ['outputs', 'activation', 'tied'],
  attention: ['outputs', 'score', 'feed'],
  adaptive: ['outputs', 'cutoffs'],
  conv: ['outputs', 'width', 'stride', 'padding', 'activation'],
  pool: ['over'],
};

/** Numbers that the network reads at each step. */
export function inputWidth({ input }: NetworkSpec): number {
  return 'tokens' in input ? input.width : input.frames;
}

/** The layer whose outputs are read with the input of the next step, if any. */
export const fedLayer = (spec: NetworkSpec): AttentionSpec | undefined =>
  spec.layers.find((layer): layer is AttentionSpec => layer.kind === 'attention' && layer.feed === true);

/** Numbers that the encoder gives at each step; 0 where there is none. */
export const memoryWidth = ({ encoder }: NetworkSpec): number => (encoder ? resolveLayers(encoder).at(-1)!.outputs : 0);

/** The recurrent layers in order. */
export const recurrentOf = ({ layers }: NetworkSpec): RecurrentSpec[] =>
  layers.filter((layer): layer is RecurrentSpec => layer.kind === 'lstm' || layer.kind === 'gru');

/** The layers in order, with their sizes. The spec must be one that checkNetwork() has returned. */
export function resolveLayers(spec: NetworkSpec): ResolvedLayer[] {
  const read = inputWidth(spec) + (fedLayer(spec)?.outputs ?? 0);
  const found = new Map([['input', { outputs: read, pooled: false }]]);
  let before = 'input';
  return spec.layers.map((layer) => {
    const from = layer.from ?? [before];
    const read = from.map((name) => found.get(name)!);
    const inputs = read.reduce((sum, { outputs }) => sum + outputs, 0);
    const outputs = outputsOf(layer, inputs);
    const pooled = layer.kind === 'pool' || read.some((one) => one.pooled);
    found.set(layer.name, { outputs, pooled });
    before = layer.name;
    return { spec: layer, from, inputs, outputs, pooled };
  });
}

function outputsOf(layer: LayerSpec, inputs: number): number {
  switch (layer.kind) {
    case 'lstm':
    case 'gru':
      return layer.direction === 'both' ? 2 * layer.units : layer.units;
    case 'linear':
    case 'attention':
    case 'adaptive':
    case 'conv':
      return layer.outputs;
    case 'pool':
      return inputs;
  }
}

/** The directions of a recurrent layer, each with the part of the names of its tensors. */
export function directionsOf({ name, direction = 'forward' }: RecurrentSpec): { name: string; backward: boolean }[] {
  if (direction !== 'both') return [{ name, backward: direction === 'backward' }];
  return [
    { name: `${name}.forward`, backward: false },
    { name: `${name}.backward`, backward: true },
  ];
}

/** A cluster of an adaptive softmax. */
export interface ClusterShape {
  /** Of its matrix, [rows, width], and, with `.bias`, of its bias. */
  name: string;
  /** Its outputs are those from `first` on. The first cluster has a row more for each of the others. */
  first: number;
  outputs: number;
  rows: number;
  /** What it reads: the inputs, or their projection by the matrix `down`, [width, inputs]. */
  width: number;
  down?: string;
}

/** The clusters of an adaptive softmax: the first, NAME.0, and those behind the cutoffs, NAME.1, ... */
export function clustersOf({ name, outputs, cutoffs }: AdaptiveSpec, inputs: number): ClusterShape[] {
  const ends = [...cutoffs, outputs];
  let width = inputs;
  return ends.map((end, i) => {
    const first = i ? ends[i - 1] : 0;
    if (i) width = Math.max(1, Math.floor(width / 4));
    const cluster = { name: `${name}.${i}`, first, outputs: end - first, width };
    return i
      ? { ...cluster, rows: end - first, down: `${name}.${i}.down` }
      : { ...cluster, rows: end + cutoffs.length };
  });
}

/** Whether a layer's matrix is the embedding. */
export const isTied = (layer: LayerSpec): boolean => layer.kind === 'linear' && layer.tied === true;

/**
 * What the rows of the table are multiplied with to be read, where a layer is tied to it: the fourth root of their width. With
 * rows of variance 1 the head learnt too slowly, with rows as small as those of a head the embedding: of words, 15 and 1 % more
 * perplexity.
 */
export function tiedScale(spec: NetworkSpec): number {
  return spec.layers.some(isTied) ? Math.sqrt(Math.sqrt(inputWidth(spec))) : 1;
}

/** Rows of a recurrent layer's matrices for each unit: one for each gate. */
export const GATES = { lstm: 4, gru: 3 } as const;

/** A tensor of a network: its name in files and its shape, row-major. */
export interface TensorShape {
  name: string;
  /** [n] of a vector, [M, N] of a table or a matrix. */
  shape: readonly [number] | readonly [number, number];
  /**
   * Recurrent matrices and those of attention are compressed unless told otherwise; other matrices may be. Tables and vectors
   * stay as they are.
   */
  role: 'table' | 'vector' | 'recurrent' | 'attention' | 'matrix';
  /** The layer it belongs to, or 'input'. */
  layer: string;
}

/**
 * Every tensor of a network: tables and vectors first, then matrices, each in the order of the layers. Nothing else knows their
 * names and shapes.
 *
 * - the embedding: `embedding`, [tokens, width]
 * - lstm, gru: `NAME.ih`, [gates units, inputs]; `NAME.hh`, [gates units, units]; `NAME.bias_ih` and `NAME.bias_hh`, [gates
 *   units]; with both directions, NAME is followed by `.forward` or `.backward`
 * - linear: `NAME`, [outputs, inputs], unless it is tied; `NAME.bias`, [outputs]
 * - attention: `NAME.score`, W_a, [inputs, encoder's outputs], for the general score; `NAME.combine`, W_c, [outputs,
 *   encoder's outputs + inputs]; `NAME.bias`, [outputs]
 * - adaptive: for each cluster, see clustersOf(), `NAME.0`, [cutoff + clusters, inputs], `NAME.1`, [outputs, width], ..., with
 *   `NAME.1.down`, [width, inputs], and so on; `NAME.0.bias`, ...
 * - conv: `NAME`, [outputs, width inputs], the inputs of a step together, the first step first; `NAME.bias`, [outputs]
 *
 * Those of an encoder come behind its decoder's of the same sort; their names, and those of their layers, begin with `encoder.`
 */
export function tensorsOf(spec: NetworkSpec): TensorShape[] {
  const { input } = spec;
  const vectors: TensorShape[] = [];
  const matrices: TensorShape[] = [];
  if ('tokens' in input) {
    vectors.push({ name: 'embedding', shape: [input.tokens, input.width], role: 'table', layer: 'input' });
  }
  for (const { spec: layer, inputs, outputs } of resolveLayers(spec)) {
    const vector = (name: string, n: number) => vectors.push({ name, shape: [n], role: 'vector', layer: layer.name });
    const matrix = (name: string, M: number, N: number, role: 'recurrent' | 'attention' | 'matrix') =>
      matrices.push({ name, shape: [M, N], role, layer: layer.name });
    switch (layer.kind) {
      case 'lstm':
      case 'gru': {
        const rows = GATES[layer.kind] * layer.units;
        for (const { name } of directionsOf(layer)) {
          matrix(`${name}.ih`, rows, inputs, 'recurrent');
          matrix(`${name}.hh`, rows, layer.units, 'recurrent');
          vector(`${name}.bias_ih`, rows);
          vector(`${name}.bias_hh`, rows);
        }
        break;
      }
      case 'linear':
      case 'conv':
        if (!isTied(layer)) {
          matrix(layer.name, outputs, inputs * (layer.kind === 'conv' ? layer.width : 1), 'matrix');
        }
        vector(`${layer.name}.bias`, outputs);
        break;
      case 'attention': {
        const memory = memoryWidth(spec);
        if (layer.score === 'general') matrix(`${layer.name}.score`, inputs, memory, 'attention');
        matrix(`${layer.name}.combine`, outputs, memory + inputs, 'attention');
        vector(`${layer.name}.bias`, outputs);
        break;
      }
      case 'adaptive':
        for (const { name, rows, width, down } of clustersOf(layer, inputs)) {
          if (down) matrix(down, width, inputs, 'matrix');
          matrix(name, rows, width, 'matrix');
          vector(`${name}.bias`, rows);
        }
        break;
      case 'pool':
        break;
    }
  }
  for (const tensor of spec.encoder ? tensorsOf(spec.encoder) : []) {
    const list = tensor.shape.length === 1 || tensor.role === 'table' ? vectors : matrices;
    list.push({ ...tensor, name: ENCODER + tensor.name, layer: ENCODER + tensor.layer });
  }
  return [...vectors, ...matrices];
}

/** What the names of an encoder's tensors begin with. */
export const ENCODER = 'encoder.';

/**
 * Why a network cannot be stepped, one token or frame at a time; undefined where it can. Steppable are networks whose outputs
 * at a step depend on nothing that comes later.
 */
export function whyNotCausal(spec: NetworkSpec): string | undefined {
  for (const layer of spec.layers) {
    switch (layer.kind) {
      case 'lstm':
      case 'gru':
        if (layer.direction && layer.direction !== 'forward') return `layer '${layer.name}' reads backward`;
        break;
      case 'conv': {
        const [before, behind] = layer.padding ?? [layer.width - 1, 0];
        if ((layer.stride ?? 1) !== 1) return `layer '${layer.name}' has a stride of ${layer.stride}`;
        if (behind > 0 || before !== layer.width - 1)
          return `layer '${layer.name}' pads otherwise than before the sequence`;
        break;
      }
      case 'pool':
        if (layer.over !== 'last') return `layer '${layer.name}' pools over the ${layer.over} of the sequence`;
        break;
      case 'linear':
      case 'attention':
      case 'adaptive':
        break;
    }
  }
  return undefined;
}

/**
 * A spec as read from JSON or given by a caller, checked and without whatever else is there.
 *
 * @throws FileFormatError naming the field
 */
export function checkNetwork(value: unknown): NetworkSpec {
  if (!isObject(value)) throw malformed('network', value, 'an object with input and layers');
  const input = checkInput(value.input);
  const { layers } = value;
  if (!Array.isArray(layers) || layers.length < 1 || layers.length > MOST_LAYERS) {
    throw malformed('network.layers', layers, `a list of 1 to ${MOST_LAYERS} layers`);
  }
  const known = new Set(['input']);
  const checked: LayerSpec[] = [];
  for (const [i, layer] of layers.entries()) {
    checked.push(checkLayer(layer, `network.layers.${i}`, known));
    known.add(checked[i].name);
  }
  const spec = { input, layers: checked, ...(value.encoder !== undefined && { encoder: checkEncoder(value.encoder) }) };
  checkFlow(spec);
  checkDecoder(spec);
  return spec;
}

/** What an encoder must be, besides a network. */
function checkEncoder(value: unknown): NetworkSpec {
  if (isObject(value) && value.encoder !== undefined) {
    throw malformed('network.encoder.encoder', value.encoder, 'an encoder without one of its own');
  }
  const spec = checkNetwork(value);
  const last = spec.layers[spec.layers.length - 1];
  if (last.kind !== 'lstm' && last.kind !== 'gru') {
    throw malformed(`network.encoder: layer '${last.name}'`, last.kind, 'a recurrent layer at the end');
  }
  const other = spec.layers.find(({ kind }) => kind === 'pool' || kind === 'conv');
  if (other) throw malformed(`network.encoder: layer '${other.name}'`, other.kind, 'layers that keep all steps');
  return spec;
}

/** What attention, feeding and first states need. */
function checkDecoder(spec: NetworkSpec): void {
  const { encoder, layers } = spec;
  const memory = memoryWidth(spec);
  for (const { spec: layer, from, inputs } of resolveLayers(spec)) {
    const at = `layer '${layer.name}'`;
    if (encoder && `${layer.name}.`.startsWith(ENCODER))
      throw malformed(at, layer.name, 'another name beside an encoder');
    if (layer.kind !== 'attention') continue;
    if (!encoder) throw malformed(at, layer.kind, 'a network with an encoder');
    if (from.length > 1) throw malformed(at, from, 'one layer to read');
    if (layer.score === 'dot' && inputs !== memory) {
      throw malformed(at, inputs, `${memory} inputs for the score 'dot', as many as the encoder has outputs`);
    }
  }
  const fed = fedLayer(spec);
  if (fed) {
    const place = layers.indexOf(fed);
    const known = new Set(layers.slice(place).map(({ name }) => name));
    const other = layers.slice(place + 1).find(({ from = [fed.name] }) => !from.every((name) => known.has(name)));
    if (other)
      throw malformed(`layer '${other.name}'`, other.from, `only '${fed.name}', which is fed, and what follows it`);
    if (layers.slice(place + 1).some((layer) => layer.kind === 'attention' && layer.feed)) {
      throw malformed(`layer '${fed.name}'`, 'a second fed layer', 'one');
    }
    const windowed = layers.slice(0, place).find(({ kind }) => kind === 'conv' || kind === 'pool');
    if (windowed) throw malformed(`layer '${windowed.name}'`, windowed.kind, 'no such layer before one that is fed');
  }
  if (!encoder) return;
  const size = ({ kind, units, direction }: RecurrentSpec) => `${kind} of ${direction === 'both' ? 2 * units : units}`;
  const [own, first] = [recurrentOf(spec), recurrentOf(encoder)];
  const backward = own.find(({ direction = 'forward' }) => direction !== 'forward');
  if (backward) throw malformed(`layer '${backward.name}'`, backward.direction, 'forward, beside an encoder');
  if (own.map(size).join() !== first.map(size).join()) {
    throw malformed(
      'network.layers',
      own.map(size).join(', '),
      `${first.map(size).join(', ')}, as the encoder's states`,
    );
  }
}

function checkInput(value: unknown): NetworkSpec['input'] {
  if (!isObject(value)) throw malformed('network.input', value, '{ tokens, width } or { frames }');
  if (value.frames !== undefined && value.tokens === undefined) {
    return { frames: whole(value.frames, 'network.input.frames', 1, LARGEST_WIDTH) };
  }
  return {
    tokens: whole(value.tokens, 'network.input.tokens', 1, MOST_TOKENS),
    width: whole(value.width, 'network.input.width', 1, LARGEST_WIDTH),
  };
}

function checkLayer(value: unknown, at: string, known: ReadonlySet<string>): LayerSpec {
  if (!isObject(value)) throw malformed(at, value, 'an object with name and kind');
  const { name, kind, from } = value;
  if (typeof name !== 'string' || name.length > 64 || !NAME.test(name) || known.has(name)) {
    throw malformed(`${at}.name`, name, 'letters, digits, dots, dashes and underscores, used by no earlier layer');
  }
  if (typeof kind !== 'string' || !Object.hasOwn(FIELDS, kind)) {
    throw malformed(`${at}.kind`, kind, `one of ${Object.keys(FIELDS).join(', ')}`);
  }
  const fields = FIELDS[kind as LayerSpec['kind']];
  const other = Object.keys(value).find((field) => !['name', 'kind', 'from', ...fields].includes(field));
  if (other !== undefined) throw malformed(at, other, `no fields but name, kind, from and ${fields.join(', ')}`);
  const number = (field: string, most = LARGEST_WIDTH) => whole(value[field], `${at}.${field}`, 1, most);
  const oneOf = <T>(field: string, all: readonly unknown[]): T => {
    const given = value[field];
    if (!all.includes(given)) throw malformed(`${at}.${field}`, given, `one of ${all.join(', ')}`);
    return given as T;
  };
  /** A field with its value, where there is one. */
  const optional = <T>(field: string, read: (field: string) => T) =>
    value[field] === undefined ? {} : { [field]: read(field) };
  const activation = () => optional('activation', (field) => oneOf<Activation>(field, ACTIVATIONS));
  const placed: Placed = { name, ...optional('from', (field) => checkFrom(from, `${at}.${field}`, known)) };
  switch (kind as LayerSpec['kind']) {
    case 'lstm':
    case 'gru': {
      const direction = optional('direction', (field) => oneOf<Direction>(field, DIRECTIONS));
      return { ...placed, kind: kind as 'lstm' | 'gru', units: number('units'), ...direction };
    }
    case 'linear':
      // As many as there may be tokens, for a softmax over them.
      return {
        ...placed,
        kind: 'linear',
        outputs: number('outputs', MOST_TOKENS),
        ...activation(),
        ...optional('tied', (field) => oneOf<true>(field, [true])),
      };
    case 'attention': {
      const score = oneOf<AttentionSpec['score']>('score', SCORES);
      const feed = optional('feed', (field) => oneOf<true>(field, [true]));
      return { ...placed, kind: 'attention', outputs: number('outputs'), score, ...feed };
    }
    case 'adaptive': {
      const outputs = number('outputs', MOST_TOKENS);
      return { ...placed, kind: 'adaptive', outputs, cutoffs: checkCutoffs(value.cutoffs, outputs, `${at}.cutoffs`) };
    }
    case 'conv': {
      const outputs = number('outputs');
      const width = number('width', MOST_STEPS);
      const stride = optional('stride', (field) => number(field, MOST_STEPS));
      const padding = optional('padding', (field) => checkPadding(value.padding, `${at}.${field}`, width));
      return { ...placed, kind: 'conv', outputs, width, ...stride, ...padding, ...activation() };
    }
    case 'pool':
      return { ...placed, kind: 'pool', over: oneOf<PoolSpec['over']>('over', POOLS) };
  }
}

/** Throws FileFormatError unless they ascend between 0 and the number of outputs. */
export function checkCutoffs(value: unknown, outputs: number, at: string): number[] {
  const good =
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MOST_CUTOFFS &&
    value.every((one, i) => Number.isInteger(one) && one > (i ? value[i - 1] : 0) && one < outputs);
  if (good) return value;
  throw malformed(at, value, `1 to ${MOST_CUTOFFS} ascending whole numbers between 0 and ${outputs}`);
}

function checkFrom(value: unknown, at: string, known: ReadonlySet<string>): string[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > MOST_LAYERS) {
    throw malformed(at, value, "a list of earlier layers, or 'input'");
  }
  for (const [i, name] of value.entries()) {
    if (typeof name !== 'string' || !known.has(name))
      throw malformed(`${at}.${i}`, name, "an earlier layer, or 'input'");
  }
  return value;
}

function checkPadding(value: unknown, at: string, width: number): [number, number] {
  if (!Array.isArray(value) || value.length !== 2) throw malformed(at, value, 'two numbers of steps');
  return [whole(value[0], `${at}.0`, 0, width - 1), whole(value[1], `${at}.1`, 0, width - 1)];
}

function whole(value: unknown, at: string, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw malformed(at, value, `a whole number from ${least} to ${most}`);
  }
  return value as number;
}

/** What a layer reads must have as many steps everywhere, and be a sequence where it works on one. */
function checkFlow(spec: NetworkSpec): void {
  /** What divides a sequence's length: layers are joined only where it is the same. */
  const lengths = new Map<string, string>([['input', '']]);
  for (const { spec: layer, from, inputs, outputs } of resolveLayers(spec)) {
    const at = `layer '${layer.name}'`;
    const read = [...new Set(from.map((name) => lengths.get(name)!))];
    if (read.length > 1) throw malformed(at, from, 'layers with the same steps to read side by side');
    const [length] = read;
    if (isTied(layer)) {
      const { input } = spec;
      const wanted = 'tokens' in input ? [input.tokens, input.width] : undefined;
      if (wanted?.join() !== [outputs, inputs].join()) {
        throw malformed(
          at,
          [outputs, inputs],
          `${show(wanted ?? 'tokens')}, the shape of the embedding that it is tied to`,
        );
      }
    }
    if (length === 'one' && layer.kind !== 'linear' && layer.kind !== 'adaptive') {
      throw malformed(at, layer.kind, 'a linear layer, since what it reads is pooled');
    }
    if (layer.kind === 'adaptive' && layer !== spec.layers[spec.layers.length - 1]) {
      throw malformed(at, 'a layer before others', 'an adaptive softmax as the last layer');
    }
    const manyOutputs = layer.kind === 'linear' || layer.kind === 'adaptive';
    const widest = manyOutputs ? inputs : Math.max(inputs, outputs);
    if (widest > LARGEST_WIDTH) throw malformed(at, widest, `at most ${LARGEST_WIDTH} inputs and outputs`);
    if (layer.kind === 'pool' && layer.over === 'ends' && inputs % 2 !== 0) {
      throw malformed(at, inputs, 'an even number of inputs, half of them read backward');
    }
    const shape = layer.kind === 'conv' && shapeOfConv(layer);
    lengths.set(layer.name, layer.kind === 'pool' ? 'one' : shape ? `${length}/${shape}` : length);
  }
}

/** What a convolution makes of a sequence's length; undefined where it keeps it. */
function shapeOfConv({ width, stride = 1, padding: [before, behind] = [width - 1, 0] }: ConvSpec): string | undefined {
  return stride === 1 && before + behind === width - 1 ? undefined : `${width},${stride},${before + behind}`;
}
