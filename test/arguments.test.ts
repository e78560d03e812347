// Whatever the training entry exports rejects wrong arguments by name, before a kernel sees them: an InputError, and memory
// as it was, the constants of the kernels at its beginning included.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as dopant from '../src/index.js';
import { assertRejects } from './rejects.js';
import { values as numbers } from './support.js';
import { Symmetric } from './walks/symmetric.js';

// biome-ignore lint/suspicious/noExplicitAny: what is passed here is wrong on purpose
type Any = any;
/** The name of an argument, and a call with a wrong one. */
type Case = readonly [name: string, call: () => unknown];

const { Dense, InputError, LanguageModel, IntentModel, Parameter, Runtime, Tape, Trainer } = dopant;

const runtime = new Runtime();
const other = new Runtime();
const NOT_WHOLE: Any[] = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '2', null, {}];
const SIZES: Any[] = [0, ...NOT_WHOLE];
const NOT_STRINGS: Any[] = [undefined, null, 5, ['a'], {}, Symbol('text'), 1n, new String('a')];
const NOT_LISTS: Any[] = [undefined, null, 5, 'the cat', {}, new Set(['a'])];
const NOT_RULES: Any[] = ['words', '', null, 1, {}, Symbol('rule'), 'toString'];
const NOT_OBJECTS: Any[] = [undefined, null, 0, 3, 'x', [], {}];

/** A case for each wrong value, or for what a function returns when the call is made. */
const each = (name: string, wrongs: readonly Any[], call: (wrong: Any) => unknown): Case[] =>
  wrongs.map((wrong) => [name, () => call(typeof wrong === 'function' ? wrong() : wrong)]);

// ---- right arguments

const [T, B, I, H, V] = [3, 2, 5, 4, 7];
const tape = new Tape(runtime, true);
const filled = (rows: number, cols: number) => {
  const tensor = tape.tensor(rows, cols);
  runtime.floats(tensor.value, rows * cols).set(numbers(rows * cols));
  return tensor;
};
const indices = (...list: number[]) => {
  const at = runtime.alloc(4 * list.length);
  runtime.ints(at, list.length).set(list);
  return at;
};
const x = filled(T * B, I);
const state = { h: filled(B, H), c: filled(B, H) };
const strange = new Tape(other, true).tensor(T * B, I);
const matrix = dopant.dense(runtime, V, I);
const bias = new Parameter(runtime, [V]);
const table = new Parameter(runtime, [V, I]);
const ids = indices(0, 1, 2, 3, 4, 6);
const strangers = {
  matrix: dopant.dense(other, V, I),
  bias: new Parameter(other, [V]),
  table: new Parameter(other, [V, I]),
};
const layer = new dopant.LstmLayer(
  dopant.dense(runtime, 4 * H, I),
  dopant.dense(runtime, 4 * H, H),
  new Parameter(runtime, [4 * H]),
  new Parameter(runtime, [4 * H]),
);
const strangeLayer = new dopant.LstmLayer(
  dopant.dense(other, 4 * H, I),
  dopant.dense(other, 4 * H, H),
  new Parameter(other, [4 * H]),
  new Parameter(other, [4 * H]),
);
/** Addresses where no numbers lie. */
const NOWHERE: Any[] = [
  ...[0, 4, runtime.kernels.heapBase() - 4, -4, x.value + 2, 0.5],
  ...[Number.NaN, '64', undefined, null, 2 ** 32, 2 ** 40],
];
/** Such, and addresses behind which there is not room for n numbers in what is handed out. */
const addresses = (n: number): Any[] => [
  ...NOWHERE,
  () => runtime.usage().used,
  () => runtime.usage().used - 4 * n + 4,
];

const gruLayer = new dopant.GruLayer(
  dopant.dense(runtime, 3 * H, I),
  dopant.dense(runtime, 3 * H, H),
  new Parameter(runtime, [3 * H]),
  new Parameter(runtime, [3 * H]),
);
const spec: dopant.NetworkSpec = {
  input: { frames: I },
  layers: [
    { name: 'gru', kind: 'gru', units: H },
    { name: 'out', kind: 'linear', outputs: 1 },
  ],
};
const network = dopant.Network.create(runtime, spec, 1);

/** Wrong arguments of a loss that compares numbers one by one. */
const elementLosses = (loss: typeof dopant.binaryLoss): Case[] => {
  const [outputs, targets] = [filled(2, 3), new Float32Array(6)];
  return [
    ...each('tape', NOT_OBJECTS, (wrong) => loss(wrong, outputs, targets)),
    ...each('outputs', [undefined, null, 0, 'x', [], strange], (wrong) => loss(tape, wrong, targets)),
    ...each('outputs.value', addresses(6), (value) => loss(tape, { ...outputs, value }, targets)),
    ...each('targets.length', [undefined, null, [], new Float32Array(5)], (wrong) => loss(tape, outputs, wrong)),
    ...each('targets[2]', [Number.NaN, Number.POSITIVE_INFINITY, '1'], (wrong) =>
      loss(tape, outputs, [0, 0, wrong, 0, 0, 0]),
    ),
    ...each('weights.length', [[], [1, 2, 3]], (wrong) => loss(tape, outputs, targets, wrong)),
    ...each('weights[1]', [Number.NaN, '1'], (wrong) => loss(tape, outputs, targets, [1, wrong])),
  ];
};

const text = 'the cat sat on the mat. the dog lay on the rug and the bird in the tree. ';
const vocabulary = dopant.buildVocabulary([text], 'word');
const config = { hidden: 4, layers: 2, method: 'doped-kron', compression: 4 } as const;
const intentConfig = { ...config, embedding: 4, layers: 1 };
const LABELS = ['one', 'two'];
const model = LanguageModel.create(runtime, config, vocabulary, 1);
const intents = IntentModel.create(runtime, intentConfig, vocabulary, LABELS, 1);
const tokens = vocabulary.encode(text.repeat(3));
const silent = new Tape(runtime, false);
const modelState = model.newState(B);
const strangeState = LanguageModel.create(other, { ...config, layers: 1 }, vocabulary, 1).newState(B);
const sentence = vocabulary.encodeSentence('the cat');
const sentences = intents.batch([sentence, sentence]);
const options: dopant.LanguageModelOptions = {
  ...dopant.defaultOptions('word'),
  ...config,
  batch: 2,
  bptt: 3,
  epochs: 1,
};
const intentOptions: dopant.IntentOptions = { ...dopant.defaultIntentOptions(), ...intentConfig, batch: 2, epochs: 1 };
const corpus = { train: tokens, valid: tokens };
const examples = { sentences: [sentence, sentence, sentence], intents: ['one', 'two', 'one'] };

const train = (changes: Any) =>
  dopant.LanguageModelTraining.create(runtime, vocabulary, { ...options, ...changes }, corpus);
const trainer = (changes: Any, steps: Any = 10, nonzeros: Any = []) =>
  new Trainer(model, { ...options, ...changes }, steps, nonzeros);

const csr = (changes: Any) => {
  const good = {
    values: Float32Array.of(1, 2, 3),
    columns: Uint32Array.of(0, 2, 1),
    starts: Uint32Array.of(0, 2, 2, 3),
  };
  return new dopant.Sparse(runtime, 3, 3, { ...good, ...changes });
};

