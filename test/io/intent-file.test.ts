import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeModel } from '../../src/cli/tasks.js';
import { FileFormatError } from '../../src/errors.js';
import { takeInventory } from '../../src/io/inventory.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/io/safetensors.js';
import { METHODS, type Method } from '../../src/operators/methods.js';
import { decodeIntentModel, IntentModel } from '../../src/tasks/intent/model.js';
import { decodeLanguageModel } from '../../src/tasks/lm/model.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { bits, noisy } from '../nn/oracle.js';

const vocabulary = buildVocabulary(['book a flight, play a song'], 'word');
const LABELS = ['book', 'play', '#'];

const makeModel = (method: Method) => {
  const config = { hidden: 6, layers: 2, method, compression: method === 'dense' ? 1 : 2, embedding: 5 };
  return noisy(IntentModel.create(new Runtime(), config, vocabulary, LABELS, 1));
};

for (const method of METHODS) {
  test(`an intent model of ${method} comes back bit for bit`, () => {
    const model = makeModel(method);
    const bytes = encodeModel(model);
    const read = decodeIntentModel(new Runtime(), bytes);
    assert.equal(read.config, model.config);
    assert.equal(read.labels, LABELS);
    assert.equal(read.vocabulary.toJSON(), vocabulary.toJSON());
    for (const [i, [name, { data }]] of model.plainParameters().entries())
      assert.is(bits(read.plainParameters()[i][1].data), bits(data), name);
    for (const [i, [name, operator]] of model.operators().entries()) {
      assert.is(bits(read.operators()[i][1].toDense()), bits(operator.toDense()), name);
    }
    assert.equal(takeInventory(read), takeInventory(model));
    assert.is(Buffer.compare(encodeModel(read), bytes), 0);
    assert.instance(decodeModel(new Runtime(), bytes), IntentModel);
  });
}

test('the compression is counted over all matrices of both directions', () => {
  const { compression, parameters, tensors } = takeInventory(makeModel('dense'));
  // Of each direction, from embeddings of 5 and from both states of the layer below, 12.
  assert.is(parameters.lstm, 2 * 24 * (5 + 6 + 12 + 6));
  assert.equal(compression, { parameters: 1, bytes: 1 });
  assert.equal(
    tensors.find(({ name }) => name === 'head'),
    { name: 'head', kind: 'dense', role: 'head', shape: [3, 12], nnz: 36, bytes: 144 },
  );
});

const refuses = (
  bytes: Uint8Array,
  message: RegExp,
  decode: (runtime: Runtime, bytes: Uint8Array) => unknown = decodeModel,
) =>
  assert.throws(
    () => decode(new Runtime(), bytes),
    (error: unknown) => error instanceof FileFormatError && message.test(error.message),
    `${message} is wanted`,
  );

/** The file of a model with some of what it says of its task replaced. */
function changed(changes: Record<string, unknown>): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(encodeModel(makeModel('doped-kron')));
  const task = { ...JSON.parse(metadata.task), ...changes };
  return encodeSafetensors(tensors, { ...metadata, task: JSON.stringify(task) });
}

test('labels and settings that cannot be are refused by name', () => {
  const config = { hidden: 6, layers: 2, embedding: 5, method: 'doped-kron', compression: 2 };
  decodeModel(new Runtime(), changed({ config, labels: LABELS }));
  for (const labels of [
    undefined,
    '[',
    null,
    'null',
    {},
    [],
    ['book'],
    ['a', 'a', 'b'],
    ['a', '', 'b'],
    ['a', 1, 'b'],
  ]) {
    refuses(changed({ labels }), /labels/);
  }
  for (const labels of [
    ['a', 'b'],
    ['a', 'b', 'c', 'd'],
  ]) {
    refuses(
      changed({ labels }),
      new RegExp(`metadata\\.network: got .*outputs.*3.*; expected .*outputs.*${labels.length}`),
    );
  }
  for (const embedding of [undefined, 0, -1, 1.5, '5', 2 ** 17]) {
    refuses(changed({ config: { ...config, embedding } }), /config\.embedding: got /);
  }
  refuses(changed({ config: { ...config, embedding: 6 } }), /metadata\.network: got .*5.*; expected .*6/);
  refuses(changed({ config: { ...config, layers: 1 } }), /metadata\.network: got .*lstm\.1.*; expected .*ends/);
  refuses(
    changed({ vocabulary: buildVocabulary(['abc'], 'char') }),
    /vocabulary\.level: got "char"; expected word, for an intent model/,
  );
  refuses(
    changed({ name: 'something' }),
    /got a model for the task "something"; expected one for 'lm', 'intent', 'tag', 'series'/,
  );
  refuses(changed({ name: 'lm' }), /metadata\.network: got /);
  refuses(changed({}), /got a model for the task "intent"; expected one for 'lm'/, decodeLanguageModel);
});

test('a file cut short at any byte is refused', () => {
  const bytes = encodeModel(makeModel('doped-hmd'));
  for (let length = 0; length < bytes.length; length += 1 + (length >> 6)) refuses(bytes.subarray(0, length), /./);
});

test.run();
