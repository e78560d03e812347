import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { checkSchedule, type Schedule, scheduledRate } from '../../src/train/schedule.js';
import { U64 } from '../support.js';

const RATE = 0.3;

test('a constant rate is the rate', () => {
  for (const step of [0, 1, 50, 99]) assert.is(scheduledRate({ kind: 'constant' }, RATE, step, 100, step), RATE);
});

test('the cosine is half a cosine from the full rate to nothing', () => {
  for (const total of [1, 2, 7, 1000]) {
    let before = Number.POSITIVE_INFINITY;
    for (let step = 0; step <= total; step++) {
      const got = scheduledRate({ kind: 'cosine' }, RATE, step, total, 0);
      // Some twenty roundings, of numbers below pi.
      const allowed = 64 * U64 * RATE;
      const wanted = (RATE * (1 + Math.cos((Math.PI * step) / total))) / 2;
      assert.ok(Math.abs(got - wanted) <= allowed, `step ${step} of ${total}: ${got}, not ${wanted}`);
      assert.ok(got < before, `step ${step} of ${total} is no lower than the one before`);
      before = got;
    }
  }
});

test('the line rises for the warm-up, reaches the rate, and falls to nothing', () => {
  for (const warmup of [0, 0.1, 0.25, 0.9]) {
    for (const total of [1, 20, 1000]) {
      const at = (step: number) => scheduledRate({ kind: 'linear', warmup }, RATE, step, total, 0);
      const rates = Array.from({ length: total + 1 }, (_, step) => at(step));
      const top = Math.max(...rates);
      const allowed = 8 * U64 * RATE;
      assert.ok(top <= RATE + allowed, `${top} of ${RATE}`);
      if (warmup * total === Math.floor(warmup * total)) assert.ok(top >= RATE - RATE / total - allowed);
      assert.is(rates[total], 0);
      assert.ok(rates.slice(0, -1).every((rate) => rate > 0));
      // Two lines: differences are the same within each.
      const turn = rates.indexOf(top);
      const slopes = (list: number[]) => list.slice(1).map((rate, i) => rate - list[i]);
      for (const part of [slopes(rates.slice(0, turn)), slopes(rates.slice(turn + 1))]) {
        for (const slope of part) assert.ok(Math.abs(slope - part[0]) <= allowed, `${slope}, not ${part[0]}`);
      }
    }
  }
});

test('the decay divides once an epoch, after the full ones', () => {
  for (const after of [0, 1, 4]) {
    for (const by of [1, 1.15, 2]) {
      for (let epoch = 0; epoch < 12; epoch++) {
        const got = scheduledRate({ kind: 'decay', after, by }, RATE, 5, 10, epoch);
        const wanted = RATE / by ** Math.max(0, epoch - after + 1);
        assert.ok(Math.abs(got - wanted) <= 2 * (epoch + 2) * U64 * wanted, `epoch ${epoch}: ${got}, not ${wanted}`);
        if (epoch < after) assert.is(got, RATE);
      }
    }
  }
});

test('the decay looks at the epoch alone, the cosine at the step alone', () => {
  const decay: Schedule = { kind: 'decay', after: 1, by: 2 };
  assert.is(scheduledRate(decay, RATE, 0, 10, 3), scheduledRate(decay, RATE, 9, 10, 3));
  assert.is(scheduledRate({ kind: 'cosine' }, RATE, 3, 10, 0), scheduledRate({ kind: 'cosine' }, RATE, 3, 10, 9));
});

test('an unknown schedule, and a decay that makes no rate, are refused by name', () => {
  const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
  const bad: [unknown, RegExp][] = [
    [{ kind: 'quadratic' }, /^schedule: got "quadratic";/],
    [{ kind: 'linear', warmup: 1 }, /^warmup: got 1;/],
    [{ kind: 'linear', warmup: nan }, /^warmup: got NaN;/],
    [{ kind: 'linear' }, /^warmup: got /],
    [{ kind: 'decay', after: -1, by: 2 }, /^schedule: got decay after -1 epochs/],
    [{ kind: 'decay', after: nan, by: 2 }, /^schedule: got decay after NaN epochs/],
    [{ kind: 'decay', after: infinity, by: 2 }, /^schedule: got decay after Infinity epochs/],
    [{ kind: 'decay', after: 1, by: 0 }, /^schedule: got decay after 1 epochs by 0;/],
    [{ kind: 'decay', after: 1, by: nan }, /^schedule: got decay after 1 epochs by NaN;/],
    [{ kind: 'decay', after: 1 }, /^schedule: got decay after 1 epochs by undefined;/],
  ];
  for (const [schedule, message] of bad) {
    assert.throws(
      () => checkSchedule(schedule as Schedule),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      `${message}`,
    );
  }
  for (const schedule of [{ kind: 'constant' }, { kind: 'cosine' }, { kind: 'decay', after: 0, by: 1.5 }] as const) {
    checkSchedule(schedule);
  }
});

test.run();
