// Small files: every form, for every structure, is what training and inference decode alike; damaged ones are refused by name.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tape } from '../../src/autograd/tape.js';
import { FileFormatError } from '../../src/errors.js';
import { initSync, loadSync } from '../../src/infer/index.js';
import { decodeNetwork } from '../../src/io/model-file.js';
import { readHeader } from '../../src/io/model-header.js';
import { riceEncode } from '../../src/io/rice.js';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/io/safetensors.js';
import { storeTensors } from '../../src/io/storage.js';
import { BITS, type Bits, leavesOf, ROLES } from '../../src/nn/leaves.js';
import { Network } from '../../src/nn/network.js';
import { packCodes, quantise } from '../../src/nn/quantise.js';
import { BLOCK_SIZES } from '../../src/operators/csr.js';
import { METHODS } from '../../src/operators/methods.js';
import { uniform } from '../../src/random.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { makeModel } from '../infer/models.js';

initSync({ simd: 'plain' });

const all = (bits: Bits) => Object.fromEntries(ROLES.map((role) => [role, bits]));
const sizeOf = (bytes: Uint8Array) =>
  [...decodeSafetensors(bytes).tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);

/** The outputs of inference for some tokens, and those of the training's network of the same file. */
function outputs(bytes: Uint8Array): [packed: number[], trained: number[]] {
  const tokens = [1, 3, 0, 2, 5, 4, 1];
  const packed = loadSync(bytes).run(tokens);
  const runtime = new Runtime();
  const network = decodeNetwork(runtime, readHeader(bytes));
  const y = network.forward(new Tape(runtime, false), network.batch([tokens]));
  return [packed.flatMap((one) => [...one]), [...runtime.floats(y.value, y.rows * y.cols)]];
}

function assertNear(bytes: Uint8Array, tolerance: number, what: string): void {
  const [packed, trained] = outputs(bytes);
  assert.is(packed.length, trained.length);
  for (const [i, value] of packed.entries()) {
    assert.ok(Math.abs(value - trained[i]) <= tolerance, `${what}, output ${i}: ${value}, not ${trained[i]}`);
  }
}

for (const method of METHODS) {
  test(`${method}: every number of bits decodes to the same in training and in inference`, () => {
    const model = makeModel(method, 16, 0.8);
    let before = Number.POSITIVE_INFINITY;
    for (const bits of BITS) {
      const bytes = encodeModel(model, all(bits));
      // Rows of 8 bits or fewer meet activations of 16 bits.
      assertNear(bytes, bits > 8 ? 1e-5 : 1e-3, `${method} of ${bits} bits`);
      const size = sizeOf(bytes);
      assert.ok(size < before, `${bits} bits: ${size} bytes, before ${before}`);
      before = size;
    }
  });
}

test('blocks of all sizes, and matrices that are empty or full, come back from their gaps', () => {
  for (const block of BLOCK_SIZES) {
    for (const sparsity of [0, 0.5, 0.96, 1]) {
      const model = makeModel('pruned', 16, sparsity, block);
      const [plain, small] = [encodeModel(model), encodeModel(model, {})];
      const read = (bytes: Uint8Array) => decodeNetwork(new Runtime(), readHeader(bytes)).tensor('lstm.0.hh');
      assert.equal(read(small), read(plain), `blocks of ${block} at ${sparsity}`);
      assertNear(small, 1e-5, `blocks of ${block} at ${sparsity}`);
    }
  }
});

test('a layer tied to the embedding, in every number of bits', () => {
  for (const width of [7, 16]) {
    const runtime = new Runtime();
    const spec = {
      input: { tokens: 30, width },
      layers: [
        { name: 'lstm', kind: 'lstm', units: width },
        { name: 'head', kind: 'linear', outputs: 30, tied: true },
      ],
    } as const;
    const network = Network.create(runtime, spec, 3);
    for (const bits of BITS) {
      const bytes = encodeModel(network, { name: 'tied' }, all(bits));
      assertNear(bytes, bits > 8 ? 1e-5 : 2e-3, `${bits} bits, ${width} wide`);
    }
    assert.equal(network.parameters().filter(([name]) => name === 'head').length, 0);
  }
});

test('an adaptive softmax, in every number of bits, whole and step by step', () => {
  for (const width of [7, 16]) {
    const layers = [
      { name: 'lstm', kind: 'lstm', units: width },
      { name: 'head', kind: 'adaptive', outputs: 30, cutoffs: [4, 6, 17] },
    ] as const;
    const network = Network.create(new Runtime(), { input: { tokens: 30, width }, layers }, 3);
    for (const [name, { data }] of network.parameters()) {
      if (name.endsWith('bias')) for (let i = 0; i < data.length; i++) data[i] = uniform(3, 1, i) - 0.5;
    }
    for (const bits of BITS) {
      const bytes = encodeModel(network, { name: 'adaptive' }, all(bits));
      assertNear(bytes, bits > 8 ? 1e-5 : 2e-3, `${bits} bits, ${width} wide`);
      const model = loadSync(bytes);
      const tokens = [3, 29, 0, 5];
      const session = model.session();
      for (const [t, outputs] of model.run(tokens).entries()) {
        const stepped = session.step(tokens[t]);
        assert.ok(outputs.every((value, i) => Math.abs(value - stepped[i]) < 1e-4));
      }
    }
  }
});

