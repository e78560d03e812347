// Inference beside its peers: steps of one layer of 650 units, tokens of a language model of two, single kernels.
// A compressed model is another model than the dense one: every ratio compares the two.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { formatTable } from '../src/cli/table.js';
import { Engine } from '../src/infer/engine.js';
import { hasRelaxedSimd, initSync, loadSync } from '../src/infer/index.js';
import { packMatrix } from '../src/infer/pack.js';
import { encodeNetwork } from '../src/io/model-file.js';
import type { NamedTensor } from '../src/io/safetensors.js';
import { TensorSource } from '../src/io/tensor-source.js';
import { operatorTensors } from '../src/io/tensors.js';
import type { NetworkSpec } from '../src/network/spec.js';
import type { ModelConfig } from '../src/nn/config.js';
import { bitsOfAll } from '../src/nn/leaves.js';
import { Network, planNetwork, type Recipe } from '../src/nn/network.js';
import { buildOperator, planMatrix } from '../src/operators/budget.js';
import { type Operator, walk } from '../src/operators/operator.js';
import { Sparse } from '../src/operators/sparse.js';
import { uniform } from '../src/random.js';
import { LanguageModel } from '../src/tasks/lm/model.js';
import { encodeModel } from '../src/tasks/model-file.js';
import { Runtime } from '../src/wasm/runtime.js';
import { matrixPlan, partsOf } from '../test/nn/parts.js';
import { alternate, type Contender, type Figure, figure, median, ratio } from './harness.js';
import { evenlySpread } from './kernels.js';
import { peakContender } from './peak.js';
import { type LayerWeights, loadPeers, type ModelWeights, type Peer } from './peers/peer.js';
import type { Report } from './report.js';
import { vocabularyOf } from './words.js';

const H = 650;
const V = 10_000;
const T = 35;

const noise = (n: number, scale: number, seed: number) =>
  Float32Array.from({ length: n }, (_, i) => (2 * uniform(seed, 0, i) - 1) * scale);

function modelOf(config: Omit<ModelConfig, 'hidden'>, words: number, hidden = H): LanguageModel {
  const vocabulary = vocabularyOf(words);
  const full = { hidden, ...config };
  const model = LanguageModel.create(new Runtime(), full, vocabulary, 1);
  const { nonzeros } = matrixPlan(full);
  for (const [name, matrix] of model.matrices()) {
    for (const [, part] of walk(matrix, name)) if (part instanceof Sparse) Sparse.prune([part], nonzeros!);
  }
  return model;
}

function repeating(name: string, repeats: number, once: (i: number) => number): Contender {
  return {
    name,
    repeats,
    run() {
      let sum = 0;
      for (let i = 0; i < repeats; i++) sum += once(i);
      return sum;
    },
  };
}

const NAMES = {
  dense: 'dense, f32',
  csr: 'doped 25x, unstructured',
  b4: 'doped 25x, 4x1 blocks',
  b8: 'doped 25x, 8x1 blocks',
};
const CONFIGS = {
  dense: { method: 'dense', compression: 1 },
  csr: { method: 'doped-kron', compression: 25 },
  b4: { method: 'doped-kron', compression: 25, block: 4 },
  b8: { method: 'doped-kron', compression: 25, block: 8 },
} as const;
/** Without fused multiply-add, as the kernels' figures have always been quoted. */
const limit = peakContender('plain');
/** The same, measured beside the steps. */
const stepLimit = { ...limit, name: `${limit.name}, beside the steps` };
const BINARIES = hasRelaxedSimd() ? (['plain', 'relaxed'] as const) : (['plain'] as const);
/** What users get who choose nothing. */
const CHOSEN = BINARIES.at(-1)!;

type Cell = LayerWeights['cell'];
type Key = keyof typeof CONFIGS;

/** One recurrent layer of H units, or of as many as `units` says, pruned as a training would leave it. */
function layerNetwork(cell: Cell, config: Pick<ModelConfig, 'method' | 'compression' | 'block'>, units = H): Network {
  const spec: NetworkSpec = { input: { frames: units }, layers: [{ name: 'layer', kind: cell, units }] };
  return pruned(spec, config);
}

/** Blocks must divide the rows, and those of a GRU of 650 units are 1950: the next size that has them, for both sides. */
const unitsOf = (cell: Cell, key: string) => (cell === 'gru' && (key === 'b4' || key === 'b8') ? 656 : H);

