import { type Bits, ROLES, type Role, type StoredBits } from '../nn/leaves.js';
import type { Quality } from '../tasks/training.js';
import type { Work } from '../work.js';

/** A way to store a model, with what it costs. */
export interface Candidate {
  bits: StoredBits;
  /** Of the file. */
  bytes: number;
  /** Of quality: see lossOf(). */
  loss: number;
}

/** What a role costs by itself, all others being f32, in each number of bits. */
export interface RoleCosts {
  role: Role;
  costs: (Candidate & { own: Bits })[];
}

/** Stores a model so and measures it. */
export type Measure = (bits: StoredBits) => Work<Candidate>;

/** Where the search ends: the file may have at most `bytes`, or lose at most `loss`. */
export type Goal = { bytes: number } | { loss: number };

/** From the most bits to the fewest. */
const TRIED: readonly Bits[] = [8, 4, 3, 2];

/** Relative growth of perplexity or squared error, or the fall of accuracy or F1: what a change costs; negative for a gain. */
export function lossOf(before: Quality, after: Quality): number {
  const share = ({ f1, accuracy }: Quality) => f1 ?? accuracy;
  const error = ({ mse, perplexity }: Quality) => mse ?? perplexity ?? Number.NaN;
  const [was, is] = [share(before), share(after)];
  if (was !== undefined && is !== undefined) return was - is;
  return error(before) > 0 ? error(after) / error(before) - 1 : error(after) - error(before);
}

/** Measures every role of a model by itself in 8, 4, 3 and 2 bits. */
export function* measureRoles(roles: readonly Role[], rest: StoredBits, measure: Measure): Work<RoleCosts[]> {
  const found: RoleCosts[] = [];
  const total = roles.length * TRIED.length;
  let done = 0;
  for (const role of roles) {
    const costs: RoleCosts['costs'] = [];
    for (const own of TRIED) {
      const work = measure({ ...rest, [role]: own });
      costs.push({ ...(yield* part(work, done++, total)), own });
    }
    found.push({ role, costs });
  }
  return found;
}

/** A part of work, as a share of the whole. */
function* part<T>(work: Work<T>, done: number, total: number): Work<T> {
  for (;;) {
    const { done: ended, value } = work.next();
    if (ended) return value;
    yield (done + value) / total;
  }
}

/**
 * From 8 bits everywhere, takes bits from one role at a time, where a byte saved costs least by the losses of the roles
 * alone, until the goal is reached; then measures the whole, and goes back a step while it loses too much, or on while it is
 * too large. Returns what fits; undefined where nothing does.
 */
export function* chooseBits(
  roles: readonly RoleCosts[],
  rest: StoredBits,
  goal: Goal,
  measure: Measure,
): Work<Candidate | undefined> {
  const path = steps(roles);
  const bitsAt = (n: number): StoredBits => {
    const bits: { [role in Role]?: Bits } = { ...rest };
    for (const { role } of roles) bits[role] = 8;
    for (const { role, to } of path.slice(0, n)) bits[role] = to;
    return bits;
  };
  if ('bytes' in goal) {
    for (let n = 0; n <= path.length; n++) {
      const candidate = yield* part(measure(bitsAt(n)), n, path.length + 1);
      if (candidate.bytes <= goal.bytes) return candidate;
    }
    return undefined;
  }
  let sum = roles.reduce((total, { costs }) => total + Math.max(0, costs[0].loss), 0);
  let n = 0;
  while (n < path.length && sum + path[n].loss <= goal.loss) sum += path[n++].loss;
  for (let tried = 0; n >= 0; n--, tried++) {
    const candidate = yield* part(measure(bitsAt(n)), tried, tried + n + 1);
    if (candidate.loss <= goal.loss) return candidate;
  }
  return undefined;
}

interface Step {
  role: Role;
  to: Bits;
  loss: number;
  saved: number;
}

/** All steps from 8 bits down, each role's in order, the cheapest byte first. */
function steps(roles: readonly RoleCosts[]): Step[] {
  const queues = roles.map(({ role, costs }) =>
    costs.slice(1).map((cost, i): Step => {
      const { loss, bytes } = costs[i];
      return { role, to: cost.own, loss: Math.max(0, cost.loss - loss), saved: bytes - cost.bytes };
    }),
  );
  const path: Step[] = [];
  for (;;) {
    const heads = queues.flatMap((queue) => queue.slice(0, 1));
    if (heads.length === 0) return path;
    const price = ({ loss, saved }: Step) => (saved > 0 ? loss / saved : Number.POSITIVE_INFINITY);
    const best = heads.reduce((least, step) => (price(step) < price(least) ? step : least));
    path.push(best);
    queues.find((queue) => queue[0] === best)!.shift();
  }
}

/** The roles that a model has, in the order of ROLES, but for vectors, which are small. */
export function rolesOf(leaves: readonly { role: Role }[]): Role[] {
  return ROLES.filter((role) => role !== 'vectors' && leaves.some((leaf) => leaf.role === role));
}
