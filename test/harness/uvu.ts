// Stands in for uvu in the tests that test/build.mjs builds: a test that asserts nothing fails, and one that is skipped
// says so, for uvu only counts those.

import * as uvu from 'uvu';
import { assertions } from './assert.js';

type Run<T> = uvu.Callback<T>;

function withHarness<T>(test: uvu.Test<T>): uvu.Test<T> {
  const asserting =
    (run: Run<T>): Run<T> =>
    async (context) => {
      const before = assertions();
      await run(context);
      if (assertions() === before) throw new Error('the test asserted nothing');
    };
  return Object.assign((name: string, run: Run<T>) => test(name, asserting(run)), test, {
    only(name: string, run: Run<T>) {
      console.log(`SKIPPED  all but: ${name}`);
      test.only(name, asserting(run));
    },
    skip(name: string) {
      console.log(`SKIPPED  ${name}`);
      test.skip();
    },
  });
}

export const test = withHarness(uvu.test);
export const suite: typeof uvu.suite = (title, context) => withHarness(uvu.suite(title, context));