/** A network whose recurrent matrices are made so, with as many dopants as a training would leave. */
function pruned(spec: NetworkSpec, config: Pick<ModelConfig, 'method' | 'compression' | 'block'>): Network {
  const recipe: Recipe = ({ role }) => (role === 'recurrent' ? config : undefined);
  const network = Network.create(new Runtime(), spec, 1, { recipe });
  const plans = planNetwork(network.spec, recipe);
  for (const [name, matrix] of network.matrices()) {
    const { nonzeros } = plans.get(name)!;
    for (const [, part] of walk(matrix, name)) if (part instanceof Sparse) Sparse.prune([part], nonzeros!);
  }
  return network;
}

const CELLS: readonly Cell[] = ['lstm', 'gru'];
/** What is told of a figure's name. */
const STEPS = { lstm: 'step', gru: 'gru' };

/** Steps of a layer through session.step(), and T of them through run(), as a user calls them. */
function stepContenders(): Contender[] {
  const xs = noise(T * H, 1, 5);
  return BINARIES.flatMap((simd) =>
    CELLS.flatMap((cell) =>
      Object.entries(CONFIGS).flatMap(([key, config]) => {
        const units = unitsOf(cell, key);
        const x = noise(units, 1, 5);
        const bytes = encodeNetwork(layerNetwork(cell, config, units), { name: 'layer' });
        initSync({ simd });
        const model = loadSync(bytes);
        const session = model.session();
        const step = repeating(`${STEPS[cell]} ${key} ${simd}`, 4, () => session.step(x)[0]);
        if (cell === 'gru') return [step];
        return [step, { name: `run${T} ${key} ${simd}`, repeats: T, run: () => model.run(xs)[T - 1][0] }];
      }),
    ),
  );
}

/** A voice-activity detector: frames of 64 numbers through an LSTM of 64 units, doped 10x, and a head of one. */
function detectorContenders(): Contender[] {
  const spec: NetworkSpec = {
    input: { frames: 64 },
    layers: [
      { name: 'lstm', kind: 'lstm', units: 64 },
      { name: 'voice', kind: 'linear', outputs: 1 },
    ],
  };
  const bytes = encodeNetwork(pruned(spec, { method: 'doped-kron', compression: 10 }), { name: 'voice-activity' });
  const x = noise(64, 1, 6);
  return BINARIES.map((simd) => {
    initSync({ simd });
    const session = loadSync(bytes).session();
    return repeating(`voice ${simd}`, 100, () => session.step(x)[0]);
  });
}

/** Words all over the vocabulary, so that embeddings come from where they lie. */
function wordsInTurn(): () => number {
  let word = 0;
  return () => {
    word = (word * 5 + 7) % V;
    return word;
  };
}

function tokenContenders(): Contender[] {
  const dense = modelOf({ layers: 2, ...CONFIGS.dense }, V - 2);
  const doped = modelOf({ layers: 2, ...CONFIGS.csr }, V - 2);
  const blocks = modelOf({ layers: 2, ...CONFIGS.b4 }, V - 2);
  const tied = modelOf({ layers: 2, ...CONFIGS.b8, tied: true }, V - 2);
  const adaptive = modelOf({ layers: 2, ...CONFIGS.b8, cutoffs: [2000] }, V - 2);
  initSync({ simd: CHOSEN });
  const files = {
    dense: encodeModel(dense),
    doped: encodeModel(doped),
    'doped int8': encodeModel(doped, { head: 8 }),
    'blocks int8': encodeModel(blocks, { head: 8 }),
    'small tied': encodeModel(tied, bitsOfAll(3)),
    small: encodeModel(adaptive, bitsOfAll(3)),
  };
  return Object.entries(files).map(([name, file]) => {
    const session = loadSync(file).session();
    const word = wordsInTurn();
    return repeating(`token ${name}`, 1, () => session.step(word())[0]);
  });
}

/** One packed matrix of 2600 x 1300 as run() executes it. */
function matrixContender(name: string, operator: Operator, simd: 'plain' | 'relaxed'): Contender {
  initSync({ simd });
  const engine = new Engine();
  const tensors = new Map<string, NamedTensor>(operatorTensors(operator, 'w'));
  const y = engine.alloc(4 * operator.M);
  const program = packMatrix(engine, operator.spec(), 'w', new TensorSource(tensors), y, true);
  const x = engine.alloc(4 * operator.N);
  engine.floats(x, operator.N).set(noise(operator.N, 1e-3, 9));
  const { run } = engine.kernels;
  const out = engine.floats(y, 1);
  return repeating(name, 10, () => {
    run(program, x);
    return out[0];
  });
}

