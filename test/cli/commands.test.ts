import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import packageJson from '../../package.json';
import type { TrainResult } from '../../src/cli/training.js';
import { FileFormatError as LoadError, load } from '../../src/infer/index.js';
import { type Inventory, takeInventory } from '../../src/io/inventory.js';
import { measureFile } from '../../src/io/measure-file.js';
import { decodeSafetensors } from '../../src/io/safetensors.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { decodeCheckpoint } from '../../src/tasks/checkpoint.js';
import { Evaluation } from '../../src/tasks/lm/evaluation.js';
import { decodeLanguageModel } from '../../src/tasks/lm/model.js';
import { defaultOptions, type LanguageModelOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { splitText } from '../../src/text/split.js';
import { noCoMatrixDropout } from '../../src/train/comatrix.js';
import type { TrainRecord } from '../../src/train/records.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { unigramPerplexity } from '../unigram.js';
import { dopantHere, json, makeFolder, makeText, start, succeed } from './command.js';

const folder = makeFolder();
const path = (name: string) => join(folder, name);
const text = makeText(2000);
const { train, valid, test: held } = splitText(text);
const vocabulary = buildVocabulary([train], 'word');
const tokens = { train: vocabulary.encode(train), valid: vocabulary.encode(valid), test: vocabulary.encode(held) };
writeFileSync(path('text.txt'), text);

const [HIDDEN, LAYERS, BATCH, BPTT] = [8, 2, 4, 8];
const SMALL = `train lm --data text.txt --hidden ${HIDDEN} --layers ${LAYERS} --batch ${BATCH} --bptt ${BPTT} --epochs 1`;
const MODEL = 'model.safetensors';

interface Evaluated {
  split: string;
  perplexity: number;
  bitsPerToken: number;
  tokens: number;
  unknown: number;
}
type Inspected = Pick<Inventory, 'method' | 'compression' | 'tensors'>;

let trained: Required<TrainResult>;
let announced = '';
test.before(async () => {
  const { stdout, stderr } = await succeed(folder, `${SMALL} --epochs 2 --compression 5 --json`);
  assert.is(stdout.split('\n').length, 2, 'one line and its end');
  trained = JSON.parse(stdout);
  announced = stderr;
});

/** The types of a value's parts: exactly these keys. */
const typesOf = (value: unknown): unknown =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, typesOf(inner)]))
    : typeof value;

/** The arrays of a model file as they lie there. */
const stored = (name: string) => [...decodeSafetensors(readFileSync(path(name))).tensors];

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

test('train prints one object of the promised form, and tells on stderr what it trains', () => {
  assert.equal(typesOf(trained), {
    method: 'string',
    seed: 'number',
    compression: { parameters: 'number', bytes: 'number', file: 'number' },
    parameters: { lstm: 'number', total: 'number' },
    valid: { perplexity: 'number' },
    test: { perplexity: 'number' },
    unknown: { train: 'number', valid: 'number', test: 'number' },
    tokensPerSecond: 'number',
    seconds: 'number',
    out: 'string',
  });
  assert.is(trained.method, 'doped-kron');
  assert.is(trained.seed, 1);
  assert.is(trained.out, MODEL);
  assert.ok(existsSync(path(MODEL)));
  assert.ok(trained.compression.parameters! >= 5);
  assert.ok(trained.compression.parameters! > trained.compression.bytes, 'indices take room');
  assert.ok(trained.seconds > 0 && trained.tokensPerSecond > 0);
  assert.match(announced, `text.txt: ${tokens.train.length} training tokens, vocabulary ${vocabulary.size}`);
});

const by = (method: Method) => `--method ${method} ${method === 'dense' ? '' : '--compression 4'}`;

for (const method of METHODS) {
  test(`${method} learns what follows what: less perplexity than the frequencies of the words give`, async () => {
    const line = `${SMALL} ${by(method)} --epochs 10 --lr 0.05 --dropout 0 --out learned.safetensors`;
    const result = await json<TrainResult>(folder, line);
    for (const split of ['valid', 'test'] as const) {
      const perplexity = result[split]?.perplexity ?? Number.NaN;
      const baseline = unigramPerplexity(tokens[split]);
      assert.ok(perplexity >= 1 && perplexity < baseline, `${perplexity}, and ${baseline} by frequencies`);
    }
  });
}