test('the places of 4 % of the entries take at most 0.1 bits more than their entropy', () => {
  for (const density of [0.01, 0.04, 0.1, 0.3]) {
    const [M, N] = [512, 256];
    const columns: number[] = [];
    const starts = [0];
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++) if (uniform(5, i, j) < density) columns.push(j);
      starts.push(columns.length);
    }
    const p = columns.length / (M * N);
    const entropy = (-p * Math.log2(p) - (1 - p) * Math.log2(1 - p)) / p;
    const bits = (8 * riceEncode(columns, starts, N).length) / columns.length;
    assert.ok(bits < entropy + 0.1, `density ${density}: ${bits} bits, entropy ${entropy}`);
  }
});

test('codes that were chosen otherwise are stored as given', () => {
  const { runtime, network } = makeModel('dense', 8);
  const [leaf] = leavesOf(network).filter(({ role }) => role === 'head');
  const values = leaf.parameter.data.slice();
  const rows = values.length / leaf.group;
  const stored = quantise(runtime, values, 4, leaf.group);
  const scales = new Uint16Array(stored.slice(0, 2 * rows).buffer);
  const codes = Array.from(
    { length: values.length },
    (_, i) => ((stored[2 * rows + (i >> 1)] >> (4 * (i & 1))) & 15) - 8,
  );
  assert.equal(packCodes(scales, codes, 4), stored);
  const rounded = new Map([
    [
      leaf.name,
      packCodes(
        scales,
        codes.map((code) => Math.min(code, 3)),
        4,
      ),
    ],
  ]);
  assert.equal(storeTensors(network, { head: 4 }, rounded).tensors.get(leaf.name)?.data, rounded.get(leaf.name));
});

test('wrong scales, codes, lengths and gaps are refused by name, in training and in inference', () => {
  const file = encodeModel(makeModel('doped-kron', 8, 0.9), { ...all(4), vectors: 16 });
  const { tensors, metadata } = decodeSafetensors(file);
  const refuses = (
    name: string,
    change: (tensor: NamedTensor, codings: Record<string, unknown>) => NamedTensor | undefined,
    message: RegExp,
  ) => {
    const codings = JSON.parse(metadata.coding);
    const changed = new Map(tensors);
    const { dtype, shape, data } = tensors.get(name)!;
    const other = change({ dtype, shape, data: data.slice() } as NamedTensor, codings);
    if (other) changed.set(name, other);
    else changed.delete(name);
    const bytes = encodeSafetensors(changed, { ...metadata, coding: JSON.stringify(codings) });
    for (const read of [() => loadSync(bytes), () => decodeNetwork(new Runtime(), readHeader(bytes))]) {
      assert.throws(read, (error: unknown) => error instanceof FileFormatError && message.test(error.message));
    }
  };
  const with_ = (at: number, value: number) => (tensor: NamedTensor) => {
    tensor.data[at] = value;
    return tensor;
  };
  const shorter = ({ data }: NamedTensor): NamedTensor => ({
    dtype: 'U8',
    shape: [data.length - 1],
    data: data.slice(0, -1) as Uint8Array,
  });
  refuses('embedding', with_(1, 0x7c), /'embedding': got a scale that is not finite/);
  refuses('embedding', shorter, /'embedding': got U8 of shape .*; expected U8/);
  refuses('head.bias', with_(0, 0xfc00), /'head\.bias': got a number that is not finite/);
  refuses('lstm.0.ih.1.gaps', shorter, /'lstm\.0\.ih\.1': got indices out of order or range; expected the gaps/);
  const ones = (tensor: NamedTensor) => {
    tensor.data.fill(255);
    return tensor;
  };
  refuses('lstm.0.ih.1.gaps', ones, /'lstm\.0\.ih\.1': got indices/);
  refuses('lstm.0.ih.1.gaps', () => undefined, /columns': got nothing/);
  for (const wrong of [[4], [9, 8], [1, 8], [4, 0], [4, 2 ** 31], [4.5, 8], 'x', null, [4, '8']]) {
    refuses(
      'embedding',
      (tensor, codings) => {
        codings.embedding = wrong;
        return tensor;
      },
      /metadata\.coding\['embedding'\]: got /,
    );
  }
  refuses(
    'embedding',
    (tensor, codings) => {
      codings.stowaway = [4, 8];
      return tensor;
    },
    /stowaway/,
  );
  refuses(
    'embedding',
    (tensor, codings) => {
      delete codings.embedding;
      return tensor;
    },
    /'embedding': got U8 of shape .*; expected F32 or F16/,
  );
});

test('numbers too large for f16 stay f32', () => {
  const { network } = makeModel('dense', 8);
  network.vector('head.bias').data[1] = 1e6;
  const { tensors } = storeTensors(network, { vectors: 16, head: 4 });
  assert.is(tensors.get('head.bias')?.dtype, 'F32');
  assert.is(tensors.get('lstm.0.bias_ih')?.dtype, 'F16');
});

test.run();