/** The three verbs of an operator of 7 x 5. */
function verbs(operator: dopant.Operator): Case[] {
  const R = 2;
  const [from, to] = [filled(R, I).value, filled(R, V).value];
  return [
    ...each('x', addresses(R * I), (at) => operator.matmul(at, to, R)),
    ...each('y', addresses(R * V), (at) => operator.matmul(from, at, R)),
    ...each('dy', addresses(R * V), (at) => operator.tMatmul(at, from, R)),
    ...each('dx', addresses(R * I), (at) => operator.tMatmul(to, at, R)),
    ...each('dy', addresses(R * V), (at) => operator.gradParams(at, from, R)),
    ...each('x', addresses(R * I), (at) => operator.gradParams(to, at, R)),
    ...each('R', NOT_WHOLE, (R) => operator.matmul(from, to, R)),
    ...each('R', NOT_WHOLE, (R) => operator.tMatmul(to, from, R)),
    ...each('R', NOT_WHOLE, (R) => operator.gradParams(to, from, R)),
    ...each('firstRow', NOT_WHOLE, (row) => operator.matmul(from, to, R, false, row)),
    ...each('firstRow', NOT_WHOLE, (row) => operator.tMatmul(to, from, R, false, row)),
    ...each('firstRow', NOT_WHOLE, (row) => operator.gradParams(to, from, R, row)),
    ['gradient', () => operator.gradParams(to, from, R)],
    ...each('w.length', [[], undefined, new Float32Array(V * I - 1)], (w) => operator.fit(w)),
    ...each('variance', [-1, Number.NaN, Number.POSITIVE_INFINITY, '1'], (v) => operator.initialise(v, () => {})),
  ];
}

/** Wrong masks of a step of dropout. */
const keys = (call: (key: Any) => unknown): Case[] => [
  ...each('rate', [1, -0.1, Number.NaN, 2, 'x', undefined], (rate) => call({ rate, seed: 1, step: 1, stream: 1 })),
  ...each('seed', NOT_WHOLE, (seed) => call({ rate: 0.5, seed, step: 1, stream: 1 })),
  ...each('step', NOT_WHOLE, (step) => call({ rate: 0.5, seed: 1, step, stream: 1 })),
];

// ---- wrong ones, for everything that is exported