test('without --json the result is for people', async () => {
  const { stdout } = await succeed(folder, `${SMALL} --compression 5 --out people.safetensors`);
  assert.match(stdout, /^method: doped-kron\ntest perplexity: \d+\.\d\d\nvalid perplexity: /);
  assert.match(stdout, /\nwritten to people\.safetensors\n$/);
});

// Training multiplies with whole matrices, a model from a file with its nonzeros alone: the same sums in another order.
// Each product of HIDDEN terms errs by at most as many roundings of 2^-24, the cell's slopes are at most 1, and the
// state carries errors on: at most they add up over the products of a step, two a layer and the head's, and over the
// steps of a stream, of which there are 20. Logits here are below 10.
const steps = Math.ceil(tokens.valid.length / 20);
const ROUNDING = 10 * 2 ** -24 * HIDDEN * (2 * LAYERS + 1) * steps;

test('eval gives the perplexities that train gave, whatever batches it was trained in', async () => {
  for (const split of ['valid', 'test'] as const) {
    const got = await json<Evaluated>(folder, `eval ${MODEL} --data text.txt --split ${split}`);
    assert.equal(typesOf(got), {
      split: 'string',
      perplexity: 'number',
      bitsPerToken: 'number',
      tokens: 'number',
      unknown: 'number',
    });
    assert.is(got.unknown, trained.unknown[split]);
    assert.is(got.split, split);
    assert.is(got.tokens, tokens[split].length - 1);
    const perplexity = trained[split].perplexity!;
    assert.ok(Math.abs(got.perplexity / perplexity - 1) <= ROUNDING, `${got.perplexity}, ${perplexity} when trained`);
    assert.ok(Math.abs(2 ** got.bitsPerToken / got.perplexity - 1) <= 8 * Number.EPSILON * got.bitsPerToken);
  }
  const { stdout } = await succeed(folder, `eval ${MODEL} --data text.txt`);
  assert.match(stdout, /^test: perplexity \d+\.\d\d, \d+\.\d{3} bits per token, \d+ tokens, 0\.0 % of them unknown\n$/);
});

test('inspect counts what the file holds, and that comes to the compression reported', async () => {
  const got = await json<Inspected>(folder, `inspect ${MODEL}`);
  assert.equal(Object.keys(got), ['method', 'compression', 'tensors']);
  assert.is(got.method, trained.method);
  assert.equal(got.compression, trained.compression);
  for (const tensor of got.tensors) {
    assert.equal(Object.keys(tensor), ['name', 'kind', 'role', 'shape', 'nnz', 'bytes']);
    assert.ok(['dense', 'sparse', 'vector'].includes(tensor.kind));
    const parts = ['', '.weight', '.values', '.columns', '.starts'].map((part) => tensor.name + part);
    const arrays = stored(MODEL).filter(([name]) => parts.includes(name));
    assert.is(tensor.bytes, sum(arrays.map(([, { data }]) => data.byteLength)), tensor.name);
    assert.is(tensor.nnz, sum(arrays.map(([, { dtype, data }]) => (dtype === 'F32' ? data.length : 0))), tensor.name);
  }
  assert.is(sum(got.tensors.map(({ nnz }) => nnz)), trained.parameters.total);

  const matrices = got.tensors.filter(({ name, kind }) => name.startsWith('lstm.') && kind !== 'vector');
  const dense = 2 * LAYERS * 4 * HIDDEN * HIDDEN;
  const nnz = sum(matrices.map((matrix) => matrix.nnz));
  assert.is(nnz, trained.parameters.lstm);
  assert.is(dense / nnz, trained.compression.parameters);
  assert.is((4 * dense) / sum(matrices.map(({ bytes }) => bytes)), trained.compression.bytes);

  const { stdout } = await succeed(folder, `inspect ${MODEL}`);
  assert.match(stdout, `${MODEL}: doped-kron language model, ${LAYERS} layers of ${HIDDEN} units`);
  for (const { name } of got.tensors) assert.ok(stdout.includes(`| ${name} `), name);
});

