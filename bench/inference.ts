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
import type { NamedTensor } from '../src/io/safetensors.js';
import { TensorSource } from '../src/io/tensor-source.js';
import { operatorTensors } from '../src/io/tensors.js';
import type { ModelConfig } from '../src/nn/config.js';
import { LanguageModel } from '../src/nn/language-model.js';
import { buildOperator, planMatrix } from '../src/operators/budget.js';
import { type Operator, walk } from '../src/operators/operator.js';
import { Sparse } from '../src/operators/sparse.js';
import { uniform } from '../src/random.js';
import { encodeLanguageModel } from '../src/tasks/models.js';
import { Runtime } from '../src/wasm/runtime.js';
import { matrixPlan, partsOf } from '../test/nn/parts.js';
import { alternate, type Figure, figure, median, ratio, type Task } from './harness.js';
import { evenlySpread } from './kernels.js';
import { peakTask } from './peak.js';
import { type LstmWeights, loadPeers, type ModelWeights, type Peer } from './peers/peer.js';
import type { Report } from './report.js';
import { vocabularyOf } from './words.js';

const H = 650;
const V = 10_000;
const T = 35;

const noise = (n: number, scale: number, seed: number) =>
  Float32Array.from({ length: n }, (_, i) => (2 * uniform(seed, 0, i) - 1) * scale);

function modelOf(config: Omit<ModelConfig, 'hidden'>, words: number): LanguageModel {
  const vocabulary = vocabularyOf(words);
  const full = { hidden: H, ...config };
  const model = LanguageModel.create(new Runtime(), full, vocabulary, 1);
  const { nonzeros } = matrixPlan(full);
  for (const [name, matrix] of model.matrices()) {
    for (const [, part] of walk(matrix, name)) if (part instanceof Sparse) Sparse.prune([part], nonzeros!);
  }
  return model;
}

