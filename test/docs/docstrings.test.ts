// Everything that users import says what it is.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

for (const entry of ['src/index.ts', 'src/infer/index.ts', 'src/testing/index.ts']) {
  test(`every export of ${entry} has a docstring`, () => {
    let found = 0;
    for (const [, names, from] of readFileSync(entry, 'utf8').matchAll(
      /export (?:type )?\{([^}]*)\} from '([^']+)'/g,
    )) {
      const path = join(dirname(entry), from.replace(/\.js$/, '.ts'));
      if (!existsSync(path)) continue;
      const text = readFileSync(path, 'utf8');
      for (const name of names.split(',').map((one) => one.replace(/\btype\b/, '').trim())) {
        // What a file only passes on is documented where it is made.
        const made = new RegExp(`(\\*/\\n)?^export [a-z* ]*\\b${name}\\b`, 'm').exec(text);
        if (!name || !made) continue;
        found++;
        assert.ok(made[1], `${path}: ${name} has no docstring`);
      }
    }
    assert.ok(found >= 8, `${found}`);
  });
}

test.run();