function gatesContender(simd: 'plain' | 'relaxed'): Contender {
  initSync({ simd });
  const engine = new Engine();
  const nothing = engine.alloc(4); // a program that ends at once
  const gates = engine.alloc(16 * H);
  const [c, h] = [engine.alloc(4 * H), engine.alloc(4 * H)];
  engine.floats(gates, 4 * H).set(noise(4 * H, 3, 4));
  const out = engine.floats(h, H);
  const { lstm_step } = engine.kernels;
  return repeating(`gates ${simd}`, 50, () => {
    lstm_step(nothing, nothing, h, gates, c, h, H);
    return out[0];
  });
}

const M2 = 2600;
const N2 = 1300;

function kernelContenders(): { contenders: Contender[]; kronFlops: number; nonzeros: number } {
  const runtime = new Runtime();
  const sparse = (block: 1 | 4 | 8) => {
    const operator = new Sparse(runtime, M2, N2, undefined, block);
    operator.weight.data.set(noise(M2 * N2, 1, 1 + block));
    Sparse.prune([operator], Math.round(M2 * N2 * 0.04));
    return operator;
  };
  const nonzeros = Math.round(M2 * N2 * 0.04);
  const unstructured = new Sparse(runtime, M2, N2, evenlySpread(M2, N2, nonzeros));
  const kronPlan = planMatrix(M2, N2, 'doped-kron', 25);
  const full = buildOperator(runtime, { ...kronPlan, method: 'kron', nonzeros: undefined });
  const dense = buildOperator(runtime, planMatrix(M2, N2, 'dense', 1));
  for (const operator of [full, dense]) {
    for (const [, part] of walk(operator, '')) for (const p of part.own()) p.data.set(noise(p.size, 0.1, 2));
  }
  if (kronPlan.structure?.kind !== 'kron') throw new Error('no Kronecker product');
  const [m1, n1, m2, n2] = kronPlan.structure.shape;
  const kronFlops = 2 * Math.min(m1 * n2 * (n1 + m2), n1 * m2 * (n2 + m1));
  const contenders = BINARIES.flatMap((simd) => [
    matrixContender(`dense ${simd}`, dense, simd),
    matrixContender(`csr ${simd}`, unstructured, simd),
    matrixContender(`b4 ${simd}`, sparse(4), simd),
    matrixContender(`b8 ${simd}`, sparse(8), simd),
    matrixContender(`kron ${simd}`, full, simd),
    gatesContender(simd),
  ]);
  return { contenders, kronFlops, nonzeros };
}

/** The layers of a dense network whose layers are recurrent, from the tensors of its file. */
const weightsOf = (network: Network): LayerWeights[] =>
  network.spec.layers.flatMap((layer) => {
    if (layer.kind !== 'lstm' && layer.kind !== 'gru') return [];
    const [ih, hh, biasIh, biasHh] = ['ih', 'hh', 'bias_ih', 'bias_hh'].map((part) =>
      network.tensor(`${layer.name}.${part}`),
    );
    return [{ cell: layer.kind, input: layer.units, hidden: layer.units, ih, hh, biasIh, biasHh }];
  });

/** Layers of peers: their methods, units, and how far an answer may be from ours, of floats and of eight bits. */
const THEIRS = {
  dense: { method: 'layer', units: H, near: 1e-4 },
  // Without VNNI, products of pairs of bytes saturate at 16 bits: 0.07 apart.
  int8: { method: 'int8', units: H, near: 0.1 },
  gru: { method: 'gru', units: H, near: 1e-4 },
  gru656: { method: 'gru', units: 656, near: 1e-4 },
} as const;

/** A layer of a peer, which must answer what ours does. */
async function layerContender(peer: Peer, kind: keyof typeof THEIRS, steps: number): Promise<Contender | undefined> {
  const { method, units, near } = THEIRS[kind];
  const make = peer[method]?.bind(peer);
  if (!make) return undefined;
  const network = layerNetwork(method === 'gru' ? 'gru' : 'lstm', CONFIGS.dense, units);
  const name = `${peer.name} ${kind} T=${steps}`;
  const x = noise(steps * units, 1, 5);
  const layer = await make(weightsOf(network)[0], steps);
  initSync({ simd: 'plain' });
  const expected = loadSync(encodeNetwork(network, { name: 'layer' }))
    .run(x)
    .at(-1)!;
  const error = (await layer.run(x)).reduce((most, h, i) => Math.max(most, Math.abs(h - expected[i])), 0);
  if (!(error <= near)) throw new Error(`${name} answers something else than dopant: ${error} apart`);
  return { name, repeats: steps, run: async () => (await layer.run(x))[0] };
}

