import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FileFormatError,
  Intents,
  initSync,
  loadSync,
  LanguageModel as TextModel,
  Translator,
} from '../../src/infer/index.js';
import { IntentModel } from '../../src/tasks/intent/model.js';
import { encodeModel } from '../../src/tasks/model-file.js';
import { TranslationModel } from '../../src/tasks/translate/model.js';
import { Runtime } from '../../src/wasm/runtime.js';
import { damage } from './damage.js';
import { makeModel, prune, vocabulary } from './models.js';

// What reaches a deployed model's loader: files cut short, with bytes changed, with other numbers in their header. Headers
// that someone forged are in test/io/hostile.test.ts.

initSync({ simd: 'plain' });

/** Numbers that a model answers with; throws where its file is not read. */
type Run = (file: Uint8Array) => Iterable<ArrayLike<number>>;

function* runLanguageModel(file: Uint8Array): Iterable<ArrayLike<number>> {
  const plan = loadSync(file);
  const session = new TextModel(plan);
  for (const token of [0, new TextModel(plan).vocabulary.size - 1, 1]) yield session.next(token);
}

function* runIntentModel(file: Uint8Array): Iterable<ArrayLike<number>> {
  yield Object.values(new Intents(loadSync(file)).classify('the cat and a dog').probabilities);
}

const intentModel = IntentModel.create(
  new Runtime(),
  { hidden: 4, layers: 2, embedding: 4, method: 'doped-lmf', compression: 1.5 },
  vocabulary,
  ['a', 'b', 'c'],
  3,
);

function* runTranslationModel(file: Uint8Array): Iterable<ArrayLike<number>> {
  const translator = new Translator(loadSync(file));
  const { model } = translator;
  const session = model.session(model.encode([2, 0, 1]));
  yield session.step(1);
  yield session.step(3);
  const { score, attention } = translator.translate('the cat', { maxTokens: 3 });
  yield [score];
  yield* attention;
}

const translationModel = (feed: boolean) =>
  TranslationModel.create(
    new Runtime(),
    {
      hidden: 6,
      layers: 1,
      embedding: 6,
      method: 'doped-lmf',
      compression: 1.3,
      score: feed ? 'dot' : 'general',
      ...(feed && { feed: true as const, tied: true as const, cell: 'gru' as const }),
    },
    { source: vocabulary, target: vocabulary, languages: ['aa', 'bb'] },
    3,
  );

const FILES: readonly [Uint8Array, Run][] = [
  [encodeModel(makeModel('dense', 5)), runLanguageModel],
  [encodeModel(makeModel('doped-kron', 6, 0.5)), runLanguageModel],
  [encodeModel(makeModel('kron', 6, 0, 1, [2, 3, 4, 1, 3, 2])), runLanguageModel],
  [encodeModel(makeModel('doped-hmd', 6, 0.9), { head: 8, factors: 4, embedding: 3, vectors: 16 }), runLanguageModel],
  [encodeModel(makeModel('doped-lmf', 4, 0.9, 4)), runLanguageModel],
  [encodeModel(makeModel('pruned', 8, 0.8, 8)), runLanguageModel],
  [encodeModel(prune(intentModel, 0.7)), runIntentModel],
  [encodeModel(prune(translationModel(false), 0.7)), runTranslationModel],
  [encodeModel(prune(translationModel(true), 0.7), { embedding: 4, dense: 4, dopants: 3 }), runTranslationModel],
];

test('12,000 mutated and truncated files: each loads to finite outputs or is rejected by name', () => {
  const counts = { loaded: 0, rejected: 0 };
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // stacks would take most of the time
  fc.assert(
    fc.property(fc.constantFrom(...FILES), damage, ([file, run], mutate) => {
      try {
        for (const numbers of run(mutate(file))) {
          for (let i = 0; i < numbers.length; i++)
            assert.ok(Number.isFinite(numbers[i]), `number ${i} is ${numbers[i]}`);
        }
        counts.loaded++;
      } catch (error) {
        if (!(error instanceof FileFormatError)) throw error;
        assert.ok(error.message.length > 10, error.message);
        counts.rejected++;
      }
    }),
    { numRuns: 12_000, endOnFailure: true },
  );
  Error.stackTraceLimit = stackTraceLimit;
  // Both happen, or the mutations are not what they should be.
  assert.ok(counts.loaded > 1000, `${counts.loaded} files loaded`);
  assert.ok(counts.rejected > 1000, `${counts.rejected} files were rejected`);
});

test.run();