for (const method of METHODS) {
  test(`--method ${method} trains a model that is read again`, async () => {
    const out = `${method}.safetensors`;
    const result = await json<TrainResult>(folder, `${SMALL} ${by(method)} --out ${out}`);
    assert.is(result.method, method);
    assert.is(result.out, out);
    if (method === 'dense') assert.equal(result.compression, { parameters: 1, bytes: 1, file: 1 });
    else assert.ok(result.compression.parameters! >= 4, `${result.compression.parameters}`);

    const bytes = readFileSync(path(out));
    const model = decodeLanguageModel(new Runtime(), bytes);
    const inventory = takeInventory(model, measureFile(bytes));
    assert.is(inventory.method, method);
    assert.equal(inventory.compression, result.compression);
    assert.equal(inventory.parameters, result.parameters);
    const sparse = inventory.tensors.filter(({ kind }) => kind === 'sparse').length;
    assert.is(sparse, method === 'pruned' || method.startsWith('doped') ? 2 * LAYERS : 0);

    const perplexity = Math.exp(new Evaluation(model).meanLoss(tokens.valid).loss);
    const allowed = sparse ? ROUNDING : 0;
    const difference = Math.abs(perplexity / result.valid.perplexity! - 1);
    assert.ok(difference <= allowed, `${perplexity}, ${result.valid.perplexity!} when trained`);
  });
}

for (const block of [4, 8, 'gates'] as const) {
  test(`--block ${block}: dopants share a column index between so many rows`, async () => {
    const name = `block${block}.safetensors`;
    const line = `${SMALL} --method doped-kron --compression 4 --block ${block} --out ${name}`;
    const result = await json<TrainResult>(folder, line);
    const tensors = new Map(stored(name));
    const rows = block === 'gates' ? 4 : block;
    let seen = 0;
    for (const [tensor, { data }] of tensors) {
      if (!tensor.endsWith('.values')) continue;
      seen++;
      const part = (end: string) => tensors.get(tensor.replace(/values$/, end))!.data;
      assert.is(data.length, rows * part('columns').length);
      assert.is(part('starts').length, (4 * HIDDEN) / rows + 1);
      assert.ok(data.length > 0);
    }
    assert.is(seen, 2 * LAYERS);
    const evaluated = await json<Evaluated>(folder, `eval ${name} --data text.txt --split valid`);
    assert.ok(Math.abs(evaluated.perplexity / result.valid.perplexity! - 1) < 1e-5);
  });
}

interface Exported {
  bits: Record<string, number>;
  roles: { role: string; numbers: number; bits: number; bytes: { before: number; after: number }; loss?: number }[];
  bytes: { before: number; after: number; dense: number };
  compression: { parameters: number; bytes: number; file: number };
  valid: { before: { perplexity: number }; after: { perplexity: number }; loss: number };
  test: { before: { perplexity: number }; after: { perplexity: number }; loss: number };
}