async function peerContenders(peers: readonly Peer[]): Promise<Contender[]> {
  const model = modelOf({ layers: 2, ...CONFIGS.dense }, V - 2);
  const { embedding, head } = partsOf(model);
  const weights: ModelWeights = {
    vocabulary: V,
    hidden: H,
    embedding: embedding.data.slice(),
    layers: weightsOf(model.network),
    head: head.weight.toDense(),
    headBias: head.bias.data.slice(),
  };
  const contenders: Contender[] = [];
  for (const peer of peers) {
    for (const kind of Object.keys(THEIRS) as (keyof typeof THEIRS)[]) {
      for (const steps of kind.startsWith('gru') ? [1] : [1, T]) {
        const contender = await layerContender(peer, kind, steps).catch((error: Error) => {
          process.stderr.write(`skipped ${kind} of ${peer.name}: ${error.message.split('\n')[0]}\n`);
        });
        if (contender) contenders.push(contender);
      }
    }
    if (!peer.model) continue;
    // A model of 8 bits answers within a few hundredths of what the other does.
    const answers: Float32Array[] = [];
    for (const [name, make] of [
      ['token', peer.model],
      ['token int8', peer.int8Model],
    ] as const) {
      if (!make) continue;
      try {
        const whole = await make.call(peer, weights);
        answers.push((await whole.run(7)).slice());
        const apart = answers[0].reduce((most, value, i) => Math.max(most, Math.abs(value - answers.at(-1)![i])), 0);
        if (!(apart < 0.2)) throw new Error(`its answers are ${apart} apart`);
        const word = wordsInTurn();
        contenders.push({ name: `${peer.name} ${name}`, repeats: 1, run: async () => (await whole.run(word()))[0] });
      } catch (error) {
        process.stderr.write(`skipped ${name} of ${peer.name}: ${(error as Error).message.split('\n')[0]}\n`);
      }
    }
  }
  return contenders;
}

/** dopant/infer as an app bundles it, minified and gzipped. */
async function bundleSize(): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: "export { load } from './src/infer/index.js';", resolveDir: '.' },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    loader: { '.hex': 'text' },
    write: false,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length / 1000;
}

/** A small model of about 300 kB: two layers of 128 units, 4,400 words, tied, 3 bits. */
const smallFile = () =>
  encodeModel(modelOf({ layers: 2, method: 'doped-kron', compression: 25, tied: true }, 4_400, 128), bitsOfAll(3));

/** Milliseconds to decode and pack it, in a warm process. */
function loadTimes(): number[] {
  const file = smallFile();
  return Array.from({ length: 15 }, () => {
    const start = performance.now();
    loadSync(file);
    return performance.now() - start;
  });
}

/**
 * From import to the first answer, each time in a process of its own, in turns; milliseconds. All models take about 1 MB, but
 * for the small one.
 */