function repeating(name: string, repeats: number, once: (i: number) => number): Task {
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
const limit = peakTask('plain');
const BINARIES = hasRelaxedSimd() ? (['plain', 'relaxed'] as const) : (['plain'] as const);
/** What users get who choose nothing. */
const CHOSEN = BINARIES.at(-1)!;

/** LSTM steps through session.step(), as a user calls it. */
function stepTasks(): Task[] {
  const x = noise(H, 1, 5);
  return BINARIES.flatMap((simd) =>
    Object.entries(CONFIGS).map(([key, config]) => {
      const bytes = encodeLanguageModel(modelOf({ layers: 1, ...config }, 4));
      initSync({ simd });
      const session = loadSync(bytes).session();
      return repeating(`step ${key} ${simd}`, 4, () => session.step(x)[0]);
    }),
  );
}

/** Words all over the vocabulary, so that embeddings come from where they lie. */
function wordsInTurn(): () => number {
  let word = 0;
  return () => {
    word = (word * 5 + 7) % V;
    return word;
  };
}

function tokenTasks(): Task[] {
  const dense = modelOf({ layers: 2, ...CONFIGS.dense }, V - 2);
  const doped = modelOf({ layers: 2, ...CONFIGS.csr }, V - 2);
  const blocks = modelOf({ layers: 2, ...CONFIGS.b4 }, V - 2);
  initSync({ simd: CHOSEN });
  const models = { dense, doped, 'doped int8': doped.withInt8Head(), 'blocks int8': blocks.withInt8Head() };
  return Object.entries(models).map(([name, model]) => {
    const session = loadSync(encodeLanguageModel(model)).session();
    const word = wordsInTurn();
    return repeating(`token ${name}`, 1, () => session.next(word())[0]);
  });
}

/** One packed matrix of 2600 x 1300 as run() executes it. */
function matrixTask(name: string, operator: Operator, simd: 'plain' | 'relaxed'): Task {
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

function gatesTask(simd: 'plain' | 'relaxed'): Task {
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

function kernelTasks(): { tasks: Task[]; kronFlops: number; nonzeros: number } {
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
  const tasks = BINARIES.flatMap((simd) => [
    matrixTask(`dense ${simd}`, dense, simd),
    matrixTask(`csr ${simd}`, unstructured, simd),
    matrixTask(`b4 ${simd}`, sparse(4), simd),
    matrixTask(`b8 ${simd}`, sparse(8), simd),
    matrixTask(`kron ${simd}`, full, simd),
    gatesTask(simd),
  ]);
  return { tasks, kronFlops, nonzeros };
}

function denseWeights(model: LanguageModel): LstmWeights[] {
  return partsOf(model).layers.map(({ ih, hh, biasIh }) => ({
    input: H,
    hidden: H,
    ih: ih.toDense(),
    hh: hh.toDense(),
    bias: biasIh.data.slice(),
  }));
}

async function peerTasks(peers: readonly Peer[]): Promise<Task[]> {
  const model = modelOf({ layers: 2, ...CONFIGS.dense }, V - 2);
  const layers = denseWeights(model);
  const { embedding, head } = partsOf(model);
  const weights: ModelWeights = {
    vocabulary: V,
    hidden: H,
    embedding: embedding.data.slice(),
    layers,
    head: head.weight.toDense(),
    headBias: head.bias.data.slice(),
  };
  const tasks: Task[] = [];
  for (const peer of peers) {
    for (const steps of [1, T]) {
      const x = noise(steps * H, 1, 5);
      const layer = await peer.layer(layers[0], steps);
      tasks.push({ name: `${peer.name} T=${steps}`, repeats: steps, run: async () => (await layer.run(x))[0] });
    }
    if (!peer.model) continue;
    const whole = await peer.model(weights);
    const word = wordsInTurn();
    tasks.push({ name: `${peer.name} token`, repeats: 1, run: async () => (await whole.run(word()))[0] });
  }
  return tasks;
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

/** From import to the first answer, each time in a process of its own, in turns; milliseconds. All models take about 1 MB. */
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
    encodeLanguageModel(modelOf({ layers: 1, ...CONFIGS.b4 }, 80)),
    (path) => `const { load } = await import(${library}); return (await load(${path})).session().next(1);`,
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

  const { tasks: kernels, kronFlops, nonzeros } = kernelTasks();
  const theirs = await peerTasks(peers);
  const isToken = ({ name }: Task) => name.includes('token');
  const rounds = new Map([
    ...(await alternate([limit, ...kernels])),
    ...(await alternate([...stepTasks(), ...theirs.filter((task) => !isToken(task))])),
    ...(await alternate([...tokenTasks(), ...theirs.filter(isToken)])),
  ]);
  const of = (name: string) => rounds.get(name)!;
  const us = (name: string) => median(of(name)).toFixed(1);

  const figures: Record<string, Figure> = {};
  for (const [name, id] of [
    ['onnxruntime-node', 'ort_node'],
    ['onnxruntime-web', 'ort_web'],
  ]) {
    const dense = rounds.get(`${name} T=1`);
    if (!dense) continue;
    for (const key of ['csr', 'b4', 'b8']) figures[`step.${key}.vs_${id}`] = ratio(dense, of(`step ${key} ${CHOSEN}`));
  }
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
  figures['infer.bundle_kb'] = { value: await bundleSize(), unit: 'kB', spread: 0 };
  const cold = await coldStarts(peers);
  figures['infer.cold_ms'] = figure(cold.get('dopant')!, 'ms');

  const against = (name: string, own: readonly number[]) => {
    const time = rounds.get(name);
    return time ? `${ratio(time, own).value.toFixed(1)}x` : '';
  };
  const steps = BINARIES.flatMap((simd) =>
    Object.entries(NAMES).map(([key, name]) => {
      const own = of(`step ${key} ${simd}`);
      const ratios = peers.map((peer) => against(`${peer.name} T=1`, own));
      return [`dopant, ${name}, ${simd}`, median(own).toFixed(1), ...ratios];
    }),
  );
  const peerSteps = peers.flatMap(({ name }) =>
    [1, T].map((n) => [
      n === 1 ? `${name}, dense` : `${name}, dense, ${n} steps a call, each`,
      us(`${name} T=${n}`),
      ...peers.map((peer) => against(`${peer.name} T=1`, of(`${name} T=${n}`))),
    ]),
  );
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

  const text = `### A step of one LSTM layer, ${H} units, input ${H}

One thread, all warm and taking turns. A compressed model is another model than the dense one beside it.

${formatTable({ columns: columns('step', peers), rows: [...steps, ...peerSteps] })}

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
