// A sentence of 12 words, translated with a beam of 4: doped at 25x, dense, and onnxruntime-node running the dense encoder and the
// step of the decoder as PyTorch exports them. All have the weights of a random model, and write 13 tokens.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatTable } from '../src/cli/table.js';
import { initSync, loadSync, Translator } from '../src/infer/index.js';
import { bitsOfAll } from '../src/nn/leaves.js';
import type { Network } from '../src/nn/network.js';
import { walk } from '../src/operators/operator.js';
import { Sparse } from '../src/operators/sparse.js';
import { encodeModel } from '../src/tasks/model-file.js';
import { TranslationModel } from '../src/tasks/translate/model.js';
import type { TranslationConfig } from '../src/tasks/translate/schema.js';
import { Runtime } from '../src/wasm/runtime.js';
import { alternate, type Contender, figure, median, ratio } from './harness.js';
import { requirePeer } from './peers/install.js';
import type { Report } from './report.js';
import { vocabularyOf } from './words.js';

const [TOKENS, WIDTH, UNITS] = [2500, 256, 256];
const [WORDS, BEAM, LENGTH] = [12, 4, 13];

function modelOf(config: Pick<TranslationConfig, 'method' | 'compression' | 'tied'>): TranslationModel {
  const vocabulary = vocabularyOf(TOKENS - 2);
  const full = { hidden: UNITS, embedding: WIDTH, layers: 1, score: 'general', ...config } as const;
  const both = { source: vocabulary, target: vocabulary, languages: ['aa', 'bb'] as const };
  const model = TranslationModel.create(new Runtime(), full, both, 1);
  for (const [name, matrix] of model.matrices()) {
    for (const [, part] of walk(matrix, name)) {
      // What a budget of 25x leaves beside two factors.
      if (part instanceof Sparse) Sparse.prune([part], Math.round((0.9 * part.M * part.N) / config.compression));
    }
  }
  return model;
}

function contender(name: string, bytes: Uint8Array): Contender {
  const translator = new Translator(loadSync(bytes));
  const text = translator.target.decode(Array.from({ length: WORDS }, (_, i) => 10 + 7 * i));
  const options = { beam: BEAM, maxTokens: LENGTH };
  const { tokens } = translator.translate(text, options);
  if (tokens.length !== LENGTH) throw new Error(`${name}: got ${tokens.length} tokens; expected ${LENGTH}`);
  return { name, repeats: 1, run: () => translator.translate(text, options).score };
}

interface Tensor {
  readonly data: Float32Array;
}
interface Session {
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
}
interface OnnxRuntime {
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> };
  readonly Tensor: new (type: string, data: Float32Array | BigInt64Array, dims: number[]) => Tensor;
  readonly env: { readonly versions: Record<string, string> };
}

/** The names of PyTorch's parameters for ours. */
const NAMES: Record<string, string> = {
  embedding: 'decoder.embedding.weight',
  'encoder.embedding': 'encoder.embedding.weight',
  'attention.score': 'encoder.score.weight',
  'attention.combine': 'decoder.combine.weight',
  'attention.bias': 'decoder.combine.bias',
  head: 'decoder.head.weight',
  'head.bias': 'decoder.head.bias',
  ...Object.fromEntries(
    [
      ['lstm.0', 'decoder.lstm', 'l0'],
      ['encoder.lstm.0.forward', 'encoder.lstm', 'l0'],
      ['encoder.lstm.0.backward', 'encoder.lstm', 'l0_reverse'],
    ].flatMap(([ours, theirs, end]) =>
      ['ih', 'hh', 'bias_ih', 'bias_hh'].map((part) => [
        `${ours}.${part}`,
        `${theirs}.${part.startsWith('b') ? part : `weight_${part}`}_${end}`,
      ]),
    ),
  ),
};