async function coldStarts(peers: readonly Peer[]): Promise<Map<string, number[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'dopant-'));
  const scripts = new Map<string, string>();
  const add = (name: string, model: Uint8Array, program: (path: string) => string) => {
    const path = JSON.stringify(join(folder, `${name}.model`));
    writeFileSync(join(folder, `${name}.model`), model);
    scripts.set(name, join(folder, `${name}.mjs`));
    writeFileSync(
      scripts.get(name)!,
      `const start = performance.now();
const answer = await (async () => { ${program(path)} })();
console.log(performance.now() - start, answer[0]);
process.exit();`,
    );
  };
  // More than half of it dopants and factors, the rest 80 words in embedding and head.
  const library = JSON.stringify(pathToFileURL(resolve('dist/infer.js')).href);
  add(
    'dopant',
    encodeModel(modelOf({ layers: 1, ...CONFIGS.b4 }, 80)),
    (path) => `const { load } = await import(${library}); return (await load(${path})).session().step(1);`,
  );
  add(
    'dopant, small',
    smallFile(),
    (path) => `const { load } = await import(${library}); return (await load(${path})).session().step(1);`,
  );
  for (const { name, cold } of peers) if (cold) add(name, cold.model, cold.program);
  try {
    const times = new Map<string, number[]>();
    for (let round = 0; round < 15; round++) {
      for (const [name, script] of scripts) {
        const { stdout, stderr, status } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
        if (status !== 0) throw new Error(`the cold start of ${name} failed: ${stderr}`);
        times.set(name, [...(times.get(name) ?? []), Number(stdout.split(' ')[0])]);
      }
    }
    return times;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function benchInference(): Promise<Report> {
  const found = await loadPeers();
  const peers = found.flatMap((peer) => ('missing' in peer ? [] : [peer]));
  const skipped = found.flatMap((peer) => ('missing' in peer ? [`${peer.name}: ${peer.missing}`] : []));
  for (const line of skipped) process.stderr.write(`skipped ${line}\n`);
  if (skipped.length > 0) {
    process.stderr.write('peers are installed by: ONNXRUNTIME_NODE_INSTALL=skip npm ci --prefix bench\n');
  }

  const { contenders: kernels, kronFlops, nonzeros } = kernelContenders();
  const theirs = await peerContenders(peers);
  const isToken = ({ name }: Contender) => name.includes('token');
  const rounds = new Map([
    ...(await alternate([limit, ...kernels])),
    ...(await alternate([
      stepLimit,
      ...stepContenders(),
      ...detectorContenders(),
      ...theirs.filter((contender) => !isToken(contender)),
    ])),
    ...(await alternate([...tokenContenders(), ...theirs.filter(isToken)])),
  ]);
  const of = (name: string) => rounds.get(name)!;
  const us = (name: string) => median(of(name)).toFixed(1);

  const figures: Record<string, Figure> = {};
  const keys: Key[] = ['csr', 'b4', 'b8'];
  /** `slow` over `fast`, where both were measured. */
  const compare = (id: string, slow: string, fast: string) => {
    const [a, b] = [rounds.get(slow), rounds.get(fast)];
    if (a && b) figures[id] = ratio(a, b);
  };
  for (const [name, id] of [
    ['onnxruntime-node', 'ort_node'],
    ['onnxruntime-web', 'ort_web'],
  ]) {
    for (const key of keys) {
      compare(`step.${key}.vs_${id}`, `${name} dense T=1`, `step ${key} ${CHOSEN}`);
      compare(`step.${key}.vs_${id}_int8`, `${name} int8 T=1`, `step ${key} ${CHOSEN}`);
      compare(`gru.${key}.vs_${id}`, `${name} ${key === 'csr' ? 'gru' : 'gru656'} T=1`, `gru ${key} ${CHOSEN}`);
      compare(`run${T}.${key}.vs_${id}_int8`, `${name} int8 T=${T}`, `run${T} ${key} ${CHOSEN}`);
    }
  }
  compare(`run${T}.vs_step`, `step csr ${CHOSEN}`, `run${T} csr ${CHOSEN}`);
  compare(`run${T}.b8.vs_step`, `step b8 ${CHOSEN}`, `run${T} b8 ${CHOSEN}`);
  figures['voice.step_us'] = figure(of(`voice ${CHOSEN}`), 'us');
  figures['spmv.csr.ns_per_nnz'] = figure(
    of(`csr ${CHOSEN}`).map((time) => (1000 * time) / nonzeros),
    'ns',
  );
  figures['kron.peak_share'] = figure(
    of(`kron ${CHOSEN}`).map((time, i) => kronFlops / time / (limit.flops / of(limit.name)[i])),
    'share',
  );
  figures['gates.ns_per_unit'] = figure(
    of(`gates ${CHOSEN}`).map((time) => (1000 * time) / H),
    'ns',
  );
  const token = rounds.get('onnxruntime-node token');
  if (token) figures['token.vs_ort_node'] = ratio(token, of('token doped int8'));
  compare('token.small.vs_ort_node', 'onnxruntime-node token', 'token small');
  compare('token.small.vs_ort_node_int8', 'onnxruntime-node token int8', 'token small');
  figures['infer.bundle_kb'] = { value: await bundleSize(), unit: 'kB', spread: 0 };
  const cold = await coldStarts(peers);
  figures['infer.cold_ms'] = figure(cold.get('dopant, small')!, 'ms');
  figures['infer.cold_1mb_ms'] = figure(cold.get('dopant')!, 'ms');
  figures['infer.load_ms'] = figure(loadTimes(), 'ms');

  const against = (name: string, own: readonly number[]) => {
    const time = rounds.get(name);
    return time ? `${ratio(time, own).value.toFixed(1)}x` : '';
  };
  /** Own layers beside those of peers: of these kinds, or of those that the key of the own one asks for. */
  const layerTable = (
    what: string,
    own: string,
    steps: number,
    kinds: readonly string[],
    kindFor: (kind: string, key: string) => string = (kind) => kind,
  ) => {
    const all = peers.flatMap(({ name }) => kinds.map((kind) => ({ name, kind })));
    const rivals = all.filter(({ name, kind }) => rounds.has(`${name} ${kind} T=${steps}`));
    const row = (title: string, measured: string, key: string) => [
      title,
      us(measured),
      ...rivals.map(({ name, kind }) => against(`${name} ${kindFor(kind, key)} T=${steps}`, of(measured))),
    ];
    const ours = BINARIES.flatMap((simd) =>
      Object.entries(NAMES).map(([key, name]) => row(`dopant, ${name}, ${simd}`, `${own} ${key} ${simd}`, key)),
    );
    const theirs = rivals.map(({ name, kind }) => row(`${name}, ${kind}`, `${name} ${kind} T=${steps}`, 'dense'));
    const columns = [what, 'us', ...rivals.map(({ name, kind }) => `${name}, ${kind} / this`)];
    return formatTable({ columns, rows: [...ours, ...theirs] });
  };
  const tokenPeers = peers.filter(({ name }) => rounds.has(`${name} token`));
  const tokens = [...rounds.keys()]
    .filter((name) => name.includes('token'))
    .map((name) => [name, us(name), ...tokenPeers.map((peer) => against(`${peer.name} token`, of(name)))]);
  const columns = (what: string, list: readonly Peer[]) => [what, 'us', ...list.map(({ name }) => `${name} / this`)];
  const kernelRows = kernels.map(({ name }) => [name, us(name)]);
  const dense = median(of(`dense ${CHOSEN}`)) / (M2 * N2);
  // Two multiplications and two additions of four floats.
  const perCycle = 16;
  const clock = limit.flops / median(of(limit.name)) / 1000 / perCycle;
  const cycles = (id: string) => (figures[id].value * clock).toFixed(2);
  const weights = (key: string) => ((1000 * median(of(`${key} ${CHOSEN}`))) / nonzeros).toFixed(3);

  const beside = (stepLimit.flops / median(of(stepLimit.name)) / 1000).toFixed(1);

  const text = `### A step of one LSTM layer, ${H} units, input ${H}

One thread, all warm and taking turns. A compressed model is another model than the dense one beside it. int8 is a peer's own dynamic quantisation: weights of one byte, inputs and states quantised as they come.

${layerTable('step', 'step', 1, ['dense', 'int8'])}

### ${T} steps of it in a call, each

Here \`model.run()\`, whose answers are ${T} arrays.

${layerTable(`one of ${T}`, `run${T}`, T, ['dense', 'int8'])}

### A step of one GRU layer, ${H} units, input ${H}

Blocks must divide the rows, so those with blocks have 656 units, and so have the peers that they are compared with.

${layerTable('step', 'gru', 1, ['gru'], (kind, key) => (unitsOf('gru', key) === H ? kind : 'gru656'))}

### A frame of a voice-activity detector: 64 numbers, an LSTM of 64 units doped 10x, a head of one

${formatTable({ columns: ['step', 'us'], rows: BINARIES.map((simd) => [`dopant, ${simd}`, median(of(`voice ${simd}`)).toFixed(2)]) })}

Beside it, the limit of plain 128-bit SIMD was ${beside} GF.

### A token of a language model, 2 x ${H} units, ${V} words, with its softmax head

${formatTable({ columns: columns('token', tokenPeers), rows: tokens })}

### Kernels of inference, ${M2} x ${N2}, sparse ones at 4 %; gates of ${H} units

${formatTable({ columns: ['kernel', 'us'], rows: kernelRows })}

Limit of 128-bit SIMD: ${(perCycle * clock).toFixed(1)} GF, so a clock of about ${clock.toFixed(2)} GHz: ${cycles('spmv.csr.ns_per_nnz')} cycles a nonzero, ${cycles('gates.ns_per_unit')} a unit of the gates. Crossover, ns a weight: dense ${(1000 * dense).toFixed(3)}, unstructured ${weights('csr')}, 4x1 ${weights('b4')}, 8x1 ${weights('b8')}.

### From import to the first answer, models of about 1 MB, each start in a process of its own

${formatTable({ columns: ['cold start', 'ms'], rows: [...cold].map(([name, times]) => [name, median(times).toFixed(1)]) })}
${skipped.length > 0 ? `\nSkipped: ${skipped.join('; ')}.\n` : ''}`;
  const versions = Object.fromEntries(peers.map(({ name, version }) => [name, version]));
  return { text, figures, versions };
}
