// Where a model comes from in Node; in a browser, see test/browser.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { load } from '../../src/infer/index.js';
import { encodeLanguageModel } from '../../src/io/model-file.js';
import { makeModel } from './models.js';

test('bytes, a URL and a path load the same model', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dopant-'));
  try {
    const bytes = encodeLanguageModel(makeModel('kron', 8));
    const path = join(folder, 'model.safetensors');
    writeFileSync(path, bytes);
    const logits = await Promise.all(
      [bytes, bytes.slice().buffer, pathToFileURL(path), path].map(async (source) => [
        ...(await load(source)).session().next(1),
      ]),
    );
    for (const other of logits) assert.equal(other, logits[0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
