import { InputError } from '../errors';

/** How the learning rate changes over training. */
export type Schedule =
  | { kind: 'constant' }
  /** Half a cosine, from the full rate to 0 at the last step. */
  | { kind: 'cosine' }
  /** The full rate for `after` epochs, then divided by `by` at every epoch (Zaremba et al., 2014). */
  | { kind: 'decay'; after: number; by: number };

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
    default:
      throw new InputError(
        `schedule: '${(schedule as { kind: string }).kind}' was given; it must be constant, cosine or decay`,
      );
  }
}

/** cos(pi x), 0 <= x <= 1, by its series: Math.cos may round differently from one engine to the next. */
function cosineOfPi(x: number): number {
  const y = (0.5 - x) * Math.PI; // cos(pi x) = sin(y)
  let term = y;
  let sum = y;
  for (let k = 1; k <= 10; k++) {
    term *= (-y * y) / (2 * k * (2 * k + 1));
    sum += term;
  }
  return sum;
}