const table_: Record<keyof typeof dopant, () => Case[]> = {
  Tape: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => new Tape(wrong, true)),
    ...each('rows', NOT_WHOLE, (rows) => tape.tensor(rows, 1)),
    ...each('cols', NOT_WHOLE, (cols) => tape.tensor(1, cols)),
    ...each('tensor', [undefined, null, 0, 'x', []], (wrong) => tape.gradient(wrong)),
    ['tensor', () => tape.gradient(strange)],
    ...each('tensor.value', addresses(6), (value) => tape.gradient({ rows: 2, cols: 3, value, grad: 0 })),
    ...each('tensor.grad', addresses(T * B * I).slice(1), (grad) => tape.gradient({ ...x, grad })),
  ],
  dropout: () => [
    ...each('tape', NOT_OBJECTS, (wrong) => dopant.dropout(wrong, x, { rate: 0.5, seed: 1, step: 1, stream: 1 })),
    ['x', () => dopant.dropout(tape, strange, { rate: 0.5, seed: 1, step: 1, stream: 1 })],
    ...keys((key) => dopant.dropout(tape, x, key)),
    ...each('stream', NOT_WHOLE, (stream) => dopant.dropout(tape, x, { rate: 0.5, seed: 1, step: 1, stream })),
    ...each('x.value', addresses(x.rows * x.cols), (value) =>
      dopant.dropout(tape, { ...x, value }, { rate: 0.5, seed: 1, step: 1, stream: 1 }),
    ),
  ],
  embed: () => [
    ...each('tape', NOT_OBJECTS, (wrong) => dopant.embed(wrong, table, ids, T * B)),
    ...each('table', [...NOT_OBJECTS, strangers.table, bias], (wrong) => dopant.embed(tape, wrong, ids, T * B)),
    ...each('ids', addresses(T * B), (at) => dopant.embed(tape, table, at, T * B)),
    ...each('R', NOT_WHOLE, (R) => dopant.embed(tape, table, ids, R)),
    ...each('ids[1]', [indices(0, V), indices(0, -1), indices(0, -(2 ** 31))], (at) =>
      dopant.embed(tape, table, at, 2),
    ),
  ],
  linear: () => [
    ...each('tape', NOT_OBJECTS, (wrong) => dopant.linear(wrong, matrix, bias, x)),
    ...each('weight', [...NOT_OBJECTS, strangers.matrix], (wrong) => dopant.linear(tape, wrong, bias, x)),
    ...each('bias', [...NOT_OBJECTS, strangers.bias, table, new Parameter(runtime, [V + 1])], (wrong) =>
      dopant.linear(tape, matrix, wrong, x),
    ),
    ['x', () => dopant.linear(tape, matrix, bias, strange)],
    ...each('x.cols', [filled(T, I + 1)], (wrong) => dopant.linear(tape, matrix, bias, wrong)),
    ...each('x.rows', NOT_WHOLE, (rows) => dopant.linear(tape, matrix, bias, { ...x, rows })),
    ...each('x.value', addresses(T * B * I), (value) => dopant.linear(tape, matrix, bias, { ...x, value })),
    ...each('x', [undefined, null, 0, 'x', []], (wrong) => dopant.linear(tape, matrix, bias, wrong)),
  ],
  softmaxLoss: () => {
    const head = { weight: matrix, bias };
    const logits = filled(T * B, V).value;
    const softTargets = (changes: Any) =>
      dopant.softmaxLoss(tape, head, x, ids, {
        weight: 0.5,
        temperature: 1,
        logits,
        ...changes,
      });
    return [
      ...each('tape', NOT_OBJECTS, (wrong) => dopant.softmaxLoss(wrong, head, x, ids)),
      ...each('weight', [...NOT_OBJECTS, strangers.matrix], (weight) =>
        dopant.softmaxLoss(tape, { weight, bias }, x, ids),
      ),
      ...each('bias', [...NOT_OBJECTS, strangers.bias, table], (wrong) =>
        dopant.softmaxLoss(tape, { weight: matrix, bias: wrong }, x, ids),
      ),
      ['x', () => dopant.softmaxLoss(tape, head, strange, ids)],
      ...each('x.cols', [filled(T * B, I - 1)], (wrong) => dopant.softmaxLoss(tape, head, wrong, ids)),
      ...each('targets', addresses(T * B), (at) => dopant.softmaxLoss(tape, head, x, at)),
      ...each('targets[2]', [indices(0, -1, V, 1, 2, 3), indices(0, -9, 2 ** 31 - 1, 1, 2, 3)], (at) =>
        dopant.softmaxLoss(tape, head, x, at),
      ),
      ...each('distill weight', [-0.1, 1.1, Number.NaN, '1'], (weight) => softTargets({ weight })),
      ...each('distill temperature', [0, -1, Number.NaN, Number.POSITIVE_INFINITY], (temperature) =>
        softTargets({ temperature }),
      ),
      ...each('logits', addresses(T * B * V), (logits) => softTargets({ logits })),
    ];
  },
  LstmLayer: () => {
    const make = (changes: Any) => {
      const { ih, hh, biasIh, biasHh } = { ...layer, ...changes };
      return new dopant.LstmLayer(ih, hh, biasIh, biasHh);
    };
    const [wrongMatrices, wrongBiases] = [
      [...NOT_OBJECTS, dopant.dense(runtime, 4 * H + 1, H), strangers.matrix],
      [...NOT_OBJECTS, bias, strangers.bias],
    ];
    return [
      ...each('ih', wrongMatrices, (ih) => make({ ih })),
      ...each('hh', wrongMatrices.slice(0, -1), (hh) => make({ hh })),
      ['ih', () => make({ hh: strangeLayer.hh })],
      ...each('biasIh', wrongBiases, (biasIh) => make({ biasIh })),
      ...each('biasHh', wrongBiases, (biasHh) => make({ biasHh })),
    ];
  },
  lstm: () => [
    ...each('tape', NOT_OBJECTS, (wrong) => dopant.lstm(wrong, layer, x, state)),
    ...each('layer', [...NOT_OBJECTS, strangeLayer], (wrong) => dopant.lstm(tape, wrong, x, state)),
    ['x', () => dopant.lstm(tape, layer, strange, state)],
    ...each('x.cols', [filled(T * B, I + 1)], (wrong) => dopant.lstm(tape, layer, wrong, state)),
    ...each('x.rows', [filled(0, I), filled(1, I), filled(5, I)], (wrong) => dopant.lstm(tape, layer, wrong, state)),
    ...each('h.cols', [filled(B, H + 1)], (h) => dopant.lstm(tape, layer, x, { ...state, h })),
    ...each('c.cols', [filled(B, H - 1)], (c) => dopant.lstm(tape, layer, x, { ...state, c })),
    ...each('c.rows', [filled(B + 1, H)], (c) => dopant.lstm(tape, layer, x, { ...state, c })),
    ...each('h', [undefined, null, 3], (h) => dopant.lstm(tape, layer, x, { ...state, h })),
    ...each('h.value', addresses(B * H), (value) =>
      dopant.lstm(tape, layer, x, { ...state, h: { ...state.h, value } }),
    ),
    ...each('c.value', addresses(B * H), (value) =>
      dopant.lstm(tape, layer, x, { ...state, c: { ...state.c, value } }),
    ),
    ...each('x.rows', [filled(0, H)], (none) => dopant.lstm(tape, layer, x, { h: none, c: none })),
  ],
  GruLayer: () => {
    const make = (changes: Any) => {
      const { ih, hh, biasIh, biasHh } = { ...gruLayer, ...changes };
      return new dopant.GruLayer(ih, hh, biasIh, biasHh);
    };
    const wrong = [...NOT_OBJECTS, dopant.dense(runtime, 3 * H + 1, H), strangers.matrix];
    return [
      ...each('ih', wrong, (ih) => make({ ih })),
      ...each('hh', wrong.slice(0, -1), (hh) => make({ hh })),
      ...each('biasIh', [...NOT_OBJECTS, bias, strangers.bias], (biasIh) => make({ biasIh })),
      ...each('biasHh', [...NOT_OBJECTS, bias, strangers.bias], (biasHh) => make({ biasHh })),
    ];
  },
  gru: () => [
    ...each('tape', NOT_OBJECTS, (wrong) => dopant.gru(wrong, gruLayer, x, state)),
    ...each('layer', [...NOT_OBJECTS, layer], (wrong) => dopant.gru(tape, wrong, x, state)),
    ['x', () => dopant.gru(tape, gruLayer, strange, state)],
    ...each('x.cols', [filled(T * B, I + 1)], (wrong) => dopant.gru(tape, gruLayer, wrong, state)),
    ...each('x.rows', [filled(1, I), filled(5, I)], (wrong) => dopant.gru(tape, gruLayer, wrong, state)),
    ...each('h.cols', [filled(B, H + 1)], (h) => dopant.gru(tape, gruLayer, x, { h })),
    ...each('h.value', addresses(B * H), (value) => dopant.gru(tape, gruLayer, x, { h: { ...state.h, value } })),
  ],
  binaryLoss: () => elementLosses(dopant.binaryLoss),
  meanSquaredLoss: () => elementLosses(dopant.meanSquaredLoss),
  Network: () => {
    const create = (changes: Any, seed: Any = 1) => dopant.Network.create(runtime, { ...spec, ...changes }, seed);
    const frames = [numbers(2 * I), numbers(I)];
    const batch = network.batch(frames);
    const run = (changes: Any, state?: Any) =>
      runtime.scoped(() => network.forward(silent, { ...batch, ...changes }, state));
    return [
      ...each('runtime', NOT_OBJECTS, (wrong) => dopant.Network.create(wrong, spec, 1)),
      ["tensor 'out'", () => network.withOperator('out', dopant.Network.create(other, spec, 1).operator('out'))],
      ...each('network', [undefined, null, 3, 'x', []], (wrong) => dopant.Network.create(runtime, wrong, 1)),
      ...each('network.input', [undefined, null, 3], (input) => create({ input })),
      ...each('network.layers', [undefined, null, 3, []], (layers) => create({ layers })),
      ...each('seed', NOT_WHOLE, (seed) => create({}, seed)),
      ...each('structureShare', [0, 1, Number.NaN, '1'], (structureShare) =>
        dopant.Network.create(runtime, spec, 1, { structureShare }),
      ),
      ...each('compression', [0.5, Number.NaN, 1e6], (compression) =>
        dopant.Network.create(runtime, spec, 1, { recipe: () => ({ method: 'lmf', compression }) }),
      ),
      ...each('sequences', [[]], (wrong) => network.batch(wrong)),
      ...each('sequences[0]', [[], [1], new Float32Array(I + 1)], (wrong) => network.batch([wrong])),
      ...each('sequences[0][1]', [Number.NaN, Number.POSITIVE_INFINITY, '2'], (wrong) =>
        network.batch([[0, wrong, 0, 0, 0]]),
      ),
      ...each('T', SIZES, (steps) => run({ T: steps })),
      ...each('B', SIZES, (size) => run({ B: size, lengths: undefined })),
      ...each('input', addresses(2 * 2 * I), (input) => run({ input })),
      ...each('lengths.length', [[], [1]], (lengths) => run({ lengths })),
      ...each('lengths[1]', SIZES, (length) => run({ lengths: [2, length] })),
      ...each('batch', SIZES, (size) => network.newState(size)),
      ...each('state.length', [[], modelState], (wrong) => run({}, wrong)),
      ...each('tensor', ['x', undefined, 'gru'], (name) => network.tensor(name)),
      ...each('values', [[], new Float32Array(3)], (values) => network.setTensor('gru.ih', values)),
      ...each('matrix', ['x', 'out.bias'], (name) => network.operator(name)),
      ...each('tensor', ['x', 'out'], (name) => network.vector(name)),
    ];
  },
  // A kind of one's own calls this constructor first.
  Operator: () => {
    const square = dopant.dense(runtime, 2, 2);
    return each('runtime', NOT_OBJECTS, (wrong) => new Symmetric(wrong, square));
  },
  Dense: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => new Dense(wrong, 2, 3)),
    ...each('M', [...SIZES, 2 ** 25], (M) => new Dense(runtime, M, 3)),
    ...each('N', [...SIZES, 2 ** 25], (N) => new Dense(runtime, 2, N)),
    ...verbs(dopant.dense(runtime, V, I)),
  ],
  dense: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => dopant.dense(wrong, 2, 3)),
    ...each('M', SIZES, (M) => dopant.dense(runtime, M, 3)),
    ...each('N', SIZES, (N) => dopant.dense(runtime, 2, N)),
  ],
  kron: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => dopant.kron(wrong, [2, 2, 2, 2])),
    ...each('shape', [undefined, null, 3, 'x', [], [2], [2, 3], [2, 3, 4], [2, 2, 2, 2, 2]], (shape) =>
      dopant.kron(runtime, shape),
    ),
    ...each('shape', SIZES, (side) => dopant.kron(runtime, [2, side, 2, 2])),
    ['shape', () => dopant.kron(runtime, new Array(34).fill(1))],
    ['shape', () => dopant.kron(runtime, [1, 1, 2 ** 13, 2 ** 12, 1, 1])],
    ['M', () => dopant.kron(runtime, [2 ** 20, 1, 2 ** 20, 1])],
  ],
  lmf: () => [
    ...each('M', SIZES, (M) => dopant.lmf(runtime, M, 3, 1)),
    ...each('N', SIZES, (N) => dopant.lmf(runtime, 3, N, 1)),
    ...each('rank', SIZES, (rank) => dopant.lmf(runtime, 3, 3, rank)),
    ...verbs(dopant.lmf(runtime, V, I, 2)),
  ],
  hmd: () => [
    ...each('M', SIZES, (M) => dopant.hmd(runtime, M, 3, 1, 1)),
    ...each('N', SIZES, (N) => dopant.hmd(runtime, 3, N, 1, 1)),
    ...each('rows', [...SIZES, 3, 4], (rows) => dopant.hmd(runtime, 3, 3, rows, 1)),
    ...each('rank', SIZES, (rank) => dopant.hmd(runtime, 3, 3, 1, rank)),
    ...verbs(dopant.hmd(runtime, V, I, 3, 1)),
  ],
  doped: () => [
    ...each('structure', [...NOT_OBJECTS, strangers.matrix], (wrong) => dopant.doped(runtime, wrong)),
    ...each('block', [0, 2, 3, 'rows', Number.NaN, 4, 8, 'gates'], (block) => dopant.doped(runtime, matrix, block)),
    ...verbs(dopant.doped(runtime, dopant.lmf(runtime, V, I, 1))),
  ],
  Kronecker: () => [
    ...each(
      'B',
      [...NOT_OBJECTS, strangers.matrix, dopant.lmf(runtime, 2, 2, 1)],
      (wrong) => new dopant.Kronecker(runtime, wrong, matrix),
    ),
    ...each(
      'C',
      [...NOT_OBJECTS, strangers.matrix, dopant.lmf(runtime, 2, 2, 1)],
      (wrong) => new dopant.Kronecker(runtime, matrix, wrong),
    ),
    ...verbs(new dopant.Kronecker(runtime, dopant.dense(runtime, V, 1), dopant.dense(runtime, 1, I))),
    ...verbs(dopant.kron(runtime, [1, 1, V, 1, 1, I])),
  ],
  Product: () => [
    ...each('U', [...NOT_OBJECTS, strangers.matrix], (wrong) => new dopant.Product(runtime, wrong, matrix)),
    ...each('V', [...NOT_OBJECTS, strangers.matrix, matrix], (wrong) => new dopant.Product(runtime, matrix, wrong)),
  ],
  Sum: () => [
    ...each('terms', [...NOT_OBJECTS], (wrong) => new dopant.Sum(runtime, wrong)),
    ...each(
      'terms[1]',
      [...NOT_OBJECTS, strangers.matrix, dopant.dense(runtime, I, V)],
      (wrong) => new dopant.Sum(runtime, [matrix, wrong]),
    ),
  ],
  VStack: () => [
    ...each('blocks', [...NOT_OBJECTS], (wrong) => new dopant.VStack(runtime, wrong)),
    ...each('blocks[1]', [...NOT_OBJECTS, strangers.matrix], (wrong) => new dopant.VStack(runtime, [matrix, wrong])),
    ...each('blocks[1].N', [dopant.dense(runtime, I, V)], (wrong) => new dopant.VStack(runtime, [matrix, wrong])),
  ],
  Sparse: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => new dopant.Sparse(wrong, 3, 3)),
    ...each('M', SIZES, (M) => new dopant.Sparse(runtime, M, 3)),
    ...each('N', SIZES, (N) => new dopant.Sparse(runtime, 3, N)),
    ...each('block', [0, 2, 'rows', Number.NaN, 4, 8, 'gates'], (b) => new dopant.Sparse(runtime, 3, 3, undefined, b)),
    ...each('values', [3, 'x', [1, 2, 3], {}], (values) => csr({ values })),
    ...each('columns', [undefined, 3, 'x', [0, 2, 1], {}], (columns) => csr({ columns })),
    ...each('starts', [undefined, 3, 'x', [0, 2, 2, 3], {}], (starts) => csr({ starts })),
    ['values.length', () => csr({ values: Float32Array.of(1, 2) })],
    ['starts.length', () => csr({ starts: Uint32Array.of(0, 3) })],
    ['starts[0]', () => csr({ starts: Uint32Array.of(1, 2, 2, 3) })],
    ['starts[1]', () => csr({ starts: Int32Array.of(0, -1, 2, 3) })],
    ['starts[2]', () => csr({ starts: Float64Array.of(0, 2, Number.NaN, 3) })],
    ['starts[2]', () => csr({ starts: Uint32Array.of(0, 2, 1, 3) })],
    ['starts[3]', () => csr({ starts: Uint32Array.of(0, 2, 2, 4) })],
    ['columns[1]', () => csr({ columns: Uint32Array.of(0, 3, 1) })],
    ['columns[1]', () => csr({ columns: Uint32Array.of(0, 0, 1) })],
    ['columns[0]', () => csr({ columns: Int32Array.of(-1, 2, 1) })],
    ['columns[0]', () => csr({ columns: Float64Array.of(0.5, 2, 1) })],
    ['columns[2]', () => csr({ columns: Float32Array.of(0, 2, Number.NaN) })],
    ['mask.length', () => new dopant.Sparse(runtime, 3, 3, { mask: new Uint8Array(8) })],
    ['mask', () => new dopant.Sparse(runtime, 3, 3, { mask: new Uint8Array(9).fill(2) })],
    ['mask', () => new dopant.Sparse(runtime, 4, 1, { mask: Uint8Array.of(1, 1, 0, 1) }, 4)],
    ...each('keep', NOT_WHOLE, (keep) => dopant.Sparse.prune([], keep)),
    ...verbs(new dopant.Sparse(runtime, V, I)),
    ...verbs(
      new dopant.Sparse(runtime, V, I, {
        values: Float32Array.of(1),
        columns: Uint32Array.of(2),
        starts: Uint32Array.from({ length: V + 1 }, (_, i) => (i > 3 ? 1 : 0)),
      }),
    ),
  ],
  Parameter: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => new Parameter(wrong, [2])),
    ...each('shape', [undefined, null, 3, 'x', [], {}], (shape) => new Parameter(runtime, shape)),
    ...each('shape', NOT_WHOLE, (side) => new Parameter(runtime, [2, side])),
    ...each('gradient', [new Parameter(runtime, [0]), new Parameter(runtime, [3])], (parameter) => parameter.grad),
    ...each('places[0]', [Uint32Array.of(V, 0), Int32Array.of(-1), Float32Array.of(Number.NaN)], (p) => bias.keep(p)),
    ['places.length', () => bias.keep(new Uint32Array(V + 1))],
  ],
  planMatrix: () => [
    ...each('M', [...SIZES, 2 ** 25], (M) => dopant.planMatrix(M, 4, 'kron', 2)),
    ...each('N', [...SIZES, 2 ** 25], (N) => dopant.planMatrix(4, N, 'kron', 2)),
    ...each('method', [undefined, null, 3, '', 'magic', 'toString', {}], (m) => dopant.planMatrix(4, 4, m, 2)),
    ...each('compression', [0, 0.5, -1, Number.NaN, Number.POSITIVE_INFINITY, '2', undefined, 1e9], (c) =>
      dopant.planMatrix(4, 4, 'kron', c),
    ),
    ...each('kron', [3, 'x', {}, [], [2, 2], [2, 2, 2], [2, 2, 2, 3], [4, 4, 1, Number.NaN], [-2, -2, -2, -2]], (s) =>
      dopant.planMatrix(4, 4, 'kron', 1, s),
    ),
    ['kron', () => dopant.planMatrix(4, 4, 'lmf', 1, [2, 2, 2, 2])],
    ...each('block', [0, 2, 'x', Number.NaN, null], (b) => dopant.planMatrix(4, 4, 'pruned', 2, undefined, b)),
    ['block', () => dopant.planMatrix(4, 4, 'kron', 1, undefined, 4)],
    ['block', () => dopant.planMatrix(6, 4, 'pruned', 2, undefined, 'gates')],
  ],
  buildOperator: () => {
    const plan = dopant.planMatrix(8, 6, 'doped-lmf', 2);
    return [
      ...each('method', [undefined, 'magic'], (method) => dopant.buildOperator(runtime, { ...plan, method })),
      ...each('structure', [undefined, null, 3, {}, { kind: 'magic' }], (s) =>
        dopant.buildOperator(runtime, { ...plan, structure: s }),
      ),
      ...each('M', SIZES, (M) => dopant.buildOperator(runtime, { ...plan, method: 'dense', M })),
      ...each('kron', [[2, 2, 2, 2], [8, 6], 'x', undefined], (shape) =>
        dopant.buildOperator(runtime, { ...plan, structure: { kind: 'kron', shape } }),
      ),
      ...each('block', [3, 'x'], (block) => dopant.buildOperator(runtime, { ...plan, method: 'pruned', block })),
    ];
  },
  Streams: () => {
    const streams = new dopant.Streams(tokens, 2, 3, 'the text');
    const array = () => new Int32Array(6);
    return [
      ...each('batch', SIZES, (batch) => new dopant.Streams(tokens, batch, 3, 'the text')),
      ...each('bptt', SIZES, (steps) => new dopant.Streams(tokens, 2, steps, 'the text')),
      ...each('ids', NOT_OBJECTS, (wrong) => new dopant.Streams(wrong, 2, 3, 'the text')),
      ['the text', () => new dopant.Streams(tokens, tokens.length, 3)],
      ...each('piece', [...NOT_WHOLE, streams.pieces], (piece) => streams.fill(piece, array(), array())),
      ...each('inputs.length', [undefined, new Int32Array(5)], (wrong) => streams.fill(0, wrong, array())),
      ...each('targets.length', [undefined, new Int32Array(7)], (wrong) => streams.fill(0, array(), wrong)),
    ];
  },
  LanguageModel: () => {
    const create = (changes: Any) => LanguageModel.create(runtime, { ...config, ...changes }, vocabulary, 1);
    const forward = (changes: Any) => {
      const { at, steps, batch, s, drop } = { at: ids, steps: T, batch: B, s: modelState, drop: undefined, ...changes };
      return runtime.scoped(() => model.forward(silent, at, steps, batch, s, drop));
    };
    return [
      ...each('runtime', NOT_OBJECTS, (wrong) => LanguageModel.create(wrong, config, vocabulary, 1)),
      ...each('vocabulary', NOT_OBJECTS, (wrong) => LanguageModel.create(runtime, config, wrong, 1)),
      ...each('seed', NOT_WHOLE, (seed) => LanguageModel.create(runtime, config, vocabulary, seed)),
      ...each('structureShare', [0, 1, -1, Number.NaN, '1'], (s) =>
        LanguageModel.create(runtime, config, vocabulary, 1, { structureShare: s }),
      ),
      ...each('hidden', [...SIZES, 2 ** 17], (hidden) => create({ hidden })),
      ...each('layers', [...SIZES, 65], (layers) => create({ layers })),
      ...each('method', ['magic', null], (method) => create({ method })),
      ...each('compression', [0.5, Number.NaN, 1e6], (compression) => create({ compression })),
      ...each('block', [2, 'x'], (block) => create({ block })),
      ...each('kron', [[2, 2], [2, 2, 2, 2], 'x'], (kron) => create({ kron })),
      ...each('batch', SIZES, (batch) => model.newState(batch)),
      ...each('B', SIZES, (batch) => model.resetState(modelState, batch)),
      ...each('state.length', [undefined, [], modelState.slice(1), strangeState], (s) => model.resetState(s, B)),
      ...each('state[1].h', addresses(B * 4), (h) => model.resetState([modelState[0], { ...modelState[1], h }], B)),
      ...each('state[0].c', addresses(B * 4), (c) => forward({ s: [{ ...modelState[0], c }, modelState[1]] })),
      ...each('state.length', [undefined, [], modelState.slice(1), strangeState], (s) => forward({ s })),
      ['state[0].h', () => forward({ s: modelState, batch: 2 ** 20, steps: 1 })],
      ...each('T', SIZES, (steps) => forward({ steps })),
      ...each('B', SIZES, (batch) => forward({ batch })),
      ...each('ids', addresses(T * B), (at) => forward({ at })),
      ...each('ids[5]', [indices(0, 0, 0, 0, 0, vocabulary.size)], (at) => forward({ at })),
      ...keys((drop) => forward({ drop })),
      ...each('tape', NOT_OBJECTS, (wrong) => model.forward(wrong, ids, T, B, modelState)),
      ['table', () => model.forward(new Tape(other, false), ids, T, B, modelState)],
      ...each('targets', NOWHERE, (at) => runtime.scoped(() => model.loss(silent, at, [ids, T, B, modelState]))),
    ];
  },
  IntentModel: () => {
    const create = (changes: Any) =>
      IntentModel.create(runtime, { ...intentConfig, ...changes }, vocabulary, LABELS, 1);
    const forward = (changes: Any) => runtime.scoped(() => intents.forward(silent, { ...sentences, ...changes }));
    const n = sentences.T * sentences.B;
    return [
      ...each('runtime', NOT_OBJECTS, (wrong) => IntentModel.create(wrong, intentConfig, vocabulary, LABELS, 1)),
      ...each('vocabulary', [...NOT_OBJECTS, dopant.buildVocabulary(['abc'], 'char')], (wrong) =>
        IntentModel.create(runtime, intentConfig, wrong, LABELS, 1),
      ),
      ...each('labels', [undefined, null, 'x', {}, [], ['one']], (wrong) =>
        IntentModel.create(runtime, intentConfig, vocabulary, wrong, 1),
      ),
      ...each('labels[1]', ['', 'one', 7, null, undefined, Symbol('two')], (wrong) =>
        IntentModel.create(runtime, intentConfig, vocabulary, ['one', wrong], 1),
      ),
      ...each('seed', NOT_WHOLE, (seed) => IntentModel.create(runtime, intentConfig, vocabulary, LABELS, seed)),
      ...each('embedding', SIZES, (embedding) => create({ embedding })),
      ...each('hidden', SIZES, (hidden) => create({ hidden })),
      ['sentences', () => intents.batch([])],
      ['sentences[1]', () => intents.batch([sentence, new Int32Array()])],
      ['sentences[1][0]', () => intents.batch([sentence, Int32Array.of(vocabulary.size)])],
      ...each('T', SIZES, (T) => forward({ T })),
      ...each('B', SIZES, (B) => forward({ B })),
      ...each('ids', addresses(n), (input) => forward({ input })),
      ...each('lengths.length', [[], [1]], (lengths) => forward({ lengths })),
      ...each('lengths[1]', [...SIZES, sentences.T + 1], (length) => forward({ lengths: [1, length] })),
      ...each('targets', NOWHERE, (at) => runtime.scoped(() => intents.loss(silent, sentences, at))),
      ...each('targets[1]', [indices(0, LABELS.length)], (at) =>
        runtime.scoped(() => intents.loss(silent, sentences, at)),
      ),
      ...keys((drop) => runtime.scoped(() => intents.forward(silent, sentences, drop))),
    ];
  },
  Trainer: () => {
    const own = LanguageModel.create(runtime, config, vocabulary, 1);
    const good = new Trainer(own, options, 10, []);
    const step = (epoch: Any, batch: Any) =>
      good.step(
        epoch,
        batch,
        () => 0,
        () => 0,
      );
    return [
      ...each('optimizer', ['magic', undefined, null], (optimizer) => trainer({ optimizer })),
      ...each('lr', [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined], (r) => trainer({ learningRate: r })),
      ...each('clip', [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined], (clip) => trainer({ clip })),
      ...each('seed', NOT_WHOLE, (seed) => trainer({ seed })),
      ...each('structure share', [0, 1, Number.NaN, '1'], (structureShare) => trainer({ structureShare })),
      ...each('alternate', NOT_WHOLE, (alternate) => trainer({ alternate })),
      ...each('measureEvery', SIZES, (measureEvery) => trainer({ measureEvery })),
      ...each('free rate scale', [0, Number.NaN, '1'], (scale) => trainer({ freeRate: { scale, power: 1 } })),
      ...each('free rate power', [-1, Number.NaN, '1'], (power) => trainer({ freeRate: { scale: 1, power } })),
      ...each(
        'schedule',
        [{ kind: 'magic' }, { kind: 'decay', after: -1, by: 2 }, { kind: 'decay', after: 1, by: 0 }],
        (s) => trainer({ schedule: s }),
      ),
      ...each('annealing', [{ start: -1 }, { end: 1 }, { start: 0.9, end: 0.1 }, { start: Number.NaN }], (a) =>
        trainer({ annealing: { ...dopant.defaultAnnealing, ...a } }),
      ),
      ...each('annealing every', SIZES, (every) => trainer({ annealing: { ...dopant.defaultAnnealing, every } })),
      ...each('annealing threshold', ['x'], (t) =>
        trainer({ annealing: { ...dopant.defaultAnnealing, threshold: t } }),
      ),
      ...each('final sparsity', [-1, 2, Number.NaN], (finalSparsity) =>
        trainer({ annealing: { ...dopant.defaultAnnealing, finalSparsity } }),
      ),
      ...each('cmr structure', [1, -1, Number.NaN], (s) =>
        trainer({ coMatrixDropout: { ...dopant.noCoMatrixDropout, structure: s } }),
      ),
      ...each('cmr dopants', [1, -1, Number.NaN], (s) =>
        trainer({ coMatrixDropout: { ...dopant.noCoMatrixDropout, dopants: s } }),
      ),
      ...each('cmr until', [-1, 2, Number.NaN], (until) =>
        trainer({ coMatrixDropout: { ...dopant.noCoMatrixDropout, until } }),
      ),
      ...each('totalSteps', SIZES, (steps) => trainer({}, steps)),
      ...each('nonzeros', [...NOT_WHOLE, 1e6], (nonzeros) => trainer({}, 10, [nonzeros])),
      ...each('epoch', NOT_WHOLE, (epoch) => step(epoch, 1)),
      ...each('batch', SIZES, (batch) => step(0, batch)),
      ...each('rate', [undefined, '1', Number.NaN, Number.POSITIVE_INFINITY], (rate) => good.optimizer.step(rate, 1)),
      ...each('clip', [undefined, '1', Number.NaN, Number.POSITIVE_INFINITY], (clip) => good.optimizer.step(1, clip)),
    ];
  },
  Evaluation: () => [
    ...each('batch', SIZES, (batch) => new dopant.Evaluation(model, batch, 3)),
    ...each('steps', SIZES, (steps) => new dopant.Evaluation(model, 2, steps)),
    ['ids[1]', () => new dopant.Evaluation(model).meanLoss(Int32Array.of(0, vocabulary.size, 1))],
  ],
  LanguageModelTraining: () => [
    ...each('runtime', NOT_OBJECTS, (wrong) => dopant.LanguageModelTraining.create(wrong, vocabulary, options, corpus)),
    ...each('batch', SIZES, (batch) => train({ batch })),
    ...each('bptt', SIZES, (bptt) => train({ bptt })),
    ...each('lr', [0], (learningRate) => train({ learningRate })),
    ...each('hidden', SIZES, (hidden) => train({ hidden })),
    [
      'train[0]',
      () =>
        dopant.LanguageModelTraining.create(runtime, vocabulary, options, {
          ...corpus,
          train: new Int32Array(99).fill(-1),
        }),
    ],
  ],
  IntentTraining: () => {
    const create = (changes: Any, data = { train: examples, valid: examples }) =>
      dopant.IntentTraining.create(runtime, vocabulary, { ...intentOptions, ...changes }, data);
    return [
      ...each('intents[2]', ['', 7, null, undefined, Symbol('two')], (wrong) =>
        create({}, { train: { ...examples, intents: ['one', 'two', wrong] }, valid: examples }),
      ),
      ...each('embedding', SIZES, (embedding) => create({ embedding })),
      ...each('lr', [0], (learningRate) => create({ learningRate })),
    ];
  },
  classifySentences: () => [
    ['sentences[0]', () => dopant.classifySentences(intents, [new Int32Array()])],
    ['sentences[0][0]', () => dopant.classifySentences(intents, [Int32Array.of(-1)])],
  ],
  evaluateIntents: () => [
    ['sentences[0]', () => dopant.evaluateIntents(intents, { sentences: [new Int32Array()], intents: ['one'] })],
  ],
  TagModel: () => [
    ...each('hidden', SIZES, (hidden) =>
      dopant.TagModel.create(runtime, { ...intentOptions, hidden }, vocabulary, ['O', 'B-a'], 1),
    ),
    ...each('tags', [undefined, 3, [], ['O']], (tags) =>
      dopant.TagModel.create(runtime, intentOptions, vocabulary, tags, 1),
    ),
  ],
  TagTraining: () => {
    const texts = { sentences: [Int32Array.of(1, 2)], tags: [['O', 'B-a']] };
    const tagOptions = { ...dopant.defaultTagOptions(), method: 'dense' as const, compression: 1, hidden: 4 };
    const create = (changes: Any, train: Any = texts) =>
      dopant.TagTraining.create(runtime, vocabulary, { ...tagOptions, ...changes }, { train, valid: texts });
    return [
      ...each('embedding', SIZES, (embedding) => create({ embedding })),
      ['train 0', () => create({}, { ...texts, sentences: [Int32Array.of(1)] })],
      ['train 0[0]', () => create({}, { ...texts, sentences: [Int32Array.of(-1, 2)] })],
    ];
  },
  tagVocabulary: () => [...each('vocab', SIZES, (size) => dopant.tagVocabulary([text], size))],
  evaluateTags: () => {
    const tagger = dopant.TagModel.create(runtime, intentOptions, vocabulary, ['O', 'B-a'], 1);
    return [['sequences[0]', () => dopant.evaluateTags(tagger, { sentences: [new Int32Array()], tags: [[]] })]];
  },
  bleu: () => [
    ...each('tokenise', [null, 3, 'intl'], (tokenise) => dopant.bleu(['a'], ['a'], { tokenise })),
    ...each('translations', [[], ['a', 'b']], (wrong) => dopant.bleu(wrong, ['a'])),
  ],
  TranslationModel: () => {
    const create = (changes: Any, languages: Any = ['de', 'en']) => {
      const given = { ...intentOptions, method: 'dense' as const, compression: 1, score: 'dot' as const, ...changes };
      return dopant.TranslationModel.create(runtime, given, { source: vocabulary, target: vocabulary, languages }, 1);
    };
    return [
      ...each('hidden', SIZES, (hidden) => create({ hidden })),
      ...each('score', [undefined, 'none', 3], (score) => create({ score })),
      ...each('languages', [null, ['de'], ['de', '../x']], (languages) => create({}, languages)),
    ];
  },
  TranslationTraining: () => {
    const texts = { sources: [Int32Array.of(1, 2)], targets: [Int32Array.of(1)] };
    const both = { source: vocabulary, target: vocabulary, languages: ['de', 'en'] as const };
    const given = { ...dopant.defaultTranslationOptions(), method: 'dense' as const, compression: 1, hidden: 4 };
    const create = (changes: Any, train: Any = texts) =>
      dopant.TranslationTraining.create(runtime, both, { ...given, ...changes }, { train, valid: texts });
    return [
      ...each('label smoothing', [-0.1, 1, Number.NaN], (labelSmoothing) => create({ labelSmoothing })),
      ...each('patience', [-1, 0.5], (patience) => create({ patience })),
      ['train', () => create({}, { ...texts, targets: [] })],
      ['train.sources 0[0]', () => create({}, { ...texts, sources: [Int32Array.of(-1)] })],
    ];
  },
  translationVocabularies: () => [
    ...each('vocab', [1, 0.5, -1], (size) => dopant.translationVocabularies([text], [text], ['de', 'en'], { size })),
  ],
  SeriesModel: () => {
    const series = { frame: [{ mean: 0, deviation: 1 }], per: 'step', value: { mean: 0, deviation: 1 } } as const;
    return [
      ...each('hidden', SIZES, (hidden) => dopant.SeriesModel.create(runtime, { ...config, hidden }, series, 1)),
      ...each('series', [undefined, 3, {}], (wrong) => dopant.SeriesModel.create(runtime, config, wrong, 1)),
    ];
  },
  SeriesTraining: () => {
    const given = { sequences: [Float32Array.of(1, 2), Float32Array.of(3)], targets: ['a', 'b'] };
    const create = (changes: Any, train: Any = given) =>
      dopant.SeriesTraining.create(
        runtime,
        dopant.seriesSchema(given, 1),
        { ...dopant.defaultSeriesOptions(), method: 'dense', compression: 1, hidden: 4, ...changes },
        { train, valid: given },
      );
    return [
      ...each('hidden', SIZES, (hidden) => create({ hidden })),
      ['train 0', () => create({}, { ...given, sequences: [new Float32Array(), Float32Array.of(1)] })],
      ['train 1', () => create({}, { ...given, targets: ['a', 7] })],
    ];
  },
  encodeModel: () => [
    ...each('model', [undefined, {}, 1], (wrong) => dopant.encodeModel(wrong as never)),
    ...each('task', [undefined, {}, { name: 1 }], (task) => dopant.encodeModel(model.network, task as never)),
    ...each('bits', [4, { other: 4 }], (bits) => dopant.encodeModel(model, bits as never)),
    ...each('bits.head', [5, '4', null], (head) => dopant.encodeModel(model, { head } as never)),
  ],
  bitsOfAll: () => each('bits', [undefined, 5, '4', 1, 16], (bits) => dopant.bitsOfAll(bits as never)),
  seriesSchema: () => [['train', () => dopant.seriesSchema({ sequences: [], targets: [] }, 1)]],
  evaluateSeries: () => {
    const series = { frame: [{ mean: 0, deviation: 1 }], per: 'sequence', labels: ['a', 'b'] } as const;
    const answering = dopant.SeriesModel.create(runtime, config, series, 1);
    return [['examples', () => dopant.evaluateSeries(answering, { sequences: [], targets: [] })]];
  },
  startFrom: () => [
    ['from', () => dopant.startFrom(model, LanguageModel.create(other, { ...config, hidden: 8 }, vocabulary, 1))],
  ],
  generate: () => [
    ['prompt[0]', () => dopant.generate(model, [-1], { temperature: 1, seed: 1 }).next()],
    ...each('seed', [-1, 0.5], (seed) => dopant.generate(model, [], { temperature: 1, seed }).next()),
  ],
  // test/wasm/runtime.test.ts has the rest.
  Runtime: () => [
    ...each('threads', SIZES, (threads) => new Runtime({ threads })),
    ...each('bytes', NOT_WHOLE, (bytes) => runtime.alloc(bytes)),
    ...each('bytes', NOT_WHOLE, (bytes) => runtime.zeros(bytes)),
    ...each('mark', [...NOT_WHOLE, 0, runtime.usage().used + 1], (mark) => runtime.release(mark)),
    ...each('R', NOT_WHOLE, (R) => runtime.shares(R)),
    ...each('bytes', [-1, Number.NaN, 'x'], (bytes) => runtime.within(bytes, () => 0)),
  ],
  Vocabulary: () => [
    ...each('text', NOT_STRINGS, (text) => vocabulary.encode(text)),
    ...each('text', NOT_STRINGS, (text) => vocabulary.encodeSentence(text)),
    ...each('ids', [undefined, null, 3, {}, new Set([1]), Symbol('ids')], (ids) => vocabulary.decode(ids)),
    ...each('ids[0]', [-1, 0.5, '1', 'length', [1], 1n, Symbol('id'), vocabulary.size], (id) =>
      vocabulary.decode([id]),
    ),
  ],
  buildVocabulary: () => [
    ...each('texts', NOT_LISTS, (texts) => dopant.buildVocabulary(texts, 'word')),
    ...each('text', NOT_STRINGS, (text) => dopant.buildVocabulary([text], 'word')),
    ...each('how', NOT_RULES, (how) => dopant.buildVocabulary([text], how)),
    ...each('vocab', SIZES, (size) => dopant.buildVocabulary([text], 'word', size)),
    ...each('least', NOT_WHOLE, (least) => dopant.buildVocabulary([text], 'word', undefined, least)),
  ],
  sampleTexts: () => [
    ...each('texts', NOT_LISTS, (texts) => dopant.sampleTexts(texts, 'word', 5)),
    ...each('text', NOT_STRINGS, (text) => dopant.sampleTexts([text], 'word', 5)),
    ...each('how', NOT_RULES, (how) => dopant.sampleTexts([text], how, 5)),
    ...each('maxTokens', SIZES, (most) => dopant.sampleTexts([text], 'word', most)),
  ],
  splitText: () => [
    ...each('text', NOT_STRINGS, (text) => dopant.splitText(text)),
    ...each('level', NOT_RULES, (level) => dopant.splitText(text, level)),
  ],
  splitTexts: () => [
    ...each('texts', NOT_LISTS, (texts) => dopant.splitTexts(texts, 'word')),
    ...each('text', NOT_STRINGS, (text) => dopant.splitTexts([text], 'word')),
    ...each('level', NOT_RULES, (level) => dopant.splitTexts([text], level)),
  ],
  // They take no numbers that a kernel sees: files and plain data, with tests of their own.
  ...({} as Record<Elsewhere, never>),
};