test('export writes a smaller model, measures each role and the whole, and what it measures is what eval measures', async () => {
  const line = `export ${MODEL} --data text.txt --out small.safetensors.gz`;
  const result = await json<Exported>(folder, `${line} --max-loss 0.02`);
  for (const split of ['valid', 'test'] as const) {
    const { before, after, loss } = result[split];
    assert.is(loss, after.perplexity / before.perplexity - 1);
    const measured = (name: string) => json<Evaluated>(folder, `eval ${name} --data text.txt --split ${split}`);
    const whole = await measured(MODEL);
    const small = await measured('small.safetensors.gz');
    assert.is(before.perplexity, whole.perplexity);
    assert.is(after.perplexity, small.perplexity);
  }
  assert.ok(result.valid.loss <= 0.02);
  const size = readFileSync(path('small.safetensors.gz')).length;
  assert.is(result.bytes.after, size);
  assert.is(result.bytes.before, readFileSync(path(MODEL)).length);
  assert.is(result.compression.file, result.bytes.dense / size);
  assert.equal(
    result.roles.map(({ role }) => role),
    ['embedding', 'head', 'factors', 'dopants', 'vectors'],
  );
  for (const { role, bits, bytes, loss } of result.roles) {
    assert.is(result.bits[role], bits);
    assert.ok(bytes.after < bytes.before, role);
    assert.is(loss === undefined, role === 'vectors');
  }
  const inspected = await json<Inspected & { compression: Exported['compression'] }>(
    folder,
    'inspect small.safetensors.gz',
  );
  assert.equal(inspected.compression, result.compression);
  const { stdout } = await succeed(folder, 'inspect small.safetensors.gz');
  assert.match(stdout, /\| embedding \| .*█/);
  assert.match(stdout, /x in parameters, .*x in bytes of the recurrent matrices, .*x in bytes of the file/);
  const people = await succeed(folder, `${line} --bits 3`);
  assert.match(people.stdout, /\| factors +\| +[\d,]+ \| +8 \|[\s\S]*loss on valid: -?\d+\.\d\d %\nloss on test: /);
  assert.match((await succeed(folder, 'generate small.safetensors.gz --prompt the')).stdout, /^the/);
});

test('export reaches a target, and says what can be reached', async () => {
  const out = '--data text.txt --out target.safetensors.gz';
  const { compression } = await json<Exported>(folder, `export ${MODEL} ${out} --target 3x`);
  assert.ok(compression.file >= 3);
  const { code, stderr } = await dopantHere(folder, `export ${MODEL} ${out} --target 1000x`);
  assert.is(code, 2);
  assert.match(stderr, /--target: got "1000x"; expected at most [\d.]+x, which 2 bits reach/);
  const both = await dopantHere(folder, `export ${MODEL} ${out} --target 3x --bits 4`);
  assert.match(both.stderr, /--bits and --target: got both/);
});

test('the bits of --bits need no data, and small files of every number of bits are read', async () => {
  let before = Number.POSITIVE_INFINITY;
  for (const bits of [8, 4, 3, 2]) {
    const { bytes, valid } = await json<Exported>(folder, `export ${MODEL} --bits ${bits} --out few.safetensors`);
    assert.ok(bytes.after < before);
    assert.is(valid, undefined);
    before = bytes.after;
    await succeed(folder, 'eval few.safetensors --data text.txt');
  }
});

test('a damaged gzip file is refused by its name, and so is one that is too large', async () => {
  await succeed(folder, `export ${MODEL} --bits 4 --out whole.safetensors.gz`);
  const whole = readFileSync(path('whole.safetensors.gz'));
  writeFileSync(path('cut.gz'), whole.subarray(0, whole.length / 2));
  writeFileSync(path('bomb.gz'), gzipSync(new Uint8Array(2 ** 26)));
  for (const name of ['cut.gz', 'bomb.gz']) {
    for (const command of [`inspect ${name}`, `generate ${name}`, `eval ${name} --data text.txt`]) {
      const { code, stderr } = await dopantHere(folder, command);
      assert.is(code, 1);
      assert.match(stderr, new RegExp(`^dopant: ${name}: got a damaged gzip file; expected that of a model`, 'm'));
    }
    let refused: unknown;
    await load(readFileSync(path(name))).catch((error) => {
      refused = error;
    });
    assert.instance(refused, LoadError);
  }
  const model = await load(whole);
  assert.is(model.task.name, 'lm');
});

