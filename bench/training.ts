// Whole steps of training a language model, 2 layers, beside the limit of 128-bit SIMD and TensorFlow.js; the gemm beside
// that of jax-js; and where the time of a step goes.

import { formatTable } from '../src/cli/table.js';
import { walk } from '../src/operators/operator.js';
import { Sparse } from '../src/operators/sparse.js';
import { uniform } from '../src/random.js';
import { defaultOptions, LanguageModelTraining } from '../src/tasks/lm/training.js';
import type { Kernels } from '../src/wasm/kernels.js';
import { Runtime } from '../src/wasm/runtime.js';
import { hasRelaxedSimd } from '../src/wasm/simd.js';
import { matrixPlan } from '../test/nn/parts.js';
import { alternate, type Contender, type Figure, figure, median, ratio } from './harness.js';
import { peakContender } from './peak.js';
import { jaxMatmul } from './peers/jax.js';
import { tfjsTraining } from './peers/tfjs-training.js';
import { torchTraining } from './peers/torch.js';
import type { Report } from './report.js';
import { vocabularyOf } from './words.js';

const V = 10_000;
const LAYERS = 2;
const BATCH = 20;
const BPTT = 35;
const COMPRESSION = 25;
/** Numbers of threads to train with. */
const THREADS = [1, 2];
/** Steps of seconds: once a round. */
const STEPS = { rounds: 3, ms: 0, iterations: 1 };

interface Setting {
  hidden: number;
  threads: number;
  /** Share of M_sp's weights that are 0, or what the compression asks for; none: a dense model. */
  sparsity?: number | 'final';
  vocabulary?: number;
  bptt?: number;
  cutoffs?: readonly number[];
}

const random = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => 2 * uniform(seed, 0, i) - 1);
const words = (n: number, vocabulary: number) =>
  Int32Array.from({ length: n }, (_, i) => Math.floor(uniform(3, 0, i) * vocabulary));

/** Training pruned to where it is to be measured, warmed by a step. */
async function trainingOf({ hidden, threads, sparsity, vocabulary = V, bptt = BPTT, cutoffs }: Setting) {
  const options = {
    ...defaultOptions('word', 'sgd'),
    hidden,
    layers: LAYERS,
    method: sparsity === undefined ? ('dense' as const) : ('doped-kron' as const),
    compression: COMPRESSION,
    batch: BATCH,
    bptt,
    epochs: 1,
    ...(cutoffs && { cutoffs }),
    // The schedule must not prune what is measured.
    annealing: { start: 0.9, end: 0.9, every: 1, threshold: 'matrix' as const },
  };
  const corpus = { train: words(BATCH * (200 * bptt + 1), vocabulary), valid: words(100, vocabulary) };
  const runtime = new Runtime({ threads });
  while (!runtime.ready) await new Promise((resolve) => setTimeout(resolve, 5));
  const training = LanguageModelTraining.create(runtime, vocabularyOf(vocabulary - 2), options, corpus);
  const { model, trainer } = training;
  if (sparsity !== undefined) {
    const { nonzeros } = matrixPlan(options);
    for (const [name, matrix] of model.matrices()) {
      for (const [, part] of walk(matrix, name)) {
        if (!(part instanceof Sparse)) continue;
        Sparse.prune([part], sparsity === 'final' ? nonzeros! : Math.round(part.M * part.N * (1 - sparsity)));
      }
    }
    trainer.afterPruning();
  }
  training.step();
  return training;
}

const nameOf = ({ hidden, threads, sparsity, vocabulary, cutoffs }: Setting) =>
  [
    `2 x ${hidden}`,
    sparsity === undefined
      ? 'dense'
      : sparsity === 'final'
        ? `doped ${COMPRESSION}x`
        : `doped, M_sp ${100 * sparsity} %`,
    ...(vocabulary && vocabulary < V ? ['LSTM alone'] : []),
    ...(cutoffs ? ['adaptive softmax'] : []),
    ...(threads > 1 ? [`${threads} threads`] : []),
  ].join(', ');

async function stepContender(setting: Setting): Promise<Contender & { training: LanguageModelTraining }> {
  const training = await trainingOf(setting);
  return { name: nameOf(setting), repeats: 1, run: () => training.step(), training };
}