const ELSEWHERE = [
  'FileFormatError',
  'InputError',
  'TrainingError',
  'METHODS',
  'decodeCheckpoint',
  'decodeIntentModel',
  'decodeLanguageModel',
  'decodeSafetensors',
  'decodeSeriesModel',
  'decodeTagModel',
  'decodeTranslationModel',
  'defaultTranslationOptions',
  'defaultSeriesOptions',
  'defaultTagOptions',
  'defaultAnnealing',
  'defaultIntentOptions',
  'defaultOptions',
  'defaultTrainerOptions',
  'describePlan',
  'encodeCheckpoint',
  'checkNetwork',
  'decodeNetwork',
  'planNetwork',
  'readHeader',
  'recipeOf',
  'tensorsOf',
  'whyNotCausal',
  'encodeSafetensors',
  'hasRelaxedSimd',
  'kernelBytes',
  'noCoMatrixDropout',
  'parametersOf',
  'takeInventory',
  'measureFile',
  // Classes that tasks extend, and what they are made with.
  'Model',
  'SequenceTraining',
  'Training',
  'commonOptions',
  'fingerprintOf',
  'modelConfig',
  'walk',
  'whyNoThreads',
] as const;
type Elsewhere = (typeof ELSEWHERE)[number];

test('everything that is exported has its wrong arguments here, or a reason why not', () => {
  assert.equal([...Object.keys(table_), ...ELSEWHERE].sort(), Object.keys(dopant).sort());
});