test('--small trains a tied model of 3 bits, and what it says of it is what eval measures', async () => {
  const line = `${SMALL} --compression 5 --small --epochs 3 --out small.safetensors.gz`;
  const trained = await json<{ valid: Evaluated; test: Evaluated; compression: { file: number } }>(folder, line);
  const bytes = readFileSync(path('small.safetensors.gz'));
  await succeed(folder, line);
  assert.equal(readFileSync(path('small.safetensors.gz')), bytes, 'the same seed gives other bytes');
  for (const split of ['valid', 'test'] as const) {
    const { perplexity } = await json<Evaluated>(folder, `eval small.safetensors.gz --data text.txt --split ${split}`);
    assert.is(perplexity, trained[split].perplexity);
  }
  assert.ok(trained.compression.file > 3);
  const { tensors } = await json<Inspected>(folder, 'inspect small.safetensors.gz');
  assert.not.ok(tensors.some(({ name }) => name === 'head'));
});

test('embedding and head have sizes of their own', async () => {
  const line = `${SMALL} --method lmf --compression 2 --matrices all --linear-compression 4 --embedding 3 --out narrow.gz`;
  const trained = await json<{ valid: Evaluated }>(folder, line);
  const { tensors } = await json<Inspected>(folder, 'inspect narrow.gz');
  const of = (name: string) => tensors.find((tensor) => tensor.name === name)!;
  const V = vocabulary.size;
  assert.equal(of('embedding').shape, [V, 3]);
  const numbers = of('head.U').nnz + of('head.V').nnz;
  assert.ok(numbers <= (V * HIDDEN) / 4 && numbers > (V * HIDDEN) / 8, `${numbers} of ${V * HIDDEN}`);
  const { perplexity } = await json<Evaluated>(folder, 'eval narrow.gz --data text.txt --split valid');
  assert.ok(Math.abs(perplexity / trained.valid.perplexity - 1) < 1e-5);
});

test('a model learns in the words of its teacher, whatever text that was trained on', async () => {
  const words = text.replaceAll('fox', 'cat').replaceAll('the ', 'every ');
  writeFileSync(path('other.txt'), words);
  const sizes = `--hidden ${HIDDEN} --layers ${LAYERS} --batch ${BATCH} --bptt ${BPTT} --epochs 1`;
  await succeed(folder, `train lm --data other.txt ${sizes} --method dense --out teacher.safetensors`);
  await succeed(folder, `${SMALL} --compression 5 --teacher teacher.safetensors --distill 0.5 --out pupil.safetensors`);
  const [teacher, pupil] = ['teacher', 'pupil'].map(
    (name) => decodeLanguageModel(new Runtime(), readFileSync(path(`${name}.safetensors`))).vocabulary,
  );
  assert.equal(pupil.toJSON(), teacher.toJSON());
  assert.ok(pupil.tokens.includes('every') && !pupil.tokens.includes('fox'));
});

test('export without data or bits is refused, and writes nothing', async () => {
  const { code, stderr } = await dopantHere(folder, `export ${MODEL} --out nothing.safetensors`);
  assert.is(code, 2);
  assert.match(stderr, /--data/);
  assert.not.ok(existsSync(path('nothing.safetensors')));
});

test('--kron gives the factors their shapes by hand', async () => {
  const line = `${SMALL} --method kron --compression 4 --kron 8x4,4x2 --out factors.safetensors`;
  await succeed(folder, line);
  const { tensors } = await json<Inspected>(folder, 'inspect factors.safetensors');
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  for (const name of ['lstm.0.ih', 'lstm.0.hh', 'lstm.1.ih', 'lstm.1.hh']) {
    assert.equal(shapes.get(`${name}.B`), [8, 4]);
    assert.equal(shapes.get(`${name}.C`), [4, 2]);
  }
});

/** What a checkpoint notes of files: it can be resumed from anywhere. */
const FILES = { data: path('text.txt'), out: path('noted.safetensors') };

/** What a run notes in its checkpoint of the options that it was given. */
async function noted(line: string): Promise<{ options: LanguageModelOptions; run: object }> {
  rmSync(path('noted'), { recursive: true, force: true });
  await succeed(folder, `train lm --data text.txt ${line} --checkpoint noted --out noted.safetensors`);
  const { options, run } = decodeCheckpoint(readFileSync(path('noted/checkpoint.safetensors')), LanguageModelTraining);
  return { options, run: run as object };
}