/** The limit, measured as long as a round of steps needs it to be. */
function limitContender(): Contender & { flops: number } {
  const peak = peakContender('plain');
  const repeats = 400;
  return {
    ...peak,
    repeats,
    run() {
      let sum = 0;
      for (let i = 0; i < repeats; i++) sum += peak.run() as number;
      return sum;
    },
  };
}

/** Where the time of one step goes: kernels called from JavaScript, and the rest. */
function timeOfKernels(training: LanguageModelTraining): string {
  const { runtime } = training.model;
  const { kernels } = runtime;
  const spent = new Map<string, { calls: number; ms: number }>();
  const timed = Object.fromEntries(
    Object.entries(kernels).map(([name, kernel]) => {
      if (typeof kernel !== 'function') return [name, kernel];
      return [
        name,
        (...args: unknown[]) => {
          const start = performance.now();
          const result = Reflect.apply(kernel, undefined, args);
          const { calls, ms } = spent.get(name) ?? { calls: 0, ms: 0 };
          spent.set(name, { calls: calls + 1, ms: ms + performance.now() - start });
          return result;
        },
      ];
    }),
  );
  const set = (value: Kernels) => Object.defineProperty(runtime, 'kernels', { value });
  set(timed as unknown as Kernels);
  const start = performance.now();
  training.step();
  const all = performance.now() - start;
  set(kernels);
  const row = (name: string, calls: string, ms: number) => [
    name,
    calls,
    ms.toFixed(1),
    `${((100 * ms) / all).toFixed(1)} %`,
  ];
  const sorted = [...spent].sort(([, a], [, b]) => b.ms - a.ms);
  const shown = sorted.filter(([, { ms }]) => ms >= all / 200);
  const rest = all - shown.reduce((sum, [, { ms }]) => sum + ms, 0);
  return formatTable({
    columns: ['kernel', 'calls', 'ms', 'share'],
    rows: [
      ...shown.map(([name, { calls, ms }]) => row(name, String(calls), ms)),
      row('the rest, and JavaScript', '', rest),
    ],
  });
}

const share = (
  work: Contender & { flops: number },
  rounds: Map<string, number[]>,
  limit: Contender & { flops: number },
) =>
  figure(
    rounds.get(work.name)!.map((us, i) => work.flops / us / (limit.flops / rounds.get(limit.name)![i])),
    'share',
  );

const [M, N, K] = [64, 2600, 1300];

/** C[M,N] = A[M,K] B, B packed before. */
function gemmContender(simd: 'plain' | 'relaxed'): Contender & { flops: number; c(): Float32Array } {
  const runtime = new Runtime({ simd });
  const { kernels } = runtime;
  const a = runtime.alloc(4 * M * K);
  const b = runtime.alloc(4 * K * N);
  const packed = runtime.alloc(32 * Math.ceil(N / 8) * K);
  const c = runtime.alloc(4 * M * N);
  const scratch = runtime.alloc(kernels.F32_GEMM_SCRATCH.value);
  runtime.floats(a, M * K).set(random(M * K, 1));
  runtime.floats(b, K * N).set(random(K * N, 2));
  kernels.f32_gemm_pack_n(b, packed, N, K);
  return {
    name: `gemm ${simd}`,
    flops: 2 * M * N * K,
    repeats: 1,
    c: () => runtime.floats(c, M * N),
    run() {
      kernels.f32_gemm_packed(a, packed, c, M, N, K, false, scratch);
      return runtime.floats(c, 1)[0];
    },
  };
}

const reason = (error: unknown) => String(error instanceof Error ? error.message : error).split('\n')[0];