for (const [name, casesOf] of Object.entries(table_)) {
  test(`${name} rejects wrong arguments by name, and changes nothing`, () => {
    runtime.scoped(() => {
      const cases = casesOf();
      assert.ok(cases.length > 0);
      for (const [argument, call] of cases) assertRejects(runtime, argument, call);
    });
  });
}

test('a gradient that was never prepared cannot be written', () => {
  const [weight, b, lookup] = [
    dopant.dense(runtime, V, I),
    new Parameter(runtime, [V]),
    new Parameter(runtime, [V, I]),
  ];
  const layerOf = () => new dopant.LstmLayer(layer.ih, layer.hh, layer.biasIh, layer.biasHh);
  const constants = () => runtime.bytes(0, runtime.kernels.heapBase()).slice();
  const before = constants();
  for (const record of [
    (t: dopant.Tape) => dopant.linear(t, weight, b, filled(2, I)),
    (t: dopant.Tape) => dopant.embed(t, lookup, ids, 2),
    (t: dopant.Tape) => dopant.lstm(t, layerOf(), x, state),
    (t: dopant.Tape) => dopant.softmaxLoss(t, { weight, bias: b }, filled(2, I), ids),
  ]) {
    const fresh = new Tape(runtime, true);
    record(fresh);
    assert.throws(
      () => fresh.backward(),
      (error: unknown) => error instanceof InputError && error.message === MESSAGE,
    );
    assert.equal(constants(), before);
  }
});

