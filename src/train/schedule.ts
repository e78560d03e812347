import { InputError, invalid } from '../errors.js';
import { cosineOfPi } from '../math.js';

/** How the learning rate changes over training. */
export type Schedule =
  | { kind: 'constant' }
  /** Half a cosine, from the full rate to 0 at the end. */
  | { kind: 'cosine' }
  /** The full rate for `after` epochs, then divided by `by` in every epoch (Zaremba et al., 2014). */
  | { kind: 'decay'; after: number; by: number };

/** Throws InputError for an unknown kind of schedule, or numbers out of range. */
export function checkSchedule(schedule: Schedule): void {
  const { kind } = schedule;
  if (kind !== 'constant' && kind !== 'cosine' && kind !== 'decay') {
    throw invalid('schedule', kind, "'constant', 'cosine' or 'decay'");
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
    case 'decay': {
      let result = rate;
      for (let e = schedule.after; e <= epoch; e++) result /= schedule.by;
      return result;
    }
  }
}