async function benchGemm(
  figures: Record<string, Figure>,
  skipped: string[],
  versions: Record<string, string>,
): Promise<string> {
  const plain = gemmContender('plain');
  const limits = [peakContender('plain')];
  const contenders: Contender[] = [limits[0], plain];
  let theirs: Contender | undefined;
  try {
    const { version, multiply } = await jaxMatmul(random(M * K, 1), random(K * N, 2), M, N, K);
    plain.run();
    const own = plain.c();
    if (!multiply().every((value, i) => Math.abs(value - own[i]) < 1e-2)) throw new Error('its product is another');
    theirs = { name: 'jax-js, wasm', repeats: 1, run: () => multiply()[0] };
    contenders.push(theirs);
    versions['jax-js'] = version;
  } catch (error) {
    skipped.push(`jax-js: ${reason(error)}`);
  }
  const relaxed = hasRelaxedSimd() ? gemmContender('relaxed') : undefined;
  if (relaxed) {
    limits.push(peakContender('relaxed'));
    contenders.push(limits[1], relaxed);
  } else skipped.push('gemm.relaxed.peak_share: this host has no relaxed SIMD; Node 22 has');
  const rounds = await alternate(contenders);
  figures['gemm.simd.peak_share'] = share(plain, rounds, limits[0]);
  if (relaxed) figures['gemm.relaxed.peak_share'] = share(relaxed, rounds, limits[1]);
  if (theirs) figures['gemm.vs_jaxjs'] = ratio(rounds.get(theirs.name)!, rounds.get(plain.name)!);
  const flops = (name: string) => limits.find((limit) => limit.name === name)?.flops ?? plain.flops;
  const rows = contenders.map(({ name }) => {
    const us = median(rounds.get(name)!);
    return [name, us.toFixed(1), (flops(name) / us / 1000).toFixed(1)];
  });
  return formatTable({ columns: ['', 'us', 'GF'], rows });
}

/** Short sequences, which the peer can do in seconds; ours are as short. */
const PEER = { hidden: 200, bptt: 5 };

async function benchPeer(figures: Record<string, Figure>, skipped: string[], versions: Record<string, string>) {
  try {
    const shape = { vocabulary: V, hidden: PEER.hidden, layers: LAYERS, batch: BATCH, steps: PEER.bptt };
    const { name, version, step, refused } = await tfjsTraining(shape);
    skipped.push(...refused);
    versions.tfjs = version;
    const tokens = BATCH * PEER.bptt;
    const [ids, targets] = [words(tokens, V), words(tokens + 1, V).subarray(1)];
    step(ids, targets);
    const own = await stepContender({ ...PEER, threads: 1 });
    const rounds = await alternate([own, { name, repeats: 1, run: () => step(ids, targets) }], {
      ...STEPS,
      rounds: 5,
    });
    figures['train.vs_tfjs'] = ratio(rounds.get(name)!, rounds.get(own.name)!);
    const rows = [own.name, name].map((who) => [who, ((1e6 * tokens) / median(rounds.get(who)!)).toFixed(0)]);
    return `### Beside TensorFlow.js, ${name}: the same dense model, BPTT ${PEER.bptt}\n\n${formatTable({ columns: ['', 'tokens a second'], rows })}`;
  } catch (error) {
    skipped.push(`tfjs: ${reason(error)}`);
    return '';
  }
}

/** WikiText-2's vocabulary, with a softmax over all words and with an adaptive one. */
async function benchAdaptive(figures: Record<string, Figure>): Promise<string> {
  const full = { hidden: 256, threads: 1, vocabulary: 33_278 };
  const contenders = [await stepContender(full), await stepContender({ ...full, cutoffs: [2_000, 10_000] })];
  const rounds = await alternate(contenders, { ...STEPS, rounds: 5 });
  const [slow, fast] = contenders.map(({ name }) => rounds.get(name)!);
  figures['adaptive.speed'] = ratio(slow, fast);
  const rows = contenders.map(({ name }) => [name, ((1e6 * BATCH * BPTT) / median(rounds.get(name)!)).toFixed(0)]);
  return formatTable({ columns: ['', 'tokens a second'], rows });
}