const MESSAGE = 'gradient: got none; expected prepareGradient() to be called first';

test('an output that nothing depends on has a gradient of zeros', () => {
  const weight = dopant.dense(runtime, V, I);
  const parameters = [weight.weight, new Parameter(runtime, [V]), new Parameter(runtime, [V, I])];
  for (const parameter of parameters) parameter.prepareGradient();
  const fresh = new Tape(runtime, true);
  const input = fresh.tensor(2, I);
  runtime.floats(input.value, 2 * I).fill(1);
  dopant.dropout(fresh, dopant.embed(fresh, parameters[2], ids, 2), { rate: 0.5, seed: 1, step: 1, stream: 1 });
  dopant.linear(fresh, weight, parameters[1], input);
  fresh.backward();
  for (const { gradient } of parameters) assert.ok(gradient.every((value) => value === 0));
  assert.ok(runtime.floats(input.grad, 2 * I).every((value) => value === 0));
});

const LAYERS: readonly Any[] = [
  ...['lstm', 'gru'].flatMap((kind) => ['forward', 'both'].map((direction) => ({ kind, units: 32, direction }))),
  ...['tanh', 'sigmoid', 'relu'].map((activation) => ({ kind: 'linear', outputs: 32, activation })),
  { kind: 'conv', outputs: 32, width: 2, stride: 2 },
  { kind: 'conv', outputs: 32, width: 3, padding: [1, 1], activation: 'tanh' },
  ...['last', 'mean', 'max'].map((over) => ({ kind: 'pool', over })),
];

