// Stands in for uvu/assert in the tests that test/build.mjs builds, and counts its calls.

import * as uvu from 'uvu/assert';

let calls = 0;

/** How many assertions have been made until now. */
export const assertions = () => calls;

/** An assertion, and with it those that are its properties, as in `is.not`. */
function counted<Assertion extends object>(assertion: Assertion): Assertion {
  return new Proxy(assertion, {
    apply(target, self, args) {
      calls++;
      return Reflect.apply(target as (...args: unknown[]) => unknown, self, args);
    },
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? counted(value) : value;
    },
  });
}

export const ok = counted(uvu.ok);
export const is = counted(uvu.is);
export const equal = counted(uvu.equal);
export const type = counted(uvu.type);
export const instance = counted(uvu.instance);
export const match = counted(uvu.match);
export const snapshot = counted(uvu.snapshot);
export const fixture = counted(uvu.fixture);
export const throws = counted(uvu.throws);
export const unreachable = counted(uvu.unreachable);
export const not = counted(uvu.not);