/** Doped at its final sparsity beside a dense LSTM of PyTorch, both with an adaptive softmax. */
async function benchTorch(figures: Record<string, Figure>, skipped: string[], versions: Record<string, string>) {
  const cutoffs = [2_000];
  try {
    const shape = { hidden: 650, layers: LAYERS, vocabulary: V, cutoffs, batch: BATCH, bptt: BPTT };
    const { version, step, close } = await torchTraining(shape);
    versions.torch = version;
    await step();
    const own = await stepContender({ hidden: 650, threads: 1, sparsity: 'final', cutoffs });
    const name = 'PyTorch, dense, adaptive softmax';
    const rounds = await alternate([own, { name, repeats: 1, run: async () => await step() }], { ...STEPS, rounds: 5 });
    close();
    figures['train.doped_vs_torch'] = ratio(rounds.get(name)!, rounds.get(own.name)!);
    const rows = [own.name, name].map((who) => [who, ((1e6 * BATCH * BPTT) / median(rounds.get(who)!)).toFixed(0)]);
    return `### Beside PyTorch, one thread, 2 x 650, ${V} words\n\n${formatTable({ columns: ['', 'tokens a second'], rows })}`;
  } catch (error) {
    skipped.push(`train.doped_vs_torch: ${reason(error)}`);
    return '';
  }
}

export async function benchTraining(): Promise<Report> {
  const figures: Record<string, Figure> = {};
  const versions: Record<string, string> = {};
  const skipped: string[] = [];
  const gemm = await benchGemm(figures, skipped, versions);
  const peer = await benchPeer(figures, skipped, versions);

  const limit = limitContender();
  const forms = [{}, { sparsity: 0 }, { sparsity: 0.8 }, { sparsity: 0.96 }];
  const tables: string[] = [];
  for (const hidden of [200, 650]) {
    const settings = THREADS.flatMap((threads) => forms.map((form): Setting => ({ hidden, threads, ...form })));
    const contenders = await Promise.all(settings.map(stepContender));
    const rounds = await alternate([limit, ...contenders], STEPS);
    const dense = rounds.get(nameOf({ hidden, threads: 1 }))!;
    const rows = contenders.map(({ name }) => {
      const us = rounds.get(name)!;
      return [name, ((1e6 * BATCH * BPTT) / median(us)).toFixed(0), `${ratio(dense, us).value.toFixed(2)}x`];
    });
    tables.push(formatTable({ columns: ['', 'tokens a second', 'dense / this'], rows }));
    if (hidden !== 650) continue;

    // Forward, gradient of the input, gradient of the weights: all of them are computed, for every matrix and token.
    const weights = LAYERS * 2 * (4 * hidden * hidden) + V * hidden;
    const flops = 6 * weights * BATCH * BPTT;
    figures['train.peak_share'] = share({ ...contenders[0], flops }, rounds, limit);
    const two = rounds.get(nameOf({ hidden, threads: 2 }));
    if (two) figures['train.threads2'] = ratio(dense, two);
    for (const { name, training } of [contenders[0], contenders[3]]) {
      tables.push(`### Where the time of a step goes: ${name}\n\n${timeOfKernels(training)}`);
    }
  }

  // With hardly any words, embedding and head take no time.
  const lstm = { hidden: 650, threads: 1, vocabulary: 4 };
  const parts = [await stepContender(lstm), await stepContender({ ...lstm, sparsity: 'final' })];
  const rounds = await alternate(parts, { ...STEPS, rounds: 5 });
  const [dense, doped] = parts.map(({ name }) => rounds.get(name)!);
  figures['train.doped_vs_dense'] = ratio(dense, doped);
  const lstmRows = parts.map(({ name }) => [name, (median(rounds.get(name)!) / 1000).toFixed(1)]);

  const adaptive = await benchAdaptive(figures);
  const torch = await benchTorch(figures, skipped, versions);

  for (const line of skipped) process.stderr.write(`skipped ${line}\n`);
  const text = `### gemm ${M} x ${N} x ${K}, B packed before

${gemm}

${peer}

### Steps of training, vocabulary ${V}, batch ${BATCH}, BPTT ${BPTT}, gradient descent

${tables.join('\n\n')}

### The LSTM alone, forward, backward and update

${formatTable({ columns: ['', 'ms a step'], rows: lstmRows })}

### Dense, 2 x 256, 33278 words: softmax over all, and adaptive with cutoffs 2000 and 10000

${adaptive}

${torch}
${skipped.length > 0 ? `\nSkipped: ${skipped.join('; ')}.\n` : ''}`;
  return { text, figures, versions };
}