for (const layerSpec of LAYERS) {
  test(`a network whose outputs nothing depends on has gradients of zeros: ${JSON.stringify(layerSpec)}`, () => {
    const inner = dopant.Network.create(
      runtime,
      { input: { tokens: 5, width: 256 }, layers: [{ name: 'one', ...layerSpec }] },
      1,
    );
    for (const [, parameter] of inner.parameters()) parameter.prepareGradient();
    const constants = () => runtime.bytes(0, runtime.kernels.heapBase()).slice();
    const before = constants();
    const fresh = new Tape(runtime, true);
    // Larger than all constants together, which begin at 1024 or so.
    const lengths = [20, 1, 7, 20, 3, 9, 4, 11];
    inner.forward(fresh, inner.batch(lengths.map((length) => new Array(length).fill(length % 5))));
    fresh.backward();
    assert.equal(constants(), before);
    for (const [name, { gradient }] of inner.parameters())
      assert.ok(
        gradient.every((value) => value === 0),
        name,
      );
  });
}

test('a model, a training or a matrix that cannot be made keeps no memory', () => {
  const { used } = runtime.usage();
  const huge = { ...config, hidden: 2 ** 15, method: 'dense', compression: 1 } as const;
  for (const make of [
    () => LanguageModel.create(runtime, huge, vocabulary, 1),
    () => IntentModel.create(runtime, { ...huge, embedding: 4 }, vocabulary, LABELS, 1),
    () => train({ ...huge }),
    () => new Dense(runtime, 2 ** 20, 2 ** 20),
  ]) {
    assert.throws(make, (error: unknown) => error instanceof RangeError && error.message.startsWith('out of memory'));
    assert.is(runtime.usage().used, used);
  }
  LanguageModel.create(runtime, config, vocabulary, 1);
});

test.run();