test('every option of the training reaches it', async () => {
  const { options, run } = await noted(
    '--level char --vocab 20 --hidden 12 --layers 1 --method doped-kron --compression 4 --cmr 0.3 --optimizer sgd --lr 0.5 ' +
      '--dropout 0.1 --batch 5 --bptt 9 --epochs 2 --max-tokens 900 --seed 7 --kron 8x4,6x3 --clip 0 --decay 1,2 ' +
      '--anneal 0.2,0.5 --prune-every 7 --threshold matrix --final-sparsity 0.75 --free-rate 0.5,0.25 --cmr-hold ' +
      '--cmr-until 0.5 --alternate 3 --structure-share 0.25 --head-rate 3 --l1 0.5',
  );
  assert.equal(run, { ...FILES, level: 'char', vocab: 20, maxTokens: 900 });
  assert.equal(options, {
    hidden: 12,
    layers: 1,
    method: 'doped-kron',
    compression: 4,
    kron: [8, 4, 6, 3],
    optimizer: 'sgd',
    learningRate: 0.5,
    schedule: { kind: 'decay', after: 1, by: 2 },
    clip: 0,
    seed: 7,
    dropout: 0.1,
    batch: 5,
    bptt: 9,
    epochs: 2,
    annealing: { start: 0.2, end: 0.5, every: 7, threshold: 'matrix', finalSparsity: 0.75 },
    coMatrixDropout: { structure: 0.3, dopants: 0.3, hold: true, until: 0.5 },
    alternate: 3,
    freeRate: { scale: 0.5, power: 0.25 },
    structureShare: 0.25,
    headRate: 3,
    beta1: 0.9,
    l1: 0.5,
    measureEvery: defaultOptions('char').measureEvery,
  });
  // As many dopants as --final-sparsity asks, whatever --compression would: two matrices, one threshold each.
  const { tensors } = takeInventory(decodeLanguageModel(new Runtime(), readFileSync(path('noted.safetensors'))));
  const sparse = tensors.filter(({ kind }) => kind === 'sparse');
  assert.equal(
    sparse.map(({ nnz }) => nnz),
    [12 * 12, 12 * 12],
  );
});

test('what is not given has the defaults of the level and the optimiser', async () => {
  const few = { epochs: 1, hidden: 64 };
  const given = '--epochs 1 --hidden 64 --max-tokens 1500';
  const { options, run } = await noted(given);
  assert.equal(options, { ...defaultOptions('word'), ...few });
  assert.equal(run, { ...FILES, level: 'word', maxTokens: 1500 });
  const small = { ...few, method: 'kron' };
  assert.equal((await noted(`${given} --method kron --level char`)).options, { ...defaultOptions('char'), ...small });
  assert.equal((await noted(`${given} --method kron --optimizer sgd`)).options, {
    ...defaultOptions('word', 'sgd'),
    ...small,
  });
  const { options: other } = await noted(`${given} --schedule constant --cmr-rates 0.2,0.1`);
  assert.equal(other.schedule, { kind: 'constant' });
  assert.equal(other.coMatrixDropout, { ...noCoMatrixDropout, structure: 0.2, dopants: 0.1 });
});

test('--level char: characters all the way', async () => {
  const out = 'char.safetensors';
  const result = await json<TrainResult>(folder, `${SMALL} --level char --compression 5 --out ${out}`);
  const { tokens } = await json<Evaluated>(folder, `eval ${out} --data text.txt --split test`);
  assert.is(tokens, held.length - 1);
  const baseline = unigramPerplexity(buildVocabulary([train], 'char').encode(valid));
  assert.ok(result.valid.perplexity! < baseline, `${result.valid.perplexity!}, and ${baseline} by frequencies`);
  const { stdout } = await succeed(folder, `generate ${out} --tokens 50 --prompt`, 'the quick');
  assert.ok(stdout.startsWith('the quick'));
  const drawn = stdout.slice('the quick'.length, -1);
  assert.is(drawn.length, 50);
  for (const char of drawn) assert.ok(train.includes(char), JSON.stringify(char));
});

