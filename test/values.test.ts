import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { show } from '../src/values.js';

test('any value can be shown, in few characters', () => {
  const shown: [unknown, string][] = [
    [undefined, 'nothing'],
    [null, 'null'],
    [1.5, '1.5'],
    [1n, '1n'],
    ['1', '"1"'],
    [Symbol('x'), 'Symbol(x)'],
    [[Symbol('x'), [1], 2n], '[Symbol(x), a list, 2n]'],
    [Object.create(null), 'an object'],
    [new Array(1e6), '[nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, ...]'],
    ['x'.repeat(1e6), `"${'x'.repeat(79)}...`],
    [10n ** 100n, `1${'0'.repeat(79)}...`],
    [Symbol('x'.repeat(1e3)), `Symbol(${'x'.repeat(73)}...`],
  ];
  for (const [value, text] of shown) assert.is(show(value), text);
  assert.match(
    show(() => 0),
    '=>',
  );
});

test.run();
