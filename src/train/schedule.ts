import { checkNumber } from '../checks.js';
import { InputError, invalid } from '../errors.js';
import { cosineOfPi } from '../math.js';

/** How the learning rate changes over training. */
export type Schedule =
  | { kind: 'constant' }
  /** Half a cosine, from the full rate to 0 at the end. */
  | { kind: 'cosine' }
  /** Rises for the share `warmup` of the training, then falls to 0 at the end, both along a line. */
  | { kind: 'linear'; warmup: number }
  /** The full rate for `after` epochs, then divided by `by` in every epoch (Zaremba et al., 2014). */
  | { kind: 'decay'; after: number; by: number };

/** Throws InputError for an unknown kind of schedule, or numbers out of range. */
export function checkSchedule(schedule: Schedule): void {
  const { kind } = schedule;
  if (kind !== 'constant' && kind !== 'cosine' && kind !== 'linear' && kind !== 'decay') {
    throw invalid('schedule', kind, "'constant', 'cosine', 'linear' or 'decay'");
  }
  if (kind === 'linear') {
    checkNumber('warmup', schedule.warmup, schedule.warmup >= 0 && schedule.warmup < 1, 'a number >= 0 and < 1');
  }
  if (kind !== 'decay') return;
  const { after, by } = schedule;
  if (!(Number.isFinite(after) && after >= 0 && Number.isFinite(by) && by > 0)) {
    throw new InputError(`schedule: got decay after ${after} epochs by ${by}; expected epochs >= 0 and a divisor > 0`);
  }
}

export function scheduledRate(
  schedule: Schedule,
  rate: number,
  step: number,
  totalSteps: number,
  epoch: number,
): number {
  switch (schedule.kind) {
    case 'constant':
      return rate;
    case 'cosine':
      return rate * 0.5 * (1 + cosineOfPi(step / totalSteps));
    case 'linear': {
      const warm = schedule.warmup * totalSteps;
      // The first step has a rate, too.
      return rate * Math.min(1, (totalSteps - step) / (totalSteps - warm), warm ? (step + 1) / warm : 1);
    }
    case 'decay': {
      let result = rate;
      for (let e = schedule.after; e <= epoch; e++) result /= schedule.by;
      return result;
    }
  }
}