/** The model that PyTorch exports to the folder, and its weights set in ours. */
async function onnxContender(
  network: Network,
  text: number[],
  eos: number,
): Promise<{ contender: Contender; versions: Record<string, string> }> {
  const ort: OnnxRuntime = requirePeer('onnxruntime-node');
  const folder = mkdtempSync(join(tmpdir(), 'dopant-'));
  try {
    const python = process.env.PYTHON ?? 'python3';
    const args = ['bench/peers/torch_translation.py', folder, TOKENS, WIDTH, UNITS].map(String);
    const torch = execFileSync(python, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const { buffer, byteOffset, byteLength } = readFileSync(join(folder, 'weights.bin'));
    const weights = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    const index: { name: string; at: number; size: number }[] = JSON.parse(
      readFileSync(join(folder, 'weights.json'), 'utf8'),
    );
    for (const [ours, theirs] of Object.entries(NAMES)) {
      const { at, size } = index.find(({ name }) => name === theirs)!;
      network.setTensor(ours, weights.subarray(at, at + size));
    }
    const options = {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
    };
    const [encoder, decoder] = await Promise.all(
      ['encoder', 'decoder'].map((name) => ort.InferenceSession.create(join(folder, `${name}.onnx`), options)),
    );
    const floats = (data: Float32Array, ...dims: number[]) => new ort.Tensor('float32', data, dims);
    const numbers = (data: number[], ...dims: number[]) =>
      new ort.Tensor('int64', BigInt64Array.from(data, BigInt), dims);
    /** The scores of the tokens of a translation: a beam of as many hypotheses in one batch, none of them at an end. */
    const run = async () => {
      const { memory, keys, h, c } = await encoder.run({ source: numbers(text, text.length, 1) });
      let [tokens, totals] = [[eos], [0]];
      let states = [h.data, c.data];
      for (let step = 0; step < LENGTH; step++) {
        const B = tokens.length;
        const out = await decoder.run({
          token: numbers(tokens, 1, B),
          h: floats(states[0], 1, B, UNITS),
          c: floats(states[1], 1, B, UNITS),
          memory,
          keys,
        });
        const best: { from: number; token: number; total: number }[] = [];
        for (let b = 0; b < B; b++) {
          for (let token = 1; token < TOKENS; token++) {
            if (token === eos) continue;
            const total = totals[b] + out.logits.data[b * TOKENS + token];
            if (best.length === BEAM && total <= best[BEAM - 1].total) continue;
            let at = best.length;
            while (at > 0 && best[at - 1].total < total) at--;
            best.splice(at, 0, { from: b, token, total });
            if (best.length > BEAM) best.pop();
          }
        }
        tokens = best.map(({ token }) => token);
        totals = best.map(({ total }) => total);
        states = [out.h_next.data, out.c_next.data].map((all) => {
          const kept = new Float32Array(BEAM * UNITS);
          for (const [i, { from }] of best.entries())
            kept.set(all.subarray(from * UNITS, (from + 1) * UNITS), i * UNITS);
          return kept;
        });
      }
      return totals[0] / LENGTH;
    };
    return {
      contender: { name: 'onnxruntime-node', repeats: 1, run },
      versions: { torch, 'onnxruntime-node': ort.env.versions.node },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function benchTranslation(): Promise<Report> {
  initSync({ simd: 'plain' });
  const dense = modelOf({ method: 'dense', compression: 1 });
  const text = [...Array.from({ length: WORDS }, (_, i) => 10 + 7 * i), dense.vocabularies.source.eos];
  const peer = await onnxContender(dense.network, text, dense.vocabularies.target.eos).catch((error: Error) => {
    process.stderr.write(`skipped onnxruntime-node: ${error.message.split('\n')[0]}\n`);
  });
  const doped = modelOf({ method: 'doped-kron', compression: 25 });
  const small = modelOf({ method: 'doped-kron', compression: 25, tied: true });
  const contenders = [
    contender('dense', encodeModel(dense)),
    contender('doped 25x', encodeModel(doped)),
    contender('doped 25x, tied, 4 bits', encodeModel(small, bitsOfAll(4))),
    ...(peer ? [peer.contender] : []),
  ];
  if (peer) {
    const [ours, theirs] = [await contenders[0].run(), await peer.contender.run()];
    if (!(Math.abs(ours - theirs) < 1e-4)) throw new Error(`onnxruntime-node scores ${theirs}, dopant ${ours}`);
  }
  const rounds = await alternate(contenders, { iterations: 5 });
  const of = (name: string) => rounds.get(name)!;
  const rows = [...rounds].map(([name, times]) => [
    name,
    median(times).toFixed(0),
    (median(of('dense')) / median(times)).toFixed(2),
  ]);
  return {
    text: `A sentence of ${WORDS} words, beam ${BEAM}, ${LENGTH} tokens: ${UNITS} units, vocabulary ${TOKENS}.\n\n${formatTable({ columns: ['model', 'us', 'times dense'], rows })}`,
    figures: {
      'translate.vs_dense': ratio(of('dense'), of('doped 25x')),
      'translate.small.vs_dense': ratio(of('dense'), of('doped 25x, tied, 4 bits')),
      'translate.us': figure(of('doped 25x'), 'us'),
      ...(peer && {
        'translate.vs_ort_node': ratio(of('onnxruntime-node'), of('doped 25x')),
        'translate.small.vs_ort_node': ratio(of('onnxruntime-node'), of('doped 25x, tied, 4 bits')),
      }),
    },
    versions: peer?.versions ?? {},
  };
}