test('generate writes as many words as asked for, all of them known', async () => {
  const { stdout } = await succeed(folder, `generate ${MODEL} --tokens 60`);
  assert.ok(stdout.endsWith('\n'));
  const drawn = stdout.slice(0, -1);
  const words = drawn.match(/[^ \n]+/g) ?? [];
  const ends = drawn.match(/\n/g) ?? [];
  assert.is(words.length + ends.length, 60);
  for (const word of words) assert.ok(vocabulary.tokens.includes(word) && word !== '<unk>', word);
  assert.not.match(drawn, / {2}| \n|\n /);
});

test('generate: one seed, one text; at temperature 0 every seed the same', async () => {
  const text = async (options: string) => (await succeed(folder, `generate ${MODEL} --tokens 30 ${options}`)).stdout;
  const first = await text('--temperature 1 --seed 5');
  assert.is(await text('--temperature 1 --seed 5'), first);
  assert.is.not(await text('--temperature 1 --seed 6'), first);
  assert.is(await text(''), await text('--temperature 0.8 --seed 1'), 'the defaults');
  const likeliest = await text('--temperature 0 --seed 5');
  assert.is(await text('--temperature 0 --seed 6'), likeliest);
  assert.is.not(likeliest, first);
});

test('generate: --top-k and --top-p leave over the most likely tokens, and --json holds the same text', async () => {
  const text = async (options: string) => (await succeed(folder, `generate ${MODEL} --tokens 30 ${options}`)).stdout;
  const likeliest = await text('--temperature 0');
  for (const options of ['--top-k 1', '--top-p 1e-9']) assert.is(await text(`--temperature 1 ${options}`), likeliest);
  for (const options of [`--top-k ${vocabulary.size}`, '--top-p 1']) {
    assert.is(await text(`--temperature 1 ${options}`), await text('--temperature 1'));
  }
  const line = `generate ${MODEL} --tokens 12 --top-k 5 --top-p 0.9 --seed 3`;
  const { stdout } = await succeed(folder, `${line} --prompt`, 'The quick');
  const { stdout: printed } = await succeed(folder, `${line} --json --prompt`, 'The quick');
  const { prompt, text: continued, tokens } = JSON.parse(printed);
  assert.is(prompt, 'the quick');
  assert.is(`${prompt}${continued}\n`, stdout);
  assert.is(tokens, 12);
});

test('generate goes on from the prompt, and tells which of its words mean nothing to it', async () => {
  const { stdout, stderr } = await succeed(folder, `generate ${MODEL} --tokens 5 --prompt`, 'The quick.  brown');
  assert.match(stdout, /^the quick\nbrown[ \n]/);
  assert.is(stderr, '');
  const odd = await succeed(folder, `generate ${MODEL} --tokens 5 --prompt`, 'quick zebra fox');
  assert.match(odd.stdout, /^quick <unk> fox[ \n]/);
  assert.match(odd.stderr, '1 of 3 tokens of the prompt are not in the vocabulary');
});

test('generate writes as it draws', async () => {
  const child = start(folder, `generate ${MODEL} --tokens 1000000000`);
  const [chunk] = await once(child.stdout, 'data');
  assert.ok(chunk.length > 0);
  assert.is(child.exitCode, null, 'such a text is not written to its end');
  child.kill('SIGKILL');
  await once(child, 'close');
});

