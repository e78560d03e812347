// What must be the same, bit for bit, wherever it runs: models and their records, probabilities in training and at
// inference, sampled text.

import { Tape } from '../../src/autograd/tape.js';
import { Intents, initSync, loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';
import { uniform } from '../../src/random.js';
import { classifySentences, defaultIntentOptions, IntentTraining } from '../../src/tasks/intent/training.js';
import { generate } from '../../src/tasks/lm/generate.js';
import { defaultOptions, LanguageModelTraining } from '../../src/tasks/lm/training.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { softmax } from '../../src/tasks/softmax.js';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { Runtime } from '../../src/wasm/runtime.js';

const WORDS = 'the a cat dog sat ran on over mat hill and then it was big red'.split(' ');
const text = Array.from({ length: 900 }, (_, i) => WORDS[Math.floor(uniform(1, 0, i) * WORDS.length)]).join(' ');

const hex = (numbers: ArrayBufferView) =>
  Array.from(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');

const SAMPLING = { temperature: 0.7, seed: 5 };
const TOKENS = 40;

async function languageModel(): Promise<Record<string, string>> {
  const vocabulary = buildVocabulary([text], 'word');
  const ids = vocabulary.encode(text);
  const options = {
    ...defaultOptions('word'),
    hidden: 16,
    compression: 4,
    batch: 4,
    bptt: 10,
    epochs: 2,
    // No whole power, and masks of both kinds.
    freeRate: { scale: 0.2, power: 0.7 },
    coMatrixDropout: { structure: 0.1, dopants: 0.1, hold: false, until: 1 },
  };
  const corpus = { train: ids.subarray(0, 800), valid: ids.subarray(800) };
  const training = LanguageModelTraining.create(new Runtime(), vocabulary, options, corpus);
  while (!training.done) training.step();
  const { model } = training;

  const { runtime } = model;
  const input = runtime.alloc(4 * ids.length);
  runtime.ints(input, ids.length).set(ids);
  const { value } = model.forward(new Tape(runtime, false), input, ids.length, 1, model.newState(1));
  const probabilities = softmax(runtime.floats(value, ids.length * vocabulary.size));
  const sampled: number[] = [];
  for (const token of generate(model, ids.subarray(0, 3), SAMPLING)) {
    if (sampled.push(token) === TOKENS) break;
  }

  const file = encodeModel(model);
  const plan = loadSync(file);
  const session = new TextModel(plan);
  const suggested = Array.from(ids.subarray(0, 20), (id) => hex(softmax(session.next(id))));
  let written = '';
  const prompt = WORDS.slice(0, 3).join(' ');
  for await (const { text } of new TextModel(plan).generate(prompt, { ...SAMPLING, maxTokens: TOKENS }))
    written += text;
  return {
    'language model': hex(file),
    records: JSON.stringify(training.records),
    'probabilities of tokens in training': hex(probabilities),
    'probabilities of tokens at inference': suggested.join(' '),
    'sampled tokens': sampled.join(' '),
    'sampled text': written,
  };
}

function intentModel(): Record<string, string> {
  const sentences = Array.from({ length: 60 }, (_, i) =>
    text
      .split(' ')
      .slice(7 * i, 7 * i + 3 + (i % 5))
      .join(' '),
  );
  const vocabulary = buildVocabulary(sentences, 'word');
  const examples = (from: number, to: number) => ({
    sentences: sentences.slice(from, to).map((sentence) => vocabulary.encodeSentence(sentence)),
    intents: sentences.slice(from, to).map((sentence) => (sentence.includes('cat') ? 'cat' : 'none')),
  });
  const options = { ...defaultIntentOptions(), hidden: 8, embedding: 8, compression: 3, epochs: 3 };
  const data = { train: examples(0, 45), valid: examples(45, 60) };
  const training = IntentTraining.create(new Runtime(), vocabulary, options, data);
  while (!training.done) training.step();
  const file = encodeModel(training.model);
  const plan = new Intents(loadSync(file));
  const answers = sentences.map((sentence) => Object.values(plan.classify(sentence).probabilities));
  return {
    'intent model': hex(file),
    'records of the intents': JSON.stringify(training.records),
    'probabilities of intents in training': classifySentences(training.model, data.valid.sentences).map(hex).join(' '),
    'probabilities of intents at inference': hex(Float64Array.from(answers.flat())),
  };
}

/** Trains and runs small models, in plain SIMD: the bits of all that comes out, by name. */
export async function sameBits(): Promise<Record<string, string>> {
  initSync({ simd: 'plain' });
  return { ...(await languageModel()), ...intentModel() };
}
