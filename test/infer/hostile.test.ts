import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FileFormatError, initSync, loadSync } from '../../src/infer/index.js';
import { encodeLanguageModel } from '../../src/io/model-file.js';
import { damage } from './damage.js';
import { makeModel } from './models.js';

// What reaches a deployed model's loader: files cut short, with bytes changed, with other numbers in their header.

initSync({ simd: 'plain' });

const FILES = [
  encodeLanguageModel(makeModel('dense', 5)),
  encodeLanguageModel(makeModel('doped-kron', 6, 0.5)),
  encodeLanguageModel(makeModel('kron', 6, 0, 1, [2, 3, 4, 1, 3, 2])),
  encodeLanguageModel(makeModel('doped-hmd', 6, 0.9).withInt8Head()),
  encodeLanguageModel(makeModel('doped-lmf', 4, 0.9, 4)),
  encodeLanguageModel(makeModel('pruned', 8, 0.8, 8)),
];

test('100,000 mutated and truncated files: each loads to finite outputs or is refused by name', () => {
  const counts = { loaded: 0, refused: 0 };
  fc.assert(
    fc.property(fc.constantFrom(...FILES), damage, (file, mutate) => {
      let plan: ReturnType<typeof loadSync>;
      try {
        plan = loadSync(mutate(file));
      } catch (error) {
        if (!(error instanceof FileFormatError)) throw error;
        assert.ok(error.message.length > 10, error.message);
        counts.refused++;
        return;
      }
      const session = plan.session();
      for (const token of [0, plan.vocabulary.size - 1, 1]) {
        const logits = session.next(token);
        for (let v = 0; v < logits.length; v++) assert.ok(Number.isFinite(logits[v]), `logit ${v} is ${logits[v]}`);
      }
      counts.loaded++;
    }),
    { numRuns: 100_000, endOnFailure: true },
  );
  // Both happen, or the mutations are not what they should be.
  assert.ok(counts.loaded > 10_000, `${counts.loaded} files loaded`);
  assert.ok(counts.refused > 10_000, `${counts.refused} files were refused`);
});

test.run();