test('--records writes what happened, with the numbers of the result', async () => {
  const result = await json<TrainResult>(folder, `${SMALL} --epochs 2 --compression 5 --records records.json`);
  const records: TrainRecord[] = JSON.parse(readFileSync(path('records.json'), 'utf8'));
  const of = <K extends TrainRecord['kind']>(kind: K) =>
    records.filter((record): record is Extract<TrainRecord, { kind: K }> => record.kind === kind);
  assert.equal([...new Set(records.map(({ kind }) => kind))].sort(), ['cma', 'prune', 'step', 'valid']);

  const pieces = Math.floor((Math.floor(tokens.train.length / BATCH) - 1) / BPTT);
  assert.is(of('step').at(-1)!.step, 2 * pieces);
  assert.equal(
    of('valid').map(({ step, epoch }) => [step, epoch]),
    [
      [pieces, 0],
      [2 * pieces, 1],
    ],
  );
  assert.is(of('valid').at(-1)!.perplexity, result.valid.perplexity!);

  const { tensors } = await json<Inspected>(folder, `inspect ${MODEL}`);
  const sparse = tensors.filter(({ kind }) => kind === 'sparse');
  const alive = sum(sparse.map(({ nnz }) => nnz)) / sum(sparse.map(({ shape: [M, N] }) => M * N));
  for (const { sparsity } of [of('prune').at(-1)!, of('step').at(-1)!, of('cma').at(-1)!]) {
    assert.is(sparsity, 1 - alive);
  }
  assert.equal(
    of('cma')[0].matrices.map(({ name }) => name),
    ['lstm.0.ih', 'lstm.0.hh', 'lstm.1.ih', 'lstm.1.hh'],
  );
});

test('--report writes a page with the curves of this run', async () => {
  await succeed(folder, `${SMALL} --compression 5 --seed 3 --report page.html --out reported.safetensors`);
  const page = readFileSync(path('page.html'), 'utf8');
  assert.match(page, /^<!doctype html>/);
  assert.match(page, /<h1>reported\.safetensors<\/h1>\n<p>seed 3, /);
  const charts: { title: string }[] = JSON.parse(/id="charts">(.*?)<\/script>/s.exec(page)![1]);
  for (const title of ['Training loss', 'Validation perplexity', 'Sparsity']) {
    assert.ok(
      charts.some((chart) => chart.title.startsWith(title)),
      title,
    );
  }
});

test('--data sotu is a corpus that comes along', async () => {
  const options = '--method kron --compression 5 --layers 1 --max-tokens 2000 --vocab 50 --out sotu.safetensors';
  const result = await json<TrainResult>(folder, `${SMALL} ${options} --data sotu`);
  const got = await json<Evaluated>(folder, 'eval sotu.safetensors --data sotu --split valid');
  assert.is(got.perplexity, result.valid.perplexity!);
});

const OPTIONS: Record<string, string> = {
  'train lm':
    'data level vocab hidden layers method compression cmr optimizer lr dropout batch bptt epochs max-tokens seed checkpoint resume out json',
  eval: 'data split json',
  generate: 'prompt tokens temperature seed',
  inspect: 'json',
};

for (const [command, options] of Object.entries(OPTIONS)) {
  test(`${command} --help tells every option, and gives examples that have no other`, async () => {
    const { stdout, stderr } = await succeed(folder, `${command} --help`);
    assert.is(stderr, '');
    const [help, examples] = stdout.split(/^Examples?:$/m);
    const told = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag);
    for (const option of options.split(' ')) assert.ok(told.includes(`--${option}`), option);
    const lines = examples.trim().split('\n');
    for (const line of lines) {
      assert.match(line, new RegExp(`^ *\\$ dopant ${command} `));
      for (const [flag] of line.matchAll(/--[a-z-]+/g)) assert.ok(told.includes(flag), `${flag} in: ${line}`);
    }
  });
}

test('help lists the commands, and --version is that of the package', async () => {
  const { stdout } = await succeed(folder, '--help');
  for (const command of ['train', 'eval', 'generate', 'inspect'])
    assert.match(stdout, new RegExp(`^ {2}${command}\\b`, 'm'));
  assert.is((await succeed(folder, 'help train')).stdout, (await succeed(folder, 'train --help')).stdout);
  assert.is((await succeed(folder, '--version')).stdout, `${packageJson.version}\n`);
});

test('what is asked for help or version goes to stdout, what is wrong to stderr', async () => {
  const nothing = await dopantHere(folder, '');
  assert.is(nothing.code, 2);
  assert.is(nothing.stdout, '');
  assert.match(nothing.stderr, /Usage: dopant/);
});

test.run();
